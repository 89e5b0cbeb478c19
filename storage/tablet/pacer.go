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

	// scanStretch is how long it runs while queries scan tables, which is as long as
	// the last split that one began is no older than scanRecent; scanRest how much longer
	// than it worked it then waits for their end.
	scanStretch = 2 * time.Millisecond
	scanRecent  = 20 * time.Millisecond
	scanRest    = 40
	// flushWait and mergeWait are how long one piece of work waits for queries in all.
	flushWait = time.Second
	mergeWait = 5 * time.Second
)

// pacer makes background work give way: while the process is busy with other
// things the work gets a quarter of one core, else a whole one; while queries scan it
// waits for them, but not for ever. It belongs to one goroutine.
type pacer struct {
	idle  func(now time.Time) time.Duration // for how long nothing has been scanned; nil: for ever
	calm  func() bool                       // whether there is room for what waits
	wait  time.Duration                     // see flushWait
	eager bool                              // waits for queries only

	left time.Duration // of wait

	from time.Time     // when this stretch began
	cpu  time.Duration // processor time of the process then
}

// pace is called between pieces of the work.
func (p *pacer) pace(ctx context.Context) error {
	now := time.Now()
	work := now.Sub(p.from)
	if work >= scanStretch && work <= time.Second && p.yields(now) {
		return p.yield(ctx, work)
	}
	if work < paceStretch {
		return nil
	}
	if p.eager {
		p.from = now
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

// begin is called when a piece of work begins.
func (p *pacer) begin() {
	p.left, p.from = p.wait, time.Now()
	if !p.eager {
		p.cpu = processorTime()
	}
}

// yields says whether there are queries to wait for.
func (p *pacer) yields(now time.Time) bool {
	return p.left > 0 && p.idle != nil && p.idle(now) < scanRecent && p.calm()
}

// yield waits for the end of the queries, after so much work.
func (p *pacer) yield(ctx context.Context, work time.Duration) error {
	most := min(scanRest*work, p.left)
	t := time.NewTicker(scanStretch)
	defer t.Stop()
	began := time.Now()
	for now := began; ; {
		if waited := now.Sub(began); waited >= most || p.idle(now) >= scanRecent {
			p.left -= waited
			p.from = now
			if !p.eager {
				p.cpu = processorTime()
			}
			return nil
		}
		select {
		case now = <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
