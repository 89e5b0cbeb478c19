package op

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Conflict is what an INSERT does with rows whose primary keys exist. It looks the
// keys up in the statement's snapshot: those that are missing are inserted, the
// others left alone or updated. A key that another transaction inserts meanwhile
// is a unique violation; in a transaction that locks keys as it writes, Write finds
// out at once, and the rows are looked up anew.
type Conflict struct {
	DoNothing bool
	// First and Last say which row to take of those that are proposed for one key;
	// without, DO UPDATE has an error and DO NOTHING takes the first.
	First, Last bool
	// Blind: the new row is the proposed row, whatever there is. No look is needed.
	Blind bool
	// Rel is the table in the statement's snapshot.
	Rel storage.Relation
	// Arbiters are the unique keys that decide, where it is not the primary key alone.
	Arbiters []Arbiter
	// Extra columns follow the row's in the input, for Set and Where.
	Extra int
	// Set computes the new row over the existing row's columns followed by the
	// proposed row's; Where says for which rows, nil for all.
	Set, Where *eval.Program
	// Resolve makes the resolver of an update by these proposed rows, which are its
	// own, of the rows with these primary keys; see Write.Resolve.
	Resolve func(proposed *vec.Batch, keys []*vec.Vec) Resolver

	held []*vec.Batch // for Last, until all rows are there
	old  *vec.Batch
	idx  []uint16
	key  []*vec.Vec
	miss []uint16
	hit  []bool
}

// conflictTries is how often keys are looked up anew.
const conflictTries = 10

// conflict writes rows that were tested, as ON CONFLICT says.
func (s *Write) conflict(rows *vec.Batch) error {
	c := s.Conflict
	switch {
	case c.DoNothing || !c.Last:
	case c.Blind:
		return s.add(rows) // the last of one key stays
	default:
		c.held = append(c.held, compact(rows))
		return nil
	}
	return s.conflictOnce(rows)
}

// conflictHeld writes rows that were held back, the last first, so that of one key
// the last counts.
func (s *Write) conflictHeld() error {
	c := s.Conflict
	for i := len(c.held) - 1; i >= 0; i-- {
		b := c.held[i]
		back := make([]uint16, b.N)
		for k := range back {
			back[k] = uint16(b.N - 1 - k)
		}
		if err := s.conflictOnce(compact(&vec.Batch{Cols: b.Cols, Sel: back, N: b.N})); err != nil {
			return err
		}
		c.held[i] = nil
	}
	c.held = nil
	return nil
}

// conflictOnce writes rows of which the first of each key counts.
func (s *Write) conflictOnce(rows *vec.Batch) error {
	c := s.Conflict
	if len(c.Arbiters) > 0 {
		return s.conflictUnique(rows)
	}
	c.key = c.key[:0]
	for _, o := range s.Table.PK {
		c.key = append(c.key, rows.Cols[o])
	}
	first, err := s.first(c.key, rows)
	if err != nil {
		return err
	}
	if len(first) < rows.Rows() {
		if !c.DoNothing && !c.First && !c.Last {
			return ErrTwice()
		}
		rows.Sel = first
	}
	if rows.Rows() == 0 {
		return nil
	}
	if c.Blind {
		return s.add(rows)
	}
	rel := c.Rel
	if s.Changed != nil { // what other parts of the statement have removed is not in the way
		snap, err := s.Txn.Snapshot()
		if err != nil {
			return err
		}
		defer snap.Close()
		if rel, err = snap.Relation(s.Table); err != nil {
			return err
		}
	}
	for range conflictTries {
		var left *vec.Batch
		left, err = s.settle(rel, rows)
		switch {
		case left == nil:
			return err
		case err == nil: // rows were there, and are gone
		case sqlstate.CodeOf(err) != sqlstate.UniqueViolation:
			return err
		case len(s.Table.Unique) > 0 && sqlstate.From(err).Constraint != s.Table.PKName:
			return err // of a key that ON CONFLICT is not about
		}
		// Somebody was faster: the newest rows are needed.
		snap, e := s.Txn.Snapshot()
		if e != nil {
			return e
		}
		defer snap.Close()
		if rel, e = snap.Relation(s.Table); e != nil {
			return e
		}
		rows = left
	}
	return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
}

// ErrTwice is what DO UPDATE makes of a key that a statement proposes twice.
func ErrTwice() error {
	return sqlstate.Errorf(sqlstate.CardinalityViolation, "ON CONFLICT DO UPDATE command cannot affect row a second time").
		WithHint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}

// settle writes rows by what there is in rel, but for those of left. If inserting fails
// these are all of them.
func (s *Write) settle(rel storage.Relation, rows *vec.Batch) (left *vec.Batch, err error) {
	c, t := s.Conflict, s.Table
	n := len(t.Columns)
	if c.old == nil {
		c.old = vec.NewBatchOf(append(t.Types(), types.Int8), rows.Rows())
	}
	c.old.Reset()
	cols := make([]int, n+1)
	for i := range n {
		cols[i] = i
	}
	cols[n] = catalog.ColCSN
	keys := compact(&vec.Batch{Cols: c.key, Sel: rows.Sel, N: rows.N})
	if c.idx, err = rel.Get(s.Ctx, keys, cols, c.old, c.idx[:0]); err != nil {
		return nil, err
	}
	at := rowsOf(rows)
	c.hit = grown(c.hit, len(at))
	clear(c.hit)
	for _, k := range c.idx {
		c.hit[k] = true
	}
	c.miss = c.miss[:0]
	for k, r := range at {
		if !c.hit[k] {
			c.miss = append(c.miss, r)
		}
	}
	if len(c.miss) > 0 {
		add := &vec.Batch{Cols: rows.Cols[:n], Sel: c.miss, N: rows.N}
		if err := s.add(add); err != nil {
			return rows, err
		}
	}
	if c.DoNothing || len(c.idx) == 0 {
		return nil, nil
	}
	prop := make([]uint16, len(c.idx))
	for i, k := range c.idx {
		prop[i] = at[k]
	}
	gone, err := s.updateOld(rows, prop, t.PK)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	return &vec.Batch{Cols: rows.Cols, Sel: gone, N: rows.N}, nil
}

