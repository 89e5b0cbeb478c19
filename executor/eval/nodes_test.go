package eval

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func intVec(vs ...string) *vec.Vec { return vecOf(types.Int4, vs...) }

func vecOf(t types.T, vs ...string) *vec.Vec {
	v := vec.New(t, len(vs))
	for _, s := range vs {
		if s == "-" {
			v.AppendNull()
			continue
		}
		d, err := types.ParseText(t, s, nil)
		if err != nil {
			panic(err)
		}
		v.AppendDatum(d)
	}
	return v
}

func batch(cols ...*vec.Vec) *vec.Batch { return &vec.Batch{Cols: cols, N: cols[0].N} }

// results evaluates e for the selected rows of b and prints them.
func results(t *testing.T, e expr.Expr, b *vec.Batch) string {
	t.Helper()
	p, err := Compile(e, &Env{Session: testSession})
	if err != nil {
		return errText(err)
	}
	v, err := p.Eval(b)
	if err != nil {
		return errText(err)
	}
	s := ""
	for k := 0; k < b.Rows(); k++ {
		if k > 0 {
			s += " "
		}
		s += valueText(v, b.Row(k))
	}
	return s
}

func i4(s string) expr.Expr { return lit(types.Int4, s) }

var null4 = &expr.Const{T: types.Int4}
var nullBool = &expr.Const{T: types.Bool}

