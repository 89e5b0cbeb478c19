package op

import (
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Groups numbers the distinct rows of its key columns from 0, in about the order
// in which they came. It is a hash table with linear probing over 8-byte slots, tag
// in the high half and group number + 1 in the low, with the keys as columns
// aside. A batch is looked up in passes: hash all, load all slots, compare all
// candidates, and only what is left goes round again; the passes are loops whose
// loads do not wait for each other.
//
// Integer keys that fit a word together, by their bounds where these are known, are
// packed and compared as one; in a narrow range an array by the word (dense) takes
// the place of the table. A key that does not fit after all makes the table one of
// plain rows. Keys that all come as dictionary codes are looked up by codes: the
// table is asked once for each combination.
type Groups struct {
	T    []types.T
	N    int
	acct *mem.Account

	slots mem.Array[uint64]
	mask  uint64
	first int               // slots to begin with
	hash  mem.Array[uint64] // by group

	packed *packing
	words  mem.Array[uint64] // packed keys by group + 1; [0] is a dummy
	null   uint32            // group + 1 of the null of a single 64-bit key
	rows   *Rows             // other keys

	dense mem.Array[uint32] // group + 1 by word - base
	base  uint64
	size  uint64 // of dense; 0: there is none

	codes codeCache
	cmp   keyCompare

	// Fresh lists, for the groups that the last Find made, in order, the row each
	// came from, as an index into the rows looked up.
	Fresh []uint16

	hs, key, got        []uint64
	act, next, row, cnd []uint16
	ids                 []uint32
	ne                  []uint8
	phys                []uint16
}

// slotsMin is the size of a new table.
const slotsMin = 1024

// NewGroups makes an empty table for keys of these types, of which there may be none.
func NewGroups(ts []types.T, acct *mem.Account) *Groups { return NewGroupsIn(ts, nil, 0, acct) }

// The dense form is taken for ranges of at most denseGroups words, or of
// denseGroupRatio words a group expected.
const (
	denseGroups     = 1 << 15
	denseGroupRatio = 16
	denseGroupMax   = 1 << 20
)

// NewGroupsIn is NewGroups with bounds of the keys, which may be nil, and about how
// many groups are expected, 0 when it is unknown.
func NewGroupsIn(ts []types.T, bounds []KeyBounds, expect float64, acct *mem.Account) *Groups {
	g := &Groups{T: ts, acct: acct}
	g.slots.Account, g.hash.Account, g.words.Account, g.dense.Account = acct, acct, acct, acct
	if g.packed = newPacking(ts, bounds); g.packed == nil {
		g.rows = NewRows(ts, acct)
		return g
	}
	if p := g.packed; p.width <= 20 && !p.noNull {
		size := uint64(1) << p.width
		if len(ts) == 1 {
			size = p.span[0] + 2
		}
		if size <= denseGroups || size <= denseGroupMax && float64(size) <= denseGroupRatio*expect {
			g.size = size
		}
	}
	return g
}

// part restricts a dense table to the words of one of mergeParts partitions.
func (g *Groups) part(i int) {
	if g.size > 0 {
		per := (g.size + mergeParts - 1) / mergeParts
		g.base, g.size = uint64(i)*per, per
	}
}

// Free gives the memory back; the table is empty then.
func (g *Groups) Free() {
	if g == nil {
		return
	}
	g.slots.Free()
	g.hash.Free()
	g.words.Free()
	g.dense.Free()
	g.rows.Free()
	g.N, g.mask, g.null = 0, 0, 0
	g.codes = codeCache{}
}

// Bytes is the memory in use.
func (g *Groups) Bytes() int64 {
	n := int64(g.slots.Cap() + g.hash.Cap() + g.words.Cap() + g.dense.Cap())
	if g.rows != nil {
		n += g.rows.Bytes()
	}
	return n
}

// Find writes to gids the groups of the rows in sel (or 0..n-1), making those that
// are missing. Not more than vec.Size rows at a time.
func (g *Groups) Find(cols []*vec.Vec, sel []uint16, n int, gids []uint32) error {
	if sel != nil {
		n = len(sel)
	}
	g.Fresh = g.Fresh[:0]
	if n == 0 {
		return nil
	}
	if len(cols) == 0 {
		if g.N == 0 {
			if err := g.hash.Grow(1); err != nil {
				return err
			}
			g.hash.Slice(1)[0] = 0
			g.N = 1
			g.Fresh = append(g.Fresh, 0)
		}
		clear(gids[:n])
		return nil
	}
	if g.codes.usable(cols) {
		return g.findCodes(cols, sel, n, gids)
	}
	return g.find(cols, sel, n, gids)
}

func (g *Groups) find(cols []*vec.Vec, sel []uint16, n int, gids []uint32) error {
	if g.packed != nil {
		g.key = grown(g.key, n)
		if !g.packed.pack(g.key, cols, sel) {
			if err := g.toRows(); err != nil {
				return err
			}
		}
	}
	if g.size > 0 {
		return g.findDense(n, gids)
	}
	if err := g.room(n); err != nil {
		return err
	}
	if g.packed != nil {
		return g.findPacked(cols, sel, n, gids)
	}
	return g.findRows(cols, sel, n, gids)
}

// findDense looks the words in key up in the array.
func (g *Groups) findDense(n int, gids []uint32) error {
	if g.dense.Cap() == 0 {
		if g.dense.Grow(int(g.size)) != nil {
			g.size = 0 // no room for an array: a table then
			if err := g.room(n); err != nil {
				return err
			}
			return g.findPacked(nil, nil, n, gids)
		}
	}
	if err := g.words.Grow(g.N + n + 1); err != nil {
		return err
	}
	dense, words := g.dense.Slice(int(g.size)), g.words.Slice(g.N+n+1)
	base := g.base
	g.act = grown(g.act, n)
	miss := g.act
	m := 0
	for k, w := range g.key {
		id := dense[w-base]
		gids[k] = id - 1
		miss[m] = uint16(k)
		if id == 0 {
			m++
		}
	}
	for _, k := range miss[:m] {
		w := g.key[k]
		id := dense[w-base]
		if id == 0 {
			g.N++
			id = uint32(g.N)
			dense[w-base] = id
			words[id] = w
			g.Fresh = append(g.Fresh, k)
		}
		gids[k] = id - 1
	}
	return nil
}

// toRows makes the table one of plain rows.
func (g *Groups) toRows() error {
	rows := NewRows(g.T, g.acct)
	out := make([]*vec.Vec, len(g.T))
	for i := range out {
		out[i] = &vec.Vec{}
	}
	var ids []uint32
	if err := g.hash.Grow(g.N); err != nil {
		return err
	}
	for from := 0; from < g.N; from += vec.Size {
		n := min(vec.Size, g.N-from)
		ids = grown(ids, n)
		for k := range ids {
			ids[k] = uint32(from + k)
		}
		g.gatherShared(ids, out)
		if err := rows.AppendCols(out, nil, n); err != nil {
			rows.Free()
			return err
		}
		hashKeys(g.hash.Slice(g.N)[from:from+n], out, nil, n)
	}
	g.rows, g.packed, g.null, g.size, g.mask = rows, nil, 0, 0, 0
	g.words.Free()
	g.dense.Free()
	return nil
}

// expect makes room for about n groups in an empty table.
func (g *Groups) expect(n int) {
	for g.first = slotsMin; n*5 > g.first*3; {
		g.first *= 2
	}
}

// room makes the table fit for n more groups.
func (g *Groups) room(n int) error {
	want := g.N + n
	if err := g.hash.Grow(want); err != nil {
		return err
	}
	if g.packed != nil {
		if err := g.words.Grow(want + 1); err != nil {
			return err
		}
	}
	size := int(g.mask + 1)
	if g.mask != 0 && want*5 <= size*3 {
		return nil
	}
	if g.mask == 0 {
		size = max(slotsMin, g.first)
	}
	for want*5 > size*3 {
		if size < 16<<20 && g.N > 0 {
			size *= 4
		} else {
			size *= 2
		}
	}
	// A new array: the old slots are not needed, the hashes are kept.
	s := mem.Array[uint64]{Buffer: mem.Buffer{Account: g.acct}}
	if err := s.Grow(size); err != nil {
		return err
	}
	g.slots.Free()
	g.slots = s
	g.mask = uint64(size - 1)
	slots, mask := g.slots.Slice(size), g.mask
	for i, h := range g.hash.Slice(g.N) {
		if i&touchMask == 0 && g.acct.Ended() {
			return errClosed
		}
		at := h & mask
		for slots[at] != 0 {
			at = (at + 1) & mask
		}
		slots[at] = h>>32<<32 | uint64(i+1)
	}
	return nil
}

func (g *Groups) findPacked(cols []*vec.Vec, sel []uint16, n int, gids []uint32) error {
	g.hs, g.got, g.act = grown(g.hs, n), grown(g.got, n), grown(g.act, n)
	key, hs, got := g.key, g.hs, g.got
	slots, mask := g.slots.Slice(int(g.mask+1)), g.mask
	for k, x := range key {
		hs[k] = kernel.HashU64(x)
	}
	for k, h := range hs {
		got[k] = slots[h&mask]
	}
	words := g.words.Slice(g.words.Cap() / 8)
	miss := g.act[:0]
	for k, s := range got {
		id := uint32(s)
		if s>>32 == hs[k]>>32 && words[id] == key[k] && id != 0 {
			gids[k] = id - 1
			continue
		}
		miss = append(miss, uint16(k))
	}
	if nv := g.packed.apart(cols); nv != nil { // not of a dense table
		// A 64-bit key has no room for a null: nulls are a group beside the table.
		m := 0
		for _, k := range miss {
			if nv.IsNull(physRow(sel, k)) {
				continue
			}
			miss[m] = k
			m++
		}
		miss = miss[:m]
		for k := range n {
			if !nv.IsNull(physRow(sel, uint16(k))) {
				continue
			}
			if g.null == 0 {
				g.hash.Slice(g.N + 1)[g.N] = kernel.HashNull
				words[g.N+1] = 0
				g.N++
				g.null = uint32(g.N)
				g.Fresh = append(g.Fresh, uint16(k))
			}
			gids[k] = g.null - 1
		}
	}
	for _, k := range miss {
		h, x := hs[k], key[k]
		at := h & mask
		for {
			s := slots[at]
			if s == 0 {
				g.hash.Slice(g.N + 1)[g.N] = h
				g.N++
				words[g.N] = x
				slots[at] = h>>32<<32 | uint64(g.N)
				gids[k] = uint32(g.N - 1)
				g.Fresh = append(g.Fresh, k)
				break
			}
			if id := uint32(s); s>>32 == h>>32 && words[id] == x && id != g.null {
				gids[k] = id - 1
				break
			}
			at = (at + 1) & mask
		}
	}
	return nil
}

func physRow(sel []uint16, k uint16) int {
	if sel != nil {
		return int(sel[k])
	}
	return int(k)
}

func (g *Groups) findRows(cols []*vec.Vec, sel []uint16, n int, gids []uint32) error {
	g.hs = grown(g.hs, n)
	hs := g.hs
	hashKeys(hs, cols, sel, n)
	g.phys = grown(g.phys, n)
	phys := physical(sel, n, g.phys)
	slots, mask := g.slots.Slice(int(g.mask+1)), g.mask
	g.got = grown(g.got, n) // positions, then slots
	pos := g.got
	for k, h := range hs {
		pos[k] = h & mask
	}
	act := append(g.act[:0], identityFor(n)...)
	g.act = act
	if cap(g.next) < n {
		g.next = make([]uint16, 0, max(n, vec.Size))
	}
	next := g.next[:0]
	for len(act) > 0 {
		// Claim empty slots, and list the rows that meet their tag.
		start := g.N
		row, ids, cnd := g.row[:0], g.ids[:0], g.cnd[:0]
		made := len(g.Fresh)
		for _, k := range act {
			h := hs[k]
			at := pos[k]
			for {
				s := slots[at]
				if s == 0 {
					g.hash.Slice(g.N + 1)[g.N] = h
					g.N++
					slots[at] = h>>32<<32 | uint64(g.N)
					gids[k] = uint32(g.N - 1)
					g.Fresh = append(g.Fresh, k)
					break
				}
				if s>>32 == h>>32 {
					pos[k] = at
					row = append(row, phys[k])
					ids = append(ids, uint32(s)-1)
					cnd = append(cnd, k)
					break
				}
				at = (at + 1) & mask
			}
		}
		g.row, g.ids, g.cnd = row, ids, cnd
		if g.N > start {
			// The new keys, before anything is compared with them.
			g.phys2(phys, g.Fresh[made:])
			if err := g.rows.AppendCols(cols, g.next2(), 0); err != nil {
				g.undo(start)
				return err
			}
		}
		g.ne = grown(g.ne, len(row))
		g.cmp.differ(g.ne, cols, row, g.rows, 0, ids)
		next = next[:0]
		for t, k := range cnd {
			if g.ne[t] == 0 {
				gids[k] = ids[t]
				continue
			}
			pos[k] = (pos[k] + 1) & mask
			next = append(next, k)
		}
		act, next = next, act
	}
	return nil
}

// undo takes back the groups from start on, whose keys could not be stored.
func (g *Groups) undo(start int) {
	slots := g.slots.Slice(int(g.mask + 1))
	g.N = start
	clear(slots)
	for i, h := range g.hash.Slice(g.N) {
		at := h & g.mask
		for slots[at] != 0 {
			at = (at + 1) & g.mask
		}
		slots[at] = h>>32<<32 | uint64(i+1)
	}
	g.codes = codeCache{}
}

// phys2 and next2 hold the physical rows of new groups; they need not ascend.
func (g *Groups) phys2(phys, ks []uint16) {
	g.codes.rows = grown(g.codes.rows, len(ks))
	for t, k := range ks {
		g.codes.rows[t] = phys[k]
	}
}

func (g *Groups) next2() []uint16 { return g.codes.rows }

func identityFor(n int) []uint16 {
	if n <= vec.Size {
		return identity[:n]
	}
	return physical(nil, n, nil)
}

// partition writes the partition of each group to out: by words or hashes as the
// table has them, or by the hashes of the keys themselves when free is set, which do
// not depend on the table's form.
func (g *Groups) partition(out []uint8, free bool) {
	switch {
	case free && g.rows == nil:
		cols := make([]*vec.Vec, len(g.T))
		for i := range cols {
			cols[i] = &vec.Vec{}
		}
		var ids []uint32
		var hs []uint64
		for from := 0; from < g.N; from += vec.Size {
			if g.acct.Ended() {
				return
			}
			n := min(vec.Size, g.N-from)
			ids, hs = grown(ids, n), grown(hs, n)
			for k := range ids {
				ids[k] = uint32(from + k)
			}
			g.gatherShared(ids, cols)
			hashKeys(hs, cols, nil, n)
			for k, h := range hs {
				out[from+k] = uint8(h >> groupShift)
			}
		}
	case g.size > 0:
		per := (g.size + mergeParts - 1) / mergeParts
		for i, w := range g.words.Slice(g.N + 1)[1:] {
			if i&lookMask == 0 && g.acct.Ended() {
				return
			}
			out[i] = uint8(w / per)
		}
	default:
		for i, h := range g.hash.Slice(g.N) {
			if i&lookMask == 0 && g.acct.Ended() {
				return
			}
			out[i] = uint8(h >> groupShift)
		}
	}
}

// Gather makes out[c] hold key column c of the groups ids.
func (g *Groups) Gather(ids []uint32, out []*vec.Vec) {
	g.key = grown(g.key, len(ids))
	g.gather(ids, out, g.key)
}

// gatherShared is Gather for several goroutines at a time.
func (g *Groups) gatherShared(ids []uint32, out []*vec.Vec) {
	var buf [vec.Size]uint64
	g.gather(ids, out, buf[:len(ids)])
}

func (g *Groups) gather(ids []uint32, out []*vec.Vec, key []uint64) {
	if g.packed == nil {
		for c, v := range out {
			g.rows.Gather(c, ids, v)
		}
		return
	}
	words := g.words.Slice(g.N + 1)
	for k, id := range ids {
		key[k] = words[id+1]
	}
	g.packed.unpack(key, out)
	if g.null != 0 {
		for k, id := range ids {
			if id+1 == g.null {
				setNull(out[0], k)
			}
		}
	}
}

// codeCache maps combinations of dictionary codes to groups.
type codeCache struct {
	dicts []*vec.Dictionary
	sizes []int
	gid   []uint32 // + 1; 0 unknown
	total int
	code  []uint32
	miss  []uint16
	mrows []uint16
	mgids []uint32
	rows  []uint16
}

// codesMax bounds the combinations that are kept.
const codesMax = 1 << 16

// usable says whether all columns are dictionary codes with few combinations, and
// makes the cache theirs.
func (c *codeCache) usable(cols []*vec.Vec) bool {
	same := len(c.dicts) == len(cols)
	for i, v := range cols {
		if v.Form != vec.Dict {
			return false
		}
		same = same && c.dicts[i] == v.Dict
	}
	if same {
		return c.total > 0
	}
	c.dicts, c.sizes, c.total = c.dicts[:0], c.sizes[:0], 1
	for _, v := range cols {
		c.dicts = append(c.dicts, v.Dict)
		c.sizes = append(c.sizes, v.Dict.Values.N+1) // the last code stands for null
		if c.total *= v.Dict.Values.N + 1; c.total > codesMax {
			c.total = 0
			break
		}
	}
	if c.total == 0 {
		// Remember the columns anyway, so that the next batch is refused at once.
		c.dicts = c.dicts[:0]
		for _, v := range cols {
			c.dicts = append(c.dicts, v.Dict)
		}
		return false
	}
	c.gid = grown(c.gid, c.total)
	clear(c.gid)
	return true
}

func (g *Groups) findCodes(cols []*vec.Vec, sel []uint16, n int, gids []uint32) error {
	c := &g.codes
	c.code = grown(c.code, n)
	code := c.code
	for i, v := range cols {
		size := uint32(c.sizes[i])
		switch {
		case i == 0 && sel == nil:
			copy(code, v.Codes[:n])
		case i == 0:
			for k, r := range sel {
				code[k] = v.Codes[r]
			}
		case sel == nil:
			for k, x := range v.Codes[:n] {
				code[k] = code[k]*size + x
			}
		default:
			for k, r := range sel {
				code[k] = code[k]*size + v.Codes[r]
			}
		}
		if v.Valid != nil {
			for k := range code {
				if v.IsNull(physRow(sel, uint16(k))) {
					code[k] += size - 1 // the code under a null is 0
				}
			}
		}
	}
	table := c.gid
	miss := c.miss[:0]
	for k, x := range code {
		id := table[x]
		gids[k] = id - 1
		if id == 0 {
			miss = append(miss, uint16(k))
		}
	}
	c.miss = miss
	if len(miss) == 0 {
		return nil
	}
	c.mrows = grown(c.mrows, len(miss))
	for t, k := range miss {
		c.mrows[t] = uint16(physRow(sel, k))
	}
	c.mgids = grown(c.mgids, len(miss))
	if err := g.find(cols, c.mrows, len(miss), c.mgids); err != nil {
		return err
	}
	for t, k := range miss {
		gids[k] = c.mgids[t]
		table[code[k]] = c.mgids[t] + 1
	}
	for t, k := range g.Fresh {
		g.Fresh[t] = miss[k]
	}
	return nil
}

// FreshRows are the physical rows that made new groups in the last Find, ascending.
func (g *Groups) FreshRows(sel, out []uint16) []uint16 {
	out = out[:0]
	for _, k := range g.Fresh {
		out = append(out, uint16(physRow(sel, k)))
	}
	slices.Sort(out)
	return selection(out)
}
