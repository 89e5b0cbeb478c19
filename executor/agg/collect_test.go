package agg

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TestCollect joins strings of random groups in several states, adds rows after they
// are merged, and merges these again: of few rows, and of so many that chunks are
// taken over.
func TestCollect(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for round, rows := range []int{0, 1, 100, 5000, takeRows + 100, 2*chunkRows + 300} {
		for _, groups := range []int{1, 3, 40} {
			if rows > chunkRows && groups != 3 {
				continue
			}
			call := &Call{Fn: fn.BySignature("string_agg(text,text)"), Args: []types.T{types.Text, types.Text}, T: types.Text}
			ref := make([]strings.Builder, groups)
			var lanes []State
			want := make([][]strings.Builder, 3)
			fill := func(s State, w []strings.Builder, n int, constant bool) {
				for n > 0 {
					k := min(n, 1+rng.IntN(vec.Size))
					n -= k
					feed(t, rng, s, w, k, constant)
				}
			}
			for l := range want {
				s, err := New(call)
				if err != nil {
					t.Fatal(err)
				}
				s.Grow(groups)
				want[l] = make([]strings.Builder, groups)
				fill(s, want[l], rows, (round+l)%3 != 0)
				lanes = append(lanes, s)
			}
			order := make([]uint32, groups)
			for g := range order {
				order[g] = uint32(g)
			}
			top, err := New(call)
			if err != nil {
				t.Fatal(err)
			}
			top.Grow(groups)
			for l, s := range lanes {
				// What is shared is read again below: others' rows must not appear in it.
				if err := top.Merge(s, order, order); err != nil {
					t.Fatal(err)
				}
				for g := range ref {
					ref[g].WriteString(want[l][g].String())
				}
				fill(top, ref, rows/7, l%2 == 0)
			}
			again, err := New(call)
			if err != nil {
				t.Fatal(err)
			}
			again.Grow(groups)
			turned := make([]uint32, groups)
			for g := range turned {
				turned[g] = uint32(groups - 1 - g)
			}
			if err := again.Merge(top, order, turned); err != nil {
				t.Fatal(err)
			}
			check := func(what string, s State, g int, want string) {
				out := vec.New(types.Text, 1)
				if err := s.Result([]uint32{uint32(g)}, out); err != nil {
					t.Fatal(err)
				}
				got := out.Datum(0).S
				if _, w, ok := strings.Cut(want, "\x00"); ok {
					want = strings.ReplaceAll(w, "\x00", "")
				}
				if got != want {
					t.Fatalf("%d rows in %d groups: group %d of %s has %d bytes, want %d", rows, groups, g, what, len(got), len(want))
				}
			}
			for g := range groups {
				check("all", top, g, ref[g].String())
				check("all, turned", again, int(turned[g]), ref[g].String())
				for l, s := range lanes {
					check("a lane", s, g, want[l][g].String())
				}
			}
		}
	}
}

// TestCollectConstants: strings that are kept once count as often as a result has them,
// so that this finds no memory that nobody has asked for.
func TestCollectConstants(t *testing.T) {
	call := &Call{Fn: fn.BySignature("string_agg(text,text)"), Args: []types.T{types.Text, types.Text}, T: types.Text}
	s, err := New(call)
	if err != nil {
		t.Fatal(err)
	}
	s.Grow(1)
	str, del := &vec.Vec{}, &vec.Vec{}
	str.SetConst(types.Text, types.NewString("x"), vec.Size)
	del.SetConst(types.Text, types.NewString(strings.Repeat("y", 100000)), vec.Size)
	const batches = 40 // more rows than a chunk has
	for range batches {
		if err := s.Update([]*vec.Vec{str, del}, nil, vec.Size, make([]uint32, vec.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Bytes(), int64(batches*vec.Size*100001); got < want || got > want+10<<20 {
		t.Fatalf("%d bytes, want %d", got, want)
	}
	if err := s.Result([]uint32{0}, vec.New(types.Text, 1)); sqlstate.CodeOf(err) != sqlstate.ProgramLimitExceeded {
		t.Fatal(err)
	}
}

// feed gives a state n rows and writes them down: a delimiter with a zero behind it,
// then the string; rows that are null are left out. The delimiter is a constant or not.
func feed(t *testing.T, rng *rand.Rand, s State, w []strings.Builder, n int, constant bool) {
	str, del := vec.New(types.Text, n), vec.New(types.Text, n)
	one := []string{",", "; ", " a delimiter of many bytes "}[rng.IntN(100)/98]
	if rng.IntN(200) == 0 {
		one = " another delimiter of many bytes "
	}
	gids := make([]uint32, 0, n)
	var sel []uint16
	for i := range n {
		v := fmt.Sprint(rng.IntN(1000))
		if i%7 == 0 {
			v = strings.Repeat("a long string ", 1+rng.IntN(3)) + v
		}
		d, null := one, rng.IntN(20) == 0
		if !constant && rng.IntN(3) == 0 {
			d = v
		}
		noDel := !constant && rng.IntN(50) == 0
		if null {
			str.AppendNull()
		} else {
			str.AppendString(v)
		}
		if noDel {
			d = ""
			del.AppendNull()
		} else {
			del.AppendString(d)
		}
		if rng.IntN(10) == 0 {
			continue
		}
		g := rng.IntN(len(w))
		sel = append(sel, uint16(i))
		gids = append(gids, uint32(g))
		if !null {
			w[g].WriteString(d + "\x00" + v)
		}
	}
	if constant {
		del.SetConst(types.Text, types.NewString(one), n)
	}
	if err := s.Update([]*vec.Vec{str, del}, sel, len(sel), gids); err != nil {
		t.Fatal(err)
	}
}
