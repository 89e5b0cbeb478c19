package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func TestGateOrderAndBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 2)
		ctx := context.Background()
		if err := g.Enter(ctx); err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 2 {
			go func() {
				if err := g.Enter(ctx); err != nil {
					t.Error(err)
				}
				order = append(order, i)
				g.Leave()
			}()
			synctest.Wait()
		}
		if err := g.Enter(ctx); sqlstate.CodeOf(err) != sqlstate.InsufficientResources {
			t.Errorf("a full queue answers %v", err)
		}
		g.Leave()
		synctest.Wait()
		if len(order) != 2 || order[0] != 0 || order[1] != 1 {
			t.Errorf("order %v, want [0 1]", order)
		}
	})
}

func TestGateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 2)
		_ = g.Enter(context.Background())
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := g.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting past the deadline gives %v", err)
		}
		if g.Waiting() != 0 {
			t.Errorf("%d still wait", g.Waiting())
		}
		g.Leave()
		if err := g.Enter(context.Background()); err != nil {
			t.Errorf("the place is lost: %v", err)
		}
	})
}

// However waiters come, give up and leave, no place is lost and none doubled.
func TestGateKeepsCount(t *testing.T) {
	const places = 3
	g := NewGate(places, 1000)
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for k := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+k)%3 == 0 {
					go cancel()
				}
				if g.Enter(ctx) == nil {
					n := inside.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					inside.Add(-1)
					g.Leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if most.Load() > places || g.free != places || g.queued != 0 {
		t.Errorf("most inside %d, free %d, queued %d", most.Load(), g.free, g.queued)
	}
}

func TestGateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(3, 8)
		ctx := context.Background()
		for range 2 {
			if err := g.Enter(ctx); err != nil {
				t.Fatal(err)
			}
		}
		var alone, after atomic.Bool
		go func() {
			if err := g.EnterAlone(ctx); err != nil {
				t.Error(err)
			}
			alone.Store(true)
		}()
		synctest.Wait()
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := g.Enter(brief); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("entered before one who waits for all places: %v", err)
		}
		go func() {
			if err := g.Enter(ctx); err != nil {
				t.Error(err)
			}
			after.Store(true)
		}()
		g.Leave()
		synctest.Wait()
		if alone.Load() || after.Load() {
			t.Error("entered while a place is taken")
		}
		g.Leave()
		synctest.Wait()
		if !alone.Load() || after.Load() || g.Running() != 3 {
			t.Errorf("alone %v, after %v, %d places taken", alone.Load(), after.Load(), g.Running())
		}
		g.LeaveAlone()
		synctest.Wait()
		if !after.Load() || g.Running() != 1 || g.Waiting() != 0 {
			t.Errorf("after %v, %d places taken, %d wait", after.Load(), g.Running(), g.Waiting())
		}
	})
}

func TestGateAloneGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2, 8)
		_ = g.Enter(context.Background())
		brief, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		go func() { _ = g.EnterAlone(brief) }()
		synctest.Wait()
		var in atomic.Bool
		go func() {
			if err := g.Enter(context.Background()); err != nil {
				t.Error(err)
			}
			in.Store(true)
		}()
		synctest.Wait()
		if in.Load() {
			t.Error("entered before one who waits for all places")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !in.Load() {
			t.Error("still waiting after that one gave up")
		}
	})
}
