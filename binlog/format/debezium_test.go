package format

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/types"
)

const dbzSourceText = `"source":{"version":"2.7","connector":"postgresql","name":"shop","ts_ms":1790000000123,"snapshot":"false","db":"shop","sequence":"[null,\"1\"]","schema":"public","table":"orders","lsn":1,"xmin":null}`

// dbz makes a change event without a schema.
func dbz(op, before, after string) string {
	return `{"before":` + before + `,"after":` + after + `,` + dbzSourceText + `,"op":"` + op + `","ts_ms":1790000000456,"transaction":null}`
}

// of makes one of another table.
func of(schema, table, after string) string {
	return strings.NewReplacer(`"schema":"public"`, `"schema":"`+schema+`"`, `"table":"orders"`, `"table":"`+table+`"`).Replace(dbz("c", "null", after))
}

// withSchemaText makes one with a schema whose rows have these fields.
func withSchemaText(fields, op, before, after string) string {
	row := func(name string) string {
		return `{"type":"struct","fields":[` + fields + `],"optional":true,"name":"shop.public.orders.Value","field":"` + name + `"}`
	}
	return `{"schema":{"type":"struct","fields":[` + row("before") + `,` + row("after") + `,{"type":"string","optional":false,"field":"op"}],"optional":false,"name":"shop.public.orders.Envelope","version":1},"payload":` + dbz(op, before, after) + `}`
}