func TestNodes(t *testing.T) {
	b := batch(intVec("0", "1", "2", "-", "5"), intVec("1", "-", "0", "4", "5"), vecOf(types.Of(types.Int4ArrayOID, -1), "{1,2}", "{}", "-", "{NULL,4}", "{{1,2},{3,4}}"),
		vecOf(types.Text, "a", "b", "-", "d", "a longer string than fits"), vecOf(types.Bool, "t", "f", "-", "t", "f"))
	x, y, arr, txt, boo := col(b, 0), col(b, 1), col(b, 2), col(b, 3), col(b, 4)
	div := call("int4div", i4("10"), x)
	eq, lt := lookup("int4eq"), lookup("int4lt")
	isZero := call("int4eq", x, i4("0"))
	for _, c := range []struct {
		name string
		e    expr.Expr
		want string
	}{
		{"guarded case", &expr.Case{Whens: []expr.When{{Cond: isZero, Then: i4("-1")}}, Else: div, T: types.Int4}, `-1 10 5 \N 2`},
		{"unguarded", div, "!22012 division by zero"},
		{"case without else", &expr.Case{Whens: []expr.When{{Cond: isZero, Then: i4("7")}, {Cond: call("int4gt", x, i4("1")), Then: y}}, T: types.Int4}, `7 \N 0 \N 5`},
		{"and guards", &expr.And{Args: []expr.Expr{&expr.Not{Arg: isZero}, call("int4gt", div, i4("4"))}}, `f t t \N f`},
		{"or guards", &expr.Or{Args: []expr.Expr{isZero, call("int4gt", div, i4("4"))}}, `t t t \N f`},
		{"and nulls", &expr.And{Args: []expr.Expr{boo, nullBool}}, `\N f \N \N f`},
		{"or nulls", &expr.Or{Args: []expr.Expr{boo, nullBool}}, `t \N \N t \N`},
		{"not", &expr.Not{Arg: boo}, `f t \N f t`},
		{"is null", &expr.IsNull{Arg: x}, "f f f t f"},
		{"is true", &expr.BoolTest{Arg: boo, Want: true}, "t f f t f"},
		{"is not false", &expr.BoolTest{Arg: boo, Want: false, Not: true}, "t f t t f"},
		{"distinct", &expr.Distinct{L: x, R: y, Eq: eq}, "t t t t f"},
		{"not distinct from null", &expr.Distinct{L: x, R: null4, Eq: eq, Not: true}, "f f f t f"},
		{"coalesce", &expr.Coalesce{Args: []expr.Expr{x, y, i4("9")}, T: types.Int4}, "0 1 2 4 5"},
		{"coalesce guards", &expr.Coalesce{Args: []expr.Expr{y, div}, T: types.Int4}, "1 10 0 4 5"},
		{"greatest", &expr.MinMax{Args: []expr.Expr{x, y}, Greatest: true, T: types.Int4}, "1 1 2 4 5"},
		{"least", &expr.MinMax{Args: []expr.Expr{x, y, i4("3")}, T: types.Int4}, "0 1 0 3 3"},
		{"in", &expr.In{Arg: x, List: []expr.Expr{i4("1"), i4("5"), i4("77")}, Eq: eq}, `f t f \N t`},
		{"in with null", &expr.In{Arg: x, List: []expr.Expr{i4("1"), null4}, Eq: eq}, `\N t \N \N \N`},
		{"not in", &expr.In{Arg: x, List: []expr.Expr{i4("1"), i4("2")}, Eq: eq, Not: true}, `t f f \N t`},
		{"in column", &expr.In{Arg: x, List: []expr.Expr{y, i4("0")}, Eq: eq}, `t \N f \N t`},
		{"text in", &expr.In{Arg: txt, List: []expr.Expr{lit(types.Text, "b"), lit(types.Text, "a longer string than fits")}, Eq: lookup("texteq")}, `f t \N f t`},
		{"any", &expr.AnyAll{L: x, Array: arr, Fn: eq, Op: "="}, `f f \N \N f`},
		{"all", &expr.AnyAll{L: x, Array: arr, Fn: lt, All: true, Op: "<"}, `t t \N \N f`},
		{"any of constants", &expr.AnyAll{L: x, Array: lit(types.Of(types.Int4ArrayOID, -1), "{1,5}"), Fn: eq, Op: "="}, `f t f \N t`},
		{"less than any constant", &expr.AnyAll{L: x, Array: lit(types.Of(types.Int4ArrayOID, -1), "{1,2}"), Fn: lt, Op: "<"}, `t t f \N f`},
		{"array", &expr.Array{Elems: []expr.Expr{x, y}, T: types.Of(types.Int4ArrayOID, -1)}, "{0,1} {1,NULL} {2,0} {NULL,4} {5,5}"},
		{"subscript", &expr.Subscript{Arg: arr, Lower: []expr.Expr{i4("2")}, T: types.Int4}, `2 \N \N 4 \N`},
		{"two subscripts", &expr.Subscript{Arg: arr, Lower: []expr.Expr{i4("2"), i4("1")}, T: types.Int4}, `\N \N \N \N 3`},
		{"slice", &expr.Subscript{Arg: arr, Lower: []expr.Expr{i4("2")}, Upper: []expr.Expr{nil}, Slice: true, T: types.Of(types.Int4ArrayOID, -1)}, `{2} {} \N {4} {{3,4}}`},
		{"row field", &expr.Field{Arg: &expr.Row{Elems: []expr.Expr{x, txt}}, N: 1, T: types.Text}, `a b \N d a longer string than fits`},
		{"row is null", &expr.IsNull{Arg: &expr.Row{Elems: []expr.Expr{x, y}}}, "f f f f f"},
		{"row is not null", &expr.IsNull{Arg: &expr.Row{Elems: []expr.Expr{x, y}}, Not: true}, "t f t f t"},
		{"row to json", call("row_to_json(record)", &expr.Row{Elems: []expr.Expr{x, txt}, Names: []string{"x", "t"}}),
			`{"x":0,"t":"a"} {"x":1,"t":"b"} {"x":2,"t":null} {"x":null,"t":"d"} {"x":5,"t":"a longer string than fits"}`},
		{"merged texts", &expr.Case{Whens: []expr.When{{Cond: isZero, Then: lit(types.Text, "a constant of some length")}}, Else: call("textcat", txt, lit(types.Text, " and so forth")), T: types.Text},
			`a constant of some length b and so forth \N d and so forth a longer string than fits and so forth`},
		{"cast", &expr.Cast{Arg: x, T: types.Text, Kind: expr.CastIO}, `0 1 2 \N 5`},
		{"cast to varchar(3)", &expr.Cast{Arg: txt, T: types.Of(types.VarcharOID, 7), Kind: expr.CastTypmod, Explicit: true}, `a b \N d a l`},
		{"assigned to varchar(3)", &expr.Cast{Arg: txt, T: types.Of(types.VarcharOID, 7), Kind: expr.CastTypmod}, "!22001 value too long for type character varying(3)"},
		{"numeric(3,1)", &expr.Cast{Arg: call("numeric(int4)", x), T: types.Decimal(3, 1), Kind: expr.CastTypmod}, `0.0 1.0 2.0 \N 5.0`},
		{"numeric(1,1)", &expr.Cast{Arg: call("numeric(int4)", x), T: types.Decimal(1, 1), Kind: expr.CastTypmod}, "!22003 numeric field overflow"},
		{"constant false", &expr.And{Args: []expr.Expr{lit(types.Bool, "f"), call("int4gt", div, i4("4"))}}, "f f f f f"},
	} {
		want := c.want
		if got := results(t, c.e, b); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
			continue
		}
		folded, err := Fold(c.e, &Env{Session: testSession})
		if err != nil {
			t.Fatal(err)
		}
		if got := results(t, folded, b); got != want {
			t.Errorf("%s, folded:\n got %s\nwant %s", c.name, got, want)
		}
		metamorphic(t, c.name, c.e, b)
	}
}

