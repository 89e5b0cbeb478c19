package build

import (
	"context"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// quickKeys looks several keys up.
type quickKeys struct {
	choices []quickChoice
	lists   [][]types.Datum // of a choice's columns
	one     *key
	all     *vec.Batch
	sel     []uint16
	ends    []int // of the encodings in enc
	enc     []byte
}

// quickChoice is a plan.KeyChoice with its values' programs.
type quickChoice struct {
	cols []quickValues
	zip  bool
}

type quickValues struct {
	list  []*eval.Program
	array *eval.Program // nil: none
}

// quickKeysStep is how many rows are read before their size is looked at.
const quickKeysStep = 32

// buildKeys has the scan look its keys up.
func (d *Quick) buildKeys(n *plan.Scan) ([]plan.Column, error) {
	if !n.Table.StoresRows() {
		return nil, errNotQuick // how many are few is known when it runs
	}
	m := &quickKeys{one: newKey(n.Table, keyOrdinals(n))}
	m.all = vec.NewBatch(m.one.types)
	compiled := func(e expr.Expr) (*eval.Program, error) {
		if err := d.prepare(e); err != nil {
			return nil, err
		}
		return eval.Compile(d.withColumns(e), d.env(nil))
	}
	for _, c := range n.KeyIn {
		q := quickChoice{zip: c.Zip, cols: make([]quickValues, len(c.Cols))}
		for i, v := range c.Cols {
			for _, e := range v.List {
				p, err := compiled(e)
				if err != nil {
					return nil, err
				}
				q.cols[i].list = append(q.cols[i].list, p)
			}
			if v.Array != nil {
				p, err := compiled(v.Array)
				if err != nil {
					return nil, err
				}
				q.cols[i].array = p
			}
		}
		m.choices = append(m.choices, q)
	}
	d.scan, d.many = n, m
	for _, c := range n.Cols {
		d.found.Cols = append(d.found.Cols, vec.New(c.T, 1))
	}
	if err := d.addFilter(expr.Conjoin(n.Filter), n.Cols); err != nil {
		return nil, err
	}
	return d.chosen(n), nil
}

// seekMany computes the keys, each once.
func (d *Quick) seekMany() error {
	m := d.many
	for i, c := range m.all.Cols {
		c.Recycle(m.one.types[i])
	}
	m.all.N, m.enc, m.ends = 0, m.enc[:0], m.ends[:0]
	d.with(&d.none, nil)
	for _, c := range m.choices {
		for len(m.lists) < len(c.cols) {
			m.lists = append(m.lists, nil)
		}
		lists, all := m.lists[:len(c.cols)], 1
		for i, v := range c.cols {
			lists[i] = lists[i][:0]
			for _, p := range v.list {
				x, err := p.Eval(&d.none)
				if err != nil {
					return err
				}
				// A program's result is its own, but the bytes of strings.
				lists[i] = append(lists[i], x.Datum(0))
			}
			if v.array != nil {
				x, err := v.array.Eval(&d.none)
				if err != nil {
					return err
				}
				if a := x.Datum(0); a.Valid {
					r := types.Array(a.S).Reader()
					if r.N > quickRowsMax {
						return ErrLarge
					}
					for j := range r.N {
						lists[i] = append(lists[i], r.Datum(j))
					}
				}
			}
			if all *= len(lists[i]); !c.zip && all > quickRowsMax {
				return ErrLarge
			}
		}
		if !c.zip {
			combine(m.one, lists, 0, m.add)
			continue
		}
		n := len(lists[0])
		for _, l := range lists {
			n = min(n, len(l))
		}
	next:
		for k := range n {
			for i, l := range lists {
				if !m.one.put(i, l[k]) {
					continue next
				}
			}
			m.add()
		}
	}
	if m.all.N > quickRowsMax {
		return ErrLarge
	}
	return nil
}

// combine calls add with every combination of the values that columns from i on may have.
func combine(one *key, lists [][]types.Datum, i int, add func()) {
	if i == len(lists) {
		add()
		return
	}
	for _, d := range lists[i] {
		if one.put(i, d) {
			combine(one, lists, i+1, add)
		}
	}
}

// add adds the key at hand where it is new; of too many it stops.
func (m *quickKeys) add() {
	if m.all.N > quickRowsMax {
		return
	}
	from := len(m.enc)
	for k, t := range m.one.types {
		m.enc = types.AppendKey(m.enc, t, m.one.batch.Cols[k].Datum(0), false)
	}
	at := 0
	for _, end := range m.ends {
		if string(m.enc[at:end]) == string(m.enc[from:]) {
			m.enc = m.enc[:from]
			return
		}
		at = end
	}
	m.ends = append(m.ends, len(m.enc))
	for k, c := range m.all.Cols {
		c.Copy(m.one.batch.Cols[k], nil, 1)
	}
	m.all.N++
}

// shed lets go of what large values have left.
func (m *quickKeys) shed() {
	for _, c := range m.all.Cols {
		shed(c)
	}
	for _, c := range m.one.batch.Cols {
		shed(c)
	}
	for _, l := range m.lists { // whose strings are parts of parameters
		clear(l[:cap(l)])
	}
	if cap(m.enc) > quickBufKeep {
		m.enc = nil
	}
}

// lookupMany reads the rows of the keys into d.found.
func (d *Quick) lookupMany(ctx context.Context, snap storage.Snapshot, rel storage.Relation) error {
	m := d.many
	if err := d.seekMany(); err != nil {
		return err
	}
	keys := m.all
	if d.by != nil {
		var err error
		if keys, err = d.by.keys(ctx, snap, keys); err != nil {
			return err
		}
	}
	m.sel = m.sel[:0]
	for k := range keys.N {
		m.sel = append(m.sel, uint16(k))
	}
	for from := 0; from < len(m.sel); from += quickKeysStep {
		some := vec.Batch{Cols: keys.Cols, N: keys.N, Sel: m.sel[from:min(from+quickKeysStep, len(m.sel))]}
		var err error
		if d.idx, err = rel.Get(ctx, &some, d.scan.Ords, &d.found, d.idx[:0]); err != nil {
			return err
		}
		if bytesOf(&d.found) > quickBytesMax {
			return ErrLarge
		}
		if err := sched.Canceled(ctx); err != nil {
			return err
		}
	}
	return nil
}
