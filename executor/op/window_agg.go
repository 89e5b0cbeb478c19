package op

import (
	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/storage/vec"
)

// argRows feeds rows of a Window's store to an aggregate's states, a batch at a time.
type argRows struct {
	t      *windowTask
	f      *WindowFunc
	state  agg.State
	args   []*vec.Vec
	filter vec.Vec
	rows   []uint32 // numbers of stored rows
	groups []uint32
	sel    []uint16
}

func (a *argRows) init(t *windowTask, f *WindowFunc) {
	a.t, a.f = t, f
	for range f.Args {
		a.args = append(a.args, &vec.Vec{})
	}
}

// add notes one row for a group.
func (a *argRows) add(row, group uint32) error {
	a.rows, a.groups = append(a.rows, row), append(a.groups, group)
	if len(a.rows) < vec.Size {
		return nil
	}
	return a.flush()
}

// flush gives the noted rows to the states.
func (a *argRows) flush() error {
	n := len(a.rows)
	if n == 0 {
		return nil
	}
	err := a.update(a.rows, a.groups)
	a.rows, a.groups = a.rows[:0], a.groups[:0]
	if err != nil {
		return err
	}
	return a.t.w.run.Interrupted()
}

func (a *argRows) update(rows, groups []uint32) error {
	store := a.t.w.Rows
	for k, c := range a.f.Args {
		store.Gather(c, rows, a.args[k])
	}
	if a.f.Filter < 0 {
		return a.state.Update(a.args, nil, len(rows), groups)
	}
	sel := a.passing(rows)
	if len(sel) == 0 {
		return nil
	}
	for k, i := range sel { // groups go with the selected rows
		groups[k] = groups[i]
	}
	return a.state.Update(a.args, sel, len(sel), groups[:len(sel)])
}

// passing lists the places of rows that FILTER lets through.
func (a *argRows) passing(rows []uint32) []uint16 {
	a.t.w.Rows.Gather(a.f.Filter, rows, &a.filter)
	a.sel = a.sel[:0]
	for i := range rows {
		if !a.filter.IsNull(i) && vec.Bit(a.filter.Bits, i) {
			a.sel = append(a.sel, uint16(i))
		}
	}
	return a.sel
}

// wholeCall computes an aggregate over all rows of each partition: a group for
// each partition, fed by batches over the whole task. Where the order of the rows
// matters, a partition is fed once it is sorted.
type wholeCall struct {
	argRows
	inOrder bool
	vals    *vec.Vec // by partition
	one     vec.Vec
	held    int64
}

func (t *windowTask) wholeCall(f *WindowFunc) (windowCall, error) {
	st, err := agg.New(f.Agg)
	if err != nil {
		return nil, err
	}
	n := t.end - t.first
	st.Grow(n)
	w := t.w
	c := &wholeCall{inOrder: len(w.spec.Order) > 0 && !f.Merges}
	c.init(t, f)
	c.state = st
	if c.inOrder {
		c.vals = vec.New(f.T, 1)
		return c, c.charge(int64(n) * 16)
	}
	order := w.order.Slice(w.Rows.N)
	for p := t.first; p < t.end; p++ {
		if err := c.addAll(order[w.start[p]:w.start[p+1]], uint32(p-t.first)); err != nil {
			return c, err
		}
	}
	if err := c.flush(); err != nil {
		return c, err
	}
	if err := c.charge(int64(n) * 16); err != nil {
		return c, err
	}
	c.vals = vec.New(f.T, n)
	return c, st.Result(numbers(nil, n), c.vals)
}

func (c *wholeCall) addAll(rows []uint32, group uint32) error {
	for _, r := range rows {
		if err := c.add(r, group); err != nil {
			return err
		}
	}
	return nil
}

// charge accounts for the states, and more.
func (c *wholeCall) charge(more int64) error {
	if b := c.state.Bytes() + more; b > c.held {
		if err := c.t.w.acct.Reserve(b - c.held); err != nil {
			return err
		}
		c.held = b
	}
	return nil
}

func (c *wholeCall) free() { c.t.w.acct.Release(c.held) }

func (c *wholeCall) values(out *vec.Vec) error {
	at := c.t.part
	if c.inOrder {
		group := uint32(c.t.part)
		if err := c.addAll(c.t.idx, group); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.charge(int64(c.t.end-c.t.first) * 16); err != nil {
			return err
		}
		c.vals.Recycle(c.f.T)
		if err := c.state.Result([]uint32{group}, c.vals); err != nil {
			return err
		}
		at = 0
	}
	c.one.Recycle(out.T)
	c.one.AppendDatum(c.vals.Datum(at))
	c.one.Form = vec.Const
	return inPieces(c.t.n, c.t.w.run, func(from, to int) {
		c.one.N = to - from
		out.Copy(&c.one, nil, to-from)
	})
}