// metamorphic evaluates e row by row, over selections, and over dictionaries: what
// a row gives does not depend on its company.
func metamorphic(t *testing.T, name string, e expr.Expr, b *vec.Batch) {
	t.Helper()
	alone := make([]string, b.N)
	for i := range alone {
		one := &vec.Batch{N: 1}
		for _, v := range b.Cols {
			w := vec.New(v.T, 1)
			w.AppendDatum(v.Datum(i))
			one.Cols = append(one.Cols, w)
		}
		alone[i] = results(t, e, one)
		cst := &vec.Batch{N: 3}
		for _, v := range b.Cols {
			w := vec.New(v.T, 1)
			w.SetConst(v.T, v.Datum(i), 3)
			cst.Cols = append(cst.Cols, w)
		}
		if got, want := results(t, e, cst), alone[i]; got != want && got != want+" "+want+" "+want {
			t.Errorf("%s, row %d as constants: %s, want %s", name, i, got, want)
		}
	}
	wide := &vec.Batch{}
	for k, v := range b.Cols {
		if v.T.Layout == types.LayoutBool {
			wide.Cols = append(wide.Cols, v)
			continue
		}
		d := vec.New(v.T, v.N)
		w := &vec.Vec{T: v.T, Form: vec.Dict, N: v.N, Valid: v.Valid, Dict: &vec.Dictionary{Values: d, ID: uint64(1000 + k)}}
		for i := 0; i < v.N; i++ {
			if v.IsNull(i) {
				w.Codes = append(w.Codes, 0)
				continue
			}
			w.Codes = append(w.Codes, uint32(d.N))
			d.AppendDatum(v.Datum(i))
		}
		wide.Cols = append(wide.Cols, w)
	}
	wide.N = b.N
	for _, in := range []*vec.Batch{b, wide} {
		for mask := 1; mask < 1<<b.N; mask++ {
			in.Sel = nil
			want, failed := "", ""
			for i := 0; i < b.N; i++ {
				if mask>>i&1 == 0 {
					continue
				}
				in.Sel = append(in.Sel, uint16(i))
				if alone[i] != "" && alone[i][0] == '!' && failed == "" {
					failed = alone[i]
				}
				if want != "" {
					want += " "
				}
				want += alone[i]
			}
			if failed != "" {
				want = failed
			}
			if got := results(t, e, in); got != want {
				t.Errorf("%s, rows %v (%v): %s, want %s", name, in.Sel, in == wide, got, want)
			}
		}
		in.Sel = nil
	}
}

func TestFilter(t *testing.T) {
	b := sample()
	parts := []expr.Expr{
		call("textlike", col(b, 5), lit(types.Text, "%9%")), call("date_lt", col(b, 3), lit(types.Date, "1999-01-01")),
		call("int8lt", col(b, 0), lit(types.Int8, "9000")), call("int4gt", call("int4div", i4("100"), col(b, 8)), i4("3")),
		call("int4ne", col(b, 8), i4("0")), &expr.In{Arg: col(b, 6), List: []expr.Expr{lit(types.Text, "AIR"), lit(types.Text, "MAIL")}, Eq: lookup("texteq")},
	}
	for mask := 0; mask < 1<<len(parts); mask++ {
		var conj []expr.Expr
		for i, p := range parts {
			if mask>>i&1 != 0 {
				conj = append(conj, p)
			}
		}
		if mask&8 != 0 && mask&16 == 0 {
			continue // divides by zero
		}
		p, err := CompileFilter(expr.Conjoin(conj), &Env{})
		if err != nil {
			t.Fatal(err)
		}
		for _, sel := range [][]uint16{nil, {0, 1, 2, 3, 4, 5, 6, 7, 9, 19, 29, 39, 490, 1999}} {
			b.Sel = sel
			want := map[int]bool{}
			rows := b.Rows()
			for k := 0; k < rows; k++ {
				want[b.Row(k)] = true
			}
			for _, c := range conj {
				cp, _ := Compile(&expr.Case{Whens: []expr.When{{Cond: call("int4ne", col(b, 8), i4("0")), Then: c}}, Else: &expr.Case{
					Whens: []expr.When{{Cond: &expr.Not{Arg: lit(types.Bool, fmt.Sprint(c == parts[3]))}, Then: c}}, T: types.Bool}, T: types.Bool}, &Env{})
				v, err := cp.Eval(b)
				if err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if v.IsNull(i) || !v.Datum(i).Bool() {
						delete(want, i)
					}
				}
			}
			if err := p.Filter(b); err != nil {
				t.Fatal(err)
			}
			if b.Rows() != len(want) {
				t.Fatalf("conjuncts %b: %d rows, want %d", mask, b.Rows(), len(want))
			}
			for k := 0; k < b.Rows(); k++ {
				if !want[b.Row(k)] {
					t.Fatalf("conjuncts %b: row %d should be out", mask, b.Row(k))
				}
			}
		}
	}
}

