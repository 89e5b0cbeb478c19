package column

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// model is what the tablet should hold: all versions of each key, in commit order.
type model struct {
	versions map[int64][]version2
}

type version2 struct {
	csn storage.CSN
	row row
	del bool
}

func (m *model) at(s storage.CSN) map[int64]version2 {
	out := map[int64]version2{}
	for k, vs := range m.versions {
		for i := len(vs) - 1; i >= 0; i-- {
			if vs[i].csn <= s {
				if !vs[i].del {
					out[k] = vs[i]
				}
				break
			}
		}
	}
	return out
}

func (m *model) put(k int64, v version2) {
	vs := m.versions[k]
	if n := len(vs); n > 0 && vs[n-1].csn == v.csn {
		vs[n-1] = v
		return
	}
	m.versions[k] = append(vs, v)
}

func randomRow(r *rand.Rand, k int64) row {
	out := row{k: k}
	if r.IntN(5) > 0 {
		n := r.Int64N(1000)
		out.n = &n
	}
	if r.IntN(5) > 0 {
		s := fmt.Sprintf("s%d", r.IntN(50)) + strings.Repeat("x", r.IntN(30))
		out.s = &s
	}
	return out
}

func TestModel(t *testing.T) {
	for _, c := range []struct{ pk, clustered bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		for seed := uint64(1); seed <= 2; seed++ {
			t.Run(fmt.Sprintf("pk=%v,clustered=%v,seed=%d", c.pk, c.clustered, seed), func(t *testing.T) {
				runModel(t, c.pk, c.clustered, seed, 150)
			})
		}
	}
}

func runModel(t *testing.T, pk, clustered bool, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 7))
	h := newHarness(t, testTable(pk, clustered))
	h.lim.SegmentRows = 3000
	h.tab.Close()
	h.open()
	m := &model{versions: map[int64][]version2{}}
	keyType := types.Int4
	if !pk {
		keyType = types.Int8
	}
	type pinned struct {
		s    *Snapshot
		want []string
	}
	var pins []pinned
	keys := int64(3000)
	for step := 0; step < steps; step++ {
		switch x := r.IntN(100); {
		case x < 70:
			live := m.at(h.pub)
			ch := &chunker{}
			type pend struct {
				k   int64
				ver version2
			}
			var pends []pend
			used := map[int64]bool{}
			n := 1 + r.IntN(8)
			if r.IntN(10) == 0 {
				n = 500 + r.IntN(1500)
			}
			var ins, ups []row
			var dels, updKeys []int64
			var delOld, updOld []storage.CSN
			var upd []row
			var liveKeys []int64
			for k := range live {
				liveKeys = append(liveKeys, k)
			}
			sort.Slice(liveKeys, func(i, j int) bool { return liveKeys[i] < liveKeys[j] })
			for i := 0; i < n; i++ {
				if !pk {
					if len(liveKeys) > 0 && r.IntN(3) > 0 {
						id := liveKeys[r.IntN(len(liveKeys))]
						if used[id] {
							continue
						}
						used[id] = true
						if r.IntN(2) == 0 {
							dels = append(dels, id)
						} else {
							updKeys = append(updKeys, id)
							upd = append(upd, randomRow(r, r.Int64N(keys)))
						}
						continue
					}
					ins = append(ins, randomRow(r, r.Int64N(keys)))
					continue
				}
				k := r.Int64N(keys)
				if used[k] {
					continue
				}
				used[k] = true
				_, ok := live[k]
				switch y := r.IntN(4); {
				case y == 0:
					ups = append(ups, randomRow(r, k))
				case !ok:
					ins = append(ins, randomRow(r, k))
				case y == 1:
					dels = append(dels, k)
				default:
					updKeys = append(updKeys, k)
					upd = append(upd, randomRow(r, k))
				}
			}
			base := storage.CSN(h.next)
			if len(ins) > 0 {
				first := ch.ord
				ch.rows(storage.OpInsert, ins...)
				for i, x := range ins {
					k := x.k
					if !pk {
						k = int64(base) + int64(first) + int64(i)
					}
					pends = append(pends, pend{k, version2{row: x}})
				}
			}
			if len(ups) > 0 {
				ch.rows(storage.OpUpsert, ups...)
				for _, x := range ups {
					pends = append(pends, pend{x.k, version2{row: x}})
				}
			}
			delOld, updOld = h.csnsOf(keyType, dels), h.csnsOf(keyType, updKeys)
			if len(dels) > 0 {
				ch.del(keyType, delOld, dels...)
				for _, k := range dels {
					pends = append(pends, pend{k, version2{del: true}})
				}
			}
			if len(upd) > 0 {
				ch.update(keyType, updOld, updKeys, upd...)
				for i, x := range upd {
					pends = append(pends, pend{updKeys[i], version2{row: x}})
				}
			}
			if len(ch.chunks) == 0 {
				continue
			}
			if r.IntN(8) == 0 {
				// Staged, then aborted.
				p, err := h.tab.Prepare(context.Background(), ch.chunks)
				if err != nil {
					t.Fatal(err)
				}
				s, cf, err := p.Stage()
				if err != nil || len(cf) > 0 {
					t.Fatal(err, cf)
				}
				s.Abort()
				p.Release()
			}
			csn := h.mustCommit(ch)
			for _, p := range pends {
				p.ver.csn = csn
				m.put(p.k, p.ver)
			}
		case x < 76:
			h.flush()
		case x < 80:
			h.compact()
		case x < 86 && len(pins) < 4:
			s := h.tab.Snapshot(h.pub)
			h.live = append(h.live, h.pub)
			pins = append(pins, pinned{s, modelRows(m, h.pub)})
		case x < 90 && len(pins) > 0:
			i := r.IntN(len(pins))
			checkScan(t, h, pins[i].s, pins[i].want)
			// The same CSN, pinned anew.
			again := h.tab.Snapshot(pins[i].s.at)
			checkScan(t, h, again, pins[i].want)
			again.Close()
			pins[i].s.Close()
			for j, l := range h.live {
				if l == pins[i].s.at {
					h.live = append(h.live[:j:j], h.live[j+1:]...)
					break
				}
			}
			pins = append(pins[:i], pins[i+1:]...)
		case x < 92:
			// Reopen from the files; what only memory had comes again from the model.
			for _, p := range pins {
				p.s.Close()
			}
			pins, h.live = nil, nil
			h.flush()
			h.tab.Close()
			h.open()
		default:
			s := h.tab.Snapshot(h.pub)
			checkScan(t, h, s, modelRows(m, h.pub))
			checkGet(t, h, s, m, r, keyType)
			s.Close()
		}
	}
	s := h.tab.Snapshot(h.pub)
	checkScan(t, h, s, modelRows(m, h.pub))
	s.Close()
	for _, p := range pins {
		checkScan(t, h, p.s, p.want)
		p.s.Close()
	}
}

