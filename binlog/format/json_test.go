package format

import (
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	all := "i2 int2, i4 int4, i8 int8, n numeric(12;2), nn numeric, f4 float4, f8 float8, b bool, t text, v varchar(5), d date, ts timestamp, tz timestamptz, u uuid, by bytea, j json, jb jsonb, ai int4[], at text[], iv interval, tm time"
	runCases(t, "json", []testCase{
		{
			name: "types", table: table(0, all), cfg: Config{Append: true},
			msgs: []string{
				`{"i2":-1,"i4":2147483647,"i8":9007199254740993,"n":123456789.125,"nn":123456789012345678901234567890.5,"f4":1.5,"f8":0.1,"b":true,"t":"a\nb\u00e9","v":"abcde","d":"2026-11-21","ts":"2026-11-21 10:00:00.5","tz":"2026-11-21T10:00:00+02:00","u":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11","by":"AQID","j":{"a" : 1},"jb":{"b":1,"a":[1,2.50,"x\ty",null,true]},"ai":[1,null,3],"at":["a,b",null,"\"q\""],"iv":"1 day 2 hours","tm":"10:11:12"}`,
				`{"i2":"7","i4":5.0,"i8":1e3,"n":"1.005","nn":1e2,"f4":"NaN","f8":"-Infinity","b":"yes","t":12.50,"v":true,"d":20000,"ts":1790000000,"tz":1790000000123,"by":"\\x0a0b","j":"s","jb":"s","ai":"{4,5}","at":[]}`,
				`{"ts":1790000000123456,"tz":1790000000123456789,"t":{"x": [1]},"ai":[[1,2],[3,4]],"jb":null,"b":0,"i8":"9223372036854775807","n":-0.5e1,"ts":1790000000.25}`,
				`{}`,
			},
			want: []string{
				`0 insert | -1 | 2147483647 | 9007199254740993 | 123456789.13 | 123456789012345678901234567890.5 | 1.5 | 0.1 | t | a` + "\n" + `bé | abcde | 2026-11-21 | 2026-11-21 10:00:00.5 | 2026-11-21 08:00:00+00 | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | \x010203 | {"a" : 1} | {"a": [1, 2.50, "x\ty", null, true], "b": 1} | {1,NULL,3} | {"a,b",NULL,"\"q\""} | 1 day 02:00:00 | 10:11:12`,
				`1 insert | 7 | 5 | 1000 | 1.01 | 100 | NaN | -Infinity | t | 12.50 | true | 2024-10-04 | 2026-09-21 14:13:20 | 2026-09-21 14:13:20.123+00 | NULL | \x0a0b | "s" | "s" | {4,5} | {} | NULL | NULL`,
				`2 insert | NULL | NULL | 9223372036854775807 | -5.00 | NULL | NULL | NULL | f | {"x": [1]} | NULL | NULL | 2026-09-21 14:13:20.25 | 2026-09-21 14:13:20.123456+00 | NULL | NULL | NULL | NULL | {{1,2},{3,4}} | NULL | NULL | NULL`,
				`3 insert` + strings.Repeat(" | NULL", 21),
			},
		},
		{
			name: "faults", table: table(0, all), cfg: Config{Append: true},
			msgs: []string{
				`{"i4":1.5}`, `{"i4":2147483648}`, `{"i8":9223372036854775808}`, `{"i4":"x"}`, `{"i4":true}`, `{"i4":{"a":1}}`, `{"n":99999999999}`, `{"v":"abcdef"}`,
				`{"ts":12345}`, `{"tm":5}`, `{"d":"2026-02-30"}`, `{"by":"###"}`, `{"ai":[1,"x"]}`, `{"ai":[[1],[2,3]]}`, `{"ai":[1,[2]]}`, `{"t":"\u0000"}`, `{"t":"\ud800"}`,
				`{"u":"zz"}`, `{"b":"maybe"}`, `{"b":2}`, `{"jb":"\u0000"}`, `{"f4":1e99}`, `{"i8":1e400}`, `{"ts":99999999999999999999}`,
				`{"i4":1`, ``, `[1]`, `"x"`, `{"i4":1} {"i4":2}`, "{\"t\":\"\xff\"}", `nul`, `{"i4":1}]`, `{"i2":5,"i4":"` + strings.Repeat("9", 100000) + `"}`,
			},
			want: []string{
				`0 error cast 22P02: invalid input syntax for type integer: "1.5" (column i4)`,
				`1 error cast 22003: value "2147483648" is out of range for type integer (column i4)`,
				`2 error cast 22003: value "9223372036854775808" is out of range for type bigint (column i8)`,
				`3 error cast 22P02: invalid input syntax for type integer: "x" (column i4)`,
				`4 error cast 42804: a boolean cannot be stored in a column of type integer: true (column i4)`,
				`5 error cast 42804: an object cannot be stored in a column of type integer: {"a":1} (column i4)`,
				`6 error cast 22003: numeric field overflow (column n)`,
				`7 error cast 22001: value too long for type character varying(5) (column v)`,
				`8 error cast 22007: the unit of timestamp 12345 is not known (column ts)`,
				`9 error cast 22007: the unit of time 5 is not known (column tm)`,
				`10 error cast 22008: date/time field value out of range: "2026-02-30" (column d)`,
				`11 error cast 22P02: invalid base64: "###" (column by)`,
				`12 error cast 22P02: invalid input syntax for type integer: "x" (column ai)`,
				`13 error cast 22P02: malformed array for type integer[] (column ai)`,
				`14 error cast 22P02: malformed array for type integer[] (column ai)`,
				`15 error cast 22P05: unsupported Unicode escape sequence (column t)`,
				`16 error cast 22P05: unsupported Unicode escape sequence (column t)`,
				`17 error cast 22P02: invalid input syntax for type uuid: "zz" (column u)`,
				`18 error cast 22P02: invalid input syntax for type boolean: "maybe" (column b)`,
				`19 error cast 22P02: invalid input syntax for type boolean: "2" (column b)`,
				`20 error cast 22P05: unsupported Unicode escape sequence (column jb)`,
				`21 error cast 22003: "1e99" is out of range for type real (column f4)`,
				`22 error cast 22P02: invalid input syntax for type bigint: "1e400" (column i8)`,
				`23 error cast 22008: timestamp out of range: 99999999999999999999 (column ts)`,
				`24 error decode 22P02: invalid JSON at byte 7: the text ends where "," or "}" is expected`,
				`25 error decode 22P02: the message is empty`,
				`26 error decode 22P02: an element of the message is a number, not an object`,
				`27 error decode 22P02: the message is a string, not an object`,
				`28 error decode 22P02: invalid JSON at byte 9: '{' where the end of the text is expected`,
				`29 error decode 22P02: invalid JSON at byte 6: byte 0xff is not valid UTF-8`,
				`30 error decode 22P02: invalid JSON at byte 0: 'n' where a value is expected`,
				`31 error decode 22P02: invalid JSON at byte 8: ']' where the end of the text is expected`,
				`32 error cast 22P02: invalid input syntax for type integer: "` + strings.Repeat("9", 80) + `… (100000 bytes)" (column i4)`,
			},
		},
		{
			name: "upsert", table: table(1, "id int4, s text"),
			msgs: []string{
				`{"id":1,"s":"a"}`, `{"id":1} → ∅`, `2 → ∅`, `∅ → ∅`, `{"id":3} → {"s":"from key"}`, `{"s":"no key"}`, `{"id":null}`, `{"x":1} → ∅`, `{"id":"x"} → ∅`, `{bad → ∅`,
				`{"schema":{"type":"struct"},"payload":{"id":9}} → ∅`, `"4" → {"s":"x"}`, `[5] → ∅`,
			},
			want: []string{
				`0 upsert | 1 | a`, `1 delete | 1 | NULL`, `2 delete | 2 | NULL`, `3 error schema 22023: a deletion without a key`, `4 upsert | 3 | from key`,
				`5 error schema 22023: the message has no value for key column "id" (column id)`,
				`6 error schema 22023: key column "id" is null (column id)`,
				`7 error schema 22023: the message's key has no value for key column "id" (column id)`,
				`8 error cast 22P02: invalid input syntax for type integer: "x" (column id)`,
				`9 error decode 22P02: the message's key: invalid JSON at byte 1: 'b' where a key in quotes is expected`,
				`10 delete | 9 | NULL`, `11 upsert | 4 | x`,
				`12 error cast 42804: an array cannot be stored in a column of type integer: [5] (column id)`,
			},
		},
		{
			name: "key of text", table: table(1, "id text, s text"), options: "key_format=text",
			msgs: []string{`a"b → ∅`, `k → {"s":"x"}`, "\xff → ∅"},
			want: []string{`0 delete | a"b | NULL`, `1 upsert | k | x`, `2 error decode 22021: invalid byte sequence for encoding "UTF8": 0xff`},
		},
		{
			name: "append refuses deletes", table: table(0, "id int4"), cfg: Config{Append: true},
			msgs: []string{`{"id":1} → ∅`},
			want: []string{`0 error schema 22023: a message without a value deletes a row, and the subscription only appends`},
		},
		{
			name: "keep", table: table(1, "id int4, a text, b text"), options: "missing_fields=keep",
			msgs: []string{`{"id":1,"a":"x"}`, `{"id":2,"a":null,"b":"y"}`, `{"id":3,"b":{}}`},
			want: []string{`0 upsert | 1 | x | <keep>`, `1 upsert | 2 | NULL | y`, `2 upsert | 3 | <keep> | {}`},
		},
		{
			name: "missing is an error", table: table(1, "id int4, a text"), options: "missing_fields=error",
			msgs: []string{`{"id":1}`}, want: []string{`0 error schema 22023: the message has no field for column "a" (column a)`},
		},
		{
			name: "delete field", table: table(1, "id int4, a text"), options: "delete_field=__deleted",
			msgs: []string{`{"id":1,"a":"x","__deleted":"false"}`, `{"id":1,"a":"x","__deleted":"true"}`, `{"id":2,"__deleted":true}`, `{"id":5} → {"__deleted":true}`, `{"id":2,"__deleted":"?"}`},
			want: []string{`0 upsert | 1 | x`, `1 delete | 1 | NULL`, `2 delete | 2 | NULL`, `3 delete | 5 | NULL`, `4 error schema 22023: the value of option delete_field's field is not a boolean: ?`},
		},
		{
			name: "paths", table: table(1, "id int8, login text, first text, org jsonb, bio text"),
			options: `paths=login = actor.login, first = $.tags[0], org = actor.org, bio = actor.org."the bio"`,
			msgs: []string{
				`{"id":1,"actor":{"id":5,"login":"bob","org":{"the bio":"hi","n":1}},"tags":["x","y"]}`,
				`{"id":2,"actor":null,"tags":[]}`, `{"id":3,"actor":"nobody","tags":"none"}`, `{"id":4,"a\u0063tor":{"login":"esc"}}`,
			},
			want: []string{`0 upsert | 1 | bob | x | {"n": 1, "the bio": "hi"} | hi`, `1 upsert | 2 | NULL | NULL | NULL | NULL`, `2 upsert | 3 | NULL | NULL | NULL | NULL`, `3 upsert | 4 | esc | NULL | NULL | NULL`},
		},
		{
			name: "rest", table: table(1, "id int8, login text, tag text, rest jsonb"), cfg: Config{Unknown: RescueUnknown, Rescue: 3},
			options: `paths=login = actor.login, tag=tags[0].name`,
			msgs: []string{
				`{"id":1,"actor":{"id":5,"login":"bob","x":{"y":[1]}},"tags":[{"name":"t","n":1},2],"type":"Push","rest":"r"}`,
				`{"id":2,"actor":{"login":"al"}}`, `{"id":3,"actor":"odd","tags":7}`, `{"id":4,"a\tb":"\u00e9"}`,
			},
			want: []string{
				`0 upsert | 1 | bob | t | {"rest": "r", "tags": [{"n": 1, "name": "t"}, 2], "type": "Push", "actor": {"x": {"y": [1]}, "id": 5}}`,
				`1 upsert | 2 | al | NULL | NULL`, `2 upsert | 3 | NULL | NULL | {"tags": 7, "actor": "odd"}`,
				`3 upsert | 4 | NULL | NULL | {"a\tb": "é"}`,
			},
		},
		{
			name: "report", table: table(1, "id int8"), cfg: Config{Unknown: ReportUnknown},
			msgs: []string{`{"id":1,"a":1,"b":null,"c":"x","d":true}`, `{"id":2,"a":1.5,"c":5,"e":{},"b":null}`},
			want: []string{`0 upsert | 1`, `1 upsert | 2`, `unknown a numeric`, `unknown c jsonb`, `unknown d boolean`, `unknown e jsonb`},
		},
		{
			name: "many rows", table: table(1, "id int4"),
			msgs: []string{`[{"id":1},{"id":2}]`, "{\"id\":3}\n{\"id\":4}\n", `[]`, "{\"id\":5}\n{\"id\":\"x\"}\n", `[{"id":6},7]`},
			want: []string{`0 upsert | 1`, `0 upsert | 2`, `1 upsert | 3`, `1 upsert | 4`,
				`3 error cast 22P02: invalid input syntax for type integer: "x" (column id)`, `4 error decode 22P02: an element of the message is a number, not an object`, `skipped 1`},
		},
		{
			name: "explode", table: table(2, "order_id int4, line int4, sku text, customer text, rest jsonb"), cfg: Config{Unknown: RescueUnknown, Rescue: 4},
			options: `explode=items;paths=line=n,customer=$.customer.name`,
			msgs: []string{
				`{"order_id":1,"customer":{"name":"Ann","vip":true},"items":[{"n":1,"sku":"a"},{"n":2,"sku":"b","gift":1}]}`,
				`{"order_id":2,"items":[]}`, `{"order_id":3}`, `{"order_id":4,"items":[{"n":1},5]}`,
			},
			want: []string{
				`0 upsert | 1 | 1 | a | Ann | {"customer": {"vip": true}}`, `0 upsert | 1 | 2 | b | Ann | {"gift": 1, "customer": {"vip": true}}`,
				`2 error schema 22023: the message has no array at the path of option explode`,
				`3 error decode 22P02: an element of the array at the path of option explode is a number, not an object`, `skipped 1`,
			},
		},
		{
			name: "root", table: table(1, "id int4, rest jsonb"), cfg: Config{Unknown: RescueUnknown, Rescue: 1}, options: "root=data.row",
			msgs: []string{`{"meta":1,"data":{"x":2,"row":{"id":7,"y":3}}}`, `{"data":{}}`},
			want: []string{`0 upsert | 7 | {"y": 3}`, `1 error schema 22023: the message has no object at the path of option root`},
		},
		{name: "bad option", table: table(1, "id int4"), options: "timestamp_unit=days", want: []string{`invalid value for option "timestamp_unit": "days"`}},
		{name: "bad path", table: table(1, "id int4"), options: "paths=id=a[", want: []string{`invalid path "a[": a bracket is not closed`}},
		{name: "bad column", table: table(1, "id int4"), options: "paths=idd=a", want: []string{`column "idd" of relation "t" does not exist`}},
		{
			name: "units", table: table(0, "ts timestamp, tm time, d date"), cfg: Config{Append: true}, options: "timestamp_unit=ms",
			msgs: []string{`{"ts":0,"tm":1500,"d":86400000}`, `{"ts":-1.5}`, `{"ts":9223372036825200000}`, `{"tm":86400001}`, `{"ts":1e12}`},
			want: []string{`0 insert | 1970-01-01 00:00:00 | 00:00:01.5 | 1970-01-02`, `1 insert | 1969-12-31 23:59:59.9985 | NULL | NULL`, `2 insert | infinity | NULL | NULL`,
				`3 error cast 22008: time out of range: 86400001 (column tm)`, `4 insert | 2001-09-09 01:46:40 | NULL | NULL`},
		},
	})
}
