package row

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// View is a tablet's rows in one state. Safe for concurrent use; its readers are not.
type View struct {
	t   *Tablet
	sch *schema
	// source is what it reads, nothing for an empty tablet; with newest set pending rows
	// come before it.
	source
	newest bool
}

// View reads the tablet as r has it, a Snapshot that the caller keeps open or Pebble
// itself; nil stands for no rows. table is the definition that the reader's catalog has.
func (t *Tablet) View(r pebble.Reader, table *catalog.Table) *View {
	return &View{t: t, sch: t.schemaOf(table), source: t.sourceOf(r)}
}

// Newest reads the newest rows that are stamped, whether or not they are published:
// each key by itself, so that it is no consistent state.
func (t *Tablet) Newest(table *catalog.Table) *View {
	return &View{t: t, sch: t.schemaOf(table), source: t.sourceOf(t.cfg.DB), newest: true}
}

func (t *Tablet) schemaOf(table *catalog.Table) *schema {
	if s := t.sch.Load(); s.table == table {
		return s
	}
	return newSchema(table)
}

// Table is the definition that the view reads by.
func (v *View) Table() *catalog.Table { return v.sch.table }

// AppendKey appends the stored key of row i of primary keys.
func (v *View) AppendKey(dst []byte, pk []*vec.Vec, i int) []byte {
	return v.sch.appendKey(append(dst, v.t.prefix...), pk, i)
}

// look calls f with the value of a key, if there is one; the value is lent.
func (v *View) look(key []byte, f func(value []byte) error) error {
	if v.newest {
		v.t.mu.Lock()
		e := v.t.pending(key)
		v.t.mu.Unlock()
		if e != nil {
			if e.value == nil {
				return nil
			}
			return f(e.value)
		}
		if v.t.from.Load() == math.MaxUint64 {
			return nil
		}
	}
	if v.r == nil {
		return nil
	}
	value, c, err := v.get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if v.newest {
		csn, err := v.t.cfg.Sets.commit(value)
		if err != nil {
			return err
		}
		if uint64(csn) < v.t.from.Load() {
			return nil
		}
	}
	return f(value)
}

// getter is what a Get needs, kept for the next one.
type getter struct {
	d   decoder
	key []byte
}

var getters = sync.Pool{New: func() any { return new(getter) }}

// decoder makes d decode columns (ordinals or hidden) to the vectors of out.
func (v *View) decoder(d *decoder, cols []int, out []*vec.Vec) error {
	clear(d.slots)
	d.sets = v.t.cfg.Sets
	d.cols, d.ids, d.missing, d.slots, d.csn = out, d.ids[:0], d.missing[:0], d.slots[:0], d.csn[:0]
	for _, c := range cols {
		switch {
		case c == catalog.ColCSN:
			d.wantCSN()
		case c == catalog.ColShard:
			d.wantShard(v.t.cfg.Shard)
		case c < 0 || c >= len(v.sch.table.Columns):
			return sqlstate.Errorf(sqlstate.InternalError, "scan of column %d of table %q, which has %d", c, v.sch.table.Name, len(v.sch.table.Columns))
		default:
			k := &v.sch.table.Columns[c]
			d.want(k.ID, k.Missing)
		}
	}
	return nil
}

// Get looks rows up by primary key: found rows are appended to out (columns cols,
// ordinals or hidden), and the index in keys of each to idx.
func (v *View) Get(ctx context.Context, keys *vec.Batch, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error) {
	g := getters.Get().(*getter)
	defer func() {
		g.d.cols = nil
		getters.Put(g)
	}()
	if err := v.decoder(&g.d, cols, out.Cols); err != nil {
		return idx, err
	}
	for k := 0; k < keys.Rows(); k++ {
		if k&255 == 255 {
			if err := context.Cause(ctx); err != nil {
				return idx, err
			}
		}
		i := keys.Row(k)
		g.key = v.AppendKey(g.key[:0], keys.Cols, i)
		err := v.look(g.key, func(value []byte) error {
			if err := g.d.row(value, out.N); err != nil {
				return err
			}
			out.N++
			idx = append(idx, uint16(i))
			return nil
		})
		if err != nil {
			return idx, err
		}
	}
	return idx, nil
}

// Point reads single rows of a view by key. It is for one goroutine at a time.
type Point struct {
	v   *View
	d   decoder
	key []byte
}

// Point makes a reader of columns (ordinals or hidden).
func (v *View) Point(cols []int) (*Point, error) {
	p := &Point{v: v}
	return p, v.decoder(&p.d, cols, nil)
}

// Get appends the row of the one selected key to out, if there is one.
func (p *Point) Get(keys, out *vec.Batch) error {
	p.key = p.v.AppendKey(p.key[:0], keys.Cols, keys.Row(0))
	value, c, err := p.v.get(p.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p.d.cols = out.Cols
	if err = p.d.row(value, out.N); err == nil {
		out.N++
	}
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// Find says for each selected key its row's commit, 0 for none.
func (v *View) Find(keys *vec.Batch, csn []storage.CSN) error {
	g := getters.Get().(*getter)
	defer getters.Put(g)
	for k := 0; k < keys.Rows(); k++ {
		csn[k] = 0
		g.key = v.AppendKey(g.key[:0], keys.Cols, keys.Row(k))
		err := v.look(g.key, func(value []byte) (err error) {
			csn[k], err = v.t.cfg.Sets.commit(value)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CountUpTo counts rows, at most limit of them.
func (v *View) CountUpTo(ctx context.Context, limit int) (int, error) {
	if v.r == nil {
		return 0, nil
	}
	it, err := v.iter(ctx, v.t.prefix, v.t.prefix, PrefixEnd(v.t.prefix))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok && n < limit; ok = it.Next() {
		n++
	}
	return n, it.Error()
}
