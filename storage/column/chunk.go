package column

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// A memtable's rows lie in chunks of chunkRows. The first chunk of a memtable
// starts small and is copied a few times as it grows; later ones are of full size.
const (
	chunkShift    = 13
	chunkRows     = 1 << chunkShift
	chunkMask     = chunkRows - 1
	firstChunk    = 128
	arenaMinBytes = 4 << 10
	arenaMaxBytes = 1 << 20
)

// dying is the death of a row whose delete is staged: above every snapshot.
const dying = ^uint64(0)

// chunk is up to chunkRows rows as flat arrays of fixed capacity. The writer fills
// it front to back; a reader looks only at rows below the count that the memtable
// published, and words of bitmaps that reach above it are read atomically.
type chunk struct {
	cap  int
	cols []chunkCol
	csn  []uint64
	prev []uint32 // row+1 of the previous row of the same key, 0 for none
	dead atomic.Pointer[[]uint64]
}

// chunkCol is one column of a chunk. head is replaced, never changed, when the
// column gets a validity bitmap or another string buffer.
type chunkCol struct {
	head  atomic.Pointer[vec.Vec]
	arena []byte // free rest of the last buffer
	used  uint32 // bytes used of the last buffer
	// codes of vectors whose rows are all published, where readers have made them:
	// see memdict.go
	codes [chunkRows / vec.Size]atomic.Pointer[vectorCodes]
}

func newChunk(cols []types.T, capacity int) *chunk {
	c := &chunk{cap: capacity, cols: make([]chunkCol, len(cols)), csn: make([]uint64, capacity), prev: make([]uint32, capacity)}
	for i, t := range cols {
		c.cols[i].head.Store(vec.New(t, capacity))
	}
	return c
}

// bytes is the memory of the chunk's fixed arrays.
func (c *chunk) bytes() int64 {
	n := int64(c.cap) * 12
	for i := range c.cols {
		n += int64(c.cap) * layoutBytes(c.cols[i].head.Load().T.Layout)
	}
	return n
}

func layoutBytes(l types.Layout) int64 {
	switch l {
	case types.LayoutBool:
		return 1
	case types.LayoutI16:
		return 2
	case types.LayoutI32, types.LayoutF32:
		return 4
	case types.LayoutI64, types.LayoutF64:
		return 8
	}
	return 16
}

// grown is a copy of c's first n rows with another capacity.
func (c *chunk) grown(n, capacity int) *chunk {
	g := &chunk{cap: capacity, cols: make([]chunkCol, len(c.cols)), csn: make([]uint64, capacity), prev: make([]uint32, capacity)}
	copy(g.csn, c.csn[:n])
	copy(g.prev, c.prev[:n])
	if d := c.dead.Load(); d != nil {
		nd := make([]uint64, capacity)
		copy(nd, (*d)[:n])
		g.dead.Store(&nd)
	}
	for i := range c.cols {
		o := c.cols[i].head.Load()
		v := vec.New(o.T, capacity)
		switch o.T.Layout {
		case types.LayoutBool:
			copy(v.Bits, o.Bits[:vec.Words(n)])
		case types.LayoutI16:
			copy(v.I16, o.I16[:n])
		case types.LayoutI32:
			copy(v.I32, o.I32[:n])
		case types.LayoutI64:
			copy(v.I64, o.I64[:n])
		case types.LayoutI128:
			copy(v.I128, o.I128[:n])
		case types.LayoutF32:
			copy(v.F32, o.F32[:n])
		case types.LayoutF64:
			copy(v.F64, o.F64[:n])
		case types.LayoutFixed16:
			copy(v.Fix, o.Fix[:n])
		default:
			copy(v.Views, o.Views[:n])
			v.Bufs = o.Bufs
		}
		if o.Valid != nil {
			v.Valid = onesWords(vec.Words(capacity))
			copy(v.Valid, o.Valid[:vec.Words(n)])
			for r := n; r < vec.Words(n)<<6 && r < capacity; r++ {
				vec.SetBit(v.Valid, r)
			}
		}
		g.cols[i].arena, g.cols[i].used = c.cols[i].arena, c.cols[i].used
		g.cols[i].head.Store(v)
	}
	return g
}

