package op

import (
	"cmp"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// Frame is a window frame with its offsets computed.
type Frame struct {
	Mode       plan.FrameMode
	Start, End Bound
	Exclude    plan.Exclusion
}

// Bound is one end of a frame.
type Bound struct {
	Kind plan.BoundKind
	// Offset is the distance of Preceding and Following: rows, groups, or in RANGE
	// mode a value of type T that shifts the order key.
	Offset types.Datum
	T      types.T
	// Sub says whether a RANGE offset is subtracted from the key.
	Sub bool
	// Shift compiles two expressions over a column of keys: the key shifted by Offset,
	// and the key in the same type. Not for integers, floats and times.
	Shift func() (*eval.Program, error)
}

func (b *Bound) offset() bool { return b.Kind == plan.Preceding || b.Kind == plan.Following }

// check refuses offsets that make no frame. A distance in values is looked at only
// when there are rows, as in PostgreSQL.
func (f *Frame) check(rows bool) error {
	for _, x := range []struct {
		b    *Bound
		name string
	}{{&f.Start, "starting"}, {&f.End, "ending"}} {
		if !x.b.offset() {
			continue
		}
		if !x.b.Offset.Valid {
			return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "frame %s offset must not be null", x.name)
		}
		if !negative(x.b.T, x.b.Offset) {
			continue
		}
		if f.Mode == plan.Range {
			if !rows {
				continue
			}
			return sqlstate.Errorf(sqlstate.InvalidPrecedingOrFollowingSize, "invalid preceding or following size in window function")
		}
		return sqlstate.Errorf(sqlstate.InvalidPrecedingOrFollowingSize, "frame %s offset must not be negative", x.name)
	}
	return nil
}

func negative(t types.T, d types.Datum) bool {
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		return d.F < 0 || d.F != d.F
	case types.LayoutFixed16:
		return types.CompareFixed16(t.OID, d.Fixed16(), types.Fixed16{}) < 0
	case types.LayoutI128:
		return d.H < 0
	case types.LayoutView:
		zero := types.NumericFromInt64(nil, 0, 0)
		// NaN is above all numbers, and no distance either.
		return types.CompareNumeric([]byte(d.S), zero) < 0 || types.NumericIsNaN([]byte(d.S))
	}
	return d.I < 0
}

// whole says whether every row's frame is its partition.
func (f *Frame) whole(ordered bool) bool {
	if f.Exclude != plan.ExcludeNone {
		return false
	}
	peers := !ordered && f.Mode != plan.Rows
	return (f.Start.Kind == plan.UnboundedPreceding || f.Start.Kind == plan.CurrentRow && peers) &&
		(f.End.Kind == plan.UnboundedFollowing || f.End.Kind == plan.CurrentRow && peers)
}

// prefix says whether every row's frame begins with the partition.
func (f *Frame) prefix() bool {
	return f.Exclude == plan.ExcludeNone && f.Start.Kind == plan.UnboundedPreceding
}

// frames fills start and end, the frame of each row of the task's partition: empty
// when start ≥ end.
func (t *windowTask) frames(f *Frame, start, end []int32) error {
	if err := t.bound(f, &f.Start, true, start); err != nil {
		return err
	}
	return t.bound(f, &f.End, false, end)
}

