package op

import (
	"context"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// splitsOnly is a relation of which only the splits are asked for.
type splitsOnly struct {
	storage.Relation
	splits []storage.Split
}

func (r splitsOnly) Splits(context.Context, *catalog.ScanSpec) ([]storage.Split, int, error) {
	return r.splits, len(r.splits), nil
}

// Each split is read once, and one lane alone reads them in their order.
func TestScanSplits(t *testing.T) {
	var all []storage.Split
	for shard, n := range []int{3, 1, 5} {
		for b := range n {
			all = append(all, storage.Split{Shard: shard, Block: b})
		}
	}
	for _, splits := range [][]storage.Split{nil, all[:1], all[:4], all} {
		for lanes := 1; lanes <= 4; lanes++ {
			s := &Scan{Rel: splitsOnly{splits: splits}}
			if n, err := s.Start(t.Context()); err != nil || n != len(splits) {
				t.Fatal(n, err)
			}
			ls := make([]*scanLane, lanes)
			for i := range ls {
				ls[i] = &scanLane{s: s}
			}
			seen := map[storage.Split]bool{}
			for k := 0; len(seen) < len(splits); k++ {
				l := ls[k%lanes]
				got := l.take()
				if got == nil || seen[*got] {
					t.Fatalf("%d lanes: %v after %d of %d", lanes, got, len(seen), len(splits))
				}
				if lanes == 1 && *got != splits[k] {
					t.Errorf("split %d of one lane is %v", k, *got)
				}
				seen[*got] = true
			}
			for _, l := range ls {
				if got := l.take(); got != nil {
					t.Errorf("%d lanes: %v at the end", lanes, *got)
				}
			}
		}
	}
}

// A lane keeps to a shard while that has splits.
func TestScanKeepsToShard(t *testing.T) {
	var splits []storage.Split
	for i := range 6 {
		splits = append(splits, storage.Split{Shard: i / 3, Block: i % 3})
	}
	s := &Scan{Rel: splitsOnly{splits: splits}}
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := &scanLane{s: s}, &scanLane{s: s}
	for range 3 {
		if x, y := a.take(), b.take(); x.Shard != 0 || y.Shard != 1 {
			t.Errorf("lanes of shards 0 and 1 take splits of %d and %d", x.Shard, y.Shard)
		}
	}
}

// Of more shards than lanes, each lane takes some for itself, while there are any that no
// lane has begun.
func TestScanTakesFreshShards(t *testing.T) {
	var splits []storage.Split
	for i := range 20 {
		splits = append(splits, storage.Split{Shard: i / 4, Block: i % 4})
	}
	s := &Scan{Rel: splitsOnly{splits: splits}}
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := &scanLane{s: s}, &scanLane{s: s}
	of := map[int]*scanLane{}
	for i := range 16 { // of the last shard both take
		l := a
		if i%2 == 1 {
			l = b
		}
		x := l.take()
		if had := of[x.Shard]; had != nil && had != l {
			t.Fatalf("both lanes take splits of shard %d", x.Shard)
		}
		of[x.Shard] = l
	}
	for range 2 {
		if x, y := a.take(), b.take(); x == nil || y == nil || x.Shard != 4 || y.Shard != 4 {
			t.Errorf("splits %v and %v of the last shard", x, y)
		}
	}
}
