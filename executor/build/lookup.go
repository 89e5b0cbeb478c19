package build

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// lookup is a scan that knows its row's key: it asks the relation for the row.
func (b *builder) lookup(n *plan.Scan, rel storage.Relation) (*chain, error) {
	b.rows++
	var batches []*vec.Batch
	c := &chain{cols: n.Cols, ordered: true}
	c.starts = []func(context.Context) (int, error){func(ctx context.Context) (int, error) {
		keys := newKey(n.Table)
		for i, e := range n.Key {
			d, err := b.constant(e)
			if err != nil {
				return 0, err
			}
			if !keys.put(i, d) {
				return 1, nil
			}
		}
		out := &vec.Batch{}
		for _, c := range n.Cols {
			out.Cols = append(out.Cols, vec.New(c.T, 1))
		}
		if _, err := rel.Get(ctx, &keys.batch, n.Ords, out, nil); err != nil {
			return 0, err
		}
		if out.N > 0 {
			batches = []*vec.Batch{out}
		}
		return 1, nil
	}}
	c.lane = func(l *op.Lane) (op.Operator, error) { return &op.BatchSource{Batches: batches}, nil }
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

// key is a batch of one key of a table.
type key struct {
	types []types.T
	batch vec.Batch
}

func newKey(t *catalog.Table) *key {
	k := &key{}
	for _, o := range t.PK {
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
