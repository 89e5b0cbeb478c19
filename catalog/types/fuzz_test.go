package types

import (
	"bytes"
	"testing"
)

// fuzzTypes are all types with an input function.
func fuzzTypes() []T {
	ts := []T{Bool, Int2, Int4, Int8, Oid, Float4, Float8, Numeric, Decimal(15, 2), Decimal(38, 10), Of(NumericOID, MakeNumericMod(60, 5)),
		Text, Of(VarcharOID, 7), Of(BPCharOID, 9), Name, Char, Bytea, Date, Time, Timetz, Timestamp, Timestamptz,
		Of(TimestampOID, 3), Interval, UUID, JSON, JSONB, Of(PgLSNOID, -1), Of(Int2VectorOID, -1), Of(OidVectorOID, -1)}
	for _, oid := range []uint32{BoolArrayOID, Int4ArrayOID, TextArrayOID, NumericArrayOID, JSONBArrayOID, TimestamptzArrayOID, UUIDArrayOID} {
		ts = append(ts, Of(oid, -1))
	}
	return ts
}

// FuzzText: what a type accepts prints to a text that reads back as the same
// value, in text and binary.
func FuzzText(f *testing.F) {
	for _, s := range []string{"1", "-1.5e10", "NaN", "2020-01-01 10:00:00.5+02", "1 day -2:03", "P1Y2M3DT4H", `{"a":[1,null,"\u00e9"]}`,
		"[2:3]={1,NULL}", `{{"a b",c},{"",null}}`, `\xdead`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "04:05:06 PST", "J2451187", "infinity", "1/2", "1 2 3", "Jan 5 44 BC", "", "  "} {
		f.Add(uint8(0), s)
	}
	ts := fuzzTypes()
	f.Fuzz(func(t *testing.T, k uint8, s string) {
		if InvalidUTF8([]byte(s)) >= 0 {
			return // checked before any input function
		}
		for i, typ := range ts {
			if k != 0 && int(k)%len(ts) != i {
				continue
			}
			d, err := ParseText(typ, s, nil)
			if err != nil {
				continue
			}
			text := AppendText(nil, typ, d, nil)
			if typ.OID == TimeOID || typ.OID == TimetzOID {
				if d.I > MicrosPerDay {
					continue // a leap second at midnight prints what nothing reads
				}
			}
			back, err := ParseText(typ, string(text), nil)
			if err != nil || !Equal(typ, d, back) || Hash(typ, d) != Hash(typ, back) {
				// Timestamps rounded up past the end, and the most negative
				// interval, print what nothing reads.
				if typ.OID == TimestampOID || typ.OID == TimestamptzOID || typ.OID == IntervalOID {
					continue
				}
				t.Fatalf("%s %q prints as %q, which reads as %v (%v)", FormatType(typ.OID, typ.Mod), s, text, back, err)
			}
			bin := AppendBinary(nil, typ, d, nil)
			back, err = ParseBinary(typ, bin, nil)
			if (err != nil || !Equal(typ, d, back)) && typ.OID != TimestampOID {
				t.Fatalf("%s %q is sent as %x, which reads as %v (%v)", FormatType(typ.OID, typ.Mod), s, bin, back, err)
			}
			checkKey(t, typ, d, back)
		}
	})
}

// FuzzBinary: no bytes from the wire break a type, and what it accepts prints.
func FuzzBinary(f *testing.F) {
	f.Add(uint8(0), []byte{0, 1, 0, 0, 0, 0, 0, 2, 4, 0xd2})
	f.Add(uint8(0), []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7})
	f.Add(uint8(0), []byte("\x01[1]"))
	ts := append(fuzzTypes(), Record)
	f.Fuzz(func(t *testing.T, k uint8, b []byte) {
		for i, typ := range ts {
			if k != 0 && int(k)%len(ts) != i {
				continue
			}
			d, err := ParseBinary(typ, b, nil)
			if err != nil {
				continue
			}
			AppendText(nil, typ, d, nil)
			Hash(typ, d)
			if Compare(typ, d, d) != 0 {
				t.Fatalf("%s %x is not equal to itself", FormatType(typ.OID, typ.Mod), b)
			}
			AppendBinary(nil, typ, d, nil)
		}
	})
}

// FuzzNumeric: arithmetic on decimals agrees with itself: (a+b)-b = a, and
// a = (a div b)*b + a%b.
func FuzzNumeric(f *testing.F) {
	f.Add("1.5", "-2.25")
	f.Add("123456789012345678901234567890", "0.000000000000000000001")
	f.Add("999999999.999999999", "1000000000")
	f.Fuzz(func(t *testing.T, x, y string) {
		if len(x) > 60 || len(y) > 60 {
			return
		}
		a, err := ParseNumeric(nil, []byte(x))
		if err != nil {
			return
		}
		b, err := ParseNumeric(nil, []byte(y))
		if err != nil || NumericIsNaN(a) || NumericIsNaN(b) || NumericIsInf(a) || NumericIsInf(b) {
			return
		}
		if NumericMinScale(a) > 200 || NumericMinScale(b) > 200 || len(a) > 200 || len(b) > 200 {
			return
		}
		must := func(r []byte, err error) []byte {
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		s := must(NumericAdd(nil, a, b))
		if CompareNumeric(must(NumericSub(nil, s, b)), a) != 0 {
			t.Fatalf("%s + %s = %s", x, y, AppendNumeric(nil, s))
		}
		p := must(NumericMul(nil, a, b))
		if !bytes.Equal(p, must(NumericMul(nil, b, a))) {
			t.Fatalf("%s * %s does not commute", x, y)
		}
		if NumericSign(b) == 0 {
			return
		}
		q := must(NumericQuo(nil, a, b))
		r := must(NumericRem(nil, a, b))
		back := must(NumericAdd(nil, must(NumericMul(nil, q, b)), r))
		if CompareNumeric(back, a) != 0 || CompareNumeric(NumericAbs(nil, r), NumericAbs(nil, b)) >= 0 {
			t.Fatalf("%s / %s = %s rest %s", x, y, AppendNumeric(nil, q), AppendNumeric(nil, r))
		}
		if HashNumeric(back) != HashNumeric(a) {
			t.Fatalf("%s: equal numbers hash differently", x)
		}
	})
}