// numbers is 0..n-1.
func numbers(s []uint32, n int) []uint32 {
	s = grown(s, n)
	for i := range s {
		s[i] = uint32(i)
	}
	return s
}

// prefixCall computes an aggregate over frames that begin with the partition: one
// running group, to which rows are added as the end of the frame moves on.
type prefixCall struct {
	argRows
	end  []int32
	same []uint32
	// The rows of the present block, gathered, and the places that pass FILTER.
	block int // first row; -1: none
	size  int
	pass  []uint16
	upto  []uint16 // by place: how many of pass are before it
	held  int64
}

// blockRows is how many rows are gathered at a time for a running state.
const blockRows = vec.Size / 2

func newPrefixCall(t *windowTask, f *WindowFunc) (*prefixCall, error) {
	st, err := agg.New(f.Agg)
	if err != nil {
		return nil, err
	}
	c := &prefixCall{}
	c.init(t, f)
	c.state = st
	st.Grow(t.end - t.first)
	if from := t.w.from; from != nil && t.first == 0 {
		if err := from.begin(f, st); err != nil {
			return nil, err
		}
	}
	c.held = st.Bytes()
	if err := t.w.acct.Reserve(c.held); err != nil {
		c.held = 0
		return c, err
	}
	return c, nil
}

func (c *prefixCall) free() { c.t.w.acct.Release(c.held) }

func (c *prefixCall) values(out *vec.Vec) error {
	t := c.t
	c.end = grown(c.end, t.n)
	if err := t.bound(&c.f.Frame, &c.f.Frame.End, false, c.end); err != nil {
		return err
	}
	c.block = -1
	group := uint32(t.part)
	for len(c.same) < vec.Size {
		c.same = append(c.same, 0)
	}
	for i := range c.same {
		c.same[i] = group
	}
	at := 0
	for i := 0; i < t.n; {
		if err := c.advance(at, int(c.end[i])); err != nil {
			return err
		}
		at = max(at, int(c.end[i]))
		k := i + 1
		for k < t.n && c.end[k] == c.end[i] && k-i < vec.Size {
			k++
		}
		// States give the result of a group as often as asked while rows are added.
		if err := c.state.Result(c.same[:k-i], out); err != nil {
			return err
		}
		i = k
	}
	return c.charge()
}

func (c *prefixCall) charge() error {
	if b := c.state.Bytes(); b > c.held {
		if err := c.t.w.acct.Reserve(b - c.held); err != nil {
			return err
		}
		c.held = b
	}
	return nil
}

// advance adds rows from..to-1 of the partition.
func (c *prefixCall) advance(from, to int) error {
	for from < to {
		if c.block < 0 || from >= c.block+c.size {
			if err := c.gather(from); err != nil {
				return err
			}
		}
		lo, hi := from-c.block, min(to-c.block, c.size)
		sel := identity[lo:hi]
		if c.f.Filter >= 0 {
			sel = c.pass[c.upto[lo]:c.upto[hi]]
		}
		if len(sel) > 0 {
			if err := c.state.Update(c.args, sel, len(sel), c.same[:len(sel)]); err != nil {
				return err
			}
		}
		from = c.block + hi
	}
	return nil
}

// gather makes the block that begins at a row the present one.
func (c *prefixCall) gather(from int) error {
	t := c.t
	c.block, c.size = from, min(blockRows, t.n-from)
	rows := t.idx[from : from+c.size]
	for k, a := range c.f.Args {
		t.w.Rows.Gather(a, rows, c.args[k])
	}
	if c.f.Filter >= 0 {
		c.pass = append(c.pass[:0], c.passing(rows)...)
		c.upto = grown(c.upto, c.size+1)
		k := 0
		for i := range c.upto {
			for k < len(c.pass) && int(c.pass[k]) < i {
				k++
			}
			c.upto[i] = uint16(k)
		}
	}
	return t.w.run.Interrupted()
}

// movingCall computes an aggregate over frames that move or have holes. Short
// frames are computed row by row of the frame, many frames at a time; for long ones
// there is a tree of states over the partition, fanout rows or states to a state,
// and a frame is the rows and states that make it up.
type movingCall struct {
	argRows
	start, end []int32
	tree       []treeLevel
	ids        []uint32
	// Merges that wait, by level: states src of the tree go to groups dst.
	src, dst [][]uint32
	result   agg.State
	held     int64
}

type treeLevel struct {
	state agg.State
	n     int
}

const (
	fanout = 32
	// treeRows is the average length of frames from which a tree pays.
	treeRows = 3 * fanout
	// pairsMax bounds the rows that the frames of one batch of results have.
	pairsMax = 1 << 20
)

func (c *movingCall) free() { c.t.w.acct.Release(c.held) }

