package op

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Arbiter is a unique key whose conflicts ON CONFLICT is about.
type Arbiter struct {
	Name string
	Key  []int // ordinals of its columns in the table
	// Index is the table behind the key, nil for the primary key, and PK where it has
	// the columns of the table's primary key.
	Index *catalog.Table
	PK    []int
}

// conflictUnique writes rows of a table with unique keys besides the primary key,
// where those decide. Every batch looks at the newest rows, its statement's own among
// them.
func (s *Write) conflictUnique(rows *vec.Batch) error {
	c := s.Conflict
	if !c.DoNothing {
		if err := s.onceEach(rows); err != nil || rows.Rows() == 0 {
			return err
		}
	}
	for range conflictTries {
		again, err := s.settleUnique(rows)
		if !again || err != nil && (sqlstate.CodeOf(err) != sqlstate.UniqueViolation || !c.decides(err)) {
			return err
		}
		// Somebody was faster: the newest rows are needed. Nothing of rows was written.
	}
	return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
}

// decides says whether a unique violation is of one of the keys that ON CONFLICT is
// about.
func (c *Conflict) decides(err error) bool {
	name := sqlstate.From(err).Constraint
	return slices.ContainsFunc(c.Arbiters, func(a Arbiter) bool { return a.Name == name })
}

// onceEach leaves the first row of each key, of DO UPDATE; keys with NULLs are all
// different.
func (s *Write) onceEach(rows *vec.Batch) error {
	c := s.Conflict
	a := &c.Arbiters[0]
	whole, nulls := splitNulls(rows, a.Key)
	if len(whole) == 0 {
		return nil
	}
	c.key = c.key[:0]
	for _, o := range a.Key {
		c.key = append(c.key, rows.Cols[o])
	}
	first, err := s.first(c.key, &vec.Batch{Cols: rows.Cols, Sel: whole, N: rows.N})
	if err != nil || len(first) == len(whole) {
		return err
	}
	if !c.First && !c.Last {
		return ErrTwice()
	}
	sel := append(slices.Clone(first), nulls...)
	slices.Sort(sel)
	rows.Sel = sel
	return nil
}

// splitNulls separates rows without NULLs in some columns from the others.
func splitNulls(rows *vec.Batch, cols []int) (whole, nulls []uint16) {
	for _, r := range rowsOf(rows) {
		if slices.ContainsFunc(cols, func(o int) bool { return rows.Cols[o].IsNull(int(r)) }) {
			nulls = append(nulls, r)
		} else {
			whole = append(whole, r)
		}
	}
	return whole, nulls
}

// settleUnique writes rows by what there is now. again says that some are left, which
// rows then has, and, with an error, that these are all of them.
func (s *Write) settleUnique(rows *vec.Batch) (again bool, err error) {
	c, t := s.Conflict, s.Table
	snap, err := s.Txn.Snapshot()
	if err != nil {
		return false, err
	}
	defer snap.Close()
	n := len(t.Columns)
	if c.old == nil {
		c.old = vec.NewBatchOf(append(t.Types(), types.Int8), rows.Rows())
	}
	at := rowsOf(rows)
	c.hit = grown(c.hit, rows.N)
	clear(c.hit)
	for i := range c.Arbiters {
		if err := s.findOld(snap, &c.Arbiters[i], rows); err != nil {
			return false, err
		}
		for _, r := range c.idx {
			c.hit[r] = true
		}
	}
	c.miss = c.miss[:0]
	seen := map[string]bool{}
	for _, r := range at {
		if c.hit[r] || c.DoNothing && s.taken(seen, rows, int(r)) {
			continue
		}
		c.miss = append(c.miss, r)
	}
	if len(c.miss) > 0 {
		if err := s.add(&vec.Batch{Cols: rows.Cols[:n], Sel: c.miss, N: rows.N}); err != nil {
			return true, err
		}
	}
	if c.DoNothing || len(c.idx) == 0 {
		return false, nil
	}
	gone, err := s.updateOld(rows, c.idx, c.Arbiters[0].Key)
	if err != nil || len(gone) == 0 {
		return false, err
	}
	rows.Sel = gone
	return true, nil
}

// taken says whether a row of a batch has a key of one before it that is inserted, and
// otherwise remembers its keys.
func (s *Write) taken(seen map[string]bool, rows *vec.Batch, r int) bool {
	var keys []string
	for i := range s.Conflict.Arbiters {
		a := &s.Conflict.Arbiters[i]
		if slices.ContainsFunc(a.Key, func(o int) bool { return rows.Cols[o].IsNull(r) }) {
			continue
		}
		k := []byte{byte(i), byte(i >> 8)}
		for _, o := range a.Key {
			k = types.AppendKey(k, s.Table.Columns[o].T, rows.Cols[o].Datum(r), false)
		}
		if seen[string(k)] {
			return true
		}
		keys = append(keys, string(k))
	}
	for _, k := range keys {
		seen[k] = true
	}
	return false
}

// findOld reads into c.old the rows that have the keys of proposed ones, and leaves in
// c.idx which of rows each of them is for.
func (s *Write) findOld(snap storage.Snapshot, a *Arbiter, rows *vec.Batch) error {
	c, t := s.Conflict, s.Table
	c.old.Reset()
	c.idx = c.idx[:0]
	whole, _ := splitNulls(rows, a.Key)
	if len(whole) == 0 {
		return nil
	}
	keys := &vec.Batch{Sel: whole, N: rows.N}
	for _, o := range a.Key {
		keys.Cols = append(keys.Cols, rows.Cols[o])
	}
	keys = compact(keys)
	of := whole
	if a.Index != nil {
		index, err := snap.Relation(a.Index)
		if err != nil {
			return err
		}
		ts := make([]types.T, len(a.PK))
		for i, o := range a.PK {
			ts[i] = a.Index.Columns[o].T
		}
		pk := vec.NewBatchOf(ts, keys.N)
		idx, err := index.Get(s.Ctx, keys, a.PK, pk, nil)
		if err != nil || len(idx) == 0 {
			return err
		}
		of = make([]uint16, len(idx))
		for i, k := range idx {
			of[i] = whole[k]
		}
		keys = pk
	}
	rel, err := snap.Relation(t)
	if err != nil {
		return err
	}
	cols := make([]int, len(t.Columns)+1)
	for i := range t.Columns {
		cols[i] = i
	}
	cols[len(t.Columns)] = catalog.ColCSN
	if c.idx, err = rel.Get(s.Ctx, keys, cols, c.old, c.idx); err != nil {
		return err
	}
	for i, k := range c.idx {
		c.idx[i] = of[k]
	}
	return nil
}
