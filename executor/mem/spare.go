package mem

import (
	"sync"

	"golang.org/x/sys/unix"
)

// spares keeps some mappings that were freed: a fresh one costs a page fault for
// each page, several times what clearing a used one does. They count as nobody's;
// their sum is small and bounded.
type spares struct {
	mu     sync.Mutex
	bySize map[int][][]byte
	bytes  int
}

// spareMax bounds the bytes kept, spareOne the size of one mapping.
const (
	spareMax = 64 << 20
	spareOne = 16 << 20
)

var spare = spares{bySize: map[int][][]byte{}}

// take is a zeroed mapping of exactly n bytes, nil when there is none.
func (s *spares) take(n int) []byte {
	s.mu.Lock()
	list := s.bySize[n]
	if len(list) == 0 {
		s.mu.Unlock()
		return nil
	}
	b := list[len(list)-1]
	list[len(list)-1] = nil
	s.bySize[n] = list[:len(list)-1]
	s.bytes -= n
	s.mu.Unlock()
	clear(b)
	return b
}

// give keeps a mapping, or unmaps it.
func (s *spares) give(b []byte) {
	s.mu.Lock()
	keep := len(b) <= spareOne && s.bytes+len(b) <= spareMax
	if keep {
		s.bySize[len(b)] = append(s.bySize[len(b)], b)
		s.bytes += len(b)
	}
	s.mu.Unlock()
	if !keep {
		_ = unix.Munmap(b)
	}
}
