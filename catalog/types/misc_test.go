package types

import (
	"testing"
	"time"
)

// TestNow: the words that depend on the clock.
func TestNow(t *testing.T) {
	loc, err := LoadZone("asia/tokyo")
	if err != nil {
		t.Fatal(err)
	}
	now, _ := ParseTimestamptz([]byte("2024-02-29 20:30:00.5+00"), nil)
	env := &Env{TimeZone: loc, ExtraFloatDigits: 1, Now: now}
	for _, c := range []struct {
		t        T
		in, want string
	}{
		{Timestamptz, "now", "2024-03-01 05:30:00.5+09"}, {Timestamp, "now", "2024-03-01 05:30:00.5"}, {Date, "today", "2024-03-01"},
		{Date, "yesterday", "2024-02-29"}, {Date, "tomorrow", "2024-03-02"}, {Time, "now", "05:30:00.5"}, {Timetz, "now", "05:30:00.5+09"},
		{Timestamptz, "today 10:00", "2024-03-01 10:00:00+09"}, {Timestamptz, "tomorrow allballs", "2024-03-02 09:00:00+09"},
	} {
		d, err := ParseText(c.t, c.in, env)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := string(AppendText(nil, c.t, d, env)); got != c.want {
			t.Errorf("%s %s: %s, want %s", FormatType(c.t.OID, -1), c.in, got, c.want)
		}
	}
}

func TestZones(t *testing.T) {
	summer, winter := int64(773000000)*MicrosPerSecond, int64(757382400)*MicrosPerSecond // mid 2024, 2024-01-01
	for _, c := range []struct {
		name           string
		winter, summer int
	}{
		{"UTC", 0, 0}, {"europe/BERLIN", 3600, 7200}, {"GMT+02:00", -7200, -7200}, {"<+05:30>-05:30", 19800, 19800},
		{"EST5EDT,M3.2.0,M11.1.0", -18000, -14400}, {"XYZ4XYD", -14400, -10800}, {"PST8PDT", -28800, -25200},
	} {
		loc, err := LoadZone(c.name)
		if err != nil {
			t.Error(err)
			continue
		}
		if w, s := ZoneOffset(loc, winter), ZoneOffset(loc, summer); w != c.winter || s != c.summer {
			t.Errorf("%s: %d, %d", c.name, w, s)
		}
	}
	if _, err := LoadZone("Nowhere/City"); err == nil || err.Error() != `time zone "Nowhere/City" not recognized` {
		t.Error(err)
	}
	for in, want := range map[string]string{"+03:00": "+03:00", "-3": "<-03>+03", "3.5": "<+03:30>-03:30", "utc": "UTC", "europe/berlin": "Europe/Berlin",
		"est5edt,M3.2.0,M11.1.0": "EST5EDT,M3.2.0,M11.1.0", "x5": "X5", "1e1": "<+10>-10", "foo": "", "": "", "200": ""} {
		if _, got, err := ParseTimeZone(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s (%v), want %s", in, got, err, want)
		}
	}
	if n := FixedZone(-(5*3600 + 30*60)).String(); n != "<-05:30>+05:30" {
		t.Error(n)
	}
	for _, n := range ZoneNames() {
		if _, err := LoadZone(n); err != nil {
			t.Error(err)
		}
	}
}

// TestCalendar checks dates over the whole range against the Julian day formula
// and package time.
func TestCalendar(t *testing.T) {
	for d := MinDate; d <= MaxDate; d += 99991 {
		y, m, day := CivilDate(d)
		if DateOf(y, m, day) != d {
			t.Fatalf("%d is %d-%d-%d", d, y, m, day)
		}
	}
	for d := -800000; d < 800000; d += 7 {
		y, m, day := CivilDate(d)
		if x := time.Date(2000, 1, 1+d, 0, 0, 0, 0, time.UTC); x.Year() != y || int(x.Month()) != m || x.Day() != day {
			t.Fatalf("%d is %d-%d-%d, want %v", d, y, m, day, x)
		}
	}
}