func (c *movingCall) values(out *vec.Vec) error {
	t, f := c.t, &c.f.Frame
	c.start, c.end = grown(c.start, t.n), grown(c.end, t.n)
	if err := t.frames(f, c.start, c.end); err != nil {
		return err
	}
	total := int64(0)
	if err := inPieces(t.n, t.w.run, func(from, to int) {
		for i := from; i < to; i++ {
			total += int64(max(c.end[i]-c.start[i], 0))
		}
	}); err != nil {
		return err
	}
	useTree := c.f.Merges && total > treeRows*int64(t.n)
	if useTree {
		if err := c.build(); err != nil {
			return err
		}
	}
	for i := 0; i < t.n; {
		from, pairs := i, 0
		for i < t.n && i-from < vec.Size && (useTree || i == from || pairs < pairsMax) {
			pairs += int(max(c.end[i]-c.start[i], 0))
			i++
		}
		if err := c.batch(from, i, useTree, out); err != nil {
			return err
		}
	}
	c.tree = nil
	return nil
}

// batch appends the values of rows from..to-1.
func (c *movingCall) batch(from, to int, useTree bool, out *vec.Vec) error {
	t := c.t
	st, err := agg.New(c.f.Agg)
	if err != nil {
		return err
	}
	st.Grow(to - from)
	c.state, c.result = st, st
	var failed error
	for i := from; i < to && failed == nil; i++ {
		group := uint32(i - from)
		t.frameRows(&c.f.Frame, i, c.start[i], c.end[i], func(a, b int32) {
			if failed == nil {
				if useTree {
					failed = c.cover(int(a), int(b), group)
				} else {
					failed = c.addRows(int(a), int(b), group)
				}
			}
		})
	}
	if failed != nil {
		return failed
	}
	if err := c.flush(); err != nil {
		return err
	}
	for l := range c.src {
		if err := c.merge(l); err != nil {
			return err
		}
	}
	if err := c.charge(st.Bytes()); err != nil {
		return err
	}
	c.ids = numbers(c.ids, to-from)
	return st.Result(c.ids, out)
}

func (c *movingCall) charge(more int64) error {
	for _, l := range c.tree {
		more += l.state.Bytes()
	}
	if more > c.held {
		if err := c.t.w.acct.Reserve(more - c.held); err != nil {
			return err
		}
		c.held = more
	}
	return nil
}

func (c *movingCall) addRows(a, b int, group uint32) error {
	for _, r := range c.t.idx[a:b] {
		if err := c.add(r, group); err != nil {
			return err
		}
	}
	return nil
}

// build makes the tree of the partition.
func (c *movingCall) build() error {
	t := c.t
	n := (t.n + fanout - 1) / fanout
	st, err := agg.New(c.f.Agg)
	if err != nil {
		return err
	}
	st.Grow(n)
	c.state = st
	for i, r := range t.idx {
		if err := c.add(r, uint32(i/fanout)); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.tree = append(c.tree[:0], treeLevel{st, n})
	for n > 2*fanout {
		m := (n + fanout - 1) / fanout
		up, err := agg.New(c.f.Agg)
		if err != nil {
			return err
		}
		up.Grow(m)
		src, dst := numbers(nil, n), make([]uint32, n)
		for i := range dst {
			dst[i] = uint32(i / fanout)
		}
		if err := up.Merge(c.tree[len(c.tree)-1].state, src, dst); err != nil {
			return err
		}
		c.tree = append(c.tree, treeLevel{up, m})
		n = m
	}
	for len(c.src) < len(c.tree) {
		c.src, c.dst = append(c.src, nil), append(c.dst, nil)
	}
	return c.charge(0)
}

// cover adds rows a..b-1 to a group: rows at the edges, and states between.
func (c *movingCall) cover(a, b int, group uint32) error {
	if b-a < 2*fanout {
		return c.addRows(a, b, group)
	}
	lo, hi := (a+fanout-1)/fanout, b/fanout
	if err := c.addRows(a, lo*fanout, group); err != nil {
		return err
	}
	if err := c.addRows(hi*fanout, b, group); err != nil {
		return err
	}
	for l := 0; lo < hi; l++ {
		if l == len(c.tree)-1 || hi-lo < 2*fanout {
			return c.states(l, lo, hi, group)
		}
		up, down := (lo+fanout-1)/fanout, hi/fanout
		if err := c.states(l, lo, up*fanout, group); err != nil {
			return err
		}
		if err := c.states(l, down*fanout, hi, group); err != nil {
			return err
		}
		lo, hi = up, down
	}
	return nil
}

func (c *movingCall) states(l, lo, hi int, group uint32) error {
	for k := lo; k < hi; k++ {
		c.src[l], c.dst[l] = append(c.src[l], uint32(k)), append(c.dst[l], group)
	}
	if len(c.src[l]) >= vec.Size {
		return c.merge(l)
	}
	return nil
}

func (c *movingCall) merge(l int) error {
	if len(c.src[l]) == 0 {
		return nil
	}
	err := c.result.Merge(c.tree[l].state, c.src[l], c.dst[l])
	c.src[l], c.dst[l] = c.src[l][:0], c.dst[l][:0]
	return err
}
