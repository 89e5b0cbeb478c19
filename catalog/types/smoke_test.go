package types

import "testing"

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		t        T
		in, want string
	}{
		{Int4, " -12 ", "-12"}, {Int8, "0x7fffffffffffffff", "9223372036854775807"}, {Int8, "-9223372036854775808", "-9223372036854775808"},
		{Numeric, "00123456789012345678901234567890.123450e-3", "123456789012345678901234567.890123450"},
		{Numeric, "0.00", "0.00"}, {Numeric, "-1e-20", "-0.00000000000000000001"}, {Numeric, "1e20", "100000000000000000000"},
		{Decimal(15, 2), "12.345", "12.35"}, {Decimal(38, 10), "-12345678901234567890.12345678905", "-12345678901234567890.1234567891"},
		{Float8, "1e15", "1e+15"}, {Float8, "123456789.125", "123456789.125"}, {Float4, "0.1", "0.1"},
		{Date, "2024-02-29", "2024-02-29"}, {Date, "Jan 5, 44 BC", "0044-01-05 BC"}, {Timestamp, "20240102 030405.5", "2024-01-02 03:04:05.5"},
		{Timestamptz, "2020-01-01 00:00 America/New_York", "2020-01-01 05:00:00+00"}, {Interval, "1 day 2 mons", "2 mons 1 day"},
		{Interval, "P1Y2M3DT4H5M6.7S", "1 year 2 mons 3 days 04:05:06.7"}, {Timetz, "04:05:06-08", "04:05:06-08"},
		{UUID, "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{JSONB, `{"bb":[1,2.0,"x\u00e9"],"a":{"c":null},"bb":{"z":true}}`, `{"a": {"c": null}, "bb": {"z": true}}`},
		{Of(Int4ArrayOID, -1), "[2:3]={1,NULL}", "[2:3]={1,NULL}"}, {Of(TextArrayOID, -1), `{{"a b",c},{"",null}}`, `{{"a b",c},{"",NULL}}`},
		{Of(Int2VectorOID, -1), "1 2 3", "1 2 3"}, {Bytea, `\xDEad`, `\xdead`}, {T{OID: BPCharOID, Mod: 9, Layout: LayoutView}, "ab", "ab   "},
	} {
		d, err := ParseText(c.t, c.in, nil)
		if err != nil {
			t.Errorf("%s %q: %v", FormatType(c.t.OID, c.t.Mod), c.in, err)
			continue
		}
		if got := string(AppendText(nil, c.t, d, nil)); got != c.want {
			t.Errorf("%s %q: got %q, want %q", FormatType(c.t.OID, c.t.Mod), c.in, got, c.want)
		}
		e, err := ParseBinary(c.t, AppendBinary(nil, c.t, d, nil), nil)
		if err != nil || !Equal(c.t, d, e) || Hash(c.t, d) != Hash(c.t, e) {
			t.Errorf("%s %q: binary: %v %v", FormatType(c.t.OID, c.t.Mod), c.in, e, err)
		}
	}
}
