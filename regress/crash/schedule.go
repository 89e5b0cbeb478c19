// Package crash runs the storage of a node through seeded schedules of writes,
// DDL, flushes, compactions and disk faults on a simulated disk that loses, tears
// and reorders what was not synced, and checks after each crash that what was
// acknowledged is there, whole, and what was not is absent, whole.
package crash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/tablet"
)

// Run runs one schedule. The error says what was lost or came back from nowhere.
func Run(seed uint64) error {
	s := &schedule{seed: seed, rng: rand.New(rand.NewPCG(seed, 17)), disk: blob.NewMem()}
	s.disk.Undead("/catalog") // Pebble tries for ever on a dead disk
	s.choose()
	for round := range s.rounds {
		if err := s.round(round); err != nil {
			return fmt.Errorf("seed %d, round %d (%s): %w", seed, round, s.settings(), err)
		}
	}
	return nil
}

// schedule is a run: a few rounds of open, check, work, crash on one disk.
type schedule struct {
	seed    uint64
	rng     *rand.Rand
	disk    *blob.Mem
	workers []*worker

	rounds     int
	background bool
	opts       tablet.Options
	faults     bool
	stopped    atomic.Bool
}

func (s *schedule) choose() {
	r := s.rng
	s.rounds = 2 + r.IntN(4)
	s.background = r.IntN(3) == 0
	s.faults = r.IntN(3) == 0
	s.opts = tablet.Options{
		Shards:       1 + r.IntN(3),
		Logger:       logger(),
		LogFileBytes: int64(2<<10) << r.IntN(6),
		LogBytesMax:  int64(32<<10) << r.IntN(6),
		Manual:       !s.background,
		Limits: column.Limits{FlushRows: 20 << r.IntN(6), FlushBytes: int64(8<<10) << r.IntN(6),
			SegmentRows: 4096, SpillBytes: int64(1<<10) << r.IntN(7)},
	}
	if r.IntN(4) > 0 {
		s.opts.RowRunsFrom, s.opts.RowRunsBytes = 1+r.IntN(8), int64(1<<10)<<r.IntN(7)
	}
	if r.IntN(3) == 0 {
		s.opts.MemoryLimit = 4 << 20 // so that the keys of large changes do not stay there
	}
	n := 1
	if r.IntN(2) == 0 {
		n = 1 + r.IntN(4)
	}
	for i := range n {
		s.workers = append(s.workers, newWorker(i, rand.New(rand.NewPCG(s.seed, uint64(100+i)))))
	}
}

func (s *schedule) settings() string {
	return fmt.Sprintf("%d workers, %d shards, background %v, faults %v", len(s.workers), s.opts.Shards, s.background, s.faults)
}

// round opens the store, checks it, and works until the disk stops.
func (s *schedule) round(round int) error {
	s.stopped.Store(false)
	opts := s.opts
	start := time.Unix(1_000_000_000+int64(round)*1000, 0)
	var tick atomic.Int64
	opts.Clock = func() time.Time { return start.Add(time.Duration(tick.Add(1)) * time.Millisecond) }
	opts.Fatal = func(error) { s.stopped.Store(true) }
	// Now and then the disk stops during recovery too.
	if round > 0 && s.rng.IntN(4) == 0 {
		s.stopAfter(1 + s.rng.Int64N(40))
		st, err := tablet.Open(s.disk.Root(), opts)
		if err == nil {
			st.Close()
		} else if !isDisk(err) {
			return fmt.Errorf("recovery: %w", err)
		}
		s.disk = s.disk.Crash(s.seed<<8 + uint64(round) + 128)
	}
	s.disk.Inject(nil)
	s.stopped.Store(false)
	st, err := tablet.Open(s.disk.Root(), opts)
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	for _, w := range s.workers {
		if err := w.check(st); err != nil {
			return fmt.Errorf("after recovery: %w", err)
		}
	}
	orderly := s.rng.IntN(8) == 0
	s.stopAfter(20 + s.rng.Int64N(int64(40)<<s.rng.IntN(6)))
	if orderly {
		s.disk.Inject(nil)
	}
	for _, w := range s.workers {
		w.stop = nil
		if !orderly {
			w.stop = s.crashAfter
		}
	}
	budget := 10 << s.rng.IntN(5)
	errs := make([]error, len(s.workers))
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = w.work(st, budget, &s.stopped)
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, w := range s.workers {
		if err := w.look(st, &s.stopped); err != nil {
			return err
		}
	}
	if !orderly {
		s.disk.Stop()
	}
	err = st.Close()
	if orderly && err != nil {
		return fmt.Errorf("close: %w", err)
	}
	s.disk = s.disk.Crash(s.seed<<8 + uint64(round))
	return nil
}

// crashAfter stops the disk after n more operations, whatever was planned.
func (s *schedule) crashAfter(n int64) {
	at := s.disk.Ops() + n
	s.disk.Inject(func(k int64, _ blob.OpKind, _ string) error {
		if k < at {
			return nil
		}
		s.stopped.Store(true)
		return blob.ErrCrashed
	})
}

// stopAfter stops the disk after n more operations. Before that, an operation may
// fail, and the disk be full for one write or for many.
func (s *schedule) stopAfter(n int64) {
	at := s.disk.Ops() + n
	eio, full, roomy := int64(-1), int64(-1), int64(-1)
	if s.faults {
		eio, full = s.disk.Ops()+1+s.rng.Int64N(2*n), s.disk.Ops()+1+s.rng.Int64N(2*n)
		roomy = full + 1
		if s.rng.IntN(2) == 0 {
			roomy += s.rng.Int64N(n)
		}
	}
	s.disk.Inject(func(k int64, op blob.OpKind, name string) error {
		if trace != "" && (strings.Contains(name, trace) || op == blob.OpSyncDir || strings.Contains(name, "MANIF")) && op != blob.OpRead {
			fmt.Println(k, op, name)
			if op == blob.OpRemove {
				debug.PrintStack()
			}
		}
		switch {
		case k >= at:
			s.stopped.Store(true)
			return blob.ErrCrashed
		case (k == eio || k >= full && k < roomy && (op == blob.OpWrite || op == blob.OpCreate)) && strings.HasPrefix(name, "/catalog") && !strings.HasSuffix(name, ".sst"):
			s.stopped.Store(true)
			return blob.ErrCrashed // Pebble ends the process, which is the same
		case k == eio && op != blob.OpRead && op != blob.OpOpen:
			return syscall.EIO
		case k >= full && k < roomy && (op == blob.OpWrite || op == blob.OpCreate):
			return syscall.ENOSPC
		}
		return nil
	})
}

var trace = os.Getenv("TRACE")

var bg = context.Background()

func lookup(st *tablet.Store, name string) *catalog.Table {
	return st.Catalog().TableNamed(catalog.PublicSchemaOID, name)
}

var _ storage.Store = (*tablet.Store)(nil)

// logger is silent, unless LOG is set.
func logger() *slog.Logger {
	if os.Getenv("LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}
