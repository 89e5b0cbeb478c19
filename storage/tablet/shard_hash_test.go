package tablet

import (
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TestShardHashes holds the loops over columns against the hash that clients compute.
func TestShardHashes(t *testing.T) {
	for _, c := range []struct {
		t    types.T
		text []string
	}{
		{types.Bool, []string{"t", "f"}},
		{types.Int2, []string{"-7", "0", "32767"}},
		{types.Int4, []string{"-2147483648", "42"}},
		{types.Int8, []string{"-1", "9223372036854775807"}},
		{types.Oid, []string{"4294967295", "7"}},
		{types.Float4, []string{"1", "-0", "NaN", "1e10"}},
		{types.Float8, []string{"0.1", "-1e-9", "Infinity"}},
		{types.Decimal(10, 2), []string{"-1.00", "12345.67", "0"}},
		{types.Decimal(30, 4), []string{"-12345678901234567890.1234", "1"}},
		{types.Numeric, []string{"-1.50", "1e40", "NaN"}},
		{types.Text, []string{"", "a longer string than a view holds", "é"}},
		{types.Varchar, []string{"x"}},
		{types.BPChar, []string{"ab   ", "ab"}},
		{types.Bytea, []string{`\\x00ff`}},
		{types.Date, []string{"1969-12-31", "2024-02-29"}},
		{types.Time, []string{"12:34:56.789"}},
		{types.Timestamp, []string{"1969-12-31 23:59:59.999999", "2024-01-01 00:00:00"}},
		{types.Timestamptz, []string{"1969-12-31 23:59:59.9999+00", "2024-01-01 00:00:00+00"}},
		{types.UUID, []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
		{types.Interval, []string{"1 day", "24:00:00"}},
		{types.JSONB, []string{`{"a": 1.0}`}},
	} {
		v := vec.New(c.t, 0)
		v.AppendDatum(types.Null)
		for _, s := range c.text {
			d, err := types.ParseText(c.t, s, nil)
			if err != nil {
				t.Fatalf("%v %q: %v", c.t, s, err)
			}
			v.AppendDatum(d)
		}
		h := make([]uint32, v.N)
		shardHashes(h, v, v.N)
		for i, x := range h {
			if want := types.ShardHash(c.t, v.Datum(i)); x != want {
				t.Errorf("%v, value %d: %#x, want %#x", c.t, i, x, want)
			}
		}
	}
}