func onesWords(n int) []uint64 {
	w := make([]uint64, n)
	for i := range w {
		w[i] = ^uint64(0)
	}
	return w
}

// deadRows is the chunk's death array, made on first use.
func (c *chunk) deadRows() []uint64 {
	if d := c.dead.Load(); d != nil {
		return *d
	}
	d := make([]uint64, c.cap)
	c.dead.Store(&d)
	return d
}

// append copies rows from..from+n of src, in any form and without selection, to
// rows at..at+n. It returns the bytes of buffers it allocated.
func (cc *chunkCol) append(at int, src *vec.Vec, from, n int) (grew int64) {
	v := cc.head.Load()
	s := src.Source()
	switch v.T.Layout {
	case types.LayoutBool:
		for k := 0; k < n; k++ {
			if vec.Bit(s.Bits, src.Index(from+k)) && !src.IsNull(from+k) {
				orBit(v.Bits, at+k)
			} else {
				clearBit(v.Bits, at+k)
			}
		}
	case types.LayoutI16:
		copyRange(v.I16[at:at+n], s.I16, src, from)
	case types.LayoutI32:
		copyRange(v.I32[at:at+n], s.I32, src, from)
	case types.LayoutI64:
		copyRange(v.I64[at:at+n], s.I64, src, from)
	case types.LayoutI128:
		copyRange(v.I128[at:at+n], s.I128, src, from)
	case types.LayoutF32:
		copyRange(v.F32[at:at+n], s.F32, src, from)
	case types.LayoutF64:
		copyRange(v.F64[at:at+n], s.F64, src, from)
	case types.LayoutFixed16:
		copyRange(v.Fix[at:at+n], s.Fix, src, from)
	default:
		v, grew = cc.appendViews(v, at, src, from, n)
	}
	return grew + cc.appendValid(v, at, src, from, n)
}

func copyRange[E any](dst, vals []E, src *vec.Vec, from int) {
	switch src.Form {
	case vec.Const:
		for k := range dst {
			dst[k] = vals[0]
		}
	case vec.Dict:
		codes := src.Codes[from : from+len(dst)]
		for k := range dst {
			dst[k] = vals[codes[k]]
		}
	default:
		copy(dst, vals[from:from+len(dst)])
	}
}

func (cc *chunkCol) appendViews(v *vec.Vec, at int, src *vec.Vec, from, n int) (*vec.Vec, int64) {
	s, dst := src.Source(), v.Views[at:at+n]
	var grew int64
	put := func(w vec.View) vec.View {
		if w.Len <= vec.InlineMax {
			return w
		}
		b := s.Long(w)
		if len(b) > len(cc.arena) {
			v = cc.addBuffer(v, len(b))
			grew += int64(len(cc.arena))
		}
		copy(cc.arena, b)
		view := vec.MakeView(b, uint32(len(v.Bufs)-1), cc.used)
		cc.arena, cc.used = cc.arena[len(b):], cc.used+uint32(len(b))
		return view
	}
	switch {
	case src.Form == vec.Const:
		w := put(s.Views[0])
		for k := range dst {
			dst[k] = w
		}
	case src.Form == vec.Dict && s.N <= n:
		// Each string once, however many rows have it.
		stored := make([]vec.View, s.N)
		have := make([]uint64, vec.Words(s.N))
		for k, c := range src.Codes[from : from+n] {
			if !vec.Bit(have, int(c)) {
				vec.SetBit(have, int(c))
				stored[c] = put(s.Views[c])
			}
			dst[k] = stored[c]
		}
	default:
		for k := range dst {
			w := s.Views[src.Index(from+k)]
			if w.Len > vec.InlineMax {
				if src.IsNull(from + k) {
					w = vec.View{}
				} else {
					w = put(w)
				}
			}
			dst[k] = w
		}
	}
	return v, grew
}

