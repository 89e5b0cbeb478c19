package ingest

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a subscription shows of itself. It lives as long as the server knows
// the subscription, over restarts of the work. All of it may be read at any time.
type Stats struct {
	Messages, Bytes, Rows, Deletes, Errors, Skipped atomic.Int64
	Commits, Restarts                               atomic.Int64
	// Lag is the number of messages in the source behind the positions.
	Lag atomic.Int64
	// Behind is the time of the oldest message that was fetched and is not applied; 0
	// for none.
	Behind atomic.Int64
	// LastSend is the newest message's own time, LastReceipt when messages last came,
	// LastCommit when a batch was last committed; µs since 2000, 0 for never.
	LastSend, LastReceipt, LastCommit atomic.Int64
	// Commit is how long commits took, Fresh how long messages took from their own time
	// until they were visible; both of the last minute or so.
	Commit, Fresh Histogram

	mu    sync.Mutex
	state string
	err   string
}

// The states of a subscription.
const (
	StateDisabled  = "disabled"
	StateStarting  = "starting"
	StateStreaming = "streaming"
	StateRetrying  = "retrying"
	StateStopped   = "stopped"
)

// State is what the subscription does, and the last error.
func (s *Stats) State() (state, lastError string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.err
}

// SetState notes what the subscription does; an error of "" keeps the last one.
func (s *Stats) SetState(state, err string) {
	s.mu.Lock()
	s.state = state
	if err != "" {
		s.err = err
	}
	s.mu.Unlock()
}

// ClearError forgets the last error: the subscription was started anew by hand.
func (s *Stats) ClearError() {
	s.mu.Lock()
	s.err = ""
	s.mu.Unlock()
}

// Histogram counts times in buckets whose bounds rise by a quarter of a power of two.
// It has two generations of half a minute: quantiles are of the recent past. Sum and
// Count are of all time.
type Histogram struct {
	mu         sync.Mutex
	gens       [2][bucketCount]int64
	turned     time.Time
	sum, count int64
}

const (
	bucketCount = 4 * 32 // from 1 µs to more than an hour
	generation  = 30 * time.Second
)

func bucketOf(us int64) int {
	if us < 4 {
		return int(max(us, 0))
	}
	e := bits.Len64(uint64(us)) - 1
	return min(4*(e-1)+int(us>>(e-2)&3), bucketCount-1)
}

// boundOf is the least time above those of a bucket, in µs.
func boundOf(b int) int64 {
	if b < 4 {
		return int64(b) + 1
	}
	e := b/4 + 1
	return int64(5+b%4) << (e - 2)
}

// Add counts n times of d.
func (h *Histogram) Add(d time.Duration, n int64) {
	us := max(d.Microseconds(), 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn()
	h.gens[0][bucketOf(us)] += n
	h.sum += us * n
	h.count += n
}

// turn begins a new generation when it is time.
func (h *Histogram) turn() {
	now := time.Now()
	if now.Sub(h.turned) < generation {
		return
	}
	if now.Sub(h.turned) < 2*generation {
		h.gens[1] = h.gens[0]
	} else {
		h.gens[1] = [bucketCount]int64{}
	}
	h.gens[0] = [bucketCount]int64{}
	h.turned = now
}

// Quantile is a bound on the share q of the recent times; ok is false without any.
func (h *Histogram) Quantile(q float64) (d time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn()
	var total int64
	for i := range bucketCount {
		total += h.gens[0][i] + h.gens[1][i]
	}
	if total == 0 {
		return 0, false
	}
	want := int64(q * float64(total))
	for i := range bucketCount {
		if want -= h.gens[0][i] + h.gens[1][i]; want < 0 {
			return time.Duration(boundOf(i)) * time.Microsecond, true
		}
	}
	return time.Duration(boundOf(bucketCount-1)) * time.Microsecond, true
}

// Total is the sum and number of all times.
func (h *Histogram) Total() (sum time.Duration, count int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(h.sum) * time.Microsecond, h.count
}