func TestSRF(t *testing.T) {
	for _, c := range []struct {
		sig  string
		args []expr.Expr
		want string
	}{
		{"generate_series(int4,int4)", []expr.Expr{i4("1"), i4("3")}, "1 2 3"},
		{"generate_series(int4,int4)", []expr.Expr{i4("3"), i4("1")}, ""},
		{"generate_series(int4,int4,int4)", []expr.Expr{i4("5"), i4("1"), i4("-2")}, "5 3 1"},
		{"generate_series(int4,int4,int4)", []expr.Expr{i4("5"), i4("1"), i4("0")}, "!22023 step size cannot equal zero"},
		{"generate_series(int4,int4)", []expr.Expr{i4("2147483646"), i4("2147483647")}, "2147483646 2147483647"},
		{"generate_series(int4,int4)", []expr.Expr{null4, i4("1")}, ""},
		{"generate_series(numeric,numeric,numeric)", []expr.Expr{lit(types.Numeric, "1.1"), lit(types.Numeric, "4"), lit(types.Numeric, "1.3")}, "1.1 2.4 3.7"},
		{"generate_series(timestamp,timestamp,interval)", []expr.Expr{lit(types.Timestamp, "2024-01-31"), lit(types.Timestamp, "2024-04-01"), lit(types.Interval, "1 mon")},
			"2024-01-31 00:00:00 2024-02-29 00:00:00 2024-03-29 00:00:00"},
		{"unnest(anyarray)", []expr.Expr{lit(types.Of(types.Int4ArrayOID, -1), "{{1,2},{NULL,4}}")}, `1 2 \N 4`},
		{"generate_subscripts(anyarray,int4)", []expr.Expr{lit(types.Of(types.Int4ArrayOID, -1), "[3:5]={1,2,3}"), i4("1")}, "3 4 5"},
		{"regexp_split_to_table(text,text)", []expr.Expr{lit(types.Text, "a1b2c"), lit(types.Text, "[0-9]")}, "a b c"},
		{"regexp_matches(text,text,text)", []expr.Expr{lit(types.Text, "a1b2"), lit(types.Text, "([a-z])([0-9])"), lit(types.Text, "g")}, "{a,1} {b,2}"},
		{"string_to_table(text,text)", []expr.Expr{lit(types.Text, "a,b"), lit(types.Text, ",")}, "a b"},
		{"jsonb_array_elements_text", []expr.Expr{lit(types.JSONB, `[1,"x",null]`)}, `1 x \N`},
		{"json_each_text", []expr.Expr{lit(types.JSON, `{"a": 1, "b": "x"}`)}, "a,1 b,x"},
		{"jsonb_object_keys", []expr.Expr{lit(types.JSONB, `{"b":1,"a":2}`)}, "a b"},
		{"jsonb_each", []expr.Expr{lit(types.JSONB, `[1]`)}, "!22023 cannot call jsonb_each on a non-object"},
		{"upper(text)", []expr.Expr{lit(types.Text, "x")}, "X"},
	} {
		got := ""
		f := lookup(c.sig)
		ts := make([]types.T, len(c.args))
		for i, a := range c.args {
			ts[i] = a.Type()
		}
		s, err := CompileSRF(&expr.Call{Fn: f, Args: c.args, T: fn.ResultType(f, ts)}, &Env{Session: testSession})
		if err != nil {
			t.Fatalf("%s: %v", c.sig, err)
		}
		b := &vec.Batch{N: 2}
		if err := s.Begin(b); err != nil {
			t.Fatal(err)
		}
		for row := 0; row < 2; row++ {
			got = ""
			if err := s.Row(row); err != nil {
				got = errText(err)
				break
			}
			for {
				var out []*vec.Vec
				for _, ty := range s.Columns() {
					out = append(out, vec.New(ty, 2))
				}
				n, err := s.Next(out, 2)
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < n; i++ {
					if got != "" {
						got += " "
					}
					for k, v := range out {
						if k > 0 {
							got += ","
						}
						got += valueText(v, i)
					}
				}
				if n < 2 {
					break
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.sig, got, c.want)
		}
	}
}
