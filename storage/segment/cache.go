package segment

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// HeapCache keeps the strings of compressed blocks decompressed while they are
// scanned again and again, up to a number of bytes. Blocks come in at their second
// scan, and out only when nobody has asked for them for cacheIdle: a set of blocks
// that is larger than the cache is then served in part instead of not at all. It
// is safe for concurrent use.
type HeapCache struct {
	max int64

	mu      sync.RWMutex
	used    int64
	entries map[heapKey]*heapEntry
}

const cacheIdle = 30 * time.Second

// heapKey is a block of a column of a reader.
type heapKey struct {
	reader     uint64
	col, block int32
}

type heapEntry struct {
	raw  []byte
	last atomic.Int64 // nanoseconds of some clock that only rises
}

var (
	readerNumber atomic.Uint64
	cacheEpoch   = time.Now()
)

// NewHeapCache makes a cache of at most this many bytes.
func NewHeapCache(bytes int64) *HeapCache {
	return &HeapCache{max: bytes, entries: map[heapKey]*heapEntry{}}
}

// Bytes is what the cache holds now.
func (c *HeapCache) Bytes() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.used
}

func (c *HeapCache) get(k heapKey) []byte {
	c.mu.RLock()
	e := c.entries[k]
	c.mu.RUnlock()
	if e == nil {
		return nil
	}
	e.last.Store(int64(time.Since(cacheEpoch)))
	return e.raw
}

// reserve makes room for n bytes, which put or a negative reserve gives back.
func (c *HeapCache) reserve(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(n) > c.max/8 {
		return false
	}
	if c.used+int64(n) > c.max {
		c.evict(c.used + int64(n) - c.max)
	}
	if c.used+int64(n) > c.max {
		return false
	}
	c.used += int64(n)
	return true
}

// evict drops what has been idle, oldest first, until n bytes are free.
func (c *HeapCache) evict(n int64) {
	type idle struct {
		k    heapKey
		last int64
	}
	var old []idle
	limit := int64(time.Since(cacheEpoch) - cacheIdle)
	for k, e := range c.entries {
		if l := e.last.Load(); l < limit {
			old = append(old, idle{k, l})
		}
	}
	slices.SortFunc(old, func(a, b idle) int { return cmp.Compare(a.last, b.last) })
	for _, x := range old {
		if n <= 0 {
			return
		}
		n -= int64(len(c.entries[x.k].raw))
		c.remove(x.k)
	}
}

func (c *HeapCache) remove(k heapKey) {
	if e := c.entries[k]; e != nil {
		c.used -= int64(len(e.raw))
		delete(c.entries, k)
	}
}

// put keeps raw, for which room was reserved.
func (c *HeapCache) put(k heapKey, raw []byte) {
	e := &heapEntry{raw: raw}
	e.last.Store(int64(time.Since(cacheEpoch)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k) // another reader was as fast
	c.entries[k] = e
}

// release gives a reservation back.
func (c *HeapCache) release(n int) {
	c.mu.Lock()
	c.used -= int64(n)
	c.mu.Unlock()
}

// forget drops all blocks of a reader.
func (c *HeapCache) forget(reader uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.entries {
		if k.reader == reader {
			c.remove(k)
		}
	}
}

// SetCache lets the reader use a cache; called before the reader is shared.
func (r *Reader) SetCache(c *HeapCache) {
	r.cache, r.number = c, readerNumber.Add(1)
	r.scanned = make([]atomic.Uint64, len(r.verified))
}

// warm takes the parsed block's strings from the cache.
func (c *ColReader) warm(block int) {
	n := c.blk.Compressed()
	c.cold = n > 0 && c.r.cache != nil
	if !c.cold {
		return
	}
	if raw := c.r.cache.get(heapKey{c.r.number, int32(c.col), int32(block)}); raw != nil {
		c.cold = !c.blk.UseRaw(raw)
	}
}

// heat is called when a compressed block is scanned: the first time that is noted,
// then its strings go into the cache.
func (c *ColReader) heat(block int) error {
	c.cold = false // asked once
	w, bit := verifiedBit(c.col, block)
	if c.r.scanned[w].Or(bit)&bit == 0 {
		return nil
	}
	n := c.blk.Compressed()
	if !c.r.cache.reserve(n) {
		return nil
	}
	raw := make([]byte, n)
	if err := c.blk.Decompress(raw); err != nil {
		c.r.cache.release(n)
		return err
	}
	c.r.cache.put(heapKey{c.r.number, int32(c.col), int32(block)}, raw)
	c.blk.UseRaw(raw)
	return nil
}
