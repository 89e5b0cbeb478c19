package column

import (
	"slices"
	"sort"
	"sync/atomic"
	"unsafe"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// blockWords is the size of a delete mask's block; masks of a block are never
// written once a reader can see them.
const blockWords = vec.BlockRows / 64

type maskBlock [blockWords]uint64

// mask has a bit for each row of a segment, by block; a nil block has none, and a
// nil mask neither. Masks are immutable; with copies the blocks it changes.
type mask []*maskBlock

func (m mask) has(row uint32) bool {
	b := m.block(int(row / vec.BlockRows))
	return b != nil && b[row%vec.BlockRows>>6]>>(row&63)&1 != 0
}

func (m mask) block(i int) *maskBlock {
	if i >= len(m) {
		return nil
	}
	return m[i]
}

// count is the number of bits.
func (m mask) count() int {
	n := 0
	for _, b := range m {
		if b != nil {
			n += vec.Count(b[:], vec.BlockRows)
		}
	}
	return n
}

// without is m less the rows of o, nil when that is nothing.
func (m mask) without(o mask) mask {
	var out mask
	for i, b := range m {
		if b == nil {
			continue
		}
		n, some := new(maskBlock), uint64(0)
		if p := o.block(i); p != nil {
			for w := range n {
				n[w] = b[w] &^ p[w]
				some |= n[w]
			}
		} else {
			*n, some = *b, 1
		}
		if some != 0 {
			if out == nil {
				out = make(mask, len(m))
			}
			out[i] = n
		}
	}
	return out
}

// maskEdit changes a mask copy-on-write.
type maskEdit struct {
	m   mask
	own []bool
}

func editMask(m mask, blocks int) *maskEdit {
	e := &maskEdit{m: make(mask, max(blocks, len(m))), own: make([]bool, max(blocks, len(m)))}
	copy(e.m, m)
	return e
}

func (e *maskEdit) set(row uint32) {
	i := row / vec.BlockRows
	if !e.own[i] {
		b := new(maskBlock)
		if e.m[i] != nil {
			*b = *e.m[i]
		}
		e.m[i], e.own[i] = b, true
	}
	e.m[i][row%vec.BlockRows>>6] |= 1 << (row & 63)
}

func (e *maskEdit) or(m mask) {
	for i, b := range m {
		if b == nil {
			continue
		}
		if e.m[i] == nil {
			e.m[i] = b // shared: not own
			continue
		}
		n := new(maskBlock)
		for w := range n {
			n[w] = e.m[i][w] | b[w]
		}
		e.m[i], e.own[i] = n, true
	}
}

// deleteSet is a segment's deleted rows. It is immutable but for its tail, which
// the writer appends to; folding makes a new set. A row dies once, so it is in
// one of the parts only.
type deleteSet struct {
	blocks  int
	base    mask     // dead for every snapshot
	stripes []stripe // ascending
	tail    *deleteTail
	// masks names base and stripes: two sets of one number differ in their tails only.
	// 0 names nothing.
	masks uint32
}

// maskNumber is the last that named the masks of a set.
var maskNumber atomic.Uint32

// named is d with a name for its masks, which nobody changes any more.
func (d *deleteSet) named() *deleteSet {
	d.masks = maskNumber.Add(1)
	return d
}

// stripe has the deletes that are seen by exactly the same live snapshots: those
// at or above csn, which is the newest of the deletes in it. A large commit's deletes
// come as one, whose csn is dying until the commit is stamped.
type stripe struct {
	csn  uint64
	dead mask
}

// deleteTail lists deletes in commit order. Arrays are of fixed capacity; what
// lies below n is published, and a death changes only from dying to its CSN.
type deleteTail struct {
	rows  []uint32
	csns  []uint64
	index []uint32 // row → entry+1, open addressing
	n     atomic.Uint32
}

const tailMin = 64

func newTail(capacity int) *deleteTail {
	size := 2 * roundUp(capacity)
	return &deleteTail{rows: make([]uint32, capacity), csns: make([]uint64, capacity), index: make([]uint32, size)}
}

func (t *deleteTail) slot(row uint32) uint32 {
	return (row * 0x9E3779B1) >> 3 & uint32(len(t.index)-1)
}

// deathOf is the CSN under which the row is listed, 0 when it is not.
func (t *deleteTail) deathOf(row uint32) uint64 {
	if t == nil || t.n.Load() == 0 {
		return 0
	}
	for i := t.slot(row); ; i = (i + 1) & uint32(len(t.index)-1) {
		e := atomic.LoadUint32(&t.index[i])
		if e == 0 {
			return 0
		}
		if atomic.LoadUint32(&t.rows[e-1]) == row {
			return atomic.LoadUint64(&t.csns[e-1])
		}
	}
}

func (t *deleteTail) push(row uint32, csn uint64) {
	n := t.n.Load()
	atomic.StoreUint32(&t.rows[n], row)
	atomic.StoreUint64(&t.csns[n], csn)
	i := t.slot(row)
	for t.index[i] != 0 {
		i = (i + 1) & uint32(len(t.index)-1)
	}
	atomic.StoreUint32(&t.index[i], n+1)
	t.n.Store(n + 1)
}

// stamp gives the entries from number from on their CSN.
func (t *deleteTail) stamp(from uint32, csn uint64) {
	for i, n := from, t.n.Load(); i < n; i++ {
		atomic.StoreUint64(&t.csns[i], csn)
	}
}

// pop drops the last entry.
func (t *deleteTail) pop() {
	n := t.n.Load() - 1
	i := t.slot(t.rows[n])
	for t.index[i] != n+1 {
		i = (i + 1) & uint32(len(t.index)-1)
	}
	t.n.Store(n)
	atomic.StoreUint32(&t.index[i], 0)
}

// deathOf is the CSN at which the row died: 0 for live, dying for a staged
// delete, and for a row in base or a stripe some CSN that orders it right against
// every live snapshot.
func (d *deleteSet) deathOf(row uint32) uint64 {
	if d.base.has(row) {
		return 1
	}
	for i := range d.stripes {
		if d.stripes[i].dead.has(row) {
			return d.stripes[i].csn
		}
	}
	return d.tail.deathOf(row)
}

// touch has the processor load what deathOf will look at for these rows, all at once.
func (d *deleteSet) touch(rows []uint32) {
	for _, row := range rows {
		d.base.touch(row)
		for i := range d.stripes {
			d.stripes[i].dead.touch(row)
		}
		if t := d.tail; t != nil {
			kernel.Prefetch(unsafe.Pointer(&t.index[t.slot(row)]))
		}
	}
}

func (m mask) touch(row uint32) {
	if b := m.block(int(row / vec.BlockRows)); b != nil {
		kernel.Prefetch(unsafe.Pointer(&b[row%vec.BlockRows>>6]))
	}
}

// grown is d with room in the tail for n more.
func (d *deleteSet) grown(n int) *deleteSet {
	old := 0
	if d.tail != nil {
		old = int(d.tail.n.Load())
	}
	t := newTail(max(roundUp(old+n), tailMin))
	for i := 0; i < old; i++ {
		t.push(d.tail.rows[i], d.tail.csns[i])
	}
	return &deleteSet{blocks: d.blocks, base: d.base, stripes: d.stripes, tail: t, masks: d.masks}
}

// room says whether the tail takes n more.
func (d *deleteSet) room(n int) bool {
	return d.tail != nil && int(d.tail.n.Load())+n <= len(d.tail.rows)
}

// maskAt is what a snapshot at s must leave out; it shares blocks with the set.
func (d *deleteSet) maskAt(s uint64) mask {
	n := 0
	if d.tail != nil {
		// Entries are in commit order, staged ones (dying) last.
		n = sort.Search(int(d.tail.n.Load()), func(i int) bool { return atomic.LoadUint64(&d.tail.csns[i]) > s })
	}
	k := sort.Search(len(d.stripes), func(i int) bool { return d.stripes[i].csn > s })
	if n == 0 && k == 0 {
		return d.base
	}
	e := editMask(d.base, d.blocks)
	for _, st := range d.stripes[:k] {
		e.or(st.dead)
	}
	for i := 0; i < n; i++ {
		e.set(atomic.LoadUint32(&d.tail.rows[i]))
	}
	return e.m
}

// each calls f for every delete that a snapshot at oldest does not see yet, that
// is all outside of base, with a CSN good enough for every live snapshot.
func (d *deleteSet) each(f func(row uint32, csn uint64)) {
	for _, st := range d.stripes {
		eachBit(st.dead, func(r uint32) { f(r, st.csn) })
	}
	if d.tail != nil {
		for i, n := 0, int(d.tail.n.Load()); i < n; i++ {
			f(atomic.LoadUint32(&d.tail.rows[i]), atomic.LoadUint64(&d.tail.csns[i]))
		}
	}
}

func eachBit(m mask, f func(row uint32)) {
	for bi, b := range m {
		if b == nil {
			continue
		}
		for w, x := range b {
			for ; x != 0; x &= x - 1 {
				f(uint32(bi*vec.BlockRows + w*64 + trailing(x)))
			}
		}
	}
}

// foldMin is the tail's length from which folding pays.
const foldMin = 4096

// fold is d with the tail moved to base and stripes as far as the live snapshots
// (ascending) allow: what died at or below oldest is dead for everyone; deaths
// between two adjacent live snapshots are one stripe. Deaths above the newest live
// snapshot and above oldest stay in the tail. Stripes whose snapshot is gone
// join their neighbour.
func (d *deleteSet) fold(oldest storage.CSN, live []storage.CSN) *deleteSet {
	borders := make([]uint64, 0, len(live)+1)
	borders = append(borders, uint64(oldest))
	for _, s := range live {
		borders = append(borders, uint64(s))
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	// Stripe i gets the deaths in (borders[i-1], borders[i]]; number 0 is the base.
	edits := make([]*maskEdit, len(borders))
	newest := make([]uint64, len(borders))
	edit := func(csn uint64) *maskEdit {
		i := sort.Search(len(borders), func(i int) bool { return borders[i] >= csn })
		if i == len(borders) {
			return nil
		}
		if edits[i] == nil {
			var from mask
			if i == 0 {
				from = d.base
			}
			edits[i] = editMask(from, d.blocks)
		}
		newest[i] = max(newest[i], csn)
		return edits[i]
	}
	n := &deleteSet{blocks: d.blocks, base: d.base}
	for _, st := range d.stripes {
		if e := edit(st.csn); e != nil {
			e.or(st.dead)
		} else {
			n.stripes = append(n.stripes, st) // of a commit that no snapshot sees yet
		}
	}
	var rest []int
	if d.tail != nil {
		for i, k := 0, int(d.tail.n.Load()); i < k; i++ {
			if e := edit(d.tail.csns[i]); e != nil {
				e.set(d.tail.rows[i])
			} else {
				rest = append(rest, i)
			}
		}
	}
	for i, e := range edits {
		switch {
		case e == nil:
		case i == 0:
			n.base = e.m
		default:
			n.stripes = append(n.stripes, stripe{newest[i], e.m})
		}
	}
	slices.SortFunc(n.stripes, func(a, b stripe) int {
		if a.csn < b.csn {
			return -1
		}
		return 1
	})
	if len(rest) > 0 {
		n.tail = newTail(max(roundUp(2*len(rest)), tailMin))
		for _, i := range rest {
			n.tail.push(d.tail.rows[i], d.tail.csns[i])
		}
	}
	return n.named()
}

// upTo are the rows that died at or below csn, as one mask.
func (d *deleteSet) upTo(csn storage.CSN) mask {
	return d.maskAt(uint64(csn))
}
