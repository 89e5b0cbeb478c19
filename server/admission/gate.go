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
	free    int
	waitMax int
	// queue holds waiters from head on, oldest first. One that gave up is nil.
	queue  []chan struct{}
	head   int
	queued int
}

// NewGate lets run statements in at once and wait others queue.
func NewGate(run, wait int) *Gate { return &Gate{free: run, waitMax: wait} }

// Enter waits for a place and takes it; Leave gives it back. It fails with 53000
// when the queue is full and with the context's cause when that ends first.
func (g *Gate) Enter(ctx context.Context) error {
	g.mu.Lock()
	if g.free > 0 && g.queued == 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	if g.queued >= g.waitMax {
		g.mu.Unlock()
		return sqlstate.Errorf(sqlstate.InsufficientResources, "too many statements are waiting to run").
			WithHint("Try again, or raise the limit of concurrent statements.")
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
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
		if g.queue[i] == turn {
			g.queue[i] = nil
			g.queued--
			return context.Cause(ctx)
		}
	}
	// The turn came at the same moment: pass it on.
	g.next()
	return context.Cause(ctx)
}

// Leave gives a place back.
func (g *Gate) Leave() {
	g.mu.Lock()
	g.next()
	g.mu.Unlock()
}

// next hands a free place to the oldest waiter.
func (g *Gate) next() {
	for g.head < len(g.queue) {
		turn := g.queue[g.head]
		g.queue[g.head] = nil
		g.head++
		if g.head == len(g.queue) {
			g.queue, g.head = g.queue[:0], 0
		}
		if turn != nil {
			g.queued--
			close(turn)
			return
		}
	}
	g.free++
}

// Waiting is the number of statements in the queue.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queued
}
