package column

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// TestMemDict compares vectors with codes with the rows they stand for, over a
// dictionary that grows and one that grows too large.
func TestMemDict(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, distinct := range []int{0, 1, 3, 100, memDictMax, 5000} {
		t.Run(fmt.Sprint(distinct), func(t *testing.T) {
			m := &memtable{}
			cc := &chunkCol{}
			d := new(memDict)
			var heads []*vec.Vec
			for vi := range chunkRows / vec.Size {
				v := vec.New(types.Text, 0)
				for range vec.Size {
					if distinct == 0 || r.IntN(10) == 0 {
						v.AppendNull()
						continue
					}
					// More strings from vector to vector, short and long ones.
					k := r.IntN(1 + (distinct-1)*(vi+1)*vec.Size/chunkRows)
					v.AppendString(fmt.Sprintf([]string{"%d", "a string of more than twelve bytes %d"}[k%2], k))
				}
				heads = append(heads, v)
			}
			for range 2 {
				for vi, v := range heads {
					w := *v
					d.encode(m, cc, vi, &w)
					coded := w.Form == vec.Dict
					if want := distinct > 0 && distinct <= memDictMax; coded != want && !(distinct > memDictMax && vi == 0) {
						t.Fatalf("vector %d: codes %v, expected %v", vi, coded, want)
					}
					for i := range vec.Size {
						if w.IsNull(i) != v.IsNull(i) || !v.IsNull(i) && string(w.BytesAt(i)) != string(v.BytesAt(i)) {
							t.Fatalf("vector %d row %d differs", vi, i)
						}
						if coded && v.IsNull(i) && w.Codes[i] != 0 {
							t.Fatalf("vector %d row %d: code %d under a null", vi, i, w.Codes[i])
						}
					}
				}
			}
			if n := len(d.short) + len(d.long); d.cur.Load() != nil && !d.full.Load() && d.cur.Load().Values.N != n {
				t.Fatalf("%d strings of %d published", d.cur.Load().Values.N, n)
			}
		})
	}
}

// TestMemDictConcurrent scans a memtable from several goroutines while rows come.
func TestMemDictConcurrent(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	type state struct {
		csn     storage.CSN
		commits int
	}
	var published atomic.Pointer[state]
	published.Store(&state{})
	var wg sync.WaitGroup
	const commits, rows = 12, 1500
	name := func(k int) string { return fmt.Sprintf("string number %d", k/rows*3+k%7) }
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for done := 0; done < commits; {
				at := published.Load()
				done = at.commits
				s := h.tab.Snapshot(at.csn)
				n := 0
				splits, _, err := s.Splits(context.Background(), &catalog.ScanSpec{Cols: []int{0, 2}, Limit: -1})
				if err != nil {
					t.Error(err)
				}
				r, err := s.Reader(&catalog.ScanSpec{Cols: []int{0, 2}, Limit: -1})
				if err != nil {
					t.Error(err)
					return
				}
				for _, split := range splits {
					if err := r.Open(split); err != nil {
						t.Error(err)
					}
					for {
						b, err := r.Next()
						if err != nil || b == nil {
							break
						}
						for i := range b.N {
							if got, want := string(b.Cols[1].BytesAt(i)), name(int(b.Cols[0].I32[i])); got != want {
								t.Errorf("row %d: %q, want %q", b.Cols[0].I32[i], got, want)
							}
						}
						n += b.N
					}
				}
				r.Close()
				s.Close()
				if n != done*rows {
					t.Errorf("%d rows at %d", n, done)
				}
			}
		}()
	}
	for c := range commits {
		var part []row
		for k := c * rows; k < (c+1)*rows; k++ {
			s := name(k)
			part = append(part, row{k: int64(k), s: &s})
		}
		csn := h.mustCommit((&chunker{}).rows(storage.OpInsert, part...))
		published.Store(&state{csn, c + 1})
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	if m := h.tab.cur.active(); m.dicts[2].cur.Load() == nil {
		t.Fatal("no dictionary was made")
	}
}
