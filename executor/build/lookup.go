package build

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// lookup is a scan that knows its rows' keys: it asks the relation for the rows.
func (b *builder) lookup(n *plan.Scan, rel storage.Relation) (*chain, error) {
	b.rows++
	src := &lookupSource{rel: rel, snap: b.env.Snapshot, scan: n}
	if n.Unique != nil {
		src.by = newByUnique(n)
	}
	c := &chain{cols: n.Cols, ordered: true}
	c.starts = []func(context.Context) (int, error){func(ctx context.Context) (int, error) {
		src.ctx = ctx
		if n.KeyIn != nil {
			return 1, b.listKeys(n, src)
		}
		keys := newKey(n.Table, keyOrdinals(n))
		for i, e := range n.Key {
			d, err := b.constant(e)
			if err != nil {
				return 0, err
			}
			if !keys.put(i, d) {
				return 1, nil
			}
		}
		src.keys = []*vec.Batch{&keys.batch}
		return 1, nil
	}}
	c.lane = func(l *op.Lane) (op.Operator, error) { return rebatched(l, src), nil }
	c = b.filtered(c, expr.Conjoin(n.Filter))
	if n.Out != nil {
		ps := make([]plan.Projection, len(n.Out))
		for i, k := range n.Out {
			ps[i] = plan.Projection{Col: n.Cols[k], Expr: n.Cols[k].Ref()}
		}
		c = b.projected(c, ps)
	}
	return c, nil
}

// A key that is looked for takes as long as this many rows that are scanned, in tables by
// row and by column; few keys are always looked for where rows are stored.
const (
	keyCostRows    = 16
	keyCostColumns = 512
	keysAlways     = 2048
	keysMost       = 1 << 17 // they are in memory, without an account
)

// fewKeys says whether it is quicker to look for the keys than to read the table.
func (b *builder) fewKeys(n *plan.Scan, rel storage.Relation) bool {
	var keys float64
	for _, c := range n.KeyIn {
		all := 1.0
		for _, k := range c.Cols {
			values := float64(len(k.List))
			if k.Array != nil {
				d, err := b.constant(k.Array)
				if err != nil {
					return true // told when it starts
				}
				if d.Valid {
					values = float64(types.Array(d.S).Len())
				}
			}
			if !c.Zip {
				all *= values
			} else if k.Array == c.Cols[0].Array {
				all = values
			}
		}
		keys += all
	}
	if keys > keysMost {
		return false
	}
	always, cost := 1.0, float64(keyCostColumns)
	if n.Table.StoresRows() {
		always, cost = keysAlways, keyCostRows
	}
	if keys <= always {
		return true
	}
	total, _ := rel.RowCount()
	return keys*cost <= float64(total)
}

// listKeys makes the keys of a look-up of several: those of every choice, each once.
func (b *builder) listKeys(n *plan.Scan, src *lookupSource) error {
	l := keyList{src: src, one: newKey(n.Table, keyOrdinals(n)), seen: map[string]bool{}}
	for _, c := range n.KeyIn {
		lists := make([][]types.Datum, len(c.Cols))
		for i, k := range c.Cols {
			for _, e := range k.List {
				d, err := b.constant(e)
				if err != nil {
					return err
				}
				lists[i] = append(lists[i], d)
			}
			if k.Array == nil {
				continue
			}
			d, err := b.constant(k.Array)
			if err != nil {
				return err
			}
			if !d.Valid {
				continue
			}
			r := types.Array(d.S).Reader()
			for j := range r.N {
				lists[i] = append(lists[i], r.Datum(j))
			}
		}
		if c.Zip {
			l.zip(lists)
		} else {
			combine(l.one, lists, 0, l.add)
		}
	}
	return nil
}

// keyList gathers the keys of a look-up.
type keyList struct {
	src  *lookupSource
	one  *key
	seen map[string]bool
	enc  []byte
}

// zip adds the keys that lists hold side by side; where one ends, NULLs follow, which no
// key has.
func (l *keyList) zip(lists [][]types.Datum) {
	n := len(lists[0])
	for _, list := range lists {
		n = min(n, len(list))
	}
next:
	for k := range n {
		for i, list := range lists {
			if !l.one.put(i, list[k]) {
				continue next
			}
		}
		l.add()
	}
}

// add adds the key at hand where it is new.
func (l *keyList) add() {
	l.enc = l.enc[:0]
	for k, t := range l.one.types {
		l.enc = types.AppendKey(l.enc, t, l.one.batch.Cols[k].Datum(0), false)
	}
	if l.seen[string(l.enc)] {
		return
	}
	l.seen[string(l.enc)] = true
	last := len(l.src.keys) - 1
	if last < 0 || l.src.keys[last].N == vec.Size {
		l.src.keys = append(l.src.keys, vec.NewBatch(l.one.types))
		last++
	}
	to := l.src.keys[last]
	for k := range to.Cols {
		to.Cols[k].AppendDatum(l.one.batch.Cols[k].Datum(0))
	}
	to.N++
}

