package op

import (
	"cmp"
	"unsafe"

	"github.com/millrace/millrace/executor/agg"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// windowTask computes the functions for the partitions first..end-1.
type windowTask struct {
	w          *Window
	first, end int
	res        *Rows // the functions' values, in output order

	// The partition at hand: its rows in order, and their peers.
	part               int // counted from first
	idx                []uint32
	n                  int
	peerStart, peerEnd []int32

	calls []windowCall
	out   []*vec.Vec
	held  int64 // reserved for vectors on Go's heap

	items    mem.Array[sortItem]
	groups   []int32
	rangeKey vec.Vec
	shift    *Rows
}

// windowCall computes one function, partition by partition.
type windowCall interface {
	// values appends the values of the task's present partition.
	values(out *vec.Vec) error
	free()
}

// resultRows is how many values are gathered before they are stored.
const resultRows = 4 * vec.Size

func (t *windowTask) run() error {
	defer t.done()
	w := t.w
	t.items.Account = w.acct
	for i := range w.spec.Funcs {
		f := &w.spec.Funcs[i]
		var c windowCall
		var err error
		switch {
		case f.Agg == nil:
			c = &plainCall{t: t, f: f}
		case f.Frame.whole(len(w.spec.Order) > 0):
			c, err = t.wholeCall(f)
		case f.Frame.prefix():
			c, err = newPrefixCall(t, f)
		default:
			m := &movingCall{}
			m.init(t, f)
			c = m
		}
		if c != nil {
			t.calls = append(t.calls, c)
		}
		if err != nil {
			return err
		}
		t.out = append(t.out, vec.New(f.T, vec.Size))
	}
	order := w.order.Slice(w.Rows.N)
	for p := t.first; p < t.end; p++ {
		if err := w.run.Interrupted(); err != nil {
			return err
		}
		t.part = p - t.first
		t.idx = order[w.start[p]:w.start[p+1]]
		t.n = len(t.idx)
		if err := t.hold(t.n); err != nil {
			return err
		}
		if err := t.sortPart(); err != nil {
			return err
		}
		for i, c := range t.calls {
			if t.n > lookRows {
				t.out[i].Grow(t.out[i].N + t.n) // once, and not by doubling
			}
			if err := c.values(t.out[i]); err != nil {
				return err
			}
			if t.first+t.part == 0 && w.from != nil {
				w.from.shift(i, t.out[i], t.n)
			}
		}
		if p == len(w.start)-2 && w.from != nil {
			if err := t.carry(); err != nil {
				return err
			}
		}
		if len(t.out) == 0 {
			t.res.N += t.n
		} else if t.out[0].N >= resultRows || p == t.end-1 {
			if err := t.store(); err != nil {
				return err
			}
			for i, v := range t.out {
				v.Recycle(w.spec.Funcs[i].T)
			}
		}
	}
	return nil
}

// store appends the values gathered to the task's rows.
func (t *windowTask) store() error {
	n := t.out[0].N
	if n <= lookRows {
		return t.res.AppendCols(t.out, nil, n)
	}
	if err := t.res.ready(n); err != nil {
		return err
	}
	part := make([]*vec.Vec, len(t.out))
	for i := range part {
		part[i] = &vec.Vec{}
	}
	for from := 0; from < n; from += lookRows {
		if err := t.w.run.Interrupted(); err != nil {
			return err
		}
		m := min(lookRows, n-from)
		for i, v := range t.out {
			v.Window(from, m, part[i])
		}
		if err := t.res.AppendCols(part, nil, m); err != nil {
			return err
		}
	}
	return nil
}

// hold charges the memory that a partition of n rows takes besides rows: arguments
// and values as vectors, peers and frames.
func (t *windowTask) hold(n int) error {
	want := int64(n) * int64(16+24*len(t.calls))
	if want <= t.held {
		return nil
	}
	if err := t.w.acct.Reserve(want - t.held); err != nil {
		return err
	}
	t.held = want
	return nil
}

func (t *windowTask) done() {
	for _, c := range t.calls {
		c.free()
	}
	t.calls, t.out = nil, nil
	t.items.Free()
	t.shift.Free()
	t.w.acct.Release(t.held)
	t.held = 0
}

// sortItem is a row and the word of its order keys.
type sortItem struct {
	word uint64
	row  uint32
}

// sortPart sorts the partition at hand, and finds peers. Peers stay in input order.
func (t *windowTask) sortPart() error {
	w := t.w
	t.peerStart, t.peerEnd = grown(t.peerStart, t.n), grown(t.peerEnd, t.n)
	if len(w.spec.Order) == 0 {
		return inPieces(t.n, w.run, func(from, to int) {
			clear(t.peerStart[from:to])
			for i := range t.peerEnd[from:to] {
				t.peerEnd[from+i] = int32(t.n)
			}
		})
	}
	if err := t.items.Grow(t.n); err != nil {
		return err
	}
	items := t.items.Slice(t.n)
	words := w.words.Slice(w.Rows.N)
	if err := inPieces(t.n, w.run, func(from, to int) {
		for i, r := range t.idx[from:to] {
			items[from+i] = sortItem{words[r], r}
		}
	}); err != nil {
		return err
	}
	keys := w.spec.Order
	sortLong(items, func(a, b sortItem) int {
		if a.word != b.word {
			return cmp.Compare(a.word, b.word)
		}
		if !w.exact {
			if c := compareRows(keys, w.Rows, int(a.row), w.Rows, int(b.row)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.row, b.row)
	}, w.acct)
	if err := w.run.Interrupted(); err != nil {
		return err
	}
	if err := inPieces(t.n, w.run, func(from, to int) {
		for i := range items[from:to] {
			t.idx[from+i] = items[from+i].row
		}
	}); err != nil {
		return err
	}
	from := 0
	for i := 1; i <= t.n; i++ {
		if i&lookMask == 0 {
			if err := w.run.Interrupted(); err != nil {
				return err
			}
		}
		if i < t.n && items[i].word == items[i-1].word &&
			(w.exact || compareRows(keys, w.Rows, int(items[i-1].row), w.Rows, int(items[i].row)) == 0) {
			continue
		}
		for k := from; k < i; k++ {
			t.peerStart[k], t.peerEnd[k] = int32(from), int32(i)
			if (k-from)&lookMask == lookMask {
				if err := w.run.Interrupted(); err != nil {
					return err
				}
			}
		}
		from = i
	}
	return nil
}

// plainCall is a window function that is no aggregate.
type plainCall struct {
	t          *windowTask
	f          *WindowFunc
	args       []*vec.Vec
	start, end []int32
}

func (c *plainCall) free() {}

func (c *plainCall) values(out *vec.Vec) error {
	t := c.t
	for len(c.args) < len(c.f.Args) {
		c.args = append(c.args, &vec.Vec{})
	}
	for k, a := range c.f.Args {
		t.w.Rows.gatherBegin(a, t.n, c.args[k])
		if err := inPieces(t.n, t.w.run, func(from, to int) {
			t.w.Rows.gatherPart(a, t.idx[from:to], c.args[k], from)
		}); err != nil {
			return err
		}
	}
	p := agg.Partition{N: t.n, PeerStart: t.peerStart, PeerEnd: t.peerEnd, Interrupted: t.w.run.Interrupted}
	if c.f.Framed {
		c.start, c.end = grown(c.start, t.n), grown(c.end, t.n)
		if err := t.frames(&c.f.Frame, c.start, c.end); err != nil {
			return err
		}
		p.Start, p.End, p.Excluded = c.start, c.end, t.excluded(&c.f.Frame)
	}
	return c.f.Fn(c.f.Call, &p, c.args, out)
}

// at is element i of memory that holds values of type E.
func at[E any](b []byte, i int) E {
	var z E
	return *(*E)(unsafe.Pointer(&b[i*int(unsafe.Sizeof(z))]))
}
