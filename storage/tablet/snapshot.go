package tablet

import (
	"context"
	"sync"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/vec"
)

// snapshot implements storage.Snapshot. With a transaction, its own rows lie over
// what is published.
type snapshot struct {
	s   *Store
	at  storage.CSN
	cat *catalog.Version
	tx  *tx
	own map[uint32]*ownTable // nil: no writes of a transaction
	// rows is what is published of row tablets; newest reads all that is stamped.
	rows   *rowView
	newest bool

	mu     sync.Mutex
	rels   []openRelation // few: a look-up should not make a map
	closed bool
}

type openRelation struct {
	id relationOf
	r  *relation
}

// CSN implements storage.Snapshot.
func (n *snapshot) CSN() storage.CSN { return n.at }

// Catalog implements storage.Snapshot.
func (n *snapshot) Catalog() *catalog.Version { return n.cat }

// Relation implements storage.Snapshot. It pins the table's files until Close.
func (n *snapshot) Relation(t *catalog.Table) (storage.Relation, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "snapshot is closed")
	}
	id := relationOf{tabletsOf{t.OID, t.IsBinlog}, t.Markers}
	for i := range n.rels {
		if n.rels[i].id == id {
			return n.rels[i].r, nil
		}
	}
	r, err := n.relation(t)
	if err != nil {
		return nil, err
	}
	n.rels = append(n.rels, openRelation{id, r})
	return r, nil
}

func (n *snapshot) relation(t *catalog.Table) (*relation, error) {
	if t.Kind != catalog.KindTable {
		return nil, sqlstate.Errorf(sqlstate.WrongObjectType, "%q is not a table", t.Name)
	}
	r := &relation{t: t, at: n.at}
	own := n.own[t.OID]
	if t.IsBinlog {
		own = nil // a transaction's changes get there when it commits
	}
	if own != nil && own.fresh {
		r.shards = own.gen.shards
	} else {
		tt := n.s.table(t.OID)
		if t.IsBinlog {
			tt = n.s.logTable(t.OID)
		}
		if tt == nil {
			return nil, sqlstate.Errorf(sqlstate.UndefinedTable, "could not open relation with OID %d", t.OID)
		}
		g := tt.at(n.at)
		if g == nil || g.shards == nil {
			return nil, sqlstate.Errorf(sqlstate.UndefinedTable, "could not open relation with OID %d", t.OID)
		}
		r.shards, r.since = g.shards, g.from
	}
	if len(r.shards) > 1 {
		r.keyAt, r.keyed = keyDistribution(t)
	}
	if own != nil && !own.fresh && !own.any() {
		own = nil
	}
	if len(r.shards) > 0 && r.shards[0].row != nil {
		var err error
		if r.rowOnly = r.shards[0].rowOnly(); r.rowOnly {
			r.rows, err = n.rowShards(t, r.shards, own)
			return r, err
		}
		if own == nil && n.rows != nil {
			if r.rows, err = n.rowShards(t, r.shards, nil); err != nil {
				return nil, err
			}
		}
	}
	r.parts = make([]*column.Snapshot, len(r.shards))
	if own != nil && own.any() {
		for i := range r.parts {
			r.part(i)
		}
		parts, err := own.over(n.s, r.parts)
		if err != nil {
			return nil, err
		}
		r.parts = parts
	}
	return r, nil
}

// Close implements storage.Snapshot.
func (n *snapshot) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.closed = true
	for _, o := range n.rels {
		o.r.close()
	}
	n.rels = nil
	if n.tx != nil {
		delete(n.tx.snaps, n)
	}
	n.rows.release()
	n.rows = nil
	n.s.marks.Release(n.at)
}

// relationOf names a relation of a snapshot.
type relationOf struct {
	tabletsOf
	markers bool
}

// relation implements storage.Relation over the shards of a table.
type relation struct {
	t      *catalog.Table
	at     storage.CSN
	shards []*shard
	keyAt  []int // positions in the key that decide the shard
	keyed  bool
	since  storage.CSN // the generation's beginning

	mu    sync.Mutex
	parts []*column.Snapshot // nil: not asked for yet

	// rows are of a table that is read by row: one without column tablets (rowOnly), or
	// a hybrid one.
	rows    []rowShard
	rowOnly bool
}

