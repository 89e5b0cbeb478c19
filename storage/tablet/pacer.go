package tablet

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// paceStretch is how long background work runs before it looks around.
	paceStretch = 10 * time.Millisecond
	// paceBusy is the processor time beside the work, by wall time, from which the
	// process is busy; paceRest how much longer than it worked the work then sleeps.
	paceBusy = 0.3
	paceRest = 3
)

// pacer makes background work give way: while the process is busy with other
// things the work gets a quarter of one core, else a whole one. It belongs to one
// goroutine.
type pacer struct {
	from time.Time     // when this stretch began
	cpu  time.Duration // processor time of the process then
}

// pace is called between pieces of the work.
func (p *pacer) pace(ctx context.Context) error {
	now := time.Now()
	work := now.Sub(p.from)
	if work < paceStretch {
		return nil
	}
	cpu := processorTime()
	if work > time.Second { // the first call since long ago
		p.from, p.cpu = now, cpu
		return nil
	}
	other := cpu - p.cpu - work
	if float64(other) > paceBusy*float64(work) {
		t := time.NewTimer(paceRest * work)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now, cpu = time.Now(), processorTime()
	}
	p.from, p.cpu = now, cpu
	return nil
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
