package op

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/executor/mem"
)

func TestSortLong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, lookMask, lookMask + 1, 9*lookMask + 1} {
		s := make([]uint64, n)
		for i := range s {
			s[i] = rng.Uint64N(1000)<<32 | uint64(i)
		}
		want := slices.Sorted(slices.Values(s))
		acct := mem.NewRoot(0)
		sortLong(s, cmp.Compare[uint64], acct)
		if !slices.Equal(s, want) {
			t.Errorf("%d elements out of order", n)
		}
	}
	ended := mem.NewRoot(0)
	calls := 0
	ended.Watch(func() bool { calls++; return calls > 3 })
	s := make([]uint64, 64*lookMask)
	for i := range s {
		s[i] = rng.Uint64()
	}
	compared := 0
	sortLong(s, func(a, b uint64) int { compared++; return cmp.Compare(a, b) }, ended)
	if compared > 8*lookMask {
		t.Errorf("%d comparisons after the end", compared)
	}
}
