package job

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/binlog/ingest"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// Supervisor owns the subscriptions' workers.
type Supervisor struct {
	store  storage.Store
	log    *slog.Logger
	sealer *Sealer
	env    *ingest.Env

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // held while workers are started and stopped
	workers map[uint32]*worker
	closed  bool

	statsMu sync.Mutex
	stats   map[uint32]*ingest.Stats
}

// worker runs one version of a subscription.
type worker struct {
	version uint64
	cancel  context.CancelCauseFunc
	done    chan struct{}
}

// lookEvery is how often the catalog is compared with what runs, beside what DDL
// tells.
const lookEvery = time.Second

var errStopped = errors.New("stopped")

// NewSupervisor makes a supervisor, whose subscriptions decode that many messages at a
// time; Start begins its work.
func NewSupervisor(store storage.Store, sealer *Sealer, decoders int, log *slog.Logger) *Supervisor {
	s := &Supervisor{store: store, log: log, sealer: sealer, workers: map[uint32]*worker{}, stats: map[uint32]*ingest.Stats{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.env = &ingest.Env{Store: store, Log: log, Types: types.DefaultEnv, Decoders: decoders,
		Secrets: func(sub *catalog.Subscription) (map[string]string, error) { return sealer.Unseal(sub.Secrets) },
		Allowed: ddl.MayFeed, AddColumns: s.addColumns, Defaults: defaults(store)}
	return s
}

// Start starts the subscriptions that there are, and follows the catalog.
func (s *Supervisor) Start() {
	s.clean()
	s.wg.Go(func() {
		t := time.NewTicker(lookEvery)
		defer t.Stop()
		for {
			s.Sync()
			select {
			case <-t.C:
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// Close stops all work, each in the middle of nothing: what is not committed is read
// again at the next start.
func (s *Supervisor) Close() {
	s.cancel(errStopped)
	s.mu.Lock()
	s.closed = true
	for _, w := range s.workers {
		<-w.done
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Sync makes what runs agree with the catalog, and returns when what should not run
// has ended.
func (s *Supervisor) Sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	v := s.store.Catalog()
	var ending []*worker
	for oid, w := range s.workers {
		if sub := v.Subscription(oid); sub == nil || !sub.Enabled || sub.Version != w.version {
			w.cancel(errStopped)
			ending = append(ending, w)
			delete(s.workers, oid)
		}
	}
	for _, w := range ending {
		<-w.done
	}
	for _, sub := range v.Subscriptions() {
		st := s.statsOf(sub.OID)
		if !sub.Enabled {
			if why := ingest.Stopped(s.store, sub.OID); why != "" {
				st.SetState(ingest.StateStopped, why)
			} else {
				st.SetState(ingest.StateDisabled, "")
			}
			continue
		}
		if s.workers[sub.OID] == nil {
			s.start(sub, st)
		}
	}
	s.statsMu.Lock()
	for oid := range s.stats {
		if v.Subscription(oid) == nil {
			delete(s.stats, oid)
		}
	}
	s.statsMu.Unlock()
}

func (s *Supervisor) statsOf(oid uint32) *ingest.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	st := s.stats[oid]
	if st == nil {
		st = &ingest.Stats{}
		s.stats[oid] = st
	}
	return st
}

// Stats are the statistics of a subscription; nil when it is not known yet.
func (s *Supervisor) Stats(oid uint32) *ingest.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	return s.stats[oid]
}

func (s *Supervisor) start(sub *catalog.Subscription, st *ingest.Stats) {
	w := &worker{version: sub.Version, done: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(s.ctx)
	w.cancel = cancel
	s.workers[sub.OID] = w
	st.ClearError()
	go func() {
		defer close(w.done)
		defer cancel(nil)
		s.run(ctx, sub, st)
	}()
}

// run keeps a subscription running, with a pause after each failure that grows until
// it has worked for a while.
func (s *Supervisor) run(ctx context.Context, sub *catalog.Subscription, st *ingest.Stats) {
	const least, most = 200 * time.Millisecond, 15 * time.Second
	pause := least
	for ctx.Err() == nil {
		began := time.Now()
		err := ingest.Run(ctx, s.env, sub.OID, st)
		if ctx.Err() != nil || err == nil {
			return
		}
		var stop *ingest.StopError
		var lost *ingest.Lost
		if errors.As(err, &stop) || errors.As(err, &lost) {
			s.log.Error("subscription stopped", "subscription", sub.Name, "reason", err)
			// Who reads that it has stopped may act on it at once: the catalog comes first,
			// and the state is shown by whoever sees that it changed.
			if s.disable(ctx, sub, err.Error()) {
				return
			}
			st.SetState(ingest.StateStopped, err.Error())
		} else {
			s.log.Warn("subscription failed, and will be tried again", "subscription", sub.Name, "err", err, "pause", pause)
			st.SetState(ingest.StateRetrying, err.Error())
		}
		st.Restarts.Add(1)
		if time.Since(began) > time.Minute {
			pause = least
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, most)
	}
}

// disable switches a subscription off with the reason, unless somebody has changed it
// since.
func (s *Supervisor) disable(ctx context.Context, sub *catalog.Subscription, why string) bool {
	x := s.store.Begin(storage.TxnOptions{})
	defer x.Rollback()
	now := x.Catalog().Subscription(sub.OID)
	if now == nil || now.Version != sub.Version || !now.Enabled {
		return true
	}
	off := *now
	off.Enabled = false
	off.Version++
	ingest.NoteStopped(x, sub.OID, why)
	err := x.Change(ctx, &catalog.Delta{Subscriptions: map[uint32]*catalog.Subscription{off.OID: &off}})
	if err == nil {
		_, err = x.Commit(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("subscription could not be switched off", "subscription", sub.Name, "err", err)
	}
	return err == nil
}

// addColumns adds columns to a subscription's target as its owner.
func (s *Supervisor) addColumns(ctx context.Context, sub *catalog.Subscription, cols []catalog.Column) error {
	for try := 0; ; try++ {
		x := s.store.Begin(storage.TxnOptions{})
		err := func() error {
			defer x.Rollback()
			v := x.Catalog()
			t, owner := v.Table(sub.Target), v.Role(sub.Owner)
			if t == nil || owner == nil {
				return sqlstate.Errorf(sqlstate.UndefinedTable, "the target table does not exist any more")
			}
			alter := &plan.AlterTable{Table: t}
			for _, c := range cols {
				if t.Ordinal(c.Name) < 0 {
					alter.Actions = append(alter.Actions, plan.AlterAction{Op: plan.AddColumn, Column: c, IfExists: true})
				}
			}
			if len(alter.Actions) == 0 {
				return nil
			}
			if _, err := ddl.Run(ctx, &ddl.Env{Txn: x, User: owner, Store: s.store}, alter); err != nil {
				return err
			}
			_, err := x.Commit(ctx)
			return err
		}()
		if code := sqlstate.CodeOf(err); err == nil || try > 10 || code != sqlstate.SerializationFailure && code != sqlstate.DeadlockDetected {
			if err == nil {
				for _, c := range cols {
					s.log.Info("subscription added a column", "subscription", sub.Name, "column", c.Name)
				}
			}
			return err
		}
	}
}

// clean removes notes of subscriptions that are no more: a commit under way may have
// left some when one was dropped.
func (s *Supervisor) clean() {
	notes, err := s.store.Notes("sub/")
	if err != nil {
		return
	}
	v := s.store.Catalog()
	x := s.store.Begin(storage.TxnOptions{})
	defer x.Rollback()
	for k := range notes {
		if oid, ok := ingest.NoteOwner(k); !ok || v.Subscription(oid) == nil {
			x.Note(k, nil)
		}
	}
	if _, err := x.Commit(s.ctx); err != nil {
		s.log.Warn("old notes of subscriptions could not be removed", "err", err)
	}
}
