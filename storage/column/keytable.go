package column

import (
	"runtime"
	"sync/atomic"
)

// keyTable maps key hashes to rows: open addressing, linear probing, one word a
// slot (hash<<32 | row+1). One goroutine writes, any number read at the same time.
type keyTable struct {
	slots []uint64
	mask  uint32
	n     int
}

func newKeyTable(capacity int) *keyTable {
	size := 64
	for size < 2*capacity {
		size *= 2
	}
	return &keyTable{slots: make([]uint64, size), mask: uint32(size - 1)}
}

func (t *keyTable) slot(hash uint32) uint32 { return (hash * 0x9E3779B1) >> 7 & t.mask }

// next finds the first slot from i on whose hash is this; ok is false at the end
// of the chain, and then i is the free slot.
func (t *keyTable) next(hash, i uint32) (row, at uint32, ok bool) {
	for {
		s := atomic.LoadUint64(&t.slots[i])
		if s == 0 {
			return 0, i, false
		}
		if uint32(s>>32) == hash {
			return uint32(s) - 1, i, true
		}
		i = (i + 1) & t.mask
	}
}

// touch has the processor load the slots of the hashes, all at once: those who look them up
// one after the other would wait for memory each time.
func (t *keyTable) touch(hashes []uint32) {
	x := uint64(0)
	for _, h := range hashes {
		x |= atomic.LoadUint64(&t.slots[t.slot(h)])
	}
	runtime.KeepAlive(x)
}

// touchOf is touch of the listed hashes.
func (t *keyTable) touchOf(hashes, which []uint32) {
	x := uint64(0)
	for _, i := range which {
		x |= atomic.LoadUint64(&t.slots[t.slot(hashes[i])])
	}
	runtime.KeepAlive(x)
}

// put writes slot i.
func (t *keyTable) put(i, hash, row uint32) {
	if atomic.LoadUint64(&t.slots[i]) == 0 {
		t.n++
	}
	atomic.StoreUint64(&t.slots[i], uint64(hash)<<32|uint64(row+1))
}

// drop empties slot i, which must be the last that was filled in its chain.
func (t *keyTable) drop(i uint32) {
	t.n--
	atomic.StoreUint64(&t.slots[i], 0)
}

// room says whether n more entries keep chains short.
func (t *keyTable) room(n int) bool { return 2*(t.n+n) <= len(t.slots) }

// grown is a copy with room for n more entries.
func (t *keyTable) grown(n int) *keyTable {
	g := newKeyTable(max(t.n+n, len(t.slots)))
	for _, s := range t.slots {
		if s == 0 {
			continue
		}
		i := g.slot(uint32(s >> 32))
		for g.slots[i] != 0 {
			i = (i + 1) & g.mask
		}
		g.slots[i] = s
		g.n++
	}
	return g
}
