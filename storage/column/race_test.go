package column

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// registry is a snapshot registry for concurrent tests.
type registry struct {
	mu   sync.Mutex
	pub  storage.CSN
	live map[storage.CSN]int
}

func (g *registry) watermark() (storage.CSN, []storage.CSN) {
	g.mu.Lock()
	defer g.mu.Unlock()
	live := []storage.CSN{g.pub}
	for s := range g.live {
		live = append(live, s)
	}
	slices.Sort(live)
	return live[0], live
}

func (g *registry) register() storage.CSN {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[g.pub]++
	return g.pub
}

func (g *registry) release(s storage.CSN) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.live[s]--; g.live[s] == 0 {
		delete(g.live, s)
	}
}

// TestConcurrent has transfers between accounts, flushes, compactions and readers
// at once: every snapshot sees the same sum, and each key once.
func TestConcurrent(t *testing.T) {
	const accounts, start, transfers = 600, 1000, 600
	g := &registry{live: map[storage.CSN]int{}}
	dir := blob.NewMem().Root()
	table := testTable(true, true)
	var fileMu sync.Mutex
	files := 0
	nextFile := func() string {
		fileMu.Lock()
		defer fileMu.Unlock()
		files++
		return fmt.Sprint("f", files)
	}
	tab, err := Open(Config{Table: table, Files: dir, NextFile: nextFile, Watermark: g.watermark, Limits: Limits{SegmentRows: 4000}})
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	next := uint64(1)
	var latch sync.Mutex // the shard's
	commit := func(chunks []storage.Chunk, changes int) bool {
		p, err := tab.Prepare(context.Background(), chunks)
		if err != nil {
			t.Error(err)
			return false
		}
		defer p.Release()
		latch.Lock()
		defer latch.Unlock()
		s, conflicts, err := p.Stage()
		if err != nil {
			t.Error(err)
			return false
		}
		if len(conflicts) > 0 {
			return false
		}
		base := next
		next += uint64(changes) + 1
		csn := storage.CSN(next - 1)
		s.Stamp(base, csn)
		g.mu.Lock()
		g.pub = csn
		g.mu.Unlock()
		return true
	}
	amount := func(k, n int64) row {
		s := strings.Repeat("x", int(n%40))
		return row{k: k, n: &n, s: &s}
	}
	var rows []row
	for k := int64(0); k < accounts; k++ {
		rows = append(rows, amount(k, start))
	}
	ch := (&chunker{}).rows(storage.OpInsert, rows...)
	if !commit(ch.chunks, accounts) {
		t.Fatal("first commit")
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	work := func(f func(r *rand.Rand)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-done:
					return
				default:
					f(r)
				}
			}
		}()
	}
	get := func(r *rand.Rand, s *Snapshot, keys []int64) (ns []int64, csns []storage.CSN) {
		out := vec.NewBatch([]types.T{types.Int8, types.Int8})
		idx, err := s.Get(context.Background(), keysBatch(types.Int4, keys), []int{1, catalog.ColCSN}, out, nil)
		if err != nil || len(idx) != len(keys) {
			t.Errorf("Get %v: %d found, %v", keys, len(idx), err)
			return nil, nil
		}
		ns, csns = make([]int64, len(keys)), make([]storage.CSN, len(keys))
		for i, k := range idx {
			ns[k], csns[k] = out.Cols[0].I64[i], storage.CSN(out.Cols[1].I64[i])
		}
		return ns, csns
	}
	for i := 0; i < 2; i++ {
		work(func(r *rand.Rand) {
			at := g.register()
			defer g.release(at)
			s := tab.Snapshot(at)
			defer s.Close()
			sum, seen := int64(0), map[string]bool{}
			for _, l := range scan(t, s, &catalog.ScanSpec{Cols: []int{0, 1}, Limit: -1}) {
				var k, n int64
				fmt.Sscanf(l, "%d,%d", &k, &n)
				if key := fmt.Sprint(k); seen[key] {
					t.Errorf("key %d twice at %d", k, at)
				} else {
					seen[key] = true
				}
				sum += n
			}
			if sum != accounts*start || len(seen) != accounts {
				t.Errorf("at %d: sum %d of %d accounts", at, sum, len(seen))
			}
			s.RowCount()
			s.Bounds(1)
			tab.LiveBytes()
			tab.Stats()
		})
	}
	// Flushes and compactions run side by side, and their edits come in any order.
	for _, run := range []func(*rand.Rand) (*Edit, error){
		func(*rand.Rand) (*Edit, error) { return tab.Flush(context.Background(), nil) },
		func(r *rand.Rand) (*Edit, error) {
			return tab.Compact(context.Background(), Aim(r.IntN(3)), nil)
		},
	} {
		work(func(r *rand.Rand) {
			e, err := run(r)
			if err != nil {
				t.Error(err)
			}
			if e == nil {
				return
			}
			if r.IntN(5) == 0 {
				e.Discard()
				return
			}
			latch.Lock()
			e.Install()
			latch.Unlock()
		})
	}
	var writers sync.WaitGroup
	for w := uint64(0); w < 2; w++ {
		writers.Add(1)
		go func() {
			defer writers.Done()
			r := rand.New(rand.NewPCG(w, 9))
			for i := 0; i < transfers; i++ {
				at := g.register()
				s := tab.Snapshot(at)
				a, b := r.Int64N(accounts), r.Int64N(accounts)
				if a == b {
					b = (a + 1) % accounts
				}
				ns, csns := get(r, s, []int64{a, b})
				s.Close()
				if ns != nil {
					x := r.Int64N(10)
					ch := (&chunker{}).update(types.Int4, csns, []int64{a, b}, amount(a, ns[0]-x), amount(b, ns[1]+x))
					commit(ch.chunks, 2) // or a conflict: then nothing happened
				}
				g.release(at)
			}
		}()
	}
	writers.Wait()
	close(done)
	wg.Wait()
}
