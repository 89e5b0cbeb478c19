package eval

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// sample is a full batch: 0 int8, 1 decimal(15,2), 2 decimal(4,2), 3 date, 4 text
// (short), 5 text (long), 6 text as a dictionary, 7 float8, 8 int4 with nulls.
func sample() *vec.Batch {
	ts := []types.T{types.Int8, types.Decimal(12, 2), types.Decimal(4, 2), types.Date, types.Text, types.Text, types.Text, types.Float8, types.Int4}
	b := &vec.Batch{N: vec.Size}
	for _, t := range ts {
		b.Cols = append(b.Cols, vec.New(t, vec.Size))
	}
	dict := vec.New(types.Text, 7)
	for _, s := range []string{"AIR", "MAIL", "TRUCK", "SHIP", "RAIL", "FOB", "a rather long mode of shipping"} {
		dict.AppendString(s)
	}
	d := b.Cols[6]
	d.Form, d.Dict, d.N = vec.Dict, &vec.Dictionary{Values: dict, ID: 77}, vec.Size
	for i := 0; i < vec.Size; i++ {
		b.Cols[0].AppendDatum(types.NewInt(int64(i*7919) % 10007))
		b.Cols[1].AppendDatum(types.NewInt(int64(i)*1237 + 90000))
		b.Cols[2].AppendDatum(types.NewInt(int64(i % 11)))
		b.Cols[3].AppendDatum(types.NewInt(int64(-2000 + i)))
		b.Cols[4].AppendString(fmt.Sprint("s", i%97))
		b.Cols[5].AppendString(fmt.Sprintf("some special text with requests number %d in it", i))
		d.Codes = append(d.Codes, uint32(i%7))
		b.Cols[7].AppendDatum(types.NewFloat(float64(i) / 3))
		if i%5 == 0 {
			b.Cols[8].AppendNull()
		} else {
			b.Cols[8].AppendDatum(types.NewInt(int64(i % 50)))
		}
	}
	return b
}

func col(b *vec.Batch, i int) expr.Expr {
	return &expr.Column{ID: i, T: b.Cols[i].T, Name: fmt.Sprint("c", i)}
}

func call(sig string, args ...expr.Expr) expr.Expr {
	f := lookup(sig)
	ts := make([]types.T, len(args))
	for i, a := range args {
		ts[i] = a.Type()
	}
	return &expr.Call{Fn: f, Args: args, T: fn.ResultType(f, ts), Pos: -1}
}

func lit(t types.T, s string) expr.Expr {
	d, err := types.ParseText(t, s, nil)
	if err != nil {
		panic(err)
	}
	return &expr.Const{T: t, D: d}
}

// programs are expressions over sample.
func programs(b *vec.Batch) map[string]expr.Expr {
	num := func(s string) expr.Expr { return lit(types.Decimal(4, 2), s) }
	return map[string]expr.Expr{
		"disc_price": call("numeric_mul", col(b, 1), call("numeric_sub", num("1.00"), col(b, 2))),
		"int_add":    call("int8pl", col(b, 0), lit(types.Int8, "5")),
		"float_mul":  call("float8mul", col(b, 7), col(b, 7)),
		"date_cmp":   call("date_lt", col(b, 3), lit(types.Date, "1997-01-01")),
		"text_eq":    call("texteq", col(b, 4), lit(types.Text, "s12")),
		"like":       call("textlike", col(b, 5), lit(types.Text, "%special%requests%")),
		"like_dict":  call("textlike", col(b, 6), lit(types.Text, "%AI%")),
		"upper_dict": call("upper(text)", col(b, 6)),
		"substr":     call("substr(text,int4,int4)", col(b, 5), lit(types.Int4, "3"), lit(types.Int4, "20")),
		"concat":     call("textcat", col(b, 4), col(b, 5)),
		"extract":    call("extract(text,date)", lit(types.Text, "year"), col(b, 3)),
		"trunc":      call("date_trunc(text,timestamp)", lit(types.Text, "month"), call("timestamp(date)", col(b, 3))),
		"to_text":    &expr.Cast{Arg: col(b, 0), T: types.Text, Kind: expr.CastIO},
		"case": &expr.Case{Whens: []expr.When{{Cond: call("int8lt", col(b, 0), lit(types.Int8, "100")), Then: call("upper(text)", col(b, 4))}},
			Else: col(b, 5), T: types.Text},
		"coalesce": &expr.Coalesce{Args: []expr.Expr{col(b, 8), lit(types.Int4, "7")}, T: types.Int4},
		"logic": &expr.Or{Args: []expr.Expr{call("int8lt", col(b, 0), lit(types.Int8, "100")),
			&expr.And{Args: []expr.Expr{call("int4gt", col(b, 8), lit(types.Int4, "3")), call("textlike", col(b, 5), lit(types.Text, "%9%"))}}}},
		"in": &expr.In{Arg: col(b, 4), List: []expr.Expr{lit(types.Text, "s1"), lit(types.Text, "s2"), lit(types.Text, "s3")}, Eq: lookup("texteq")},
		"nulls": &expr.And{Args: []expr.Expr{&expr.IsNull{Arg: col(b, 8), Not: true},
			&expr.Distinct{L: col(b, 8), R: lit(types.Int4, "3"), Eq: lookup("int4eq")}}},
		"length":  call("length(text)", col(b, 5)),
		"md5":     call("md5(text)", col(b, 4)),
		"numeric": call("numeric_add", &expr.Cast{Arg: col(b, 1), T: types.Numeric, Kind: expr.CastNumeric}, lit(types.Numeric, "1.5")),
	}
}

// TestAllocations holds evaluation to no allocation per batch.
func TestAllocations(t *testing.T) {
	b := sample()
	for name, e := range programs(b) {
		for _, sel := range [][]uint16{nil, {1, 5, 77, 900, 2000}} {
			b.Sel = sel
			p, err := Compile(e, &Env{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := testing.AllocsPerRun(10, func() {
				if _, err := p.Eval(b); err != nil {
					t.Fatal(err)
				}
			}); n > 0 {
				t.Errorf("%s: %v allocations a batch", name, n)
			}
		}
	}
	f, err := CompileFilter(&expr.And{Args: []expr.Expr{
		call("textlike", col(b, 5), lit(types.Text, "%9%")), call("date_lt", col(b, 3), lit(types.Date, "1999-01-01")),
		call("int8lt", col(b, 0), lit(types.Int8, "9000"))}}, &Env{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() {
		b.Sel = nil
		if err := f.Filter(b); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("filter: %v allocations a batch", n)
	}
}

func BenchmarkEval(b *testing.B) {
	batch := sample()
	for name, e := range programs(batch) {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(e, &Env{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := p.Eval(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/vec.Size, "ns/row")
		})
	}
}
