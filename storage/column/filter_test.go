package column

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

var someFunc = &fn.Func{OID: 65, Name: "eq"}

func cmpExpr(col *expr.Column, op string, t types.T, d types.Datum) expr.Expr {
	return &expr.Call{Fn: someFunc, Op: op, Args: []expr.Expr{col, &expr.Const{T: t, D: d}}, T: types.Bool}
}

// filterTable has a column of each type that filters know.
func filterTable() *catalog.Table {
	t := &catalog.Table{OID: 20002, Name: "f", Shards: 1}
	for i, ty := range []types.T{types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Decimal(10, 2), types.Decimal(30, 3),
		types.Text, types.Of(types.BPCharOID, 9), types.Date, types.Timestamp, types.UUID, types.Oid, types.Bool, types.Bytea} {
		t.Columns = append(t.Columns, catalog.Column{ID: int32(i + 1), Name: fmt.Sprintf("c%d", i), T: ty})
	}
	return t
}

func randomDatum(r *rand.Rand, t types.T) types.Datum {
	x := r.Int64N(40) - 20
	switch t.Layout {
	case types.LayoutBool:
		return types.NewBool(x > 0)
	case types.LayoutF32, types.LayoutF64:
		switch r.IntN(12) {
		case 0:
			return types.NewFloat(math.NaN())
		case 1:
			return types.NewFloat(math.Copysign(0, -1))
		case 2:
			return types.NewFloat(math.Inf(1))
		}
		return types.NewFloat(float64(x) / 2)
	case types.LayoutI128:
		if r.IntN(3) == 0 {
			return types.NewI128(types.Int128{Lo: uint64(x), Hi: x})
		}
		return types.NewI128(types.Int128{Lo: uint64(x), Hi: x >> 63})
	case types.LayoutFixed16:
		return types.NewFixed16(types.Fixed16{A: x << 58, B: x})
	case types.LayoutView:
		s := strings.Repeat(string(rune('a'+(x+20)%5)), int(x+20)%4) + "common prefix "[:int(x+20)%14] + string(rune('a'+(x+20)%3))
		if t.OID == types.BPCharOID {
			s = fmt.Sprintf("%-5s", s[:min(5, len(s))])
		}
		return types.NewString(s)
	}
	if t.OID == types.OidOID {
		return types.NewInt(int64(uint32(x)))
	}
	return types.NewInt(x)
}

// TestFilter holds readers against a naive filter, over memtable and segment, with
// rows deleted, and checks that pruning loses nothing.
func TestFilter(t *testing.T) {
	table := filterTable()
	r := rand.New(rand.NewPCG(5, 5))
	h := newHarness(t, table)
	const rows = 5000
	data := make([][]types.Datum, 0, rows)
	for len(data) < rows {
		n := min(vec.Size, rows-len(data))
		b := vec.NewBatch(table.Types())
		shape := r.IntN(3)
		for k := 0; k < n; k++ {
			row := make([]types.Datum, len(table.Columns))
			for i, c := range table.Columns {
				row[i] = randomDatum(r, c.T)
				if shape == 1 && i%2 == 0 && len(data) > 0 && k > 0 {
					row[i] = data[len(data)-1][i] // runs
				}
				if r.IntN(10) == 0 {
					row[i] = types.Null
				}
				b.Cols[i].AppendDatum(row[i])
			}
			data = append(data, row)
		}
		b.N = n
		ch := &chunker{}
		ch.chunks = append(ch.chunks, storage.Chunk{Op: storage.OpInsert, Rows: b, Ord: ch.ords(n)})
		h.mustCommit(ch)
		if len(data) == vec.Size {
			h.flush()
		}
	}
	all := h.tab.Snapshot(h.pub)
	ids := scan(t, all, &catalog.ScanSpec{Cols: []int{catalog.ColRowID}, Limit: -1})
	if len(ids) != rows {
		t.Fatal(len(ids))
	}
	all.Close()
	for _, state := range []string{"memtable and segment", "segments", "compacted"} {
		switch state {
		case "segments":
			h.flush()
		case "compacted":
			if h.compact() == nil {
				t.Fatal("nothing compacted")
			}
		}
		s := h.tab.Snapshot(h.pub)
		for i := 0; i < 120; i++ {
			var filter []expr.Expr
			var tests []func(row []types.Datum) bool
			for n := 1 + r.IntN(2); n > 0; n-- {
				e, f := randomFilter(r, table)
				if !SimpleFilter(e) {
					t.Fatalf("not simple: %#v", e)
				}
				filter, tests = append(filter, e), append(tests, f)
			}
			cols := []int{r.IntN(len(table.Columns)), r.IntN(len(table.Columns))}
			var want []string
			for _, row := range data {
				ok := true
				for _, f := range tests {
					ok = ok && f(row)
				}
				if ok {
					want = append(want, datumsText(row, table, cols))
				}
			}
			sort.Strings(want)
			got := scan(t, s, &catalog.ScanSpec{Cols: cols, Filter: filter, Limit: -1})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s, filter %s: %d rows, want %d: %s", state, describe(filter), len(got), len(want), diff(got, want))
			}
		}
		s.Close()
	}
}

