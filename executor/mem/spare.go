package mem

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mapped is the size of all mappings, spare ones among them.
var mapped atomic.Int64

// Mapped is how many bytes this process has in mappings of this package, those kept
// for use again among them: what it holds besides Go's heap.
func Mapped() int64 { return mapped.Load() }

// spares keeps some mappings that were freed: a fresh one costs a page fault for
// each page, several times what clearing a used one does. They count as nobody's,
// but in Mapped; their sum is small and bounded, and those that nobody took for a
// while are given back.
type spares struct {
	mu     sync.Mutex
	bySize map[int][][]byte
	bytes  int
	max    int
	low    int // the least there was since the last trim
}

// spareMax is how many bytes are kept unless SetSpare says otherwise, spareOne the
// size of one mapping.
const (
	spareMax = 64 << 20
	spareOne = 16 << 20
)

var spare = spares{bySize: map[int][][]byte{}, max: spareMax}

// SetSpare sets how many bytes of freed mappings are kept for use again.
func SetSpare(max int64) {
	spare.mu.Lock()
	spare.max = int(max)
	spare.mu.Unlock()
}

// TrimSpare gives back the mappings that were not needed since the last call.
func TrimSpare() {
	spare.mu.Lock()
	drop := spare.low
	var out [][]byte
	for n, list := range spare.bySize {
		for len(list) > 0 && drop >= n {
			out = append(out, list[0])
			list[0] = nil
			list = list[1:]
			drop -= n
			spare.bytes -= n
		}
		if len(list) == 0 {
			delete(spare.bySize, n)
		} else {
			spare.bySize[n] = list
		}
	}
	spare.low = spare.bytes
	spare.mu.Unlock()
	for _, b := range out {
		release(b)
	}
}

// behind are mappings on their way back to the system: that takes most of a second a
// gigabyte on some machines, which the end of a query need not wait for. They count in
// Mapped until they are gone. One goroutine works them off and ends with the last.
type behind struct {
	mu      sync.Mutex
	list    [][]byte
	bytes   int
	working bool
}

var later behind

// releaseLater gives a mapping back to the system soon, or at once when twice as much
// waits as is kept at most of spare ones.
func releaseLater(b []byte) {
	spare.mu.Lock()
	most := 2 * spare.max
	spare.mu.Unlock()
	l := &later
	l.mu.Lock()
	if l.bytes+len(b) > most {
		l.mu.Unlock()
		release(b)
		return
	}
	l.list = append(l.list, b)
	l.bytes += len(b)
	start := !l.working
	l.working = true
	l.mu.Unlock()
	if start {
		go l.work()
	}
}

// releasePiece is how much is given back between two chances for others.
const releasePiece = 8 << 20

func (l *behind) work() {
	l.mu.Lock()
	for len(l.list) > 0 {
		b := l.list[len(l.list)-1]
		l.list = l.list[:len(l.list)-1]
		l.mu.Unlock()
		// By pieces: nobody else can map while one is unmapped.
		for p := b; len(p) > 0; p = p[min(len(p), releasePiece):] {
			_ = unix.Madvise(p[:min(len(p), releasePiece)], unix.MADV_DONTNEED)
		}
		release(b)
		l.mu.Lock()
		l.bytes -= len(b)
	}
	l.list, l.working = nil, false
	l.mu.Unlock()
}

// release gives a mapping back to the system.
func release(b []byte) {
	mapped.Add(-int64(len(b)))
	_ = unix.Munmap(b)
}

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
	s.low = min(s.low, s.bytes)
	s.mu.Unlock()
	clear(b)
	return b
}

// give keeps a mapping, or unmaps it.
func (s *spares) give(b []byte) {
	s.mu.Lock()
	keep := len(b) <= spareOne && s.bytes+len(b) <= s.max
	if keep {
		s.bySize[len(b)] = append(s.bySize[len(b)], b)
		s.bytes += len(b)
	}
	s.mu.Unlock()
	if !keep {
		releaseLater(b)
	}
}
