package binlog

import (
	"context"
	"io"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// Options say what to read. Zero fields take the defaults.
type Options struct {
	Table uint32
	// From is where to begin; the zero Position: at the oldest record there is.
	From Position
	// Shards are those to read, all by default.
	Shards []int
	// Columns are the ids of the table's columns to read; nil: all that it has.
	Columns []int32
	// Rows is the most records in a batch (2,048); an update that begins as the last
	// one is not split.
	Rows int
	// Follow has Next wait for new records, instead of io.EOF after those that were
	// published by then.
	Follow bool
}

// Reader reads the binlog of a table, record by record of a shard in their order, the
// shards beside each other by age. Used by one goroutine at a time.
//
// It holds a snapshot only while there is something to read, and takes a new one now
// and then, so that a slow consumer does not keep old files.
type Reader struct {
	s      storage.BinlogStore
	o      Options
	pos    Position
	seen   storage.CSN
	snap   storage.Snapshot
	taken  time.Time
	table  *catalog.Table
	shards []*shardReader
	gap    *GapError
	closed bool
}

const (
	defaultRows = 2048
	// renew is how old a snapshot may grow.
	renew = 2 * time.Second
)

// Open makes a reader. What is gone already is an error here, what goes later one of
// Next.
func Open(ctx context.Context, s storage.BinlogStore, o Options) (*Reader, error) {
	if o.Rows <= 0 {
		o.Rows = defaultRows
	}
	r := &Reader{s: s, o: o, pos: o.From.Clone()}
	if err := r.open(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Position is what has been read: everything up to the end of the last batch.
func (r *Reader) Position() Position { return r.pos.Clone() }

// Seen is the newest commit up to which everything has been read.
func (r *Reader) Seen() storage.CSN { return r.seen }

// open takes a snapshot and looks for what it has after the position.
func (r *Reader) open(ctx context.Context) error {
	r.release()
	r.snap, r.taken = r.s.Snapshot(), time.Now()
	t := r.snap.Catalog().Table(r.o.Table)
	switch {
	case t == nil || t.Kind != catalog.KindTable:
		return errNoTable(r.o.Table)
	case !t.KeepsBinlog():
		return errNoBinlog(t.Name)
	}
	r.table = t
	b := t.Binlog()
	b.Markers = true
	x, err := r.snap.Relation(b)
	if err != nil {
		return err
	}
	rel, ok := x.(storage.BinlogRelation)
	if !ok {
		return sqlstate.Errorf(sqlstate.InternalError, "the store cannot read binlogs")
	}
	if err := r.pos.settle(t.Name, rel, r.o.Shards); err != nil {
		return err
	}
	cols, err := r.columns(t, b)
	if err != nil {
		return err
	}
	for shard := range rel.Shards() {
		if !r.reads(shard) {
			continue
		}
		q := &shardReader{shard: shard, rel: rel, cols: cols}
		r.shards = append(r.shards, q)
		if err := q.open(ctx, b, r.pos.LSN[shard]); err != nil {
			return err
		}
	}
	return nil
}

// settle checks a position against what a binlog still has, and makes the zero
// position that of the oldest record.
func (p *Position) settle(table string, rel storage.BinlogRelation, shards []int) error {
	if p.IsZero() {
		p.Since, p.LSN = rel.Since(), make([]int64, rel.Shards())
		for i := range p.LSN {
			p.LSN[i] = rel.Floor(i)
		}
	}
	if p.Since != rel.Since() || len(p.LSN) != rel.Shards() {
		return errOther(table, *p, rel.Since())
	}
	for _, i := range shards {
		if i < 0 || i >= rel.Shards() {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "table %q has no shard %d", table, i)
		}
	}
	for i, n := range p.LSN {
		if floor := rel.Floor(i); n < floor && (shards == nil || contains(shards, i)) {
			return errExpired(table, i, n, floor)
		}
	}
	return nil
}

func contains(list []int, x int) bool {
	for _, i := range list {
		if i == x {
			return true
		}
	}
	return false
}

func (r *Reader) reads(shard int) bool { return r.o.Shards == nil || contains(r.o.Shards, shard) }

// columns are the ordinals to scan: those asked for, then those of the binlog.
func (r *Reader) columns(t, b *catalog.Table) ([]int, error) {
	var cols []int
	if r.o.Columns == nil {
		for i := range t.Columns {
			cols = append(cols, i)
		}
	}
	for _, id := range r.o.Columns {
		at := -1
		for i := range t.Columns {
			if t.Columns[i].ID == id {
				at = i
			}
		}
		if at < 0 {
			return nil, sqlstate.Errorf(sqlstate.UndefinedColumn, "a column of table %q that is read has been dropped", t.Name)
		}
		cols = append(cols, at)
	}
	return append(cols, b.BinlogLSN(), b.BinlogType(), b.BinlogTime(), catalog.ColCSN), nil
}

// Next is the next batch. It lives until the next call.
func (r *Reader) Next(ctx context.Context) (*Batch, error) {
	for {
		if r.closed {
			return nil, sqlstate.Errorf(sqlstate.InternalError, "reader of a binlog is closed")
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if r.gap != nil {
			return nil, r.gap
		}
		if r.snap == nil || time.Since(r.taken) > renew {
			if err := r.open(ctx); err != nil {
				return nil, err
			}
		}
		var q *shardReader
		for _, p := range r.shards {
			if !p.done() && (q == nil || p.head() < q.head()) {
				q = p
			}
		}
		if q == nil {
			r.seen = r.snap.CSN()
			r.release()
			if !r.o.Follow {
				return nil, io.EOF
			}
			if err := r.s.AwaitPublished(ctx, r.seen); err != nil {
				return nil, err
			}
			continue
		}
		b, gap, err := q.take(r.o.Rows)
		if err != nil {
			return nil, err
		}
		if gap != nil {
			gap.Table = r.table.Name
			r.gap = gap
		}
		if b.Len() == 0 {
			continue
		}
		b.Table = r.table
		r.pos.LSN[q.shard] = b.LSN[b.Len()-1]
		return b, nil
	}
}

// Skip goes on behind the gap that Next has told of.
func (r *Reader) Skip() {
	if r.gap == nil {
		return
	}
	r.pos.LSN[r.gap.Shard] = r.gap.LSN
	r.gap = nil
	r.release()
}

func (r *Reader) release() {
	for _, q := range r.shards {
		q.close()
	}
	r.shards = nil
	if r.snap != nil {
		r.snap.Close()
		r.snap = nil
	}
}

// Close releases what the reader holds.
func (r *Reader) Close() {
	r.release()
	r.closed = true
}
