package codec

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

var samples = []struct {
	t    types.T
	vals []string
}{
	{types.Bool, []string{"t", "f", "true"}},
	{types.Int2, []string{"0", "-32768", "32767"}},
	{types.Int4, []string{"0", "-2147483648", "12"}},
	{types.Int8, []string{"0", "-9223372036854775808", "12"}},
	{types.Oid, []string{"0", "4294967295"}},
	{types.Regclass, []string{"-", "4294967295"}},
	{types.Of(types.PgLSNOID, -1), []string{"0/0", "FFFFFFFF/1"}},
	{types.Float4, []string{"0", "-1.5", "NaN", "Infinity"}},
	{types.Float8, []string{"0", "-1.5", "NaN", "-Infinity", "1e300"}},
	{types.Decimal(15, 2), []string{"0", "-1.5", "9999999999999.99"}},
	{types.Decimal(38, 10), []string{"0", "-1.5", "1234567890123456789012345678.0123456789"}},
	{types.Numeric, []string{"0", "-1.50", "NaN", "Infinity", "1e50", "0.00000000000000000001"}},
	{types.Text, []string{"", "a", "twelve bytes", "more than twelve bytes", "é"}},
	{types.Of(types.VarcharOID, 9), []string{"", "abc", "abcde  "}},
	{types.Of(types.BPCharOID, 9), []string{"", "abc", "abcde  "}},
	{types.Name, []string{"a"}}, {types.Char, []string{"", "x"}},
	{types.Bytea, []string{`\x`, `\x00ff`, `\x000102030405060708090a0b0c0d0e0f`}},
	{types.Date, []string{"2020-01-01", "infinity", "4714-11-24 BC"}},
	{types.Time, []string{"00:00", "23:59:59.999999"}},
	{types.Timetz, []string{"00:00+05:30", "23:59:59.999999-08"}},
	{types.Timestamp, []string{"2020-01-01 10:00", "-infinity"}},
	{types.Of(types.TimestampOID, 0), []string{"2020-01-01 10:00:00.6"}},
	{types.Timestamptz, []string{"2020-01-01 10:00+02", "infinity"}},
	{types.Interval, []string{"1 day", "-1 mon 2:03:04.5"}},
	{types.UUID, []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{types.JSON, []string{`{"a" : 1}`, "null"}},
	{types.JSONB, []string{`{"a" : [1, 2.50]}`, "null", `"x"`}},
	{types.Of(types.Int4ArrayOID, -1), []string{"{}", "{1,NULL}", "[2:3]={1,2}"}},
	{types.Of(types.TextArrayOID, -1), []string{"{}", `{"a b",NULL,""}`}},
	{types.Of(types.NumericArrayOID, types.MakeNumericMod(5, 2)), []string{"{1.005}"}},
	{types.Of(types.Int2VectorOID, -1), []string{"1 2"}},
	{types.Of(types.OidVectorOID, -1), []string{"", "4294967295"}},
}

// TestForms: every type through appenders and encoders, in flat, constant and
// dictionary vectors, gives what catalog/types gives.
func TestForms(t *testing.T) {
	for _, s := range samples {
		name := types.FormatType(s.t.OID, s.t.Mod)
		text, bin := TextAppender(s.t, nil), BinaryAppender(s.t, nil)
		textEnc, binEnc := TextEncoder(s.t, nil), BinaryEncoder(s.t, nil)
		v, w := vec.New(s.t, 0), vec.New(s.t, 0)
		var ds []types.Datum
		for i, in := range s.vals {
			d, err := types.ParseText(s.t, in, nil)
			if err != nil {
				t.Fatalf("%s %q: %v", name, in, err)
			}
			ds = append(ds, d)
			if i == 1 { // a null between, so that validity is in play
				v.AppendNull()
				w.AppendNull()
				ds = append(ds[:i], types.Null, d)
			}
			if err := text(v, []byte(in)); err != nil {
				t.Fatalf("%s %q: %v", name, in, err)
			}
			if err := bin(w, types.AppendBinary(nil, s.t, d, nil)); err != nil {
				t.Fatalf("%s %q in binary: %v", name, in, err)
			}
		}
		check := func(form string, v *vec.Vec, i int, d types.Datum) {
			t.Helper()
			if !d.Valid {
				if !v.IsNull(i) {
					t.Errorf("%s %s row %d is not null", name, form, i)
				}
				return
			}
			if v.IsNull(i) {
				t.Errorf("%s %s row %d is null", name, form, i)
				return
			}
			if got, want := textEnc(nil, v, i), types.AppendText(nil, s.t, d, nil); !bytes.Equal(got, want) {
				t.Errorf("%s %s row %d: %q, want %q", name, form, i, got, want)
			}
			if got, want := binEnc(nil, v, i), types.AppendBinary(nil, s.t, d, nil); !bytes.Equal(got, want) {
				t.Errorf("%s %s row %d: %x, want %x", name, form, i, got, want)
			}
		}
		for i, d := range ds {
			check("flat", v, i, d)
			check("flat from binary", w, i, d)
			c := new(vec.Vec)
			c.SetConst(s.t, d, 3)
			check("constant", c, 2, d)
		}
		dict := vec.New(s.t, 0)
		rows := &vec.Vec{T: s.t, Form: vec.Dict, Dict: &vec.Dictionary{Values: dict}}
		var want []types.Datum
		for i := len(ds) - 1; i >= 0; i-- {
			if ds[i].Valid {
				dict.AppendDatum(ds[i])
				rows.Codes = append(rows.Codes, uint32(dict.N-1))
				rows.N++
				want = append(want, ds[i])
			}
		}
		for i, d := range want {
			check("dictionary", rows, i, d)
		}
	}
}

// TestAppendError: a value that fails leaves its vector as it was.
func TestAppendError(t *testing.T) {
	for _, s := range samples {
		v := vec.New(s.t, 0)
		if err := TextAppender(s.t, nil)(v, []byte("\x01 no value of anything {")); err == nil {
			continue // text and its like
		}
		if v.N != 0 {
			t.Errorf("%s: %d rows after an error", types.FormatType(s.t.OID, -1), v.N)
		}
	}
}