// updateOld updates the existing rows in c.old, beside which stand the proposed ones.
// Of gone ones the existing row was deleted meanwhile, or has left the key by which it
// was found: nothing was done about them.
func (s *Write) updateOld(rows *vec.Batch, prop []uint16, arbiter []int) (gone []uint16, err error) {
	c, t := s.Conflict, s.Table
	n := len(t.Columns)
	proposed := compact(&vec.Batch{Cols: rows.Cols, Sel: prop, N: rows.N})
	both := &vec.Batch{Cols: append(append([]*vec.Vec(nil), c.old.Cols[:n]...), proposed.Cols...), N: len(prop)}
	if c.Where != nil {
		if err := c.Where.Filter(both); err != nil {
			return nil, err
		}
		if both.Rows() == 0 {
			return nil, nil
		}
	}
	if err := s.untouched(&vec.Batch{Cols: c.old.Cols, Sel: both.Sel, N: both.N}); err != nil {
		return nil, err
	}
	vs, err := c.Set.EvalAll(both)
	if err != nil {
		return nil, err
	}
	s.both = vec.Batch{Cols: append(s.both.Cols[:0], vs...), Sel: both.Sel, N: both.N}
	if s.Checks != nil {
		if err := s.Checks.Test(&s.both); err != nil {
			return nil, err
		}
	}
	s.keys = vec.Batch{Cols: s.keys.Cols[:0], Sel: both.Sel, N: both.N}
	for _, o := range t.PK {
		s.keys.Cols = append(s.keys.Cols, c.old.Cols[o])
	}
	s.mut = storage.Mutation{Table: t, Op: storage.OpUpdate, Rows: &vec.Batch{Cols: vs, Sel: both.Sel, N: both.N},
		Keys: &s.keys, OldCSN: c.old.Cols[n], Lock: s.Lock}
	put := &vec.Batch{Cols: vs, Sel: both.Sel, N: both.N}
	if c.Resolve == nil {
		if err := s.changed(&s.both); err != nil {
			return nil, err
		}
		return nil, s.put(put)
	}
	of := slices.Clone(rowsOf(both)) // which row of prop each is for
	there := make([]bool, len(prop))
	s.mut.Resolve = s.resolveOld(proposed, arbiter, there)
	if err := s.changed(&s.both); err != nil {
		return nil, err
	}
	for _, k := range s.stale {
		if p := of[k]; !there[p] {
			gone = append(gone, prop[p])
		}
	}
	slices.Sort(gone)
	if len(gone) > 0 && s.Changed != nil {
		left := make([]uint16, 0, both.N)
		for _, r := range of {
			if !slices.Contains(gone, prop[r]) {
				left = append(left, r)
			}
		}
		put.Sel = left
	}
	return gone, s.put(put)
}

// resolveOld makes the resolver of an update of the existing rows in c.old, which notes
// in there for which proposed ones a row with the arbiter's key is still there.
func (s *Write) resolveOld(proposed *vec.Batch, arbiter []int, there []bool) Resolver {
	c, pk := s.Conflict, s.Table.PK
	keys := &vec.Batch{N: proposed.N}
	for _, o := range pk {
		keys.Cols = append(keys.Cols, c.old.Cols[o])
	}
	keys = compact(keys)
	resolve := s.keeping(c.Resolve(proposed, keys.Cols))
	return func(ctx context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
		place := Places(keys.Cols, keys.N)
		var sel []uint16
		for k := range old.Rows() {
			i := old.Row(k)
			p := place(old, pk, i)
			if !slices.ContainsFunc(arbiter, func(o int) bool {
				return !types.Equal(old.Cols[o].T, old.Cols[o].Datum(i), proposed.Cols[o].Datum(p))
			}) {
				there[p] = true
				sel = append(sel, uint16(i))
			}
		}
		if len(sel) == 0 {
			return nil, nil, nil
		}
		return resolve(ctx, &vec.Batch{Cols: old.Cols, Sel: sel, N: old.N})
	}
}

// Places finds rows by key: of the n keys, the one that row i of a batch has in these
// columns, which is among them.
func Places(keys []*vec.Vec, n int) func(b *vec.Batch, cols []int, i int) int {
	at := make(map[string]int, n)
	var k []byte
	for i := range n {
		k = k[:0]
		for _, v := range keys {
			k = types.AppendKey(k, v.T, v.Datum(i), false)
		}
		at[string(k)] = i
	}
	return func(b *vec.Batch, cols []int, i int) int {
		k = k[:0]
		for _, o := range cols {
			k = types.AppendKey(k, b.Cols[o].T, b.Cols[o].Datum(i), false)
		}
		return at[string(k)]
	}
}
