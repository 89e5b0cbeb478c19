package pgwire

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// rowsOf decodes the DataRows in out; a null is "NULL".
func rowsOf(t *testing.T, out []byte) [][]string {
	t.Helper()
	f := reader{buf: out, w: len(out), src: strings.NewReader("")}
	var rows [][]string
	for f.buffered() > 0 {
		typ, n := f.buf[f.r], int(f.buf[f.r+3])<<8|int(f.buf[f.r+4])
		m := body{b: f.buf[f.r+5 : f.r+1+n]}
		f.r += 1 + n
		if typ != 'D' {
			continue
		}
		var row []string
		for range m.int16() {
			if size := m.int32(); size >= 0 {
				row = append(row, string(m.take(int(size))))
			} else {
				row = append(row, "NULL")
			}
		}
		if !m.done() {
			t.Fatal("a DataRow of the wrong length")
		}
		rows = append(rows, row)
	}
	return rows
}

func testResults() *results {
	srv := &Server{log: slog.New(slog.DiscardHandler), ctx: context.Background()}
	c := newConn(srv, &loopConn{})
	c.w.dst = io.Discard
	c.sess = &oneRow{}
	c.res.begin(true)
	return &c.res
}

func TestBatchForms(t *testing.T) {
	r := testResults()
	money := types.Decimal(10, 2)
	cols := []Column{{Name: "a", T: types.Int4}, {Name: "b", T: types.Text}, {Name: "c", T: money}}
	if err := r.RowDescription(cols, nil); err != nil {
		t.Fatal(err)
	}
	a := vec.New(types.Int4, 4)
	for _, d := range []types.Datum{types.NewInt(1), types.Null, types.NewInt(3), types.NewInt(4)} {
		a.AppendDatum(d)
	}
	b := &vec.Vec{}
	b.SetConst(types.Text, types.NewString("same"), 4)
	// The sum of a column turned out wider than it was planned.
	wide := money
	wide.Layout = types.LayoutI128
	c := vec.New(wide, 4)
	for i := range int64(4) {
		c.AppendDatum(types.NewI128(types.Int128{Lo: uint64(1000 + i)}))
	}
	if err := r.Batch(&vec.Batch{Cols: []*vec.Vec{a, b, c}, Sel: []uint16{0, 1, 3}, N: 4}); err != nil {
		t.Fatal(err)
	}
	got := rowsOf(t, r.c.w.out)
	want := [][]string{{"1", "same", "10.00"}, {"NULL", "same", "10.01"}, {"4", "same", "10.03"}}
	if len(got) != len(want) {
		t.Fatalf("rows %q", got)
	}
	for i := range want {
		if strings.Join(got[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("row %d: %q, want %q", i, got[i], want[i])
		}
	}
}

func TestBatchOfAnotherShape(t *testing.T) {
	r := testResults()
	b := vec.NewBatch([]types.T{types.Int4})
	if err := r.Batch(b); sqlstate.CodeOf(err) != sqlstate.InternalError {
		t.Errorf("before a RowDescription: %v", err)
	}
	_ = r.RowDescription([]Column{{T: types.Int4}, {T: types.Int4}}, nil)
	if err := r.Batch(b); sqlstate.CodeOf(err) != sqlstate.InternalError {
		t.Errorf("a column short: %v", err)
	}
	if err := r.RowDescription([]Column{{T: types.Int4}}, []int16{2}); sqlstate.CodeOf(err) != sqlstate.InvalidParameterValue {
		t.Errorf("format 2: %v", err)
	}
}

// A result without columns still has rows.
func TestNoColumns(t *testing.T) {
	r := testResults()
	if err := r.RowDescription([]Column{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Batch(&vec.Batch{N: 3}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, r.c.w.out); len(got) != 3 || len(got[0]) != 0 {
		t.Errorf("%q", got)
	}
}
