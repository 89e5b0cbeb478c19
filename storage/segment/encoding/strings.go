package encoding

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// Strings is a set of distinct strings numbered in order of arrival: what a
// dictionary is made of. It holds all bytes in one heap.
type Strings struct {
	heap   []byte
	ends   []uint32
	hashes []uint32
	slots  []uint64 // hash<<32 | number+1, 0 when free
}

// Len is the number of strings.
func (d *Strings) Len() int { return len(d.ends) }

// Bytes is the size of all strings.
func (d *Strings) Bytes() int { return len(d.heap) }

// At is string number i.
func (d *Strings) At(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.heap[from:d.ends[i]]
}

// Hash is the hash that string number i was added with.
func (d *Strings) Hash(i int) uint64 { return uint64(d.hashes[2*i])<<32 | uint64(d.hashes[2*i+1]) }

// Reset empties the set, keeping its memory.
func (d *Strings) Reset() {
	d.heap, d.ends, d.hashes = d.heap[:0], d.ends[:0], d.hashes[:0]
	clear(d.slots)
}

// Add returns the number of b, whose hash is h, adding it when new.
func (d *Strings) Add(b []byte, h uint64) uint32 {
	if 2*(len(d.ends)+1) > len(d.slots) {
		d.rehash(max(1024, 2*len(d.slots)))
	}
	h32 := uint32(h >> 32)
	mask := uint32(len(d.slots) - 1)
	for i := uint32(h) & mask; ; i = (i + 1) & mask {
		x := d.slots[i]
		if x == 0 {
			n := uint32(len(d.ends))
			d.slots[i] = uint64(h32)<<32 | uint64(n+1)
			d.heap = append(d.heap, b...)
			d.ends = append(d.ends, uint32(len(d.heap)))
			d.hashes = append(d.hashes, h32, uint32(h))
			return n
		}
		if uint32(x>>32) == h32 {
			if n := int(uint32(x)) - 1; bytes.Equal(d.At(n), b) {
				return uint32(n)
			}
		}
	}
}

// Truncate forgets all strings from number n on.
func (d *Strings) Truncate(n int) {
	if n >= len(d.ends) {
		return
	}
	if n == 0 {
		d.heap = d.heap[:0]
	} else {
		d.heap = d.heap[:d.ends[n-1]]
	}
	d.ends, d.hashes = d.ends[:n], d.hashes[:2*n]
	d.rehash(len(d.slots))
}

func (d *Strings) rehash(n int) {
	if len(d.slots) == n {
		clear(d.slots)
	} else {
		d.slots = make([]uint64, n)
	}
	mask := uint32(n - 1)
	for k := range d.ends {
		hi, lo := d.hashes[2*k], d.hashes[2*k+1]
		i := lo & mask
		for d.slots[i] != 0 {
			i = (i + 1) & mask
		}
		d.slots[i] = uint64(hi)<<32 | uint64(k+1)
	}
}

// Sorted lists the numbers in the order of their strings, and each number's
// place in it.
func (d *Strings) Sorted() (order, ranks []uint32) {
	order = make([]uint32, d.Len())
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(d.At(int(a)), d.At(int(b))) })
	ranks = make([]uint32, len(order))
	for r, i := range order {
		ranks[i] = uint32(r)
	}
	return order, ranks
}

// AppendHeap appends the strings as order lists them, in the form that
// ParseDictionary reads.
func (d *Strings) AppendHeap(dst []byte, order []uint32, codec Codec, s *Scratch) []byte {
	return appendHeapOf(dst, len(order), func(i int) []byte { return d.At(int(order[i])) }, codec, s)
}

// ParseDictionary reads n strings, in ascending order, into a dictionary whose
// memory is its own or lent by b.
func ParseDictionary(b []byte, n int, t types.T, s *Scratch) (*vec.Dictionary, error) {
	var h heap
	if err := h.parse(b, n); err != nil {
		return nil, err
	}
	return h.dictionary(t, s)
}
