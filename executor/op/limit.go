package op

import (
	"sync/atomic"

	"github.com/millrace/millrace/storage/vec"
)

// Limit is the LIMIT and OFFSET that the lanes of a pipeline share: each row takes
// a number from one counter. With one lane the rows are the first ones.
type Limit struct {
	Offset, Count int64 // Count -1: all
	taken         atomic.Int64
}

// end is the number after the last row wanted, -1 for none.
func (s *Limit) end() int64 {
	if s.Count < 0 || s.Offset > 1<<62-s.Count {
		return -1
	}
	return s.Offset + s.Count
}

// LimitLane is one lane of a Limit.
type LimitLane struct {
	In   Operator
	S    *Limit
	sel  []uint16
	done bool
}

// Next implements Operator. The source is not asked again once enough rows were
// taken by all lanes together.
func (o *LimitLane) Next() (*vec.Batch, error) {
	end := o.S.end()
	if o.done || end >= 0 && o.S.taken.Load() >= end {
		o.done = true
		return nil, nil
	}
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	n := int64(b.Rows())
	if n == 0 {
		return b, nil
	}
	from := o.S.taken.Add(n) - n
	lo, hi := min(max(o.S.Offset-from, 0), n), n
	if end >= 0 {
		hi = max(min(end-from, n), lo)
	}
	if lo == 0 && hi == n {
		return b, nil
	}
	if b.Sel == nil {
		o.sel = physical(nil, b.N, o.sel)
		b.Sel = o.sel
	}
	b.Sel = b.Sel[lo:hi]
	return b, nil
}

// Close implements Operator.
func (o *LimitLane) Close() { o.In.Close() }

// LimitTies is LIMIT … WITH TIES over sorted input, on one lane: rows that equal
// the last one in the sort keys follow it.
type LimitTies struct {
	In            Operator
	Offset, Count int64
	Keys          []int // columns of the input
	seen          int64
	last          *Rows // the last row within Count
	cmp           keyCompare
	sel           []uint16
	ids           []uint32
	ne            []uint8
	keys          []*vec.Vec
	done          bool
}

// NewLimitTies makes the operator; last is an empty store of the keys' types.
func NewLimitTies(in Operator, offset, count int64, keys []int, last *Rows) *LimitTies {
	return &LimitTies{In: in, Offset: offset, Count: count, Keys: keys, last: last}
}

// Next implements Operator.
func (o *LimitTies) Next() (*vec.Batch, error) {
	if o.done || o.Count == 0 {
		return nil, nil
	}
	b, err := o.In.Next()
	if b == nil || err != nil {
		return nil, err
	}
	rows := rowsOf(b)
	n := int64(len(rows))
	if n == 0 {
		return b, nil
	}
	from := o.seen
	o.seen += n
	end := o.Offset + o.Count
	lo, hi := min(max(o.Offset-from, 0), n), max(min(end-from, n), 0)
	o.keys = o.keys[:0]
	for _, c := range o.Keys {
		o.keys = append(o.keys, b.Cols[c])
	}
	if from < end && from+n >= end {
		o.last.Reset()
		if err := o.last.AppendCols(o.keys, rows[hi-1:hi], 0); err != nil {
			return nil, err
		}
	}
	if from+n > end {
		rest := rows[hi:]
		o.ids = grown(o.ids, len(rest))
		clear(o.ids)
		o.ne = grown(o.ne, len(rest))
		o.cmp.differ(o.ne, o.keys, rest, o.last, 0, o.ids)
		for _, d := range o.ne {
			if d != 0 {
				o.done = true
				break
			}
			hi++
		}
	}
	o.sel = append(o.sel[:0], rows[lo:hi]...)
	b.Sel = selection(o.sel)
	return b, nil
}

// Close implements Operator.
func (o *LimitTies) Close() {
	o.In.Close()
	o.last.Free()
}
