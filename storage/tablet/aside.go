package tablet

import (
	"context"
	"runtime/debug"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// aside runs f beside its caller, who goes on as soon as ctx ends: what f still does by
// then (finish and sync a file that it has begun) takes longer than a cancelled
// statement may. The store waits for it when it closes.
func (s *Store) aside(ctx context.Context, f func(context.Context) error) error {
	if s.opts.Manual || ctx.Done() == nil {
		return f(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	s.asides.Add(1)
	go func() {
		defer s.asides.Done()
		debug.SetPanicOnFault(true)
		defer func() {
			if r := recover(); r != nil { // the caller's error, as it would be in its own goroutine
				s.opts.Logger.Error("panic in storage", "panic", r, "stack", string(debug.Stack()))
				done <- sqlstate.Errorf(sqlstate.InternalError, "internal error: %v", r)
			}
		}()
		done <- f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// discardAll discards tables, those with files beside the caller: a large set takes a
// while to be stopped and removed.
func (s *Store) discardAll(own []*ownTable) {
	var slow []*ownTable
	for _, o := range own {
		if !s.opts.Manual && o.hasFiles() {
			slow = append(slow, o)
		} else {
			o.discard()
		}
	}
	if len(slow) == 0 {
		return
	}
	s.asides.Add(1)
	go func() {
		defer s.asides.Done()
		for _, o := range slow {
			o.discard()
		}
	}()
}

// hasFiles says whether rows of the set went to side files.
func (o *ownTable) hasFiles() bool {
	for _, s := range o.shards {
		if s.spilled {
			return true
		}
	}
	return o.running != nil
}
