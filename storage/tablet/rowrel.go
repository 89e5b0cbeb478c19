package tablet

import (
	"context"
	"math"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/row"
	"github.com/millrace/millrace/storage/vec"
)

// rowShard is a shard of a relation that is read from its row tablet, with a
// transaction's own rows beside it.
type rowShard struct {
	view *row.View
	own  *column.Snapshot // nil: none
	hide *hidden
	seen int // how much of hide counts
}

// hidden are the keys of rows that a transaction replaced or deleted, as stored, by
// the number of the operation that did so first. What it upserted or inserted is not
// among them: that is found in its own rows.
type hidden struct {
	keys         map[string]int
	chunks, rows int // how far the list of operations was looked at
	n            int
}

// hides brings a shard's hidden keys up to its list of operations.
func (s *ownShard) hides(v *row.View) *hidden {
	h := s.hidden
	if h == nil || h.chunks > len(s.chunks) {
		h = &hidden{keys: map[string]int{}}
		s.hidden = h
	}
	var key []byte
	for ; h.chunks < len(s.chunks); h.chunks, h.rows = h.chunks+1, 0 {
		c := &s.chunks[h.chunks]
		for ; c.Keys != nil && h.rows < c.Len(); h.rows++ {
			key = v.AppendKey(key[:0], c.Keys.Cols, h.rows)
			if _, have := h.keys[string(key)]; !have {
				h.keys[string(key)] = h.n
			}
			h.n++
		}
		if c.Keys == nil {
			continue
		}
	}
	return h
}

func (s *rowShard) hidesKey(key []byte) bool {
	if s.hide == nil {
		return false
	}
	n, ok := s.hide.keys[string(key)]
	return ok && n < s.seen
}

// close lets go of own rows.
func (s *rowShard) close() {
	if s.own != nil {
		s.own.Close()
	}
}

// rowShards reads a table of orientation row.
func (n *snapshot) rowShards(t *catalog.Table, shards []*shard, own *ownTable) ([]rowShard, error) {
	out := make([]rowShard, len(shards))
	fail := func(err error) ([]rowShard, error) {
		for i := range out {
			out[i].close()
		}
		return nil, err
	}
	if own != nil {
		if err := own.join(context.Background()); err != nil {
			return nil, err
		}
	}
	for i, sh := range shards {
		s := &out[i]
		switch {
		case own != nil && own.fresh:
			s.view = sh.row.View(nil, t)
		case n.newest:
			s.view = sh.row.Newest(t)
		case n.rows == nil:
			s.view = sh.row.View(nil, t) // from before there were any rows
		default:
			s.view = sh.row.View(n.rows.snap, t)
		}
		if own == nil || !own.shards[i].any() {
			continue
		}
		o := own.shards[i]
		if o.blind {
			return fail(errBlind)
		}
		o.sealed = len(o.chunks)
		var err error
		if s.own, err = o.need(n.s, own.t, i).Over(nil, o.chunks); err != nil {
			s.own = nil
			return fail(err)
		}
		s.own.For(t)
		s.hide = o.hides(s.view)
		s.seen = s.hide.n
	}
	return out, nil
}

// rowFilter is a compiled filter as row readers take it.
type rowFilter struct{ *column.Simple }

// Range implements row.Filter.
func (f rowFilter) Range(col int) row.Range {
	lo, hi := f.Simple.Range(col)
	return row.Range{Lo: lo, Hi: hi}
}

func compileRowFilter(filter []expr.Expr) rowFilter { return rowFilter{column.NewSimple(filter)} }

// rowPart marks the splits of row tablets.
const rowPart = -1

// rowSplits lists the shards that may have rows for spec.
func (r *relation) rowSplits(ctx context.Context, spec *catalog.ScanSpec) (splits []storage.Split, total int, err error) {
	f := compileRowFilter(spec.Filter)
	only := r.shardOf(f)
	for i := range r.rows {
		s := &r.rows[i]
		total++
		if only >= 0 && only != i {
			continue
		}
		if _, _, ok := s.view.Bounds(f); ok {
			splits = append(splits, storage.Split{Shard: i, Part: rowPart, Rows: vec.BlockRows, InOrder: spec.First > 0})
		}
		if s.own != nil {
			own, n, err := s.own.Splits(ctx, spec)
			if err != nil {
				return nil, 0, err
			}
			splits = append(splits, own...)
			total += n
		}
	}
	return splits, total, nil
}

