package storage

import "context"

type waitingKey struct{}

// WhileWaiting is a context under which begin is called before a wait for what
// another transaction does, as for a lock, and end (unless nil) after it: so that the
// goroutine's place may be filled meanwhile.
func WhileWaiting(ctx context.Context, begin func() (end func())) context.Context {
	return context.WithValue(ctx, waitingKey{}, begin)
}

// BeginWait calls what WhileWaiting left; end is never nil.
func BeginWait(ctx context.Context) (end func()) {
	if begin, _ := ctx.Value(waitingKey{}).(func() func()); begin != nil {
		if end := begin(); end != nil {
			return end
		}
	}
	return func() {}
}
