package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/binlog"
	_ "github.com/millrace/millrace/binlog/ingest/kafka" // kafka://
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/executor/sequence"
	"github.com/millrace/millrace/planner/cache"
	"github.com/millrace/millrace/server/admission"
	"github.com/millrace/millrace/server/auth"
	"github.com/millrace/millrace/server/job"
	"github.com/millrace/millrace/server/session"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/foreign/syscat"
	"github.com/millrace/millrace/storage/tablet"
)

// engine ties storage, catalog, planner, executor and sessions together.
type engine struct {
	*session.Engine
	store    *tablet.Store
	pool     *sched.Pool
	jobs     *job.Supervisor
	accounts *accounts
}

// epoch2000 is the epoch of timestamps in Unix microseconds.
const epoch2000 = 946684800_000_000

// planCacheBytes is how much of the memory plans may take.
func planCacheBytes(memory int64) int { return int(min(max(memory/256, 1<<20), 32<<20)) }

// placeBytes is the memory for each large query that runs beside others.
const placeBytes = 96 << 20

// lastWords is how long sessions have to tell their clients why the storage stopped.
const lastWords = 300 * time.Millisecond

// Open recovers the data directory and starts the engine. A failed write of the log
// stops the process, in which nothing commits any more: what is on disk is then
// unknown, and only recovery can tell.
func Open(ctx context.Context, o Options) (Engine, error) {
	dir, err := blob.OpenLocal(filepath.Join(o.DataDir, "store"))
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.Default()
	}
	// Of the accounts 3/16 are for memtables and 2/16 for strings of compressed
	// segments; see queryShare.
	store, err := tablet.Open(dir, tablet.Options{
		MemoryLimit: o.MemoryBytes / 16 * 3, CacheBytes: o.MemoryBytes / 8, Shards: min(max(o.Workers, 1), 8), Logger: log,
		Fatal: func(err error) {
			log.Error("storage failed; stopping so that recovery decides what was written", "err", err)
			time.AfterFunc(lastWords, func() { os.Exit(70) })
		},
	})
	if err != nil {
		return nil, err
	}
	spillDir, err := dir.Sub("spill")
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	spill, err := mem.NewSpill(spillDir, 0)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	sealer, err := job.OpenSealer(o.DataDir)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	if err := session.DropTemporary(context.Background(), store); err != nil {
		_ = store.Close()
		return nil, err
	}
	seqs := sequence.New(store)
	if err := seqs.Sweep(); err != nil {
		_ = store.Close()
		return nil, err
	}
	slots, err := binlog.OpenSlots(store)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	jobs := job.NewSupervisor(store, sealer, min(o.Workers, 4), log)
	pool := sched.NewPool(o.Workers)
	accts := newAccounts(o.MemoryBytes, store)
	e := &engine{store: store, pool: pool, jobs: jobs, accounts: accts, Engine: &session.Engine{
		Store: store, Pool: pool, Memory: accts.queries, Spill: spill, Log: log,
		Gate:   admission.NewGate(int(min(max(o.MemoryBytes/placeBytes, 2), 1<<10)), 1<<16),
		System: syscat.New(), Plans: cache.New(planCacheBytes(o.MemoryBytes)), Started: time.Now().UnixMicro() - epoch2000,
		CancelBackend: func(pid int32, terminate bool) bool {
			if o.Backends == nil {
				return false
			}
			if terminate {
				return o.Backends.Terminate(pid)
			}
			return o.Backends.Cancel(pid)
		},
		Verifier: auth.Password, Seal: sealer.Seal, Unseal: sealer.Unseal, Defined: jobs.Sync, Subscription: jobs.Info, Sequences: seqs, Slots: slots,
	}}
	jobs.Start()
	return e, nil
}

// Role implements auth.Roles.
func (e *engine) Role(name string) (string, bool, bool) {
	r := e.store.Catalog().RoleNamed(name)
	if r == nil {
		return "", false, false
	}
	if u := r.ValidUntil; r.Password != "" && u.Valid && u.I < time.Now().UnixMicro()-epoch2000 {
		return auth.Expired, r.Login, true
	}
	return r.Password, r.Login, true
}

// Collectors implements Engine.
func (e *engine) Collectors() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "millrace", Name: name, Help: help}, f)
	}
	counter := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "millrace", Name: name, Help: help}, f)
	}
	_, files := e.store.Written()
	written := func(what string, f func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "millrace", Name: "written_bytes_total",
			Help: "Bytes written to the log, and to files by flushes, compactions and large commits, and to deletes files.", ConstLabels: prometheus.Labels{"what": what}},
			func() float64 { return float64(f()) })
	}
	return []prometheus.Collector{
		written("log", func() int64 { n, _ := e.store.Written(); return n }),
		written("flush", files.Flush.Load),
		written("compaction", files.Merge.Load),
		written("side", files.Side.Load),
		written("deletes", files.Deletes.Load),
		gauge("key_filter_bytes", "Memory that key filters take.", func() float64 { return float64(e.store.FilterBytes()) }),
		e.jobs.Collector(),
		e.accounts,
		newRowMetrics(e.store),
		counter("statements_total", "Statements and messages run.", func() float64 { return float64(e.Queries.Load()) }),
		counter("statement_errors_total", "Statements that failed.", func() float64 { return float64(e.Errors.Load()) }),
		counter("plan_cache_hits_total", "Plans found by the exact text.", func() float64 { return float64(e.Plans.Stats().Hits) }),
		counter("plan_cache_normalized_total", "Plans found by the text without its literals.", func() float64 { return float64(e.Plans.Stats().Normalized) }),
		counter("plan_cache_misses_total", "Texts without a plan.", func() float64 { return float64(e.Plans.Stats().Misses) }),
		gauge("plan_cache_bytes", "Memory of shared plans, estimated.", func() float64 { return float64(e.Plans.Stats().Bytes) }),
		gauge("query_memory_bytes", "Memory accounted to queries.", func() float64 { return float64(e.Memory.Used()) }),
		gauge("mapped_bytes", "Memory mapped outside Go's heap, spare mappings included.", func() float64 { return float64(mem.Mapped()) }),
		gauge("queries_running", "Places taken by large queries.", func() float64 { return float64(e.Gate.Running()) }),
		gauge("queries_waiting", "Large queries that wait to be admitted.", func() float64 { return float64(e.Gate.Waiting()) }),
		counter("lock_waits_total", "Waits for locks of rows and tables that have begun.", func() float64 { return float64(e.store.WaitsBegun()) }),
		gauge("spill_bytes", "Bytes in spill files.", func() float64 { return float64(e.Spill.Used()) }),
		gauge("disk_bytes", "Bytes on disk.", func() float64 { return float64(e.store.DiskBytes(0)) }),
	}
}

// Close implements Engine.
func (e *engine) Close() error {
	e.jobs.Close()
	e.pool.Close()
	e.accounts.close()
	return errors.Join(e.Sequences.Close(), e.store.Close())
}
