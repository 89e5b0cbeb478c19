// Package build is the one place that turns plan nodes into operators. It cuts a
// plan into pipelines (pipeline.go), maps column ids to places in batches, and
// runs the result as a job of executor/sched.
//
// Where to start reading: Start, then node in nodes.go, which has a case for each
// plan node.
package build

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/vec"
)

// Env is what a query runs with.
type Env struct {
	// Snapshot is what scans read; it stays open until the query is closed.
	Snapshot storage.Snapshot
	// Txn takes the writes; nil for a query that does not write.
	Txn storage.Txn
	// System gives the rows of a system relation: batches with the columns cols (by
	// ordinal), which are only read.
	System func(ctx context.Context, t *catalog.Table, cols []int) ([]*vec.Batch, error)
	// Inputs are batches for CTERefs that no With defines, by CTE id: COPY FROM.
	Inputs map[int][]*vec.Batch
	// Eval is the session's environment of expressions, parameters included; its
	// Ordinal is not used.
	Eval *eval.Env
	// Account is the memory account of the query; nil counts nothing. The query
	// closes its own accounts below it.
	Account *mem.Account
	// Spill takes what does not fit; nil: nothing spills.
	Spill *mem.Spill
	// Pool has the workers; nil: all runs on the caller's goroutine.
	Pool *sched.Pool
	Settings
	// Profile asks for counts and times of every node, for EXPLAIN ANALYZE.
	Profile bool
	// Simple says which conjuncts readers apply exactly; nil: column.SimpleFilter.
	Simple func(expr.Expr) bool
}

// Settings are knobs, most of them for tests.
type Settings struct {
	// BatchSize is the rows of a source's batch; 0: vec.Size.
	BatchSize int
	// Workers bounds the lanes of a pipeline; 0: as many as the pool has workers.
	Workers int
	// ForceSpill makes all sinks that can spill do so early.
	ForceSpill bool
	// ForcePool leaves no query to the caller's goroutine; ForceInline leaves all.
	ForcePool, ForceInline bool
	// NoRuntimeFilters leaves scans alone.
	NoRuntimeFilters bool
	// CountLater has an update or delete take no locks, since the caller corrects its
	// count after the commit (storage.Txn.Dropped).
	CountLater bool
	// KeepFirst and KeepLast say which row ON CONFLICT DO UPDATE takes of those that a
	// statement proposes for one key; without, that is an error.
	KeepFirst, KeepLast bool
}

func (e *Env) simple(x expr.Expr) bool {
	if e.Simple != nil {
		return e.Simple(x)
	}
	return column.SimpleFilter(x)
}
