package op

import (
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// joinTable finds the rows of a store by key. It takes one of three forms, chosen
// when all rows are there:
//
//   - dense: all keys are integers in a narrow range: an array of rows by key;
//   - words: all keys are integers that fit one word together, each less its
//     least value: linear probing over words;
//   - hashed: any other keys, compared column by column;
//   - all: there are no keys, and every row is found: a nested loop.
//
// Slots have a tag (the low half of the hash) above a row + 1; the place of a slot
// is given by the high bits of the hash, so that a range of hashes is a range of
// slots, and several tasks can fill the table beside each other. Rows of equal keys
// are chained through next, in ascending order. Once filled the table is only read.
type joinTable struct {
	rows      *Rows
	keys      []int // columns of rows
	nullEqual []bool
	acct      *mem.Account

	form    tableForm
	N       int // rows
	hasNull bool

	// of words and dense
	min   []int64
	span  []uint64 // max - min; one more stands for null where nulls are equal
	shift []uint
	words mem.Array[uint64] // by row; dense: none

	heads mem.Array[uint32] // dense: row + 1 by word
	width uint64            // dense: number of words

	slots mem.Array[uint64]
	bits  uint
	parts int // a power of two
	hash  mem.Array[uint64]
	next  mem.Array[uint32] // row + 1 by row; empty when keys are unique
	dups  atomic.Bool

	// matched has the bits of rows that met a match, for right and full joins.
	matched mem.Array[uint64]
}

type tableForm uint8

const (
	tableEmpty tableForm = iota
	tableDense
	tableWords
	tableHashed
	tableAll
)

// denseMax bounds the array of the dense form; it is also taken only when it has
// at most denseRatio entries a row.
const (
	denseMax   = 1 << 27
	denseSmall = 1 << 16
	denseRatio = 8
)

// wordKey says whether a key type's equality is that of its integers.
func wordKey(t types.T) bool { return keyBits(t) > 0 }

func newJoinTable(rows *Rows, keys []int, nullEqual []bool, acct *mem.Account) *joinTable {
	t := &joinTable{rows: rows, keys: keys, nullEqual: nullEqual, acct: acct, parts: 1}
	for _, b := range []*mem.Buffer{&t.words.Buffer, &t.heads.Buffer, &t.slots.Buffer, &t.hash.Buffer, &t.next.Buffer, &t.matched.Buffer} {
		b.Account = acct
	}
	return t
}

// plan chooses the form and makes the memory; then the tasks of fill.
func (t *joinTable) plan(marks bool, tasks int) error {
	t.N = t.rows.N
	n := t.N
	for i, c := range t.keys {
		if t.rows.HasNulls(c) && !t.nullEqual[i] {
			t.hasNull = true
		}
	}
	if marks {
		if err := t.matched.Grow(vec.Words(n)); err != nil {
			return err
		}
		t.matched.Clear(8 * vec.Words(n))
	}
	if n == 0 {
		t.form = tableEmpty
		return nil
	}
	if n > math.MaxUint32-2 {
		return errTooManyRows
	}
	if len(t.keys) == 0 {
		t.form = tableAll
		t.dups.Store(n > 1)
		return nil
	}
	t.form = tableHashed
	if t.measure() {
		t.form = tableWords
		if t.width > 0 && t.width <= denseMax && (t.width <= denseSmall || t.width <= denseRatio*uint64(n)) {
			t.form = tableDense
		}
	}
	if t.form == tableDense {
		return t.heads.Grow(int(t.width))
	}
	t.bits = uint(max(bits.Len(uint(n*2-1)), 4))
	if err := t.slots.Grow(1 << t.bits); err != nil {
		return err
	}
	if n >= parallelRows && tasks > 1 {
		t.parts = 1 << (bits.Len(uint(tasks - 1)))
	}
	if t.form == tableWords {
		if err := t.words.Grow(n); err != nil {
			return err
		}
	}
	return t.hash.Grow(n)
}

// parallelRows is from how many rows a table is filled by several tasks.
const parallelRows = 1 << 17

// measure finds the bounds of integer keys, and says whether they fit one word.
func (t *joinTable) measure() bool {
	at := uint(0)
	t.min, t.span, t.shift = nil, nil, nil
	var v vec.Vec
	for i, c := range t.keys {
		kt := t.rows.T[c]
		if !wordKey(kt) {
			return false
		}
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for from := 0; from < t.N; from += vec.BlockRows {
			n := min(vec.BlockRows, t.N-from)
			t.rows.View(c, from, n, &v)
			l, h := bounds64(&v, n)
			lo, hi = min(lo, l), max(hi, h)
		}
		if lo > hi {
			lo, hi = 0, 0 // all null
		}
		span := uint64(hi) - uint64(lo)
		codes := span
		if t.nullEqual[i] {
			if codes++; codes == 0 {
				return false
			}
		}
		w := uint(bits.Len64(codes))
		if at+w > 64 {
			return false
		}
		t.min, t.span, t.shift = append(t.min, lo), append(t.span, span), append(t.shift, at)
		at += w
	}
	t.width = 0
	if at < 40 {
		t.width = 1 << at
		if len(t.keys) == 1 {
			t.width = t.span[0] + 1
			if t.nullEqual[0] {
				t.width++
			}
		}
	}
	return true
}

// bounds64 is the least and the largest of the values that are not null; least >
// largest when there are none.
func bounds64(v *vec.Vec, n int) (lo, hi int64) {
	lo, hi = math.MaxInt64, math.MinInt64
	if v.Valid == nil {
		switch v.T.Layout {
		case types.LayoutI16:
			l, h := kernel.MinMax(v.I16[:n])
			return int64(l), int64(h)
		case types.LayoutI32:
			l, h := kernel.MinMax(v.I32[:n])
			return int64(l), int64(h)
		case types.LayoutI64:
			return kernel.MinMax(v.I64[:n])
		}
	}
	for i := range n {
		if v.Valid != nil && !vec.Bit(v.Valid, i) {
			continue
		}
		x := intAt(v, i)
		lo, hi = min(lo, x), max(hi, x)
	}
	return lo, hi
}

// intAt is the integer i of a flat or constant vector's values.
func intAt(v *vec.Vec, i int) int64 {
	switch v.T.Layout {
	case types.LayoutBool:
		if vec.Bit(v.Bits, i) {
			return 1
		}
		return 0
	case types.LayoutI16:
		return int64(v.I16[i])
	case types.LayoutI32:
		return int64(v.I32[i])
	}
	return v.I64[i]
}

// wordsOf packs the keys of the given rows: w[k] for row rows[k]. bad[k] is set for
// rows that match nothing: a null, or a key outside the table's bounds. nulls[k],
// when wanted, for the nulls alone.
func (t *joinTable) wordsOf(cols []*vec.Vec, rows []uint16, w []uint64, bad, nulls []uint8) {
	clear(bad)
	for i, v := range cols {
		s := v.Source()
		lo, span, sh := uint64(t.min[i]), t.span[i], t.shift[i]&63
		first := i == 0
		if v.Form == vec.Dict && s.N == 0 {
			if first {
				clear(w)
			}
		} else {
			switch v.T.Layout {
			case types.LayoutI16:
				wordLoop(w, bad, s.I16, v, rows, lo, span, sh, first)
			case types.LayoutI32:
				wordLoop(w, bad, s.I32, v, rows, lo, span, sh, first)
			case types.LayoutI64:
				wordLoop(w, bad, s.I64, v, rows, lo, span, sh, first)
			default:
				for k, r := range rows {
					d := uint64(intAt(s, v.Index(int(r)))) - lo
					if d > span {
						bad[k] = 1
					}
					if first {
						w[k] = 0
					}
					w[k] |= d << sh
				}
			}
		}
		if v.Valid == nil {
			continue
		}
		mask := uint64(1)<<uint(bits.Len64(span+b2u(t.nullEqual[i]))) - 1
		for k, r := range rows {
			if !v.IsNull(int(r)) {
				continue
			}
			if !t.nullEqual[i] {
				bad[k] = 1
				if nulls != nil {
					nulls[k] = 1
				}
				continue
			}
			// What lies under the null may have been out of bounds: take that back.
			bad[k] = t.badBefore(cols[:i], int(r))
			below := uint64(1)<<sh - 1
			w[k] = w[k]&below | (span+1)&mask<<sh
		}
	}
}

// badBefore says whether row r is out of bounds in one of the first keys.
func (t *joinTable) badBefore(cols []*vec.Vec, r int) uint8 {
	for i, v := range cols {
		if v.IsNull(r) {
			if !t.nullEqual[i] {
				return 1
			}
			continue
		}
		if uint64(intAt(v.Source(), v.Index(r)))-uint64(t.min[i]) > t.span[i] {
			return 1
		}
	}
	return 0
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func wordLoop[E int16 | int32 | int64](w []uint64, bad []uint8, vals []E, v *vec.Vec, rows []uint16, lo, span uint64, sh uint, first bool) {
	w, bad = w[:len(rows)], bad[:len(rows)]
	if first {
		clear(w)
	}
	switch v.Form {
	case vec.Flat:
		for k, r := range rows {
			d := uint64(vals[r]) - lo
			var x uint8
			if d > span {
				x = 1
			}
			bad[k] |= x
			w[k] |= d << (sh & 63)
		}
	default:
		for k, r := range rows {
			d := uint64(vals[v.Index(int(r))]) - lo
			if d > span {
				bad[k] = 1
			}
			w[k] |= d << (sh & 63)
		}
	}
}

// prepare computes the words and hashes of rows from..to-1, from a multiple of 64.
func (t *joinTable) prepare(from, to int) {
	var buf joinScratch
	cols := make([]*vec.Vec, len(t.keys))
	for i := range cols {
		cols[i] = &vec.Vec{}
	}
	hash := t.hash.Slice(t.hash.Cap() / 8)
	for ; from < to; from += vec.Size {
		if t.acct.Ended() {
			return
		}
		n := min(vec.Size, to-from)
		for i, c := range t.keys {
			t.rows.View(c, from, n, cols[i])
		}
		if t.form == tableHashed {
			hashKeys(hash[from:from+n], cols, nil, n)
			continue
		}
		buf.size(n)
		w := t.words.Slice(t.N)[from : from+n]
		t.wordsOf(cols, identity[:n], w, buf.bad, nil)
		for k, x := range w {
			hash[from+k] = kernel.HashU64(x)
		}
	}
}

// skipped says whether row r must not be found: it has a null in a key whose nulls
// match nothing.
func (t *joinTable) skipped(r int) bool {
	if !t.hasNull {
		return false
	}
	for i, c := range t.keys {
		if !t.nullEqual[i] && t.rows.IsNull(c, r) {
			return true
		}
	}
	return false
}

// chainMemory makes the memory of chains, before rows are filled in by tasks.
func (t *joinTable) chainMemory() error {
	if t.form == tableAll {
		return nil
	}
	return t.next.Grow(t.N)
}

// after is the next row + 1 of the chain of row r, 0 at its end.
func (t *joinTable) after(next []uint32, r uint32) uint32 {
	if t.form == tableAll {
		if int(r)+1 < t.N {
			return r + 2
		}
		return 0
	}
	return next[r]
}

// chains is next, when there are chains in it.
func (t *joinTable) chains() []uint32 {
	if t.form == tableAll || !t.dups.Load() {
		return nil
	}
	return t.next.Slice(t.N)
}

// lookMask is how often loops over many rows look whether the query has ended.
const lookMask = 1<<14 - 1

// touchMask is lookMask for loops that go about in new memory: each step may be the
// first on its page, which costs ten microseconds and more on some machines.
const touchMask = 1<<9 - 1

// fill enters the rows whose slots lie in one of the table's parts.
func (t *joinTable) fill(part int) {
	if t.form == tableDense {
		t.fillDense()
		return
	}
	slots := t.slots.Slice(1 << t.bits)
	hash := t.hash.Slice(t.N)
	next := t.next.Slice(t.N)
	shift := 64 - t.bits
	size := uint64(len(slots) / t.parts)
	lo := uint64(part) * size
	var words []uint64
	if t.form == tableWords {
		words = t.words.Slice(t.N)
	}
	dups := false
	for r := t.N - 1; r >= 0; r-- {
		if r&touchMask == 0 && t.acct.Ended() {
			return
		}
		h := hash[r]
		at := h >> shift
		if at-lo >= size || t.skipped(r) {
			continue
		}
		tag := h << 32
		for {
			s := slots[at]
			if s == 0 {
				slots[at] = tag | uint64(r+1)
				break
			}
			if s>>32 == tag>>32 {
				if o := int(uint32(s)) - 1; words != nil && words[o] == words[r] || words == nil && hash[o] == h && t.equal(o, r) {
					next[r] = uint32(o + 1)
					slots[at] = tag | uint64(r+1)
					dups = true
					break
				}
			}
			at = lo + (at+1-lo)&(size-1)
		}
	}
	if dups {
		t.dups.Store(true)
	}
}

func (t *joinTable) fillDense() {
	heads := t.heads.Slice(int(t.width))
	next := t.next.Slice(t.N)
	cols := make([]*vec.Vec, len(t.keys))
	for i := range cols {
		cols[i] = &vec.Vec{}
	}
	var buf joinScratch
	dups := false
	from := (t.N - 1) / vec.Size * vec.Size
	for ; from >= 0; from -= vec.Size {
		if t.acct.Ended() {
			return
		}
		n := min(vec.Size, t.N-from)
		for i, c := range t.keys {
			t.rows.View(c, from, n, cols[i])
		}
		buf.size(n)
		t.wordsOf(cols, identity[:n], buf.w, buf.bad, nil)
		for k := n - 1; k >= 0; k-- {
			if buf.bad[k] != 0 {
				continue
			}
			h := &heads[buf.w[k]]
			if *h != 0 {
				next[from+k] = *h
				dups = true
			}
			*h = uint32(from + k + 1)
		}
	}
	if dups {
		t.dups.Store(true)
	}
}

// equal compares the keys of two rows.
func (t *joinTable) equal(a, b int) bool {
	for _, c := range t.keys {
		an, bn := t.rows.IsNull(c, a), t.rows.IsNull(c, b)
		if an || bn {
			if an != bn {
				return false
			}
			continue
		}
		if t.rows.compare(c, a, t.rows, b) != 0 {
			return false
		}
	}
	return true
}

// filled frees what only filling needed.
func (t *joinTable) filled() {
	t.hash.Free()
	if !t.dups.Load() {
		t.next.Free()
	}
}

// joinScratch is a lane's memory for looking up batches.
type joinScratch struct {
	w, h, got  []uint64
	bad        []uint8
	rows       []uint16
	ne         []uint8
	pos        []uint64
	act, nact  []uint16
	candRow    []uint16
	candID     []uint32
	cand       []uint16
	cmp        keyCompare
	hit        []uint32
	foundRow   []uint16
	foundBuild []uint32
}

func (b *joinScratch) size(n int) {
	b.w, b.h, b.got, b.bad, b.rows = grown(b.w, n), grown(b.h, n), grown(b.got, n), grown(b.bad, n), grown(b.rows, n)
	b.hit, b.foundRow, b.foundBuild = grown(b.hit, n), grown(b.foundRow, n), grown(b.foundBuild, n)
}

// find looks up the keys of the given rows of a batch. It returns the rows that have
// a match, ascending, and the first build row of each.
func (t *joinTable) find(cols []*vec.Vec, rows []uint16, b *joinScratch) ([]uint16, []uint32) {
	if t.form == tableEmpty || len(rows) == 0 {
		return nil, nil
	}
	b.size(len(rows))
	switch t.form {
	case tableAll:
		clear(b.foundBuild)
		return rows, b.foundBuild
	case tableHashed:
		return t.findHashed(cols, rows, b)
	}
	t.wordsOf(cols, rows, b.w, b.bad, nil)
	fr, fb := b.foundRow, b.foundBuild
	m := 0
	if t.form == tableDense {
		heads := t.heads.Slice(int(t.width))
		last := t.width - 1
		for k, x := range b.w {
			if b.bad[k] != 0 {
				x = 0
			}
			b.hit[k] = heads[min(x, last)]
		}
		for k, h := range b.hit {
			fr[m], fb[m] = rows[k], h-1
			if h != 0 && b.bad[k] == 0 {
				m++
			}
		}
		return fr[:m], fb[:m]
	}
	slots := t.slots.Slice(1 << t.bits)
	words := t.words.Slice(t.N)
	shift := 64 - t.bits
	for k, x := range b.w {
		b.h[k] = kernel.HashU64(x)
	}
	for k, h := range b.h {
		b.got[k] = slots[h>>shift]
	}
	size := uint64(len(slots) / t.parts)
	for k, s := range b.got {
		if s == 0 || b.bad[k] != 0 {
			continue
		}
		h, x := b.h[k], b.w[k]
		tag := h & math.MaxUint32
		if s>>32 == tag && words[uint32(s)-1] == x {
			fr[m], fb[m] = rows[k], uint32(s)-1
			m++
			continue
		}
		at := h >> shift
		lo := at &^ (size - 1)
		for {
			at = lo + (at+1-lo)&(size-1)
			if s = slots[at]; s == 0 {
				break
			}
			if s>>32 == tag && words[uint32(s)-1] == x {
				fr[m], fb[m] = rows[k], uint32(s)-1
				m++
				break
			}
		}
	}
	return fr[:m], fb[:m]
}

func (t *joinTable) findHashed(cols []*vec.Vec, rows []uint16, b *joinScratch) ([]uint16, []uint32) {
	// Nulls that match nothing are left out first.
	act := rows
	for i, v := range cols {
		if t.nullEqual[i] || v.Valid == nil {
			continue
		}
		m := 0
		for _, r := range act {
			b.rows[m] = r
			if !v.IsNull(int(r)) {
				m++
			}
		}
		act = b.rows[:m]
	}
	n := len(act)
	if n == 0 {
		return nil, nil
	}
	hashKeys(b.h, cols, act, n)
	slots := t.slots.Slice(1 << t.bits)
	shift := 64 - t.bits
	size := uint64(len(slots) / t.parts)
	b.pos = grown(b.pos, n)
	for k, h := range b.h[:n] {
		b.pos[k] = h >> shift
		b.got[k] = slots[h>>shift]
	}
	b.act, b.nact = grown(b.act, n), grown(b.nact, n)
	todo := b.act[:0]
	for k := range n {
		b.hit[k] = 0
		if b.got[k] != 0 {
			todo = append(todo, uint16(k))
		}
	}
	rest := b.nact[:0]
	b.candRow, b.candID, b.cand, b.ne = grown(b.candRow, n), grown(b.candID, n), grown(b.cand, n), grown(b.ne, n)
	for len(todo) > 0 {
		m := 0
		for _, k := range todo {
			tag := b.h[k] & math.MaxUint32
			at := b.pos[k]
			lo := at &^ (size - 1)
			for {
				s := slots[at]
				if s == 0 {
					break
				}
				if s>>32 == tag {
					b.pos[k] = at
					b.cand[m], b.candRow[m], b.candID[m] = k, act[k], uint32(s)-1
					m++
					break
				}
				at = lo + (at+1-lo)&(size-1)
			}
		}
		ne := b.ne[:m]
		clear(ne)
		for i, v := range cols {
			b.cmp.differCol(ne, v, b.candRow[:m], t.rows, t.keys[i], b.candID[:m])
		}
		rest = rest[:0]
		for c, k := range b.cand[:m] {
			if ne[c] == 0 {
				b.hit[k] = b.candID[c] + 1
				continue
			}
			lo := b.pos[k] &^ (size - 1)
			b.pos[k] = lo + (b.pos[k]+1-lo)&(size-1)
			rest = append(rest, k)
		}
		todo, rest = rest, todo
	}
	m := 0
	for k := range n {
		b.foundRow[m], b.foundBuild[m] = act[k], b.hit[k]-1
		if b.hit[k] != 0 {
			m++
		}
	}
	return b.foundRow[:m], b.foundBuild[:m]
}

// mark notes that build rows met a match; lanes may mark at a time.
func (t *joinTable) mark(ids []uint32) {
	w := t.matched.Slice(vec.Words(t.N))
	for _, i := range ids {
		p, bit := &w[i>>6], uint64(1)<<(i&63)
		if atomic.LoadUint64(p)&bit == 0 {
			atomic.OrUint64(p, bit)
		}
	}
}

// markChains is mark for the rows and all that follow them. A chain is marked from
// its head on, so that a marked head tells of all.
func (t *joinTable) markChains(ids []uint32) {
	w := t.matched.Slice(vec.Words(t.N))
	next := t.chains()
	for _, i := range ids {
		if atomic.LoadUint64(&w[i>>6])>>(i&63)&1 != 0 {
			continue
		}
		atomic.OrUint64(&w[i>>6], 1<<(i&63))
		if next == nil {
			continue
		}
		for n := next[i]; n != 0; n = next[n-1] {
			atomic.OrUint64(&w[(n-1)>>6], 1<<((n-1)&63))
		}
	}
}

func (t *joinTable) free() {
	t.words.Free()
	t.heads.Free()
	t.slots.Free()
	t.hash.Free()
	t.next.Free()
	t.matched.Free()
}