func describe(es []expr.Expr) string {
	var out []string
	for _, e := range es {
		switch x := e.(type) {
		case *expr.Call:
			out = append(out, fmt.Sprintf("%v %s %+v", x.Args[0].(*expr.Column).T, x.Op, x.Args[1].(*expr.Const)))
		default:
			out = append(out, fmt.Sprintf("%T %+v", e, e))
		}
	}
	return strings.Join(out, " AND ")
}

func datumsText(row []types.Datum, t *catalog.Table, cols []int) string {
	var parts []string
	for _, c := range cols {
		parts = append(parts, datumText(row[c], t.Columns[c].T))
	}
	return strings.Join(parts, ",")
}

func randomFilter(r *rand.Rand, table *catalog.Table) (expr.Expr, func([]types.Datum) bool) {
	i := r.IntN(len(table.Columns))
	ty := table.Columns[i].T
	col := &expr.Column{ID: i, T: ty}
	null := func(want bool) func([]types.Datum) bool {
		return func(row []types.Datum) bool { return row[i].Valid != want }
	}
	switch x := r.IntN(10); {
	case x == 0:
		return &expr.IsNull{Arg: col}, null(true)
	case x == 1:
		return &expr.IsNull{Arg: col, Not: true}, null(false)
	case x <= 3 && ty.OID != types.BoolOID:
		n, not := 1+r.IntN(12), r.IntN(3) == 0
		e := &expr.In{Arg: col, Eq: someFunc, Not: not}
		var list []types.Datum
		for k := 0; k < n; k++ {
			d := randomDatum(r, ty)
			list = append(list, d)
			e.List = append(e.List, &expr.Const{T: ty, D: d})
		}
		return e, func(row []types.Datum) bool {
			if !row[i].Valid {
				return false
			}
			for _, d := range list {
				if segment.Compare(ty, row[i], d) == 0 {
					return !not
				}
			}
			return not
		}
	case x == 4 && ty.OID == types.TextOID:
		p := randomDatum(r, ty).S
		p = p[:r.IntN(len(p)+1)]
		return cmpExpr(col, "~~", types.Text, types.NewString(p+"%")), func(row []types.Datum) bool {
			return row[i].Valid && strings.HasPrefix(row[i].S, p)
		}
	case x == 5 && ty.OID == types.NumericOID && ty.Layout == types.LayoutI64:
		// A constant of another scale.
		k := types.Decimal(12, r.IntN(5))
		v := r.Int64N(4000) - 2000
		op := []string{"=", "<>", "<", "<=", ">", ">="}[r.IntN(6)]
		scale := func(x int64, from, to int16) float64 { return float64(x) * math.Pow10(int(to-from)) }
		return cmpExpr(col, op, k, types.NewInt(v)), func(row []types.Datum) bool {
			if !row[i].Valid {
				return false
			}
			a, b := scale(row[i].I, ty.Scale, 6), scale(v, k.Scale, 6)
			c := 0
			if a < b {
				c = -1
			} else if a > b {
				c = 1
			}
			return compareOps[op].Holds(c)
		}
	case x == 6 && isInt(ty):
		// A constant of another width, also out of range.
		v := []int64{0, 5, math.MaxInt64, math.MinInt64, 70000, -70000}[r.IntN(6)]
		op := []string{"=", "<>", "<", "<=", ">", ">="}[r.IntN(6)]
		return cmpExpr(col, op, types.Int8, types.NewInt(v)), func(row []types.Datum) bool {
			return row[i].Valid && compareOps[op].Holds(compareOrdered(types.Int8, row[i], types.NewInt(v)))
		}
	}
	d := randomDatum(r, ty)
	op := []string{"=", "<>", "<", "<=", ">", ">="}[r.IntN(6)]
	return cmpExpr(col, op, ty, d), func(row []types.Datum) bool {
		return row[i].Valid && compareOps[op].Holds(segment.Compare(ty, row[i], d))
	}
}

