// Package admission decides when a statement may start: so many at once, the rest
// in a queue of bounded length, first come, first served, no longer than its
// context allows.
package admission

import (
	"context"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Gate lets a number of statements run at once. It is safe for concurrent use,
// and an uncontended pass costs a mutex.
type Gate struct {
	mu      sync.Mutex
	places  int
	free    int
	waitMax int
	// queue holds waiters from head on, oldest first. One that gave up wants nothing.
	queue  []waiter
	head   int
	queued int
}

type waiter struct {
	turn chan struct{}
	want int // places
}

// NewGate lets run statements in at once and wait others queue.
func NewGate(run, wait int) *Gate { return &Gate{places: run, free: run, waitMax: wait} }

// Enter waits for a place and takes it; Leave gives it back. It fails with 53000
// when the queue is full and with the context's cause when that ends first.
func (g *Gate) Enter(ctx context.Context) error { return g.enter(ctx, 1) }

// EnterAlone waits for all places and takes them; LeaveAlone gives them back. Who
// waits after it waits until it has left.
func (g *Gate) EnterAlone(ctx context.Context) error { return g.enter(ctx, g.places) }

func (g *Gate) enter(ctx context.Context, want int) error {
	g.mu.Lock()
	if g.free >= want && g.queued == 0 {
		g.free -= want
		g.mu.Unlock()
		return nil
	}
	if g.queued >= g.waitMax {
		g.mu.Unlock()
		return sqlstate.Errorf(sqlstate.InsufficientResources, "too many statements are waiting to run").
			WithHint("Try again, or raise the limit of concurrent statements.")
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, waiter{turn, want})
	g.queued++
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := g.head; i < len(g.queue); i++ {
		if g.queue[i].turn == turn {
			g.queue[i] = waiter{}
			g.queued--
			g.next() // those behind may want less
			return context.Cause(ctx)
		}
	}
	// The turn came at the same moment: pass it on.
	g.free += want
	g.next()
	return context.Cause(ctx)
}

// Leave gives a place back.
func (g *Gate) Leave() { g.leave(1) }

// LeaveAlone gives all places back.
func (g *Gate) LeaveAlone() { g.leave(g.places) }

func (g *Gate) leave(n int) {
	g.mu.Lock()
	g.free += n
	g.next()
	g.mu.Unlock()
}

// next hands free places to the oldest waiters.
func (g *Gate) next() {
	for g.head < len(g.queue) {
		w := g.queue[g.head]
		if w.want > g.free {
			return
		}
		g.queue[g.head] = waiter{}
		if g.head++; g.head == len(g.queue) {
			g.queue, g.head = g.queue[:0], 0
		}
		if w.turn != nil {
			g.queued--
			g.free -= w.want
			close(w.turn)
		}
	}
}

// Waiting is the number of statements in the queue.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queued
}

// Running is the number of places taken.
func (g *Gate) Running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.places - g.free
}