// lookupSource reads the rows of keys, a batch of them at a time.
type lookupSource struct {
	ctx  context.Context
	rel  storage.Relation
	snap storage.Snapshot
	scan *plan.Scan
	by   *byUnique
	keys []*vec.Batch
	at   int
	out  *vec.Batch
	idx  []uint16
}

// Next implements op.Operator.
func (s *lookupSource) Next() (*vec.Batch, error) {
	for s.at < len(s.keys) {
		if err := sched.Canceled(s.ctx); err != nil {
			return nil, err
		}
		keys := s.keys[s.at]
		s.keys[s.at] = nil
		s.at++
		var err error
		if s.by != nil {
			if keys, err = s.by.keys(s.ctx, s.snap, keys); err != nil {
				return nil, err
			}
			if keys.N == 0 {
				continue
			}
		}
		s.out = &vec.Batch{}
		for _, c := range s.scan.Cols {
			s.out.Cols = append(s.out.Cols, vec.New(c.T, keys.N))
		}
		if s.idx, err = s.rel.Get(s.ctx, keys, s.scan.Ords, s.out, s.idx[:0]); err != nil {
			return nil, err
		}
		if s.out.N > 0 {
			return s.out, nil
		}
	}
	return nil, nil
}

// Close implements op.Operator.
func (s *lookupSource) Close() {}

// knows says whether a snapshot has the table behind a unique key, which may be younger
// (nil: the primary key). Without it rows are found by a scan: the filter asks for all.
func knows(snap storage.Snapshot, k *catalog.UniqueKey) bool {
	if k == nil {
		return true
	}
	index := snap.Catalog().Table(k.OID)
	if index == nil {
		return false
	}
	_, err := snap.Relation(index)
	return err == nil
}

// byUnique finds primary keys by way of the table behind a unique key.
type byUnique struct {
	key   *catalog.UniqueKey
	at    []int // where the table behind it has the primary key's columns
	types []types.T
	pk    *vec.Batch
	idx   []uint16
}

func newByUnique(n *plan.Scan) *byUnique {
	u := &byUnique{key: n.Unique, pk: &vec.Batch{}}
	cols := n.Table.IndexColumns(n.Unique)
	for _, o := range n.Table.PK {
		u.at = append(u.at, slices.Index(cols, o))
		u.types = append(u.types, n.Table.Columns[o].T)
		u.pk.Cols = append(u.pk.Cols, vec.New(n.Table.Columns[o].T, 1))
	}
	return u
}

// keys are the primary keys of rows with these unique keys, lent until the next call.
func (u *byUnique) keys(ctx context.Context, snap storage.Snapshot, keys *vec.Batch) (*vec.Batch, error) {
	index := snap.Catalog().Table(u.key.OID)
	if index == nil {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "the index of unique key %s is not there", u.key.Name)
	}
	rel, err := snap.Relation(index)
	if err != nil {
		return nil, err
	}
	for i, c := range u.pk.Cols {
		c.Recycle(u.types[i])
	}
	u.pk.N, u.pk.Sel = 0, nil
	u.idx, err = rel.Get(ctx, keys, u.at, u.pk, u.idx[:0])
	return u.pk, err
}

// keyOrdinals are the columns of the key that a scan looks for.
func keyOrdinals(n *plan.Scan) []int {
	if n.Unique != nil {
		return n.Table.Ordinals(n.Unique)
	}
	return n.Table.PK
}

// key is a batch of one key of a table.
type key struct {
	types []types.T
	batch vec.Batch
}

func newKey(t *catalog.Table, cols []int) *key {
	k := &key{}
	for _, o := range cols {
		k.types = append(k.types, t.Columns[o].T)
		k.batch.Cols = append(k.batch.Cols, vec.New(t.Columns[o].T, 1))
	}
	k.batch.N = 1
	return k
}

// put sets a column of the key; false when no row can have it: NULL equals nothing,
// nor does an integer that the column cannot hold.
func (k *key) put(i int, d types.Datum) bool {
	if !d.Valid {
		return false
	}
	switch k.types[i].Layout {
	case types.LayoutI16:
		if d.I != int64(int16(d.I)) {
			return false
		}
	case types.LayoutI32:
		if d.I != int64(int32(d.I)) && k.types[i].OID == types.Int4OID {
			return false
		}
	}
	v := k.batch.Cols[i]
	v.Recycle(k.types[i])
	v.AppendDatum(d)
	return true
}