func TestDebezium(t *testing.T) {
	const typed = `{"type":"int32","optional":false,"field":"id"},` +
		`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"3","connect.decimal.precision":"10"},"field":"n"},` +
		`{"type":"struct","fields":[{"type":"int32","field":"scale"},{"type":"bytes","field":"value"}],"optional":true,"name":"io.debezium.data.VariableScaleDecimal","field":"nn"},` +
		`{"type":"int32","optional":true,"name":"io.debezium.time.Date","field":"d"},` +
		`{"type":"int64","optional":true,"name":"io.debezium.time.MicroTime","field":"tm"},` +
		`{"type":"int64","optional":true,"name":"io.debezium.time.Timestamp","field":"ts"},` +
		`{"type":"int64","optional":true,"name":"io.debezium.time.NanoTimestamp","field":"ts2"},` +
		`{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp","field":"tz"},` +
		`{"type":"string","optional":true,"name":"io.debezium.data.Json","field":"j"},` +
		`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"field":"txt"},` +
		`{"type":"int64","optional":true,"name":"io.debezium.time.MicroDuration","field":"iv"},` +
		`{"type":"array","items":{"type":"int32","name":"io.debezium.time.Date"},"optional":true,"field":"ad"},` +
		`{"type":"bytes","name":"io.debezium.data.Bits","parameters":{"length":"11"},"field":"bits"}`
	small := table(1, "id int4, s text")
	runCases(t, "debezium-json", []testCase{
		{
			name: "ops", table: small,
			msgs: []string{
				dbz("c", "null", `{"id":1,"s":"a"}`), dbz("r", "null", `{"id":2,"s":"b"}`), dbz("u", "null", `{"id":1,"s":"c"}`),
				dbz("u", `{"id":1,"s":"c"}`, `{"id":1,"s":"d"}`), dbz("u", `{"id":1,"s":null}`, `{"id":5,"s":"e"}`),
				dbz("d", `{"id":5,"s":null}`, "null"), `{"id":2} → ` + dbz("d", "null", "null"), dbz("d", "null", "null"),
				`{"before":null,"after":null,` + dbzSourceText + `,"op":"t","ts_ms":1}`,
				`{"op":"m","ts_ms":1,"source":{},"message":{"prefix":"p","content":"AA=="}}`,
				`{"status":"BEGIN","id":"571:1","ts_ms":1,"event_count":null,"data_collections":null}`,
				`{"ts_ms":1790000000456}`,
				`{"source":{},"ts_ms":1,"databaseName":"d","ddl":"CREATE TABLE x(i int)","tableChanges":[]}`,
			},
			want: []string{
				"0 upsert | 1 | a", "1 upsert | 2 | b", "2 upsert | 1 | c", "3 upsert | 1 | d", "4 delete | 1 | NULL", "4 upsert | 5 | e",
				"5 delete | 5 | NULL", "6 delete | 2 | NULL", "7 error schema 22023: a deletion without a key", "8 truncate | NULL | NULL", "skipped 4",
			},
		},
		{
			name: "tables of a topic", table: small, options: "source_tables=public.orders, shop_*.items,x*", cfg: Config{Unknown: ReportUnknown},
			msgs: []string{
				dbz("c", "null", `{"id":1,"s":"a"}`), of("public", "customers", `{"id":2,"s":"b","more":1}`), of("public", "customers", `{"id":"x"}`),
				of("public", "orders2", `{"id":3}`), of("shop_7", "items", `{"id":4,"new":1}`), of("shop", "items", `{"id":5}`),
				of("any", "x1", `{"id":6}`), of("any", "\\u0078", `{"id":7}`), `{"id":1} → ∅`,
				`{"before":null,"after":{"id":8},"op":"c","source":{"db":"shop_1","table":"items"}}`,
				`{"ts_ms":1790000000456}`, `{"before":null,"after":{"id":9},"op":"c"}`, `{"source":{"table":"other"}`, `{"source":{"table":"other"}} x`,
				withSchemaText(`{"type":"int32","field":"id"}`, "c", "null", `{"id":10}`),
				strings.ReplaceAll(withSchemaText(`{"type":"int32","field":"id"}`, "c", "null", `{"id":11}`), `"table":"orders"`, `"table":"other"`),
				strings.ReplaceAll(withSchemaText(`{"type":"int32","field":"id"}`, "c", "null", `{"id":12}`), `"table":"orders"`, `"table":"xother"`),
			},
			want: []string{
				"0 upsert | 1 | a", "4 upsert | 4 | NULL", "6 upsert | 6 | NULL", "7 upsert | 7 | NULL", "9 upsert | 8 | NULL", "11 upsert | 9 | NULL",
				"12 error decode 22P02: invalid JSON at byte 27: the text ends where \",\" or \"}\" is expected",
				"13 error decode 22P02: invalid JSON at byte 29: 'x' where the end of the text is expected",
				"14 upsert | 10 | NULL", "16 upsert | 12 | NULL", "unknown new bigint", "skipped 7",
			},
		},
		{
			name: "tombstones", table: small,
			msgs: []string{
				`{"id":5} → ` + dbz("d", `{"id":5}`, "null"), `{"id":5} → ∅`, `{"id":6} → ∅`, `∅ → ∅`,
				`{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":{"id":7}} → ∅`,
				`{"id":8} → {"schema":null,"payload":null}`, `{"id":null} → ∅`, `[] → ∅`,
			},
			want: []string{"0 delete | 5 | NULL", "2 delete | 6 | NULL", "4 delete | 7 | NULL", "5 delete | 8 | NULL",
				`6 error schema 22023: the message's key has no value for key column "id" (column id)`,
				"7 error cast 42804: an array cannot be stored in a column of type integer: [] (column id)", "skipped 2"},
		},
		{
			name: "append", table: table(0, "id int4, s text"), cfg: Config{Append: true},
			msgs: []string{dbz("c", "null", `{"id":1,"s":"a"}`), dbz("u", `{"id":1}`, `{"id":2,"s":"b"}`), dbz("d", `{"id":5}`, "null"), `{"id":5} → ∅`},
			want: []string{"0 insert | 1 | a", "1 insert | 2 | b", "2 error schema 22023: an event deletes a row, and the subscription only appends", "skipped 1"},
		},
		{
			name: "not events", table: small,
			msgs: []string{`{"id":1,"s":"a"}`, `[]`, `{"op":"x"}`, `{"op":"c"}`, `{"op":5,"after":{}}`, `{"op":"u","after":"{\"_id\":1}"}`, ``, `{"schema":{},"payload":3}`, `{"schema":{}}`, dbz("c", "null", `{"s":"a"}`), dbz("c", "null", `{"id":"q"}`), `{"after":{"id":1}`},
			want: []string{
				"0 error decode 22P02: the message is no change event: it has no field op",
				"1 error decode 22P02: the message is an array, not a change event",
				"2 error decode 22P02: unknown op: x",
				"3 error schema 22023: an event of op c without after",
				"4 error decode 22P02: unknown op: 5",
				"5 error decode 22P02: after is text, as in change events of MongoDB, which this format does not read",
				"6 error decode 22P02: the message is empty",
				"7 error decode 22P02: the payload is a number, not a change event",
				"8 error decode 22P02: a schema without a payload behind it",
				`9 error schema 22023: the message has no value for key column "id" (column id)`,
				`10 error cast 22P02: invalid input syntax for type integer: "q" (column id)`,
				`11 error decode 22P02: invalid JSON at byte 17: the text ends where "," or "}" is expected`,
			},
		},
		{
			name:  "without a schema",
			table: table(1, "id int8, n numeric(10;2), big numeric(38;4), d date, tm time, tm3 time(3), ts timestamp, ts3 timestamp(3), tz timestamptz, by bytea, j jsonb, iv interval, b bool, an numeric[]"),
			msgs: []string{
				// 12345 → 123.45; -1 → -0.01; 2^70.
				dbz("c", "null", `{"id":1,"n":"MDk=","big":"QAAAAAAAAAAA","d":20000,"tm":3600000000,"tm3":3600000,"ts":1790000000123456,"ts3":1790000000123,"tz":"2026-09-21T14:13:20.5Z","by":"AQI=","j":"{\"a\":[1]}","iv":86400000000,"b":true}`),
				dbz("c", "null", `{"id":2,"n":"/w==","big":null,"d":-1,"ts":9223372036825200000,"ts3":-9223372036832400000,"d":2147483647}`),
				dbz("c", "null", `{"id":3,"n":12.5,"n":"12.50"}`), dbz("c", "null", `{"id":4,"n":12.5,"an":["MDk="]}`), dbz("c", "null", `{"id":5,"n":"f////w=="}`), dbz("c", "null", `{"id":5,"j":"{bad"}`),
			},
			want: []string{
				`0 upsert | 1 | 123.45 | 118059162071741130.3424 | 2024-10-04 | 01:00:00 | 01:00:00 | 2026-09-21 14:13:20.123456 | 2026-09-21 14:13:20.123 | 2026-09-21 14:13:20.5+00 | \x0102 | {"a": [1]} | 24:00:00 | t | NULL`,
				`1 upsert | 2 | -0.01 | NULL | infinity | NULL | NULL | infinity | -infinity | NULL | NULL | NULL | NULL | NULL | NULL`,
				`2 error cast 22P02: invalid base64: "12.50" (column n)`,
				`3 error cast 22023: the scale of a decimal is not known (column an)`,
				`4 upsert | 5 | 21474836.47` + strings.Repeat(" | NULL", 12),
				`5 error cast 22P02: invalid input syntax for type jsonb: "{bad" (column j)`,
			},
		},
		{
			name: "modes", table: table(1, "id int8, n numeric(10;2), ts timestamp, tm time, by bytea"), options: "decimal_handling_mode=string;time_precision_mode=connect;binary_handling_mode=hex",
			msgs: []string{dbz("c", "null", `{"id":1,"n":"12.5","ts":1790000000123,"tm":1000,"by":"0aff"}`), dbz("c", "null", `{"id":2,"n":12.345}`)},
			want: []string{`0 upsert | 1 | 12.50 | 2026-09-21 14:13:20.123 | 00:00:01 | \x0aff`, `1 upsert | 2 | 12.35 | NULL | NULL | NULL`},
		},
		{
			name:  "with a schema",
			table: table(1, "id int8, n numeric(10;2), nn numeric, d date, tm time(3), ts timestamp, ts2 timestamptz, tz timestamp, j json, txt text, iv interval, ad date[], bits text"),
			msgs: []string{
				withSchemaText(typed, "c", "null", `{"id":1,"n":"MDk=","nn":{"scale":5,"value":"MDk="},"d":20000,"tm":1234567,"ts":1790000000123,"ts2":1790000000123456789,"tz":"2026-09-21T14:13:20.5Z","j":"{\"a\" :1}","txt":"MDk=","iv":1500000,"ad":[20000,null],"bits":"/wA="}`),
				withSchemaText(typed, "u", "null", `{"id":2,"n":"D0JA","nn":{"scale":0,"value":"QAAAAAAAAAAAAAAAAAAAAAAAAA=="}}`),
				withSchemaText(typed, "d", `{"id":3}`, `null`),
				dbz("c", "null", `{"id":4,"d":"2026-01-01"}`),
				strings.Replace(withSchemaText(typed, "u", "null", `{"id":5}`), `}}`, `}}}`, 1),
				withSchemaText(typed, "u", "null", `{"id":6}`) + ` x`,
				withSchemaText(typed, "u", "null", "{\"id\":6,\"txt\":\"\xff\"}"),
			},
			want: []string{
				`0 upsert | 1 | 12.35 | 0.12345 | 2024-10-04 | 00:00:01.235 | 2026-09-21 14:13:20.123 | 2026-09-21 14:13:20.123456+00 | 2026-09-21 14:13:20.5 | {"a" :1} | 123.45 | 00:00:01.5 | {2024-10-04,NULL} | 00011111111`,
				`1 upsert | 2 | 1000.00 | 1427247692705959881058285969449495136382746624` + strings.Repeat(" | NULL", 10),
				`2 delete | 3` + strings.Repeat(" | NULL", 12),
				`3 upsert | 4 | NULL | NULL | 2026-01-01` + strings.Repeat(" | NULL", 9),
				`4 error decode 22P02: invalid JSON at byte 3187: '}' where the end of the text is expected`,
				`5 error decode 22P02: invalid JSON at byte 3188: 'x' where the end of the text is expected`,
				fmt.Sprintf(`6 error decode 22P02: invalid JSON at byte %d: byte 0xff is not valid UTF-8`, strings.IndexByte(withSchemaText(typed, "u", "null", "{\"id\":6,\"txt\":\"\xff\"}"), 0xff)),
			},
		},
		{
			name: "unavailable", table: table(1, "id int4, a text, b bytea, c int4[], d text"),
			msgs: []string{
				dbz("u", "null", `{"id":1,"a":"__debezium_unavailable_value","b":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","c":["__debezium_unavailable_value"],"d":"x"}`),
				dbz("u", "null", `{"id":2,"a":"y","b":"AQ==","c":[1],"d":"__debezium_unavailable_value"}`),
				dbz("u", "null", `{"id":"__debezium_unavailable_value"}`),
				dbz("u", "null", `{"id":3,"a":"__debezium_unavailable_value","c":["z"]}`),
			},
			want: []string{`0 upsert | 1 | <keep> | <keep> | <keep> | x`, `1 upsert | 2 | y | \x01 | {1} | <keep>`,
				`2 error schema 22023: the message does not have the value of column "id" (column id)`,
				`3 error cast 22P02: invalid input syntax for type integer: "z" (column c)`},
		},
		{
			name: "defaults", table: small, cfg: Config{Defaults: []types.Datum{types.Null, types.NewString("dflt")}},
			msgs: []string{dbz("c", "null", `{"id":1}`), dbz("c", "null", `{"id":1,"s":null}`)},
			want: []string{`0 upsert | 1 | dflt`, `1 upsert | 1 | NULL`},
		},
		{
			name: "rest", table: table(1, "id int4, rest jsonb"), cfg: Config{Unknown: RescueUnknown, Rescue: 1},
			msgs: []string{dbz("c", "null", `{"id":1,"x":5,"y":{"z":"w"}}`), dbz("c", "null", `{"id":2}`)},
			want: []string{`0 upsert | 1 | {"x": 5, "y": {"z": "w"}}`, `1 upsert | 2 | NULL`},
		},
		{
			name: "report", table: table(1, "id int4"), cfg: Config{Unknown: ReportUnknown},
			msgs: []string{withSchemaText(typed, "c", "null", `{"id":1,"n":"MDk=","d":5,"tz":"2026-01-01T00:00:00Z","ad":[1]}`), dbz("c", "null", `{"id":2,"other":1.5}`)},
			want: []string{`0 upsert | 1`, `1 upsert | 2`, `unknown n numeric(10,3)`, `unknown d date`, `unknown tz timestamp with time zone`, `unknown ad date[]`, `unknown other numeric`},
		},
		{
			name: "text keys and order", table: table(2, "a text, b int4, v int4"),
			msgs: []string{`{"b":2,"a":"x"} → ` + dbz("c", "null", `{"v":1,"b":2,"a":"x"}`), `{"b":2,"a":"x"} → ∅`, `{"b":2} → ∅`, `5 → ∅`},
			want: []string{`0 upsert | x | 2 | 1`, `1 delete | x | 2 | NULL`, `2 error schema 22023: the message's key has no value for key column "a" (column a)`,
				`3 error schema 22023: the message's key is a number, not an object with the 2 columns of the table's key`},
		},
		{name: "bad mode", table: small, options: "decimal_handling_mode=exact", want: []string{`invalid value for option "decimal_handling_mode": "exact"`}},
	})
}

// The source's commit time is the finest that the event has.
func TestDebeziumTime(t *testing.T) {
	tab := table(1, "id int4")
	d, err := Lookup("debezium-json").New(&Config{Table: tab})
	if err != nil {
		t.Fatal(err)
	}
	c := NewChanges(tab)
	d.Decode(messages([]string{
		dbz("c", "null", `{"id":1}`),
		`{"after":{"id":1},"source":{"ts_ms":1790000000123,"ts_us":1790000000123456,"ts_ns":1790000000123456789},"op":"c","ts_ms":1790000000999}`,
		`{"after":{"id":1},"op":"c","ts_ms":1790000000999}`, `{"after":{"id":1},"op":"c"}`,
	}), c)
	for i, want := range []int64{1790000000123000, 1790000000123456, 1790000000999000, -types.UnixEpochMicros} {
		if c.Time[i] != want+types.UnixEpochMicros {
			t.Errorf("event %d: %d", i, c.Time[i]-types.UnixEpochMicros)
		}
	}
}
