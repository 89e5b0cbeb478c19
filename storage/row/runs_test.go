package row

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/storage"
)

// change appends a change of a key; without value the key is removed.
func (c *Changes) change(key, value []byte) {
	c.ops = append(c.ops, change{len(c.buf), len(key), len(value)})
	c.buf = append(append(c.buf, key...), value...)
}

// Runs and Pebble behind them have what a map has, in every snapshot, whenever runs go
// to Pebble.
func TestRuns(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, MemTableSize: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		runs := NewRuns(db)
		tablets := []*Tablet{{}, {}, {}}
		for i := range tablets {
			tablets[i].prefix, tablets[i].cfg = tabletPrefix(9, i), Config{DB: db, Runs: runs}
		}
		type seen struct {
			s    *Snapshot
			want map[string]string
		}
		var snaps []seen
		now := map[string]string{}
		space, last := 1+r.IntN(3000), storage.CSN(0)
		covered := func(_ *pebble.Batch, at storage.CSN) error {
			if at != last {
				t.Fatalf("covered %d of %d", at, last)
			}
			return nil
		}
		for range 60 {
			switch x := r.IntN(10); {
			case x < 6:
				g := &Group{}
				for range 1 + r.IntN(4) {
					c := &Changes{}
					tablet := tablets[r.IntN(len(tablets))]
					rows := 1 + r.IntN(4)
					if r.IntN(3) > 0 {
						rows = 1 + r.IntN(800)
					}
					for i := range rows {
						key := append(bytes.Clone(tablet.prefix), 1)
						if k := r.IntN(space); k%5 == 0 {
							key = append(key, byte(k)) // a short key
						} else {
							key = append(binary.BigEndian.AppendUint64(key, uint64(k)>>3), byte(k))
						}
						if r.IntN(4) == 0 {
							c.change(key, nil)
							delete(now, string(key))
							continue
						}
						v := fmt.Sprint("value ", last, " ", i)
						c.change(key, []byte(v))
						now[string(key)] = v
					}
					c.sort(sortedPrefix)
					g.Add(c)
				}
				last++
				runs.Add(g, last)
			case x < 7:
				if err := runs.Drain(covered); err != nil {
					t.Fatal(err)
				}
				if runs.Any() || runs.Bytes() != 0 {
					t.Fatal("runs are left")
				}
			case x < 8:
				snaps = append(snaps, seen{runs.Snapshot(), maps.Clone(now)})
			default:
				from, want := source{r: db, live: runs}, now
				if k := r.IntN(len(snaps) + 1); k < len(snaps) {
					from, want = tablets[0].sourceOf(snaps[k].s), snaps[k].want
				}
				same(t, r, &from, tablets[r.IntN(len(tablets))].prefix, want)
			}
		}
		for _, s := range snaps {
			from := tablets[0].sourceOf(s.s)
			for _, tb := range tablets {
				same(t, r, &from, tb.prefix, s.want)
			}
			if err := s.s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if runs.Held() != 0 {
			t.Fatalf("%d bytes are held", runs.Held())
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// same compares a tablet's rows with those of a map.
func same(t *testing.T, r *rand.Rand, s *source, prefix []byte, all map[string]string) {
	t.Helper()
	var keys []string
	for k := range all {
		if k[:tabletLen] == string(prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	lo, hi := prefix, PrefixEnd(prefix)
	if len(keys) > 0 && r.IntN(2) == 0 {
		lo = []byte(keys[r.IntN(len(keys))])
		if r.IntN(2) == 0 {
			hi = []byte(keys[r.IntN(len(keys))])
		}
		if string(lo) >= string(hi) {
			return
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k < string(lo) || k >= string(hi) })
	}
	it, err := s.iter(context.Background(), prefix, lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if last := it.last(); len(keys) > 0 && string(last) < keys[len(keys)-1] {
		t.Fatalf("last key %x, want %x", last, keys[len(keys)-1])
	}
	k, ok := 0, it.First()
	for ; ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil || k == len(keys) || string(it.Key()) != keys[k] || string(v) != all[keys[k]] {
			t.Fatalf("row %d of %d: %x = %q, %v", k, len(keys), it.Key(), v, err)
		}
		if k++; r.IntN(50) == 0 && k < len(keys) {
			to := k + r.IntN(len(keys)-k)
			if !it.SeekGE([]byte(keys[to])) || string(it.Key()) != keys[to] {
				t.Fatal("SeekGE went elsewhere")
			}
			k = to
			if v, _ := it.ValueAndErr(); string(v) != all[keys[k]] {
				t.Fatalf("%q after SeekGE", v)
			}
			k++
		}
	}
	if k != len(keys) || it.Error() != nil {
		t.Fatalf("%d rows, want %d; %v", k, len(keys), it.Error())
	}
	for range min(len(keys), 5) { // to and fro
		k := r.IntN(len(keys))
		for ok := it.SeekGE([]byte(keys[k])); k < len(keys) && r.IntN(40) > 0; k, ok = k+1, it.Next() {
			if v, err := it.ValueAndErr(); !ok || err != nil || string(it.Key()) != keys[k] || string(v) != all[keys[k]] {
				t.Fatalf("row %d of %d: %x = %q, %v", k, len(keys), it.Key(), v, err)
			}
		}
	}
	back := newBackward(it)
	for k = len(keys); back.valid(); back.prev() {
		k--
		if v, err := back.value(); err != nil || k < 0 || string(v) != all[keys[k]] {
			t.Fatalf("row %d of %d from the last on: %q, %v", k, len(keys), v, err)
		}
	}
	if k != 0 || it.Error() != nil {
		t.Fatalf("%d of %d rows are left from the last on; %v", k, len(keys), it.Error())
	}
	for range 20 {
		key := append(bytes.Clone(prefix), 1)
		if n := r.IntN(3000); n%5 == 0 {
			key = append(key, byte(n))
		} else {
			key = append(binary.BigEndian.AppendUint64(key, uint64(n)>>3), byte(n))
		}
		v, c, err := s.get(key)
		want, is := all[string(key)]
		if is != (err == nil) || err != nil && !errors.Is(err, pebble.ErrNotFound) || string(v) != want {
			t.Fatalf("%x = %q, %v; want %q", key, v, err, want)
		}
		if err == nil {
			c.Close()
		}
	}
}