// bound fills out with the first row of each frame, or with the row after its last.
func (t *windowTask) bound(f *Frame, b *Bound, start bool, out []int32) error {
	n := int32(t.n)
	off := int64(0)
	if b.offset() && f.Mode != plan.Range {
		off = min(b.Offset.I, math.MaxInt32)
		if b.Kind == plan.Preceding {
			off = -off
		}
	}
	clamp := func(x int64) int32 { return int32(min(max(x, 0), int64(n))) }
	switch {
	case b.Kind == plan.UnboundedPreceding:
		clear(out)
	case b.Kind == plan.UnboundedFollowing:
		return inPieces(t.n, t.w.run, func(from, to int) {
			for i := from; i < to; i++ {
				out[i] = n
			}
		})
	case f.Mode == plan.Rows:
		if !start {
			off++
		}
		return inPieces(t.n, t.w.run, func(from, to int) {
			for i := from; i < to; i++ {
				out[i] = clamp(int64(i) + off)
			}
		})
	case b.Kind == plan.CurrentRow && start:
		copy(out, t.peerStart)
	case b.Kind == plan.CurrentRow:
		copy(out, t.peerEnd)
	case f.Mode == plan.Groups:
		// The starts of the peer groups, and the end.
		t.groups = t.groups[:0]
		for i := int32(0); i < n; i = t.peerEnd[i] {
			t.groups = append(t.groups, i)
		}
		k := int64(len(t.groups))
		t.groups = append(t.groups, n)
		if !start {
			off++
		}
		g := int64(-1)
		return inPieces(t.n, t.w.run, func(from, to int) {
			for i := from; i < to; i++ {
				if int(t.peerStart[i]) == i {
					g++
				}
				out[i] = t.groups[min(max(g+off, 0), k)]
			}
		})
	default:
		return t.rangeBound(b, start, out)
	}
	return nil
}

// rangeBound finds the rows whose keys are within a distance. Rows without a key
// have their peers for a frame, and are in no other.
func (t *windowTask) rangeBound(b *Bound, start bool, out []int32) error {
	key := t.w.spec.Order[0]
	rows := t.w.Rows
	lo, hi := 0, t.n
	for lo < hi && rows.IsNull(key.Col, int(t.idx[lo])) {
		lo++
	}
	for lo < hi && rows.IsNull(key.Col, int(t.idx[hi-1])) {
		hi--
	}
	for i := 0; i < len(out); i++ {
		if i == lo {
			i = hi
		}
		if i == len(out) {
			break
		}
		if out[i] = t.peerStart[i]; !start {
			out[i] = t.peerEnd[i]
		}
	}
	if lo == hi {
		return nil
	}
	compare, err := t.shifted(b, start, lo, hi)
	if err != nil {
		return err
	}
	sign := 1
	if key.Desc {
		sign = -1
	}
	at := lo
	for i := lo; i < hi; i++ {
		if i&lookMask == 0 {
			if err := t.w.run.Interrupted(); err != nil {
				return err
			}
		}
		for at < hi {
			c := sign * compare(at, i)
			if c > 0 || c == 0 && start {
				break
			}
			at++
		}
		out[i] = int32(at)
	}
	return nil
}