// addBuffer publishes a head with one more string buffer.
func (cc *chunkCol) addBuffer(v *vec.Vec, need int) *vec.Vec {
	size := arenaMinBytes
	if k := len(v.Bufs); k > 0 {
		size = min(2*len(v.Bufs[k-1]), arenaMaxBytes)
	}
	size = max(size, need)
	buf := make([]byte, size)
	h := *v
	h.Bufs = append(v.Bufs[:len(v.Bufs):len(v.Bufs)], buf)
	cc.arena, cc.used = buf, 0
	cc.head.Store(&h)
	return &h
}

// appendValid takes over src's nulls, and zeroes the values under them.
func (cc *chunkCol) appendValid(v *vec.Vec, at int, src *vec.Vec, from, n int) (grew int64) {
	if src.Valid == nil {
		if v.Valid != nil {
			for k := 0; k < n; k++ {
				orBit(v.Valid, at+k)
			}
		}
		return 0
	}
	for k := 0; k < n; k++ {
		if !src.IsNull(from + k) {
			if v.Valid != nil {
				orBit(v.Valid, at+k)
			}
			continue
		}
		if v.Valid == nil {
			h := *v
			capacity := cc.capacity(v)
			h.Valid = onesWords(vec.Words(capacity))
			cc.head.Store(&h)
			v = &h
			grew += int64(capacity / 8)
		}
		clearBit(v.Valid, at+k)
		zeroValue(v, at+k)
	}
	return grew
}

func (cc *chunkCol) capacity(v *vec.Vec) int {
	switch v.T.Layout {
	case types.LayoutBool:
		return len(v.Bits) << 6
	case types.LayoutI16:
		return len(v.I16)
	case types.LayoutI32:
		return len(v.I32)
	case types.LayoutI64:
		return len(v.I64)
	case types.LayoutI128:
		return len(v.I128)
	case types.LayoutF32:
		return len(v.F32)
	case types.LayoutF64:
		return len(v.F64)
	case types.LayoutFixed16:
		return len(v.Fix)
	}
	return len(v.Views)
}

func zeroValue(v *vec.Vec, i int) {
	switch v.T.Layout {
	case types.LayoutBool:
		clearBit(v.Bits, i)
	case types.LayoutI16:
		v.I16[i] = 0
	case types.LayoutI32:
		v.I32[i] = 0
	case types.LayoutI64:
		v.I64[i] = 0
	case types.LayoutI128:
		v.I128[i] = types.Int128{}
	case types.LayoutF32:
		v.F32[i] = 0
	case types.LayoutF64:
		v.F64[i] = 0
	case types.LayoutFixed16:
		v.Fix[i] = types.Fixed16{}
	default:
		v.Views[i] = vec.View{}
	}
}

// orBit and clearBit write a bit of a word that readers may load at the same
// time. There is one writer, so the read needs no care.
func orBit(b []uint64, i int) {
	w := &b[i>>6]
	atomic.StoreUint64(w, *w|1<<(uint(i)&63))
}

func clearBit(b []uint64, i int) {
	w := &b[i>>6]
	if *w>>(uint(i)&63)&1 != 0 {
		atomic.StoreUint64(w, *w&^(1<<(uint(i)&63)))
	}
}

// window makes dst a view of rows at..at+n of a chunk's column; at is a multiple
// of 64. words is memory for one vector's bitmap, used where the last word may
// still be written.
func (cc *chunkCol) window(dst *vec.Vec, at, n int, words []uint64) {
	v := cc.head.Load()
	v.Window(at, n, dst)
	if v.T.Layout == types.LayoutBool {
		dst.Bits = bitWindow(v.Bits, at, n, words[:len(words)/2])
	}
	if v.Valid != nil {
		dst.Valid = bitWindow(v.Valid, at, n, words[len(words)/2:])
	}
}

func bitWindow(b []uint64, at, n int, mem []uint64) []uint64 {
	w := b[at>>6:]
	if n&63 == 0 {
		return w[:n>>6]
	}
	full := n >> 6
	mem = mem[:full+1]
	copy(mem, w[:full])
	mem[full] = atomic.LoadUint64(&w[full])
	return mem
}
