package codec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

var testCols = []CopyColumn{{Name: "a", T: types.Int4}, {Name: "b", T: types.Text}, {Name: "c", T: types.Date}}

// readAll reads in in chunks of a size and prints the rows, or the error.
func readAll(t *testing.T, cols []CopyColumn, o CopyOptions, in string, chunk int) string {
	t.Helper()
	r, err := NewCopyReader("t", cols, o, nil)
	if err != nil {
		return err.Error()
	}
	ts := make([]types.T, len(cols))
	for i, c := range cols {
		ts[i] = c.T
	}
	b := vec.NewBatch(ts)
	var out strings.Builder
	drain := func() error {
		for {
			full, err := r.Next(b, 2)
			if err != nil {
				return err
			}
			for i := 0; i < b.N; i++ {
				for c, v := range b.Cols {
					if v.N != b.N {
						t.Fatalf("column %d has %d rows of %d", c, v.N, b.N)
					}
					if c > 0 {
						out.WriteByte('|')
					}
					if v.IsNull(i) {
						out.WriteString("NULL")
					} else {
						out.Write(types.AppendText(nil, ts[c], v.Datum(i), nil))
					}
				}
				out.WriteByte('\n')
			}
			b.Reset()
			if !full {
				return nil
			}
		}
	}
	for i := 0; i < len(in) && err == nil; i += chunk {
		r.Feed([]byte(in[i:min(i+chunk, len(in))]))
		err = drain()
	}
	if err == nil {
		r.Finish()
		err = drain()
	}
	if err != nil {
		e := sqlstate.From(err)
		// Rows before the error were in the batch that is lost.
		return fmt.Sprintf("%s: %s [%s] %s%s", e.Code, e.Message, e.Where, e.Detail, e.Hint)
	}
	return out.String()
}

