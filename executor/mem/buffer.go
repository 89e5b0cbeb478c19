package mem

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapMin is the size from which memory is mapped instead of taken from Go's heap.
const mapMin = 1 << 20

// hugeMin is the size from which huge pages are asked for.
const hugeMin = 2 << 20

// Buffer is a growable piece of pointer-free memory, charged to an account. The
// zero Buffer is empty; Account must be set before it grows. Growing may move it:
// slices of it taken before are dead then.
type Buffer struct {
	Account *Account
	b       []byte // length = capacity in use
	mapped  bool
}

// Bytes is the whole memory.
func (m *Buffer) Bytes() []byte { return m.b }

// Cap is the size in bytes.
func (m *Buffer) Cap() int { return len(m.b) }

// Grow makes the buffer at least n bytes, keeping what is in it; new bytes are
// zero. It at least doubles, so that growing by appending costs little.
func (m *Buffer) Grow(n int) error {
	if n <= len(m.b) {
		return nil
	}
	c := max(n, 2*len(m.b), 1024)
	if c >= mapMin {
		c = (c + 4095) &^ 4095
		if c >= hugeMin && c < 64<<20 {
			c = (c + hugeMin - 1) &^ (hugeMin - 1)
		}
	}
	if err := m.Account.Reserve(int64(c - len(m.b))); err != nil {
		if c = (n + 4095) &^ 4095; m.Account.TryReserve(int64(c - len(m.b))) {
			err = nil // room for what is needed, if not for doubling
		}
		if err != nil {
			return err
		}
	}
	if c < mapMin {
		b := make([]byte, c)
		copy(b, m.b)
		m.b = b
		return nil
	}
	var b []byte
	var err error
	if m.mapped {
		m.Account.forget(m.b)
		if b, err = unix.Mremap(m.b, c, unix.MREMAP_MAYMOVE); err != nil {
			m.Account.keep(m.b)
		} else {
			mapped.Add(int64(c - len(m.b)))
		}
	} else if b = spare.take(c); b == nil {
		if b, err = unix.Mmap(-1, 0, c, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err == nil {
			mapped.Add(int64(c))
		}
	}
	if err != nil {
		m.Account.Release(int64(c - len(m.b)))
		return m.Account.Reserve(1 << 62) // the kernel refuses: out of memory
	}
	if c >= hugeMin {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
	if !m.mapped {
		copy(b, m.b)
	}
	m.b, m.mapped = b, true
	m.Account.keep(b)
	return nil
}

// Free gives the memory back.
func (m *Buffer) Free() {
	if m.b == nil {
		return
	}
	if m.mapped {
		if m.Account.forget(m.b) {
			spare.give(m.b)
		}
	}
	m.Account.Release(int64(len(m.b)))
	m.b, m.mapped = nil, false
}

// Clear zeroes the first n bytes.
func (m *Buffer) Clear(n int) { clear(m.b[:n]) }

// keep notes a mapping as the account's; forget takes it out, false when the
// account has been closed and the mapping is gone.
func (a *Account) keep(b []byte) {
	if a == nil {
		return
	}
	a.mu.Lock()
	if a.maps == nil {
		a.maps = map[*byte]int{}
	}
	a.maps[unsafe.SliceData(b)] = len(b)
	a.mu.Unlock()
}

func (a *Account) forget(b []byte) bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	delete(a.maps, unsafe.SliceData(b))
	return true
}

func unmap(p *byte, n int) { spare.give(unsafe.Slice(p, n)) }

// Array is a Buffer of a pointer-free element type.
type Array[T any] struct {
	Buffer
}

// Grow makes the array at least n elements long; see Buffer.Grow.
func (a *Array[T]) Grow(n int) error {
	var z T
	return a.Buffer.Grow(n * int(unsafe.Sizeof(z)))
}

// Slice is the first n elements.
func (a *Array[T]) Slice(n int) []T { return As[T](a.b, n) }

// As is n elements of T at the start of b.
func As[T any](b []byte, n int) []T {
	if n == 0 {
		return nil
	}
	var z T
	if n*int(unsafe.Sizeof(z)) > len(b) {
		panic("mem: slice beyond its buffer")
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