// TestSimpleFilter pins which conjuncts storage takes over.
func TestSimpleFilter(t *testing.T) {
	n := &expr.Column{ID: 0, T: types.Int4}
	s := &expr.Column{ID: 1, T: types.Text}
	vc := &expr.Column{ID: 2, T: types.Varchar}
	ts := &expr.Column{ID: 3, T: types.Timestamp}
	jb := &expr.Column{ID: 4, T: types.JSONB}
	text := func(x string) types.Datum { return types.NewString(x) }
	for _, c := range []struct {
		e    expr.Expr
		want bool
	}{
		{cmpExpr(n, "=", types.Int4, types.NewInt(1)), true},
		{cmpExpr(n, "=", types.Int8, types.NewInt(1)), true},
		{cmpExpr(n, "=", types.Float8, types.NewFloat(1)), false},
		{cmpExpr(n, "+", types.Int4, types.NewInt(1)), false},
		{cmpExpr(s, "~~", types.Text, text("abc%")), true},
		{cmpExpr(s, "~~", types.Text, text("abc")), true},
		{cmpExpr(s, "~~", types.Text, text("a%c")), false},
		{cmpExpr(s, "~~", types.Text, text("a_c")), false},
		{cmpExpr(s, "~~*", types.Text, text("abc%")), false},
		{&expr.Call{Fn: someFunc, Op: "=", Args: []expr.Expr{&expr.Cast{Arg: vc, T: types.Text, Kind: expr.CastRelabel}, &expr.Const{T: types.Text, D: text("x")}}}, true},
		{cmpExpr(ts, "<", types.Date, types.NewInt(1)), false},
		{cmpExpr(jb, "=", types.JSONB, text("x")), false},
		{&expr.IsNull{Arg: jb}, true},
		{&expr.Or{Args: []expr.Expr{&expr.IsNull{Arg: n}, &expr.IsNull{Arg: s}}}, false},
		{&expr.And{Args: []expr.Expr{&expr.IsNull{Arg: n}, cmpExpr(s, "=", types.Text, text("x"))}}, true},
		{&expr.Call{Fn: someFunc, Op: "<", Args: []expr.Expr{&expr.Const{T: types.Int4, D: types.NewInt(3)}, n}}, true},
		{&expr.Call{Fn: someFunc, Op: "=", Args: []expr.Expr{n, &expr.Param{N: 1, T: types.Int4}}}, false},
	} {
		if got := SimpleFilter(c.e); got != c.want {
			t.Errorf("%s: %v", describe([]expr.Expr{c.e}), got)
		}
	}
	p, _ := compilePred(&expr.Call{Fn: someFunc, Op: "<", Args: []expr.Expr{&expr.Const{T: types.Int4, D: types.NewInt(3)}, n}})
	if p.op != kernel.GT {
		t.Errorf("3 < n has operator %v", p.op)
	}
}

// TestPrune narrows a reader at run time: it may skip, and must not lose rows.
func TestPrune(t *testing.T) {
	h := newHarness(t, testTable(true, false))
	ch := &chunker{}
	var rows []row
	for k := int64(0); k < 5000; k++ {
		rows = append(rows, row{k: k, n: &k})
	}
	for i := 0; i < len(rows); i += 1000 {
		ch.rows(storage.OpInsert, rows[i:i+1000]...)
	}
	h.mustCommit(ch)
	for _, flushed := range []bool{false, true} {
		if flushed {
			h.flush()
		}
		s := h.tab.Snapshot(h.pub)
		spec := &catalog.ScanSpec{Cols: []int{1, 0}, Limit: -1}
		r, err := s.Reader(spec)
		if err != nil {
			t.Fatal(err)
		}
		splits, _, _ := s.Splits(context.Background(), spec)
		count := func() (n int) {
			for _, sp := range splits {
				if err := r.Open(sp); err != nil {
					t.Fatal(err)
				}
				for {
					b, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					if b == nil {
						break
					}
					n += b.Rows()
				}
			}
			return n
		}
		if n := count(); n != 5000 {
			t.Errorf("flushed %v: %d rows", flushed, n)
		}
		r.Prune(0, types.NewInt(100), types.NewInt(199))
		if n := count(); n != 100 {
			t.Errorf("flushed %v: %d rows in [100, 199]", flushed, n)
		}
		r.Prune(0, types.NewInt(9000), types.Null)
		if n := count(); n != 0 {
			t.Errorf("flushed %v: %d rows above 9000", flushed, n)
		}
		r.Close()
		s.Close()
	}
}
