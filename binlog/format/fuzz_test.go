package format

import (
	"runtime"
	"testing"
)

// FuzzJSON and FuzzDebezium feed messages of any bytes, with any key, to decoders of
// tables that have every kind of column. Nothing may panic, every message must end in
// rows, in an error or among the skipped, and memory must stay in proportion.

const fuzzColumns = "id int4, i8 int8, n numeric(12;2), nn numeric, big numeric(38;4), f4 float4, b bool, t text, v varchar(5), d date, ts timestamp, ts3 timestamp(3), tz timestamptz, u uuid, by bytea, j json, jb jsonb, ai int4[], at text[], an numeric(5;1)[], iv interval, tm time, rest jsonb"

func fuzzDecoders(f *testing.F, format string, opts ...string) []Decoder {
	tab := table(1, fuzzColumns)
	var ds []Decoder
	for _, cfg := range []Config{{}, {Append: true, Unknown: ReportUnknown}, {Unknown: RescueUnknown, Rescue: len(tab.Columns) - 1}} {
		for _, o := range opts {
			c := cfg
			c.Table, c.Options = tab, options(o)
			d, err := Lookup(format).New(&c)
			if err != nil {
				continue // options that do not go together
			}
			ds = append(ds, d)
		}
	}
	return ds
}

func fuzzOne(t *testing.T, ds []Decoder, c *Changes, key, value []byte) {
	msgs := []Message{{Key: key, Value: value}, {Key: key}, {Key: key, Value: value}}
	for _, d := range ds {
		var before, after runtime.MemStats
		big := len(key)+len(value) > 1<<16
		if big {
			runtime.ReadMemStats(&before)
		}
		c.Reset()
		for from := 0; from < len(msgs); {
			c.Reset()
			used, err := d.Decode(msgs[from:], c)
			if err != nil || used == 0 {
				t.Fatal(used, err)
			}
			intact(t, c, used)
			from += used
		}
		if big {
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
				t.Fatalf("%d bytes took %d bytes of memory", len(key)+len(value), grown)
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	ds := fuzzDecoders(f, "json", "", "paths=t=a.b, v=a.c[1].d, jb=a;timestamp_unit=ms;delete_field=del", "explode=items;paths=t=x,v=$.y;missing_fields=keep;root=r")
	for _, x := range []string{
		`{"id":1,"i8":1e3,"n":"1.5","nn":1e-5,"big":-1.5,"f4":1,"b":true,"t":"x\u00e9","v":"abc","d":"2026-01-01","ts":1790000000,"tz":"2026-01-01T00:00:00Z","by":"AQ==","j":[],"jb":{"a":[1,"b"]},"ai":[[1],[2]],"at":["a",null],"iv":"1 day","tm":"10:00"}`,
		`{"id":2,"a":{"b":"x","c":[1,{"d":2,"e":3}],"f":{}},"zz":1,"del":true}`, `{"r":{"items":[{"id":1,"x":2},{"id":2,"w":{}}],"y":3}}`, "[{\"id\":1}]\n{\"id\":2}",
	} {
		f.Add([]byte(`{"id":1}`), []byte(x))
	}
	c := NewChanges(table(1, fuzzColumns))
	f.Fuzz(func(t *testing.T, key, value []byte) { fuzzOne(t, ds, c, key, value) })
}

func FuzzDebezium(f *testing.F) {
	ds := fuzzDecoders(f, "debezium-json", "", "decimal_handling_mode=string;time_precision_mode=nanoseconds;binary_handling_mode=hex", "source_tables=public.orders,x*")
	row := `{"id":1,"n":"MDk=","nn":{"scale":2,"value":"MDk="},"big":"QAAAAAAAAAAA","d":20000,"tm":3600000000,"ts":1790000000123456,"ts3":1,"tz":"2026-09-21T14:13:20.5Z","by":"AQI=","j":"{}","jb":"{\"a\":[1]}","iv":1,"b":true,"t":"__debezium_unavailable_value","zz":5}`
	fields := `{"type":"bytes","name":"io.debezium.data.VariableScaleDecimal","field":"nn"},{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"3"},"field":"n"},{"type":"int64","name":"io.debezium.time.NanoTimestamp","field":"ts"},{"type":"array","items":{"type":"int32","name":"io.debezium.time.Date"},"field":"at"},{"type":"bytes","name":"io.debezium.data.Bits","parameters":{"length":"5"},"field":"t"}`
	for _, x := range []string{dbz("c", "null", row), dbz("u", row, row), dbz("d", row, "null"), withSchemaText(fields, "u", "null", row), `{"op":"t"}`} {
		f.Add([]byte(`{"id":1}`), []byte(x))
	}
	f.Add([]byte(`{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":{"id":1}}`), []byte(`{"schema":null,"payload":null}`))
	c := NewChanges(table(1, fuzzColumns))
	f.Fuzz(func(t *testing.T, key, value []byte) { fuzzOne(t, ds, c, key, value) })
}