// part is the snapshot of a shard, taken when it is first wanted: a look-up by key
// wants one of them. The store keeps what its commit sees, since the snapshot that r
// is of is registered.
func (r *relation) part(i int) *column.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parts[i] == nil {
		r.parts[i] = r.shards[i].col.Snapshot(r.at).For(r.t)
	}
	return r.parts[i]
}

func (r *relation) close() {
	for i := range r.rows {
		r.rows[i].close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.parts {
		if p != nil {
			p.Close()
		}
	}
}

// byRow says whether a scan reads row tablets.
func (r *relation) byRow(spec *catalog.ScanSpec) bool {
	return r.rows != nil && (spec.ByRow || r.rowOnly)
}

// Splits implements storage.Relation.
func (r *relation) Splits(ctx context.Context, spec *catalog.ScanSpec) (splits []storage.Split, total int, err error) {
	if r.byRow(spec) {
		return r.rowSplits(ctx, spec)
	}
	spec = r.withoutMarkers(spec)
	for i := range r.parts {
		s, n, err := r.part(i).Splits(ctx, spec)
		if err != nil {
			return nil, 0, err
		}
		total += n
		splits = append(splits, s...)
	}
	return splits, total, nil
}

// Bounds implements storage.Relation.
func (r *relation) Bounds(col int) (lo, hi types.Datum) {
	if r.rowOnly {
		return types.Null, types.Null
	}
	t := types.Int8
	if col >= 0 {
		t = r.t.Columns[col].T
	}
	some := false
	for i := range r.parts {
		p := r.part(i)
		if p.Empty() {
			continue
		}
		l, h := p.Bounds(col)
		if !l.Valid || !h.Valid {
			return types.Null, types.Null
		}
		if !some || types.Compare(t, l, lo) < 0 {
			lo = l
		}
		if !some || types.Compare(t, h, hi) > 0 {
			hi = h
		}
		some = true
	}
	return lo, hi
}

// RowCount implements storage.Relation.
func (r *relation) RowCount() (rows int64, exact bool) {
	if r.rowOnly {
		return r.rowCount()
	}
	exact = true
	for i := range r.parts {
		n, e := r.part(i).RowCount()
		rows += n
		exact = exact && e && !r.t.IsBinlog // markers count
	}
	return rows, exact
}

// Reader implements storage.Relation.
func (r *relation) Reader(spec *catalog.ScanSpec) (storage.Reader, error) {
	if r.byRow(spec) {
		return r.rowReader(spec), nil
	}
	spec = r.withoutMarkers(spec)
	if len(r.parts) == 1 {
		return r.part(0).Reader(spec)
	}
	return &reader{r: r, spec: spec, shards: make([]storage.Reader, len(r.parts))}, nil
}

// reader reads splits of any shard, with a reader for each, made when needed.
type reader struct {
	r      *relation
	spec   *catalog.ScanSpec
	shards []storage.Reader
	cur    storage.Reader
	prunes []prune
}

type prune struct {
	col      int
	min, max types.Datum
}

// Open implements storage.Reader.
func (r *reader) Open(s storage.Split) error {
	if s.Shard >= len(r.shards) {
		return sqlstate.Errorf(sqlstate.InternalError, "split of another relation")
	}
	if r.shards[s.Shard] == nil {
		c, err := r.r.part(s.Shard).Reader(r.spec)
		if err != nil {
			return err
		}
		for _, p := range r.prunes {
			c.Prune(p.col, p.min, p.max)
		}
		r.shards[s.Shard] = c
	}
	r.cur = r.shards[s.Shard]
	return r.cur.Open(s)
}

// Next implements storage.Reader.
func (r *reader) Next() (*vec.Batch, error) {
	if r.cur == nil {
		return nil, nil
	}
	return r.cur.Next()
}

// Prune implements storage.Reader.
func (r *reader) Prune(i int, min, max types.Datum) {
	r.prunes = append(r.prunes, prune{i, min, max})
	for _, c := range r.shards {
		if c != nil {
			c.Prune(i, min, max)
		}
	}
}

// Close implements storage.Reader.
func (r *reader) Close() error {
	var err error
	for i, c := range r.shards {
		if c != nil {
			if cerr := c.Close(); err == nil {
				err = cerr
			}
			r.shards[i] = nil
		}
	}
	r.cur = nil
	return err
}

// Get implements storage.Relation.
func (r *relation) Get(ctx context.Context, keys *vec.Batch, cols []int, out *vec.Batch, idx []uint16) ([]uint16, error) {
	get := func(i int, keys *vec.Batch, idx []uint16) ([]uint16, error) {
		if r.rows != nil {
			return r.rows[i].get(ctx, keys, cols, out, idx)
		}
		return r.part(i).Get(ctx, keys, cols, out, idx)
	}
	if len(r.shards) == 1 {
		return get(0, keys, idx)
	}
	var err error
	if !r.keyed {
		for i := range r.shards {
			if idx, err = get(i, keys, idx); err != nil {
				return idx, err
			}
		}
		return idx, nil
	}
	if keys.Rows() == 1 {
		return get(shardOfKey(keys, r.keyAt, len(r.shards)), keys, idx)
	}
	rt := newRouter(len(r.shards))
	rt.route(pickCols(keys.Cols, r.keyAt), keys.Sel, keys.N)
	for i := range r.shards {
		if len(rt.sel[i]) == 0 {
			continue
		}
		if idx, err = get(i, &vec.Batch{Cols: keys.Cols, Sel: rt.sel[i], N: keys.N}, idx); err != nil {
			return idx, err
		}
	}
	return idx, nil
}

// shardOfKey is the shard, among n, of the one selected key.
func shardOfKey(keys *vec.Batch, keyAt []int, n int) int {
	row := keys.Row(0)
	var h uint32
	for _, at := range keyAt {
		h ^= shardHash(keys.Cols[at], row)
	}
	return types.ShardOfHash(h, n)
}

// find says for each key its row's commit, 0 for none, and which shard has it.
// A transaction's own rows have the commit ownCSN.
func (r *relation) find(keys *vec.Batch, csn []storage.CSN, shard []uint16) error {
	n := keys.Rows()
	clear(csn[:n])
	tmp := make([]storage.CSN, n)
	find := func(i int, keys *vec.Batch) error {
		if r.rows != nil {
			return r.rows[i].find(keys, tmp)
		}
		return r.part(i).Find(keys, tmp)
	}
	if !r.keyed || len(r.shards) == 1 {
		for i := range r.shards {
			if err := find(i, keys); err != nil {
				return err
			}
			for k := 0; k < n; k++ {
				if tmp[k] != 0 {
					csn[k], shard[k] = tmp[k], uint16(i)
				}
			}
		}
		return nil
	}
	rt := newRouter(len(r.shards))
	rt.route(pickCols(keys.Cols, r.keyAt), keys.Sel, keys.N)
	place := make([]uint16, keys.N)
	for k := 0; k < n; k++ {
		place[keys.Row(k)] = uint16(k)
	}
	for i := range r.shards {
		sel := rt.sel[i]
		if len(sel) == 0 {
			continue
		}
		if err := find(i, &vec.Batch{Cols: keys.Cols, Sel: sel, N: keys.N}); err != nil {
			return err
		}
		for j, row := range sel {
			csn[place[row]], shard[place[row]] = tmp[j], uint16(i)
		}
	}
	return nil
}

// ownCSN is the commit of a transaction's own rows, as find reports it.
const ownCSN = ^storage.CSN(0)

func pickCols(cols []*vec.Vec, at []int) []*vec.Vec {
	out := make([]*vec.Vec, len(at))
	for i, k := range at {
		out[i] = cols[k]
	}
	return out
}

// router splits rows by shard.
type router struct {
	n    int
	sel  [][]uint16
	hash []uint32
}

func newRouter(n int) *router { return &router{n: n, sel: make([][]uint16, n)} }

// route lists the selected rows of each shard in sel.
func (r *router) route(cols []*vec.Vec, sel []uint16, n int) {
	for i := range r.sel {
		r.sel[i] = r.sel[i][:0]
	}
	if cap(r.hash) < n {
		r.hash = make([]uint32, n)
	}
	h := r.hash[:n]
	clear(h)
	if r.n > 1 {
		for _, c := range cols {
			shardHashes(h, c, n)
		}
	}
	if sel != nil {
		for _, i := range sel {
			k := types.ShardOfHash(h[i], r.n)
			r.sel[k] = append(r.sel[k], i)
		}
		return
	}
	for i := range h {
		k := types.ShardOfHash(h[i], r.n)
		r.sel[k] = append(r.sel[k], uint16(i))
	}
}
