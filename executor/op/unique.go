package op

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// unique finds the first rows of distinct keys when a table of all keys does not fit
// in memory: rows go to files by the hash of their keys, as do the keys that were
// passed on before, and each partition gets a table of its own.
type unique struct {
	run  *Run
	acct *mem.Account
	ts   []types.T // of the rows
	keys []int     // the keys' columns
	done *partitions
	rows *partitions
	kts  []types.T
}

// newUnique makes an empty set of files for rows of types ts.
func newUnique(run *Run, acct *mem.Account, ts []types.T, keys []int) *unique {
	u := &unique{run: run, acct: acct, ts: ts, keys: keys}
	for _, k := range keys {
		u.kts = append(u.kts, ts[k])
	}
	u.done, u.rows = newPartitions(run, u.kts, groupShift), newPartitions(run, ts, groupShift)
	return u
}

// pass notes the keys of a table, in its columns from skip on, as passed on before.
func (u *unique) pass(sp *splitter, g *Groups, skip int) error {
	return eachGroup(g, func(cols []*vec.Vec, n int) error {
		if err := u.run.Interrupted(); err != nil {
			return err
		}
		return u.done.write(sp, cols[skip:], cols[skip:], nil, n)
	})
}

// add takes rows: those of sel, or 0..n-1.
func (u *unique) add(sp *splitter, cols []*vec.Vec, sel []uint16, n int) error {
	var room [8]*vec.Vec
	ks := room[:0]
	for _, k := range u.keys {
		ks = append(ks, cols[k])
	}
	return u.rows.write(sp, ks, cols, sel, n)
}

// finish ends the writing of rows.
func (u *unique) finish() error {
	if err := u.done.finish(); err != nil {
		return err
	}
	return u.rows.finish()
}

func (u *unique) close() {
	if u != nil {
		u.done.close()
		u.rows.close()
	}
}

// uniqueReader yields the first row of each key of all partitions, in the order of
// rows within a partition.
type uniqueReader struct {
	u      *unique
	part   int
	r      *partReader
	groups *Groups
	ks     []*vec.Vec
	gids   []uint32
	sel    []uint16
	out    vec.Batch
}

// next is the next batch, maybe an empty one; nil at the end.
func (o *uniqueReader) next() (*vec.Batch, error) {
	u := o.u
	if o.groups == nil {
		for o.part < spillParts && u.rows.none(o.part) {
			u.done.drop(o.part)
			o.part++
		}
		if o.part == spillParts {
			return nil, nil
		}
		o.groups = NewGroups(u.kts, u.acct)
		if err := o.before(); err != nil {
			return nil, err
		}
		var err error
		if o.r, err = u.rows.read(o.part); err != nil {
			return nil, err
		}
	}
	b, err := o.r.next()
	if err != nil {
		return nil, err
	}
	if b == nil {
		o.r.close()
		o.r = nil
		o.groups.Free()
		o.groups = nil
		u.done.drop(o.part)
		u.rows.drop(o.part)
		o.part++
		return empty(&o.out), nil
	}
	o.ks = o.ks[:0]
	for _, k := range u.keys {
		o.ks = append(o.ks, b.Cols[k])
	}
	o.gids = grown(o.gids, b.N)
	if err := o.groups.Find(o.ks, nil, b.N, o.gids); err != nil {
		return nil, err
	}
	o.sel = o.groups.FreshRows(nil, o.sel)
	o.out.Cols, o.out.N, o.out.Sel = b.Cols, b.N, selection(o.sel)
	return &o.out, nil
}

// before takes the partition's keys that were passed on before into its table.
func (o *uniqueReader) before() error {
	r, err := o.u.done.read(o.part)
	if r == nil || err != nil {
		return err
	}
	defer r.close()
	for {
		b, err := r.next()
		if b == nil || err != nil {
			return err
		}
		o.gids = grown(o.gids, b.N)
		if err := o.groups.Find(b.Cols, nil, b.N, o.gids); err != nil {
			return err
		}
		if err := o.u.run.Interrupted(); err != nil {
			return err
		}
	}
}

func (o *uniqueReader) close() {
	o.r.close()
	o.r = nil
	o.groups.Free()
	o.groups = nil
}

// eachGroup calls f for the keys of a table, vec.Size at a time.
func eachGroup(g *Groups, f func(cols []*vec.Vec, n int) error) error {
	cols := make([]*vec.Vec, len(g.T))
	for i := range cols {
		cols[i] = &vec.Vec{}
	}
	var ids []uint32
	for from := 0; from < g.N; from += vec.Size {
		n := min(vec.Size, g.N-from)
		ids = grown(ids, n)
		for k := range ids {
			ids[k] = uint32(from + k)
		}
		g.Gather(ids, cols)
		if err := f(cols, n); err != nil {
			return err
		}
	}
	return nil
}

// scarce says whether too little memory is left to take another batch into a table
// of so many groups.
func (r *Run) scarce(acct *mem.Account, groups int) bool {
	if r.ForceSpill && groups >= forcedRows {
		return true
	}
	if !r.CanSpill() || acct.TryReserve(headroom) && release(acct) {
		return false
	}
	return true
}

func release(acct *mem.Account) bool {
	acct.Release(headroom)
	return true
}

// spillsFor says whether an error is one that spilling helps against.
func (r *Run) spillsFor(err error) bool {
	return err != nil && r.CanSpill() && sqlstate.CodeOf(err) == sqlstate.OutOfMemory
}