// The answers are those of a PostgreSQL server (DEFAULT: of version 16's manual).
func TestCopyRead(t *testing.T) {
	csv := DefaultCopyOptions(CopyCSV)
	text := DefaultCopyOptions(CopyText)
	with := func(o CopyOptions, f func(*CopyOptions)) CopyOptions { f(&o); return o }
	match := func(o *CopyOptions) { o.Header = HeaderMatch }
	long := strings.Repeat("a", 120)
	for _, c := range []struct {
		o        CopyOptions
		in, want string
	}{
		{text, "1\tx\t2020-01-01\n\\N\t\\N\t\\N\n", "1|x|2020-01-01\nNULL|NULL|NULL\n"},
		{text, "1\tx\t2020-01-01\r\n2\t\\N\t\\N\r\n\\.\r\n", "1|x|2020-01-01\n2|NULL|NULL\n"},
		{text, "1\tx\t2020-01-01\r2\ty\t\\N\r", "1|x|2020-01-01\n2|y|NULL\n"},
		{text, "1\ta\\tb\\\\c\\x41\\101\\\nd\t\\N\n", "1|a\tb\\cAA\nd|NULL\n"},
		{text, "1\tx\t\\N\n2\ty\t\\N", "1|x|NULL\n2|y|NULL\n"},
		{text, "1\tx\t\\N\n\\.\nrest", "1|x|NULL\n"},
		{text, "1\tx\n", "22P04: missing data for column \"c\" [COPY t, line 1: \"1\tx\"] "},
		{text, "1\tx\t2020-01-01\t4\n", "22P04: extra data after last expected column [COPY t, line 1: \"1\tx\t2020-01-01\t4\"] "},
		{text, "x\tx\t2020-01-01\t4\n", "22P04: extra data after last expected column [COPY t, line 1: \"x\tx\t2020-01-01\t4\"] "},
		{text, "x\tx\t2020-01-01\n", "22P02: invalid input syntax for type integer: \"x\" [COPY t, line 1, column a: \"x\"] "},
		{text, "1\tx\t\\N\n2\tx\t1y\n", "22007: invalid input syntax for type date: \"1y\" [COPY t, line 2, column c: \"1y\"] "},
		{text, "1\tx\t" + long + "\n", "22007: invalid input syntax for type date: \"" + long + "\" [COPY t, line 1, column c: \"" + long[:100] + "...\"] "},
		{text, "1\té\\xff\t\\N\n", "22021: invalid byte sequence for encoding \"UTF8\": 0xff [COPY t, line 1: \"1\té\\xff\t\\N\"] "},
		{text, "1\t\xe9 x\t\\N\n", "22021: invalid byte sequence for encoding \"UTF8\": 0xe9 0x20 0x78 [COPY t, line 1] "},
		{text, "1\tx\t\\N\n2\ta\rb\t\\N\n", "22P04: literal carriage return found in data [COPY t, line 2] Use \"\\r\" to represent carriage return."},
		{csv, "1,x,2020-01-01\n,,\n", "1|x|2020-01-01\nNULL|NULL|NULL\n"},
		{csv, "1,\"a,\"\"b\"\"\nc\",\n2,x\"y\"z,\"2020-01-01\"\n", "1|a,\"b\"\nc|NULL\n2|xyz|2020-01-01\n"},
		{csv, "1,\"\",\r\n2,\" \",\r\n", "1||NULL\n2| |NULL\n"},
		{csv, "1,\"x\n", "22P04: unterminated CSV quoted field [COPY t, line 1: \"1,\"x\n\"] "},
		{csv, "1,x\"y\"z,\n2,\"a\"\"b\",2020-01-01\n3,,\"x\"\n", "22007: invalid input syntax for type date: \"x\" [COPY t, line 3, column c: \"x\"] "},
		{with(csv, match), "a,b,c\n1,x,\n", "1|x|NULL\n"},
		{with(csv, match), "a,B,c\n", "22P04: column name mismatch in header line field 2: got \"B\", expected \"b\" [COPY t, line 1: \"a,B,c\"] "},
		{with(csv, match), "a,b\n", "22P04: wrong number of fields in header line: got 2, expected 3 [COPY t, line 1: \"a,b\"] "},
		{with(csv, match), "a,,c\n", "22P04: column name mismatch in header line field 2: got null value (\"\"), expected \"b\" [COPY t, line 1: \"a,,c\"] "},
		{with(csv, func(o *CopyOptions) { o.Escape = '\\' }), "1,\"a\\\"b\\\\c\nd\",\n2,\"x\",\n", "1|a\"b\\c\nd|NULL\n2|x|NULL\n"},
		{with(csv, func(o *CopyOptions) { o.ForceNotNull = []string{"b"}; o.ForceNull = []string{"c"} }), "1,,\"\"\n", "1||NULL\n"},
		{with(csv, func(o *CopyOptions) { d := "\\D"; o.Default = &d }), "\\D,x,\n", "22P04: unexpected default marker in COPY data [COPY t, line 1, column a: \"\\D\"] Column \"a\" has no default value."},
		{with(text, func(o *CopyOptions) { o.Null = "nil"; o.Delimiter = '|' }), "nil|nil|nil\n1|\\N|nil\n", "NULL|NULL|NULL\n1|N|NULL\n"},
	} {
		for _, chunk := range []int{1, 3, 1 << 16} {
			if got := readAll(t, testCols, c.o, c.in, chunk); got != c.want {
				t.Errorf("%q in chunks of %d:\n got %q\nwant %q", c.in, chunk, got, c.want)
			}
		}
	}
}