// shardOf is the only shard whose rows can pass the filter; -1 when there may be
// several.
func (r *relation) shardOf(f rowFilter) int {
	if len(r.rows) == 1 {
		return 0
	}
	dist := distribution(r.t)
	if len(dist) == 0 {
		return -1
	}
	cols := make([]*vec.Vec, len(dist))
	for i, o := range dist {
		t := r.t.Columns[o].T
		x := f.Range(o)
		if !x.Lo.Valid || !x.Hi.Valid || types.Compare(t, x.Lo, x.Hi) != 0 {
			return -1
		}
		cols[i] = vec.New(t, 1)
		cols[i].AppendDatum(x.Lo)
	}
	rt := newRouter(len(r.rows))
	rt.route(cols, nil, 1)
	return slices.IndexFunc(rt.sel, func(s []uint16) bool { return len(s) > 0 })
}

// rowReader reads the splits of row tablets and of own rows.
type rowReader struct {
	r      *relation
	spec   *catalog.ScanSpec
	shards []rowShardReader
	prunes []prune
	cur    storage.Reader
}

type rowShardReader struct {
	stored *storedReader
	own    storage.Reader
}

func (r *relation) rowReader(spec *catalog.ScanSpec) storage.Reader {
	return &rowReader{r: r, spec: spec, shards: make([]rowShardReader, len(r.rows))}
}

// Open implements storage.Reader.
func (r *rowReader) Open(s storage.Split) error {
	if s.Shard >= len(r.shards) {
		return sqlstate.Errorf(sqlstate.InternalError, "split of another relation")
	}
	sh, from := &r.shards[s.Shard], &r.r.rows[s.Shard]
	if s.Part == rowPart {
		if sh.stored == nil {
			var err error
			if sh.stored, err = newStoredReader(from, r.spec); err != nil {
				return err
			}
		}
		for ; sh.stored.pruned < len(r.prunes); sh.stored.pruned++ {
			p := &r.prunes[sh.stored.pruned]
			sh.stored.r.Prune(p.col, p.min, p.max)
		}
		r.cur = sh.stored
		return sh.stored.r.Open(nil, nil)
	}
	if sh.own == nil {
		o, err := from.own.Reader(r.spec)
		if err != nil {
			return err
		}
		for _, p := range r.prunes {
			o.Prune(p.col, p.min, p.max)
		}
		sh.own = o
	}
	r.cur = sh.own
	return sh.own.Open(s)
}

// Next implements storage.Reader.
func (r *rowReader) Next() (*vec.Batch, error) {
	if r.cur == nil {
		return nil, nil
	}
	return r.cur.Next()
}

// Prune implements storage.Reader.
func (r *rowReader) Prune(i int, min, max types.Datum) {
	r.prunes = append(r.prunes, prune{i, min, max})
	for k := range r.shards {
		if o := r.shards[k].own; o != nil {
			o.Prune(i, min, max)
		}
	}
}

// Close implements storage.Reader.
func (r *rowReader) Close() error {
	var err error
	for i := range r.shards {
		sh := &r.shards[i]
		if sh.stored != nil {
			if cerr := sh.stored.r.Close(); err == nil {
				err = cerr
			}
		}
		if sh.own != nil {
			if cerr := sh.own.Close(); err == nil {
				err = cerr
			}
		}
		*sh = rowShardReader{}
	}
	r.cur = nil
	return err
}

// storedReader reads a shard's stored rows, less those that own ones hide.
type storedReader struct {
	s      *rowShard
	r      *row.Reader
	pruned int
	cols   int
	out    vec.Batch
	sel    []uint16
	csn    []storage.CSN
	key    []byte
}

