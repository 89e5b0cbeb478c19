package binlog

import (
	"context"
	"math"
	"sort"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// shardReader reads one shard of a binlog in the order of its numbers. Parts of it are
// in order, and as a rule follow one another; a large commit's files may lie among the
// numbers of a memtable or of another file, so that few parts are merged.
type shardReader struct {
	shard int
	rel   storage.BinlogRelation
	cols  []int // the last four are the binlog's
	spec  *catalog.ScanSpec
	todo  []part
	begun []*cursor // those begun
	out   Batch
	sel   []uint16
}

// part is a split and the least number that it may have.
type part struct {
	split storage.Split
	lo    int64
}

// cursor reads one split.
type cursor struct {
	r   storage.Reader
	b   *vec.Batch
	lsn *vec.Vec
	at  int // in b's selection
}

var int8Greater = fn.ByOID(470)

// open lists the parts with numbers above after.
func (q *shardReader) open(ctx context.Context, b *catalog.Table, after int64) error {
	lsn := &expr.Call{Op: ">", Fn: int8Greater, T: types.Bool, Args: []expr.Expr{
		&expr.Column{ID: b.BinlogLSN(), T: types.Int8}, &expr.Const{T: types.Int8, D: types.NewInt(after)}}}
	q.spec = &catalog.ScanSpec{Cols: q.cols, Filter: []expr.Expr{lsn}, Limit: -1}
	splits, _, err := q.rel.Splits(ctx, q.spec)
	if err != nil {
		return err
	}
	for _, s := range splits {
		if s.Shard == q.shard {
			lo, _ := q.rel.Numbers(s)
			q.todo = append(q.todo, part{s, lo})
		}
	}
	sort.Slice(q.todo, func(i, j int) bool {
		a, b := &q.todo[i], &q.todo[j]
		switch {
		case a.lo != b.lo:
			return a.lo < b.lo
		case a.split.Part != b.split.Part:
			return a.split.Part < b.split.Part
		}
		return a.split.Block < b.split.Block
	})
	return q.begin()
}

// begin opens the parts that may have the next number.
func (q *shardReader) begin() error {
	for len(q.todo) > 0 && (len(q.begun) == 0 || q.todo[0].lo <= q.head()) {
		r, err := q.rel.Reader(q.spec)
		if err != nil {
			return err
		}
		c := &cursor{r: r}
		if err = r.Open(q.todo[0].split); err == nil {
			err = c.next()
		}
		if err != nil {
			r.Close()
			return err
		}
		q.todo = q.todo[1:]
		if c.b == nil {
			r.Close()
			continue
		}
		q.begun = append(q.begun, c)
	}
	return nil
}

// next moves to the next batch.
func (c *cursor) next() (err error) {
	c.b, err = c.r.Next()
	if c.b != nil {
		c.at, c.lsn = 0, c.b.Cols[len(c.b.Cols)-4]
	}
	return err
}

func (c *cursor) head() int64 { return c.number(c.at) }

func (c *cursor) number(k int) int64 { return c.lsn.I64[c.lsn.Index(c.b.Row(k))] }

func (q *shardReader) done() bool { return len(q.begun) == 0 }

// head is the next number.
func (q *shardReader) head() int64 {
	n := int64(math.MaxInt64)
	for _, c := range q.begun {
		n = min(n, c.head())
	}
	return n
}

// take takes up to rows records, and one more where it would split an update. A gap
// ends it: it comes after the records.
func (q *shardReader) take(rows int) (*Batch, *GapError, error) {
	o := &q.out
	o.Shard = q.shard
	if o.Rows == nil {
		o.Rows = &vec.Batch{}
		for _, v := range q.begun[0].b.Cols[:len(q.cols)-4] {
			o.Rows.Cols = append(o.Rows.Cols, vec.New(v.T, min(rows, 128)))
		}
	} else {
		o.Rows.Reset()
	}
	o.LSN, o.Event, o.Time, o.CSN = o.LSN[:0], o.Event[:0], o.Time[:0], o.CSN[:0]
	for len(q.begun) > 0 {
		half := len(o.Event) > 0 && o.Event[len(o.Event)-1] == storage.EventBeforeUpdate
		if len(o.LSN) >= rows && !half {
			break
		}
		// The cursor with the next number, and up to where it is ahead of all others.
		at, bound := 0, int64(math.MaxInt64)
		for i, c := range q.begun {
			if c.head() < q.begun[at].head() {
				at = i
			}
		}
		for i, c := range q.begun {
			if i != at {
				bound = min(bound, c.head())
			}
		}
		if len(q.todo) > 0 {
			bound = min(bound, q.todo[0].lo)
		}
		c := q.begun[at]
		gap := q.run(c, bound, max(rows-len(o.LSN), 1))
		if gap != nil {
			return o, gap, nil
		}
		if c.at == c.b.Rows() {
			if err := c.next(); err != nil {
				return nil, nil, err
			}
			if c.b == nil {
				c.r.Close()
				q.begun = append(q.begun[:at], q.begun[at+1:]...)
			}
		}
		if err := q.begin(); err != nil {
			return nil, nil, err
		}
	}
	return o, nil, nil
}

// run takes up to rows records of a cursor with numbers below bound.
func (q *shardReader) run(c *cursor, bound int64, rows int) *GapError {
	o, own := &q.out, c.b.Cols[len(c.b.Cols)-4:]
	q.sel = q.sel[:0]
	var gap *GapError
	for ; c.at < c.b.Rows() && len(q.sel) < rows && c.head() < bound; c.at++ {
		i := c.b.Row(c.at)
		num := func(k int) int64 { return own[k].I64[own[k].Index(i)] }
		e := storage.Event(num(1))
		if e == storage.EventGap {
			gap = &GapError{Shard: q.shard, LSN: num(0), CSN: storage.CSN(num(3))}
			break
		}
		q.sel = append(q.sel, uint16(i))
		o.LSN, o.Event = append(o.LSN, num(0)), append(o.Event, e)
		o.Time, o.CSN = append(o.Time, num(2)), append(o.CSN, storage.CSN(num(3)))
	}
	for i, v := range o.Rows.Cols {
		v.Copy(c.b.Cols[i], q.sel, c.b.N)
	}
	o.Rows.N += len(q.sel)
	return gap
}

func (q *shardReader) close() {
	for _, c := range q.begun {
		c.r.Close()
	}
	q.begun, q.todo = nil, nil
}
