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
	// paceLook is how often work that waits looks whether it should go on: somebody waits for
	// it, or there is no more room to wait.
	paceLook = 20 * time.Millisecond

	// scanStretch is how long it runs while queries scan tables, which is as long as
	// the last split that one began is no older than scanRecent; scanRest how much longer
	// than it worked it then waits for their end.
	scanStretch = 2 * time.Millisecond
	scanRecent  = 50 * time.Millisecond
	scanRest    = 40
	yieldMost   = time.Second // at once
	// flushWait and mergeWait are how long one piece of work waits for queries in all while
	// tablets are written to, and quietWait while they are not.
	flushWait = time.Second
	mergeWait = 5 * time.Second
	quietWait = 10 * time.Second
	// writeRecent is how long ago the last write to a tablet that is written to may be;
	// backlogMost is how many memtables may fill before a flush waits no more for queries.
	writeRecent = 50 * time.Millisecond
	backlogMost = 2
)

// pacer makes background work give way: while the process is busy with other
// things the work gets a quarter of one core, else a whole one; while queries scan it
// waits for them, but not for ever, and less while there are writes that it is to keep
// up with. It waits no more while a CHECKPOINT or VACUUM needs it done, or when memory
// runs short. It belongs to one goroutine.
type pacer struct {
	idle  func(now time.Time) time.Duration // for how long nothing has been scanned; nil: for ever
	calm  func() bool                       // whether there is room for what waits
	wait  time.Duration                     // see flushWait
	eager bool                              // waits for queries only
	// hurried says that somebody waits for the work, which then waits for nothing; nil: nobody.
	hurried func() bool

	// backlog is the most that a tablet has in memory, in full memtables; nil: none.
	backlog func() float64
	last    float64   // what it was
	wrote   time.Time // when it last changed

	left  time.Duration // of wait
	quiet time.Duration // of quietWait

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
		if err := p.sleep(ctx, paceRest*work); err != nil {
			return err
		}
		now, cpu = time.Now(), processorTime()
	}
	p.from, p.cpu = now, cpu
	return nil
}

// sleep ends early when somebody waits for the work.
func (p *pacer) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTicker(paceLook)
	defer t.Stop()
	for end := time.Now().Add(d); !p.urgent(); {
		if left := time.Until(end); left <= 0 {
			return nil
		} else if left < paceLook {
			t.Reset(left)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// urgent says whether somebody waits for the work.
func (p *pacer) urgent() bool { return p.hurried != nil && p.hurried() }

// begin is called when a piece of work begins.
func (p *pacer) begin(backlog func() float64) {
	p.left, p.quiet, p.from = p.wait, quietWait, time.Now()
	p.backlog, p.last, p.wrote = backlog, -1, time.Time{}
	if !p.eager {
		p.cpu = processorTime()
	}
}

// yields says whether there are queries to wait for.
func (p *pacer) yields(now time.Time) bool {
	return p.idle != nil && p.idle(now) < scanRecent && *p.budget(now) > 0 && !p.urgent() && p.calm()
}

// budget is how long the work may still wait as things are: it hurries when writes fill
// one memtable after the other.
func (p *pacer) budget(now time.Time) *time.Duration {
	if p.backlog == nil {
		return &p.left
	}
	if b := p.backlog(); b != p.last {
		p.last, p.wrote = b, now
	}
	switch {
	case now.Sub(p.wrote) >= writeRecent:
		return &p.quiet
	case p.eager && p.last >= backlogMost:
		return new(time.Duration)
	}
	return &p.left
}

// yield waits for the end of the queries, after so much work.
func (p *pacer) yield(ctx context.Context, work time.Duration) error {
	most := min(scanRest*work, yieldMost)
	t := time.NewTicker(scanStretch)
	defer t.Stop()
	began := time.Now()
	looked := began
	for now := began; ; {
		left := p.budget(now)
		calm := true
		if now.Sub(looked) >= paceLook {
			looked, calm = now, p.calm()
		}
		if waited := now.Sub(began); waited >= most || *left <= 0 || p.idle(now) >= scanRecent || p.urgent() || !calm {
			p.from = now
			if !p.eager {
				p.cpu = processorTime()
			}
			return nil
		}
		select {
		case then := <-t.C:
			*left -= then.Sub(now)
			now = then
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