// shifted makes a comparison of the key of row j with that of row i shifted by the
// bound's offset, for rows lo..hi-1.
func (t *windowTask) shifted(b *Bound, start bool, lo, hi int) (func(j, i int) int, error) {
	key := t.w.spec.Order[0]
	kt := t.w.Rows.T[key.Col]
	col := &t.w.Rows.cols[key.Col]
	t.rangeKey.Reset(kt)
	switch {
	case b.Shift != nil:
	case kt.Layout == types.LayoutF32 || kt.Layout == types.LayoutF64:
		f := func(i int) float64 { return rowFloat(t.w.Rows, col, int(t.idx[i])) }
		off := b.Offset.F
		if b.Sub {
			off = -off
		}
		// An infinite key an infinite distance back stands for all rows.
		far := math.Inf(1)
		if start != key.Desc {
			far = math.Inf(-1)
		}
		return func(j, i int) int {
			base := f(i)
			x := base + off
			if x != x && base == base {
				x = far
			}
			return types.CompareFloat(f(j), x)
		}, nil
	case kt.OID == types.TimetzOID: // times of day do not wrap around here
		_, _, off := b.Offset.Fixed16().IntervalParts()
		if b.Sub {
			off = -off
		}
		f := func(i int) types.Fixed16 { return at[types.Fixed16](col.data.Bytes(), int(t.idx[i])) }
		return func(j, i int) int {
			x := f(i)
			x.A += off
			return types.CompareFixed16(kt.OID, f(j), x)
		}, nil
	default:
		off := b.Offset.I
		if b.T.OID == types.IntervalOID { // of a time of day: days and months do not count
			_, _, off = b.Offset.Fixed16().IntervalParts()
		}
		if b.Sub {
			off = -off
		}
		f := func(i int) int64 { return rowInt(t.w.Rows, col, int(t.idx[i])) }
		return func(j, i int) int {
			base := f(i)
			x := base + off
			if (base^x)&(off^x) < 0 { // beyond all keys
				if off > 0 {
					return -1
				}
				return 1
			}
			return cmp.Compare(f(j), x)
		}, nil
	}
	p, err := b.Shift()
	if err != nil {
		return nil, err
	}
	if t.shift != nil {
		t.shift.Free()
	}
	t.shift = NewRows([]types.T{p.Type(0), p.Type(1)}, t.w.acct)
	in := &vec.Batch{Cols: []*vec.Vec{&t.rangeKey}}
	for from := lo; from < hi; from += vec.Size {
		m := min(vec.Size, hi-from)
		t.w.Rows.Gather(key.Col, t.idx[from:from+m], &t.rangeKey)
		in.N, in.Sel = m, nil
		vs, err := p.EvalAll(in)
		if err == nil {
			err = t.w.run.Interrupted()
		}
		if err != nil {
			return nil, err
		}
		if err := t.shift.AppendCols(vs, nil, m); err != nil {
			return nil, err
		}
	}
	bound, keys := &t.shift.cols[0], &t.shift.cols[1]
	if keys.t.OID == types.NumericOID && keys.t.Layout == types.LayoutView && bound.t.Layout == types.LayoutView {
		// As with floats: an infinite key an infinite distance back stands for all rows.
		far := []byte(types.NumericInf)
		if start != key.Desc {
			far = []byte(types.NumericNegInf)
		}
		return func(j, i int) int {
			x := bound.bytes(i - lo)
			if types.NumericIsNaN(x) && !types.NumericIsNaN(keys.bytes(i-lo)) {
				x = far
			}
			return types.CompareNumeric(keys.bytes(j-lo), x)
		}, nil
	}
	return func(j, i int) int { return compareCols(keys, t.shift.N, j-lo, bound, t.shift.N, i-lo) }, nil
}

func rowInt(r *Rows, c *rowsCol, i int) int64 {
	d := c.data.Bytes()
	switch c.t.Layout {
	case types.LayoutI16:
		return int64(at[int16](d, i))
	case types.LayoutI32:
		return int64(at[int32](d, i))
	}
	return at[int64](d, i)
}

func rowFloat(r *Rows, c *rowsCol, i int) float64 {
	if c.t.Layout == types.LayoutF32 {
		return float64(at[float32](c.data.Bytes(), i))
	}
	return at[float64](c.data.Bytes(), i)
}

// framesRows calls f with the runs of rows that make up the frame of row i, at most
// three, in order.
func (t *windowTask) frameRows(f *Frame, i int, start, end int32, do func(from, to int32)) {
	run := func(from, to int32) {
		if from = max(from, start); from < min(to, end) {
			do(from, min(to, end))
		}
	}
	switch f.Exclude {
	case plan.ExcludeNone:
		run(start, end)
	case plan.ExcludeCurrentRow:
		run(start, int32(i))
		run(int32(i)+1, end)
	case plan.ExcludeGroup:
		run(start, t.peerStart[i])
		run(t.peerEnd[i], end)
	case plan.ExcludeTies:
		run(start, t.peerStart[i])
		run(int32(i), int32(i)+1)
		run(t.peerEnd[i], end)
	}
}

// excluded says whether row j is out of row i's frame by EXCLUDE; nil for no such
// clause.
func (t *windowTask) excluded(f *Frame) func(i, j int) bool {
	peers := func(i, j int) bool { return int(t.peerStart[i]) <= j && j < int(t.peerEnd[i]) }
	switch f.Exclude {
	case plan.ExcludeCurrentRow:
		return func(i, j int) bool { return i == j }
	case plan.ExcludeGroup:
		return peers
	case plan.ExcludeTies:
		return func(i, j int) bool { return i != j && peers(i, j) }
	}
	return nil
}