func TestCopyRoundTrip(t *testing.T) {
	cols := []CopyColumn{{Name: "a", T: types.Int8}, {Name: "b", T: types.Text}, {Name: "c", T: types.Decimal(20, 3)}, {Name: "d", T: types.Numeric}, {Name: "e", T: types.Interval}}
	ts := []types.T{}
	for _, c := range cols {
		ts = append(ts, c.T)
	}
	b := vec.NewBatch(ts)
	for i, row := range [][]string{
		{"1", "plain", "1.500", "1.50", "1 day"},
		{"-9223372036854775808", "tab\tquote\"nl\ncr\rbs\\ é,", "-12345678901234567.123", "NaN", "-00:00:01"},
		{"", "", "", "", ""},
		{"0", `\.`, "0", "1e30", "1 mon"},
		{"0", ``, "0", "-0.001", "1 mon"},
	} {
		for c := range row {
			if i == 2 {
				b.Cols[c].AppendNull()
			} else if err := TextAppender(ts[c], nil)(b.Cols[c], []byte(row[c])); err != nil {
				t.Fatal(err)
			}
		}
		b.N++
	}
	for _, o := range []CopyOptions{DefaultCopyOptions(CopyText), DefaultCopyOptions(CopyCSV), DefaultCopyOptions(CopyBinary)} {
		w, err := NewCopyWriter(cols, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := w.AppendHeader(nil)
		want := ""
		for i := 0; i < b.N; i++ {
			out = w.AppendRow(out, b.Cols, i)
			for c, v := range b.Cols {
				if c > 0 {
					want += "|"
				}
				if v.IsNull(i) {
					want += "NULL"
				} else {
					want += string(TextEncoder(ts[c], nil)(nil, v, i))
				}
			}
			want += "\n"
		}
		out = w.AppendTrailer(out)
		for _, chunk := range []int{1, 7, 1 << 16} {
			if got := readAll(t, cols, o, string(out), chunk); got != want {
				t.Errorf("format %d, chunks of %d:\n got %q\nwant %q\n via %q", o.Format, chunk, got, want, out)
			}
		}
	}
}

var lineitem = []CopyColumn{{Name: "l_orderkey", T: types.Int4}, {Name: "l_partkey", T: types.Int4}, {Name: "l_suppkey", T: types.Int4},
	{Name: "l_linenumber", T: types.Int4}, {Name: "l_quantity", T: types.Decimal(15, 2)}, {Name: "l_extendedprice", T: types.Decimal(15, 2)},
	{Name: "l_discount", T: types.Decimal(15, 2)}, {Name: "l_tax", T: types.Decimal(15, 2)},
	{Name: "l_returnflag", T: types.Of(types.BPCharOID, 5)}, {Name: "l_linestatus", T: types.Of(types.BPCharOID, 5)}, {Name: "l_shipdate", T: types.Date},
	{Name: "l_commitdate", T: types.Date}, {Name: "l_receiptdate", T: types.Date}, {Name: "l_shipinstruct", T: types.Of(types.BPCharOID, 29)},
	{Name: "l_shipmode", T: types.Of(types.BPCharOID, 14)}, {Name: "l_comment", T: types.Of(types.VarcharOID, 48)}}

const lineitemRow = "1|155190|7706|1|17|21168.23|0.04|0.02|N|O|1996-03-13|1996-02-12|1996-03-22|DELIVER IN PERSON|TRUCK|egular courts above the\n"

func BenchmarkCopyLineitem(b *testing.B) {
	for _, f := range []CopyFormat{CopyText, CopyCSV} {
		b.Run(map[CopyFormat]string{CopyText: "text", CopyCSV: "csv"}[f], func(b *testing.B) {
			chunk := []byte(strings.Repeat(lineitemRow, 500))
			o := DefaultCopyOptions(f)
			o.Delimiter = '|'
			r, err := NewCopyReader("t", lineitem, o, nil)
			if err != nil {
				b.Fatal(err)
			}
			ts := make([]types.T, len(lineitem))
			for i, c := range lineitem {
				ts[i] = c.T
			}
			batch := vec.NewBatch(ts)
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				r.Feed(chunk)
				for {
					full, err := r.Next(batch, vec.Size)
					if err != nil {
						b.Fatal(err)
					}
					if !full {
						break
					}
					rows += batch.N
					batch.N = 0
					for _, c := range batch.Cols {
						c.Recycle(c.T)
					}
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
