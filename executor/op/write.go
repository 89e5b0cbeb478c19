package op

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Write is the sink of INSERT, UPDATE and DELETE, with one lane: a transaction is
// used by one goroutine at a time. Batches go to the transaction as they come; the
// rows of RETURNING are kept, since the statement may still fail.
type Write struct {
	Ctx   context.Context
	Txn   storage.Txn
	Run   *Run
	Table *catalog.Table
	Op    storage.Op
	// Keys and CSN are the places of the old row's key and commit in the input
	// (update, delete).
	Keys []int
	CSN  int
	// New computes the new row over the input (update); an insert's input is the row.
	New    *eval.Program
	Checks *Checks
	// Once: the input may have a row more than once; the first counts.
	Once bool
	// Resolve is handed to storage; Resolved computes RETURNING for rows that it made
	// anew, over the old row's columns.
	Resolve  func(ctx context.Context, old *vec.Batch) (*vec.Batch, []uint16, error)
	Resolved *eval.Program
	// Returning computes the output over the new row beside the input's columns; Out
	// keeps it.
	Returning *eval.Program
	Out       *Rows
	Affected  func(rows int64)

	seen  *Groups
	gids  []uint32
	sel   []uint16
	keys  vec.Batch
	rows  vec.Batch
	ret   vec.Batch
	both  []*vec.Vec
	mut   storage.Mutation
	stale []uint16
}

// Lane implements Sink.
func (s *Write) Lane(*Lane) (LaneSink, error) { return s, nil }

// Finish implements Sink.
func (s *Write) Finish() ([]func() error, error) { return nil, nil }

// Combine implements LaneSink.
func (s *Write) Combine() error { return nil }

// Close implements Sink.
func (s *Write) Close() { s.Out.Free() }

// Add implements LaneSink.
func (s *Write) Add(b *vec.Batch) (Flow, error) {
	rows := rowsOf(b)
	s.mut = storage.Mutation{Table: s.Table, Op: s.Op}
	beside := b.Cols
	if s.Op == storage.OpInsert || s.Op == storage.OpUpsert {
		s.rows.Cols = b.Cols
		beside = nil
	} else {
		s.keys.Cols = s.keys.Cols[:0]
		for _, c := range s.Keys {
			s.keys.Cols = append(s.keys.Cols, b.Cols[c])
		}
		if s.Once {
			var err error
			if rows, err = s.first(b); err != nil || len(rows) == 0 {
				return Continue, err
			}
		}
		s.keys.N, s.keys.Sel = b.N, rows
		s.mut.Keys, s.mut.OldCSN = compactKeys(&s.keys, b.Cols[s.CSN])
		s.mut.Resolve = s.Resolve
		s.stale = s.stale[:0]
		s.mut.Stale = func(at []uint16) { s.stale = append(s.stale, at...) }
		s.rows.Cols = nil
		if s.New != nil {
			in := vec.Batch{Cols: b.Cols, N: b.N, Sel: rows}
			var err error
			if s.rows.Cols, err = s.New.EvalAll(&in); err != nil {
				return Stop, err
			}
		}
	}
	s.rows.N, s.rows.Sel = b.N, rows
	if len(rows) == b.N {
		s.rows.Sel = nil
	}
	if s.rows.Cols != nil {
		if s.Checks != nil {
			if err := s.Checks.Test(&s.rows); err != nil {
				return Stop, err
			}
		}
		s.mut.Rows = compact(&s.rows)
	}
	n, err := s.Txn.Write(s.Ctx, &s.mut)
	if err != nil {
		return Stop, err
	}
	s.Affected(n)
	if s.Returning == nil {
		return Continue, nil
	}
	// Rows that were replaced meanwhile are not as computed here: left out.
	if len(s.stale) > 0 {
		kept := s.sel[:0]
		k := 0
		for i, r := range rows {
			if k < len(s.stale) && int(s.stale[k]) == i {
				k++
				continue
			}
			kept = append(kept, r)
		}
		s.sel = kept
		rows = kept
		if len(rows) == 0 {
			return Continue, nil
		}
	}
	s.both = append(append(s.both[:0], s.rows.Cols...), beside...)
	s.ret.Cols, s.ret.N, s.ret.Sel = s.both, b.N, rows
	cols, err := s.Returning.EvalAll(&s.ret)
	if err != nil {
		return Stop, err
	}
	return Continue, s.Out.AppendCols(cols, rows, b.N)
}

// first are the rows whose key has not come before.
func (s *Write) first(b *vec.Batch) ([]uint16, error) {
	if s.seen == nil {
		var ts []types.T
		for _, v := range s.keys.Cols {
			ts = append(ts, v.T)
		}
		s.seen = NewGroups(ts, s.Run.Account)
	}
	s.gids = grown(s.gids, b.Rows())
	if err := s.seen.Find(s.keys.Cols, b.Sel, b.N, s.gids); err != nil {
		return nil, err
	}
	s.sel = s.seen.FreshRows(b.Sel, s.sel)
	return s.sel, nil
}

// compact is a batch without a selection: itself, or a copy of the selected rows.
func compact(b *vec.Batch) *vec.Batch {
	if b.Sel == nil {
		return b
	}
	out := &vec.Batch{N: len(b.Sel)}
	for _, c := range b.Cols {
		v := &vec.Vec{}
		gatherVec(v, c, b.Sel)
		out.Cols = append(out.Cols, v)
	}
	return out
}

func compactKeys(keys *vec.Batch, csn *vec.Vec) (*vec.Batch, *vec.Vec) {
	if keys.Sel == nil || len(keys.Sel) == keys.N {
		return &vec.Batch{Cols: keys.Cols, N: keys.N}, csn
	}
	v := &vec.Vec{}
	gatherVec(v, csn, keys.Sel)
	return compact(keys), v
}
