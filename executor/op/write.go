package op

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Write is the sink of INSERT, UPDATE and DELETE. It has one lane, which reads and
// writes by turns: a transaction is used by one goroutine at a time, and its
// snapshots are not read while it writes. Batches go to the transaction as they
// come. The rows of RETURNING are kept until all is written: the statement may
// still fail, and a client that stops fetching does not stop the write.
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
	// New computes the new row, all columns by ordinal, over the input (update); an
	// insert's input is the row.
	New *eval.Program
	// Checks are tests of new rows; nil for none.
	Checks *Checks
	// Once: the input may have a row more than once, as a join may; the first counts.
	Once bool
	// Changed is what other parts of the statement write to the same table, nil where
	// there are none.
	Changed *Changed
	// Lock has the keys locked; see storage.Mutation.
	Lock bool
	// Conflict is ON CONFLICT, nil for none.
	Conflict *Conflict
	// Resolve decides again on rows that others replaced; see storage.Mutation. It
	// may be called after the query is closed, when the transaction commits.
	Resolve Resolver
	// Returning computes the output over the new row's columns followed by the input's
	// (for a delete the input's alone), nil for none; Resolved computes it for rows
	// that Resolve gave, over the new row's columns followed by the old row's.
	Returning, Resolved *eval.Program
	// Out keeps the output.
	Out *Rows
	// Affected is told how many rows each batch changed.
	Affected func(rows int64)

	seen *Groups
	gids []uint32
	sel  []uint16

	keys vec.Batch
	csn  vec.Vec
	rows vec.Batch
	both vec.Batch
	mut  storage.Mutation

	// While a mutation is written: the rows, by place among its keys, that others
	// replaced, and what became of them.
	writing  bool
	stale    []uint16
	resolved []resolvedRows
}

// Resolver decides again on rows that others replaced: see storage.Mutation.
type Resolver = func(ctx context.Context, old *vec.Batch) (rows *vec.Batch, keep []uint16, err error)

// resolvedRows are rows that a resolver kept: their old images, and the new ones,
// nil for a delete.
type resolvedRows struct {
	old, rows *vec.Batch
	keep      []uint16
}

// Lane implements Sink.
func (s *Write) Lane(*Lane) (LaneSink, error) { return s, nil }

// Finish implements Sink.
func (s *Write) Finish() ([]func() error, error) { return nil, nil }

// Combine implements LaneSink.
func (s *Write) Combine() error {
	if s.Conflict != nil {
		return s.conflictHeld()
	}
	return nil
}

// Close implements Sink.
func (s *Write) Close() {
	s.Out.Free()
	s.seen.Free()
	s.seen = nil
}

// Add implements LaneSink.
func (s *Write) Add(b *vec.Batch) (Flow, error) {
	if b.Rows() == 0 {
		return Continue, nil
	}
	if s.Op == storage.OpInsert || s.Op == storage.OpUpsert {
		return Continue, s.insert(b)
	}
	return Continue, s.change(b)
}

// insert writes the rows of an INSERT.
func (s *Write) insert(b *vec.Batch) error {
	s.rows = vec.Batch{Cols: b.Cols[:len(s.Table.Columns)], Sel: b.Sel, N: b.N}
	if s.Checks != nil {
		if err := s.Checks.Test(&s.rows); err != nil {
			return err
		}
	}
	if s.Conflict != nil {
		s.rows.Cols = b.Cols[:len(s.Table.Columns)+s.Conflict.Extra]
		return s.conflict(&s.rows)
	}
	return s.add(&s.rows)
}

// add inserts rows that were tested.
func (s *Write) add(rows *vec.Batch) error {
	if s.Op == storage.OpUpsert {
		if err := s.untouched(rows); err != nil {
			return err
		}
	}
	s.mut = storage.Mutation{Table: s.Table, Op: s.Op, Rows: rows, Lock: s.Lock}
	n, err := s.Txn.Write(s.Ctx, &s.mut)
	if err != nil {
		return err
	}
	s.Affected(n)
	if err := s.put(rows); err != nil {
		return err
	}
	return s.returning(rows)
}

// change writes the rows of an UPDATE or DELETE.
func (s *Write) change(b *vec.Batch) error {
	s.keys = vec.Batch{Cols: s.keys.Cols[:0], N: b.N, Sel: b.Sel}
	for _, c := range s.Keys {
		s.keys.Cols = append(s.keys.Cols, b.Cols[c])
	}
	if s.Once || s.Changed != nil {
		first := s.first
		if s.Changed != nil {
			first = s.take
		}
		rows, err := first(s.keys.Cols, b)
		if err != nil || len(rows) == 0 {
			return err
		}
		s.keys.Sel = rows
	}
	s.mut = storage.Mutation{Table: s.Table, Op: s.Op, Keys: &s.keys, OldCSN: s.commits(b.Cols[s.CSN]), Lock: s.Lock}
	s.both = vec.Batch{Cols: s.both.Cols[:0], N: b.N, Sel: s.keys.Sel}
	if s.New != nil {
		in := vec.Batch{Cols: b.Cols, N: b.N, Sel: s.keys.Sel}
		cols, err := s.New.EvalAll(&in)
		if err != nil {
			return err
		}
		s.rows = vec.Batch{Cols: cols, N: b.N, Sel: s.keys.Sel}
		if s.Checks != nil {
			if err := s.Checks.Test(&s.rows); err != nil {
				return err
			}
		}
		s.mut.Rows = &s.rows
		s.both.Cols = append(s.both.Cols, cols...)
	}
	s.both.Cols = append(s.both.Cols, b.Cols...)
	if s.Resolve != nil {
		s.mut.Resolve = s.keeping(s.Resolve)
	}
	if err := s.changed(&s.both); err != nil || s.New == nil {
		return err
	}
	return s.put(&s.rows)
}

