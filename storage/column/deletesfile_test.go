package column

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

// goldenDeletes is the content of testdata/deletes.1.golden.
func goldenDeletes() []segDeletes {
	few := editMask(nil, 1)
	for _, r := range []uint32{0, 7, 63, 64, 999} {
		few.set(r)
	}
	many := editMask(nil, 3)
	for r := uint32(60000); r < 70000; r++ {
		many.set(r)
	}
	many.set(2*vec.BlockRows + 5)
	return []segDeletes{{"a.seg", 1000, few.m}, {"00000000000000b2.seg", 2*vec.BlockRows + 6, many.m}}
}

func TestDeletesGolden(t *testing.T) {
	const path = "testdata/deletes.1.golden"
	b, err := encodeDeletes(77, goldenDeletes())
	if err != nil {
		t.Fatal(err)
	}
	if rewriting() {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Error("the format has changed: a new version needs a golden file of its own")
	}
	f, segs, err := decodeDeletes("golden", want)
	if err != nil || f != 77 {
		t.Fatal(f, err)
	}
	if !reflect.DeepEqual(segs, goldenDeletes()) {
		t.Errorf("read %v", segs)
	}
}

func TestDeletesCorrupt(t *testing.T) {
	b, err := encodeDeletes(77, goldenDeletes())
	if err != nil {
		t.Fatal(err)
	}
	for at := range b {
		c := bytes.Clone(b)
		c[at] ^= 1 << (at % 8)
		if _, _, err := decodeDeletes("x.del", c); err == nil {
			t.Fatalf("a flipped bit in byte %d was not noticed", at)
		} else if sqlstate.CodeOf(err) != sqlstate.DataCorrupted || !strings.Contains(err.Error(), "x.del") {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	for n := range b {
		if _, _, err := decodeDeletes("x.del", b[:n]); err == nil {
			t.Fatalf("a file cut at %d was not noticed", n)
		}
	}
}

func FuzzDeletes(f *testing.F) {
	b, _ := encodeDeletes(77, goldenDeletes())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		// With a right checksum, so that the rest is reached.
		if len(b) > 4 {
			b = sealDeletes(bytes.Clone(b[:len(b)-4]))
		}
		if _, segs, err := decodeDeletes("x", b); err == nil {
			for _, s := range segs {
				if s.dead.count() > s.rows {
					t.Fatalf("%d of %d rows", s.dead.count(), s.rows)
				}
			}
		}
	})
}

// TestDeleteSet holds delete sets under staging, aborts and folds against a map.
func TestDeleteSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows = 150000
	d := &deleteSet{blocks: 3}
	died := map[uint32]uint64{}
	var live []uint64
	csn := uint64(10)
	for step := 0; step < 400; step++ {
		csn += 1 + r.Uint64N(3)
		n := 1 + r.IntN(60)
		if !d.room(n) {
			d = d.grown(n)
		}
		from := d.tail.n.Load()
		var staged []uint32
		for i := 0; i < n; i++ {
			row := r.Uint32N(rows)
			if d.deathOf(row) != 0 {
				continue
			}
			d.tail.push(row, dying)
			staged = append(staged, row)
			if d.deathOf(row) != dying {
				t.Fatal("a staged delete is not found")
			}
		}
		if r.IntN(5) == 0 {
			for d.tail.n.Load() > from {
				d.tail.pop()
			}
		} else {
			d.tail.stamp(from, csn)
			for _, row := range staged {
				died[row] = csn
			}
		}
		if r.IntN(20) == 0 && len(live) < 5 {
			live = append(live, csn)
		}
		if r.IntN(25) == 0 && len(live) > 0 {
			live = live[1:]
		}
		if r.IntN(10) == 0 {
			oldest, snaps := csn, csnList(live)
			if len(live) > 0 {
				oldest = live[0]
			}
			d = d.fold(csnOf(oldest), append(snaps, csnOf(csn)))
		}
		if r.IntN(10) > 0 {
			continue
		}
		for _, s := range append(live, csn) {
			m, want := d.maskAt(s), 0
			for row, c := range died {
				if c <= s {
					want++
				}
				if m.has(row) != (c <= s) {
					t.Fatalf("step %d: row %d died at %d, masked at %d: %v", step, row, c, s, m.has(row))
				}
				if at := d.deathOf(row); (at != 0 && at <= s) != (c <= s) {
					t.Fatalf("step %d: row %d died at %d, deathOf %d, snapshot %d", step, row, c, at, s)
				}
			}
			if m.count() != want {
				t.Fatalf("step %d: %d masked at %d, want %d", step, m.count(), s, want)
			}
		}
	}
}