// TestShardHash has the values that Hologres clients compute: Guava's
// murmur3_32 with seed 104729.
func TestShardHash(t *testing.T) {
	// Ranges of 65536: the first 65536 mod n shards are one longer.
	for _, n := range []int{1, 2, 3, 7, 8, 20, 40, 65536} {
		count := make([]int, n)
		last := 0
		for h := uint32(0); h < shardRanges; h++ {
			s := ShardOfHash(h, n)
			if s < last {
				t.Fatalf("%d shards: hash %d goes back to %d", n, h, s)
			}
			last = s
			count[s]++
		}
		for i, c := range count {
			want := shardRanges / n
			if i < shardRanges%n {
				want++
			}
			if c != want {
				t.Fatalf("%d shards: shard %d has %d", n, i, c)
			}
		}
	}
	same := func(a, b uint32) {
		t.Helper()
		if a != b {
			t.Errorf("%d and %d", a, b)
		}
	}
	same(ShardHash(Int4, NewInt(42)), MurmurBytes([]byte("42")))
	same(ShardHash(Int8, NewInt(42)), MurmurBytes([]byte("42")))
	same(ShardHash(Bool, NewBool(true)), MurmurBytes([]byte("1")))
	d, _ := ParseText(Date, "1970-01-03", nil)
	same(ShardHash(Date, d), MurmurBytes([]byte("2")))
	d, _ = ParseText(Timestamptz, "1970-01-01 00:00:01.5+00", nil)
	same(ShardHash(Timestamptz, d), MurmurBytes([]byte("1500")))
	same(ShardHash(Text, NewString("é")), MurmurBytes([]byte("é")))
	same(ShardHash(Float8, NewFloat(1)), MurmurBytes([]byte("1.0")))
	same(ShardHash(Float8, NewFloat(1e10)), MurmurBytes([]byte("1.0E10")))
	same(ShardHash(Decimal(10, 2), NewInt(-1)), MurmurBytes(append([]byte{0xff}, make([]byte, 15)...)))
	same(ShardHash(Int4, Null), MurmurBytes(nil)%shardRanges)
	d, _ = ParseText(Of(Int4ArrayOID, -1), "{1,NULL,2}", nil)
	h := MurmurBytes([]byte("1"))
	same(ShardHash(Of(Int4ArrayOID, -1), d), h*31*31+MurmurBytes([]byte("2")))
}

func TestRecord(t *testing.T) {
	ts := []T{Int4, Text, Text, Decimal(10, 2), Of(Int4ArrayOID, -1), Text}
	arr, _ := ParseText(ts[4], "{1,2}", nil)
	form := MakeRecord(nil, ts, []Datum{NewInt(1), NewString(`a "b\`), Null, NewInt(150), arr, NewString("")})
	if got := string(AppendRecord(nil, form, nil)); got != `(1,"a ""b\\",,1.50,"{1,2}","")` {
		t.Error(got)
	}
	back, err := ParseBinary(Record, AppendBinary(nil, Record, NewString(string(form)), nil), nil)
	if err != nil || CompareRecord(form, []byte(back.S)) != 0 {
		t.Errorf("%v %v", back, err)
	}
	f, err := ParseRecordText([]byte(`(1,"a ""b\\",,x y,"")`))
	if err != nil || len(f) != 5 || string(f[1]) != `a "b\` || f[2] != nil || string(f[3]) != "x y" || f[4] == nil {
		t.Errorf("%q %v", f, err)
	}
}

// TestInfo: the table of types is consistent.
func TestInfo(t *testing.T) {
	for _, i := range Builtins() {
		if i.ArrayOID != 0 {
			if a := Lookup(i.ArrayOID); a == nil || a.ElemOID != i.OID || ElemOf(i.ArrayOID) != i.OID {
				t.Errorf("%s: array type %d", i.Name, i.ArrayOID)
			}
		}
		if got := ByAlias(FormatType(i.OID, -1)); i.Kind == 'b' && i.Name[0] != '_' && (got == nil || got.OID != i.OID) {
			t.Errorf("%s: %s names %v", i.Name, FormatType(i.OID, -1), got)
		}
	}
	if ByAlias("double  PRECISION[]").OID != Float8ArrayOID || ByAlias("nope") != nil || ByAlias("pg_catalog.int4").OID != Int4OID {
		t.Error("aliases")
	}
}

// TestNoAllocs: reading and printing plain values allocates nothing.
func TestNoAllocs(t *testing.T) {
	num, _ := ParseNumeric(nil, []byte("12345.678"))
	j, _ := ParseJSONB(nil, []byte(`{"a":1,"b":[1,2,"x"]}`))
	var buf [256]byte
	text := make([]byte, 0, 64) // input as callers have it: part of a larger buffer
	in := func(s string) []byte { text = append(text[:0], s...); return text }
	d15 := Decimal(15, 2)
	for name, f := range map[string]func(){
		"int":         func() { ParseInt8(in("-123456")) },
		"decimal":     func() { ParseDecimal64(in("-1234.56"), d15) },
		"date":        func() { ParseDate(in("2020-01-02"), nil) },
		"timestamp":   func() { ParseTimestamp(in("2020-01-02 03:04:05.678"), nil) },
		"timestamptz": func() { ParseTimestamptz(in("2020-01-02 03:04:05.678+02"), nil) },
		"float":       func() { ParseFloat8(in("1234.5678")) },
		"numeric":     func() { ParseNumeric(buf[:0], in("-1234.5678")) },
		"numeric add": func() { NumericAdd(buf[:0], num, num) },
		"numeric div": func() { NumericDiv(buf[:0], num, num) },
		"numeric mul": func() { NumericMul(buf[:0], num, num) },
		"print": func() {
			AppendTimestamptz(buf[:0], 123456789, nil)
			AppendFloat8(buf[:0], 1.25, nil)
			AppendNumeric(buf[:0], num)
			AppendJSONB(buf[:0], j)
			AppendNumericBinary(buf[:0], num)
		},
		"interval":    func() { ParseInterval(in("1 day 2 hours"), -1, nil) },
		"slow date":   func() { ParseDate(in("Jan 2, 2020"), nil) },
		"jsonb field": func() { JSONNode(j).Field(in("b")).At(1) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