func newStoredReader(s *rowShard, spec *catalog.ScanSpec) (*storedReader, error) {
	cols := spec.Cols
	if s.own != nil {
		cols = append(slices.Clip(cols), s.view.Table().PK...)
	}
	r, err := s.view.Reader(context.Background(), cols, compileRowFilter(spec.Filter), spec.Limit >= 0)
	if err != nil {
		return nil, err
	}
	first := spec.First
	if s.own != nil && first > 0 {
		first = math.MaxInt64 // of those that own rows hide
	}
	r.Wanted(first, spec.Last)
	return &storedReader{s: s, r: r, cols: len(spec.Cols)}, nil
}

// Open implements storage.Reader.
func (r *storedReader) Open(storage.Split) error { return r.r.Open(nil, nil) }

// Prune implements storage.Reader.
func (r *storedReader) Prune(i int, min, max types.Datum) { r.r.Prune(i, min, max) }

// Close implements storage.Reader.
func (r *storedReader) Close() error { return r.r.Close() }

// Next implements storage.Reader.
func (r *storedReader) Next() (*vec.Batch, error) {
	b, err := r.r.Next()
	if b == nil || err != nil || r.s.own == nil {
		return b, err
	}
	if r.sel == nil {
		r.sel = make([]uint16, 0, vec.Size) // nil would stand for all rows
	}
	r.sel = r.sel[:0]
	if keys := (vec.Batch{Cols: b.Cols[r.cols:], Sel: b.Sel, N: b.N}); keys.Rows() > 0 {
		if r.sel, err = r.s.visible(&keys, r.sel, &r.csn, &r.key); err != nil {
			return nil, err
		}
	}
	r.out.Cols, r.out.N, r.out.Sel = b.Cols[:r.cols], b.N, r.sel
	return &r.out, nil
}

// visible lists the selected keys that own rows do not hide.
func (s *rowShard) visible(keys *vec.Batch, sel []uint16, csn *[]storage.CSN, key *[]byte) ([]uint16, error) {
	n := keys.Rows()
	if cap(*csn) < n {
		*csn = make([]storage.CSN, n)
	}
	c := (*csn)[:n]
	if err := s.own.Find(keys, c); err != nil {
		return nil, err
	}
	for k := 0; k < n; k++ {
		if c[k] != 0 {
			continue
		}
		i := keys.Row(k)
		*key = s.view.AppendKey((*key)[:0], keys.Cols, i)
		if !s.hidesKey(*key) {
			sel = append(sel, uint16(i))
		}
	}
	return sel, nil
}

// get is relation.Get for the keys of one shard.
func (s *rowShard) get(ctx context.Context, keys *vec.Batch, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error) {
	if s.own == nil {
		return s.view.Get(ctx, keys, cols, out, idx)
	}
	idx, err := s.own.Get(ctx, keys, cols, out, idx)
	if err != nil {
		return idx, err
	}
	var csn []storage.CSN
	var key []byte
	sel, err := s.visible(keys, []uint16{}, &csn, &key)
	if err != nil {
		return idx, err
	}
	return s.view.Get(ctx, &vec.Batch{Cols: keys.Cols, Sel: sel, N: keys.N}, cols, out, idx)
}

// find is relation.find for the keys of one shard.
func (s *rowShard) find(keys *vec.Batch, csn []storage.CSN) error {
	if s.own == nil {
		return s.view.Find(keys, csn)
	}
	if err := s.view.Find(keys, csn); err != nil {
		return err
	}
	own := make([]storage.CSN, keys.Rows())
	if err := s.own.Find(keys, own); err != nil {
		return err
	}
	var key []byte
	for k := range own {
		if own[k] != 0 {
			csn[k] = own[k]
			continue
		}
		key = s.view.AppendKey(key[:0], keys.Cols, keys.Row(k))
		if s.hidesKey(key) {
			csn[k] = 0
		}
	}
	return nil
}

// rowCount counts the rows of a table of orientation row.
func (r *relation) rowCount() (rows int64, exact bool) {
	exact = true
	for i := range r.rows {
		s := &r.rows[i]
		n, e := s.view.RowCount(context.Background())
		rows += n
		exact = exact && e
		if s.own != nil {
			n, _ := s.own.RowCount()
			rows += n
			exact = false
		}
	}
	return rows, exact
}
