package tablet

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestFruitlessScan: a scan of a row tablet of which no row passes comes back now and then,
// so that who reads can be cancelled; with rows of a transaction's own as without.
func TestFruitlessScan(t *testing.T) {
	s := openMem(t, blob.NewMem())
	defer s.Close()
	tab := createWith(t, s, "t", true, map[string]string{"orientation": catalog.OrientationRow})
	const rows = 40000
	x := s.Begin(storage.TxnOptions{})
	for from := 0; from < rows; from += 2000 {
		var some []kv
		for i := range 2000 {
			some = append(some, kv{from + i, fmt.Sprint(i)})
		}
		if err := insert(x, tab, some...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Commit(bg); err != nil {
		t.Fatal(err)
	}
	x = s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	if err := insert(x, tab, kv{-1, "own"}); err != nil {
		t.Fatal(err)
	}
	own, err := x.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	published := s.Snapshot()
	defer published.Close()
	for name, n := range map[string]storage.Snapshot{"published": published, "own": own} {
		for _, last := range []bool{false, true} {
			spec := &catalog.ScanSpec{Cols: []int{0}, Limit: -1, Filter: []expr.Expr{equals(1, "none")}}
			if last {
				spec.First, spec.Last = 5, true
			}
			r, err := n.Relation(tab)
			if err != nil {
				t.Fatal(err)
			}
			splits, _, err := r.Splits(bg, spec)
			if err != nil {
				t.Fatal(err)
			}
			rd, err := r.Reader(spec)
			if err != nil {
				t.Fatal(err)
			}
			empty := 0
			for _, sp := range splits {
				if err := rd.Open(sp); err != nil {
					t.Fatal(err)
				}
				for {
					b, err := rd.Next()
					if err != nil {
						t.Fatal(err)
					}
					if b == nil {
						break
					}
					if b.Rows() > 0 || len(b.Cols) != 1 {
						t.Errorf("%s: %d rows of %d columns", name, b.Rows(), len(b.Cols))
					}
					empty++
				}
			}
			if err := rd.Close(); err != nil {
				t.Fatal(err)
			}
			if empty < 2 {
				t.Errorf("%s: a scan of %d rows comes back %d times", name, rows, empty)
			}
		}
	}
}

// equals is the condition that a text column has a value.
func equals(col int, value string) expr.Expr {
	for _, o := range fn.Operators("=") {
		if o.Left == types.TextOID && o.Right == types.TextOID {
			return &expr.Call{Fn: o.Func, Op: "=", T: types.Bool, Args: []expr.Expr{&expr.Column{ID: col, T: types.Text}, &expr.Const{T: types.Text, D: types.NewString(value)}}}
		}
	}
	panic("no operator")
}