// changed writes the mutation of an update or delete; rows are what RETURNING is
// computed from, one for each key.
func (s *Write) changed(rows *vec.Batch) error {
	s.stale, s.resolved = s.stale[:0], s.resolved[:0]
	if s.mut.Resolve != nil && (s.Returning != nil || s.Conflict != nil) {
		s.mut.Stale = s.setStale
		s.writing = true
	}
	n, err := s.Txn.Write(s.Ctx, &s.mut)
	s.writing = false
	if err != nil {
		return err
	}
	s.Affected(n)
	if s.Returning == nil {
		return nil
	}
	if len(s.stale) > 0 { // these are not as computed here
		left, stale := grown(s.sel, rows.Rows())[:0], s.stale // not nil, which is all
		for k, r := range rowsOf(rows) {
			if len(stale) > 0 && int(stale[0]) == k {
				stale = stale[1:]
				continue
			}
			left = append(left, r)
		}
		s.sel = left
		rows.Sel = left
	}
	if err := s.returning(rows); err != nil {
		return err
	}
	for _, r := range s.resolved {
		if err := s.returnResolved(r); err != nil {
			return err
		}
	}
	return nil
}

// commits is the column of commits with values of its own: storage reads it by row.
func (s *Write) commits(v *vec.Vec) *vec.Vec {
	if v.Form != vec.Dict {
		return v
	}
	s.csn.Reset(v.T)
	s.csn.Copy(v, nil, v.N)
	return &s.csn
}

// first are the rows of b whose keys have not come before.
func (s *Write) first(keys []*vec.Vec, b *vec.Batch) ([]uint16, error) {
	if s.seen == nil {
		ts := make([]types.T, len(keys))
		for i, v := range keys {
			ts[i] = v.T
		}
		s.seen = NewGroups(ts, s.Run.Account)
	}
	s.gids = grown(s.gids, b.Rows())
	if err := s.seen.Find(keys, b.Sel, b.N, s.gids); err != nil {
		return nil, err
	}
	if len(s.seen.Fresh) == b.Rows() {
		return rowsOf(b), nil
	}
	s.sel = s.seen.FreshRows(b.Sel, s.sel)
	return s.sel, nil
}

// take is first for a table that other parts of the statement write to as well.
func (s *Write) take(keys []*vec.Vec, b *vec.Batch) ([]uint16, error) {
	rows, err := s.Changed.take(keys, b, s.sel)
	if err == nil && len(rows) < b.Rows() {
		s.sel = rows
	}
	return rows, err
}

// put tells other parts of the statement of the keys of rows that were written.
func (s *Write) put(rows *vec.Batch) error {
	if s.Changed == nil || len(s.Table.PK) == 0 || rows.Rows() == 0 {
		return nil
	}
	return s.Changed.put(pick(rows.Cols, s.Table.PK), rows)
}

// untouched sees that no other part of the statement has written rows with the keys of
// these, which ON CONFLICT is about to replace.
func (s *Write) untouched(rows *vec.Batch) error {
	if s.Changed == nil || len(s.Table.PK) == 0 || rows.Rows() == 0 {
		return nil
	}
	there, err := s.Changed.there(pick(rows.Cols, s.Table.PK), rows)
	if err == nil && there {
		err = ErrTwice()
	}
	return err
}

func pick(cols []*vec.Vec, at []int) []*vec.Vec {
	out := make([]*vec.Vec, len(at))
	for i, o := range at {
		out[i] = cols[o]
	}
	return out
}

func (s *Write) setStale(rows []uint16) { s.stale = append(s.stale, rows...) }

// keeping wraps a resolver so that RETURNING hears of the rows it makes while a
// mutation is written.
func (s *Write) keeping(f Resolver) Resolver {
	return func(ctx context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
		rows, keep, err := f(ctx, old)
		if err == nil && s.writing && len(keep) > 0 {
			s.resolved = append(s.resolved, resolvedRows{old, rows, keep})
		}
		return rows, keep, err
	}
}

// returning appends the output for rows.
func (s *Write) returning(rows *vec.Batch) error {
	if s.Returning == nil || rows.Rows() == 0 {
		return nil
	}
	cols, err := s.Returning.EvalAll(rows)
	if err != nil {
		return err
	}
	return s.Out.AppendCols(cols, rows.Sel, rows.N)
}

func (s *Write) returnResolved(r resolvedRows) error {
	in := &vec.Batch{Cols: r.old.Cols, Sel: r.keep, N: r.old.N}
	if r.rows != nil {
		// The new rows stand close together: bring the old ones to the same places.
		in = compact(in)
		in.Cols = append(append([]*vec.Vec(nil), r.rows.Cols...), in.Cols...)
	}
	cols, err := s.Resolved.EvalAll(in)
	if err != nil {
		return err
	}
	return s.Out.AppendCols(cols, in.Sel, in.N)
}

// compact copies the selected rows of a batch into one of its own.
func compact(b *vec.Batch) *vec.Batch {
	out := &vec.Batch{N: b.Rows()}
	for _, c := range b.Cols {
		v := vec.New(c.T, out.N)
		v.Copy(c, b.Sel, b.N)
		out.Cols = append(out.Cols, v)
	}
	return out
}