func modelRows(m *model, s storage.CSN) []string {
	var out []string
	for _, v := range m.at(s) {
		out = append(out, fmt.Sprintf("%v,%d", v.row, v.csn))
	}
	sort.Strings(out)
	return out
}

func checkScan(t *testing.T, h *harness, s *Snapshot, want []string) {
	t.Helper()
	got := scan(t, s, &catalog.ScanSpec{Cols: append(allColumns(h.table), catalog.ColCSN), Limit: -1})
	if len(got) != len(want) {
		t.Fatalf("scan at %d: %d rows, want %d: %v", s.at, len(got), len(want), diff(got, want))
	}
	for i := range got {
		if got[i] != want[i] {
			// Compaction may replace commits that are older than every snapshot.
			if g, w := got[i][:strings.LastIndex(got[i], ",")], want[i][:strings.LastIndex(want[i], ",")]; g == w {
				continue
			}
			t.Fatalf("scan at %d: %v", s.at, diff(got, want))
		}
	}
	n, exact := s.RowCount()
	if exact && n != int64(len(want)) || n < int64(len(want)) {
		t.Fatalf("RowCount at %d: %d, %v; want %d", s.at, n, exact, len(want))
	}
}

func diff(a, b []string) string {
	in := map[string]int{}
	for _, x := range a {
		in[x]++
	}
	for _, x := range b {
		in[x]--
	}
	var out []string
	for k, n := range in {
		if n != 0 {
			out = append(out, fmt.Sprintf("%+d %s", n, k))
		}
	}
	sort.Strings(out)
	return strings.Join(out[:min(len(out), 10)], "; ")
}

func checkGet(t *testing.T, h *harness, s *Snapshot, m *model, r *rand.Rand, keyType types.T) {
	t.Helper()
	live := m.at(s.at)
	var keys []int64
	want := map[int64]string{}
	for k, v := range live {
		if len(keys) < 40 {
			keys = append(keys, k)
			want[k] = v.row.String()
		}
	}
	for i := 0; i < 20; i++ {
		k := r.Int64N(100000)
		if _, ok := live[k]; !ok {
			keys = append(keys, k)
		}
	}
	out := vec.NewBatch(h.table.Types())
	idx, err := s.Get(context.Background(), keysBatch(keyType, keys), allColumns(h.table), out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(idx) != out.N || len(idx) != len(want) {
		t.Fatalf("Get found %d rows (%d), want %d", out.N, len(idx), len(want))
	}
	for i, k := range idx {
		if g := rowText(out, i); g != want[keys[k]] {
			t.Fatalf("Get %d: %s, want %s", keys[k], g, want[keys[k]])
		}
	}
}
