package diff

// typ is a column type of the generator, with literals that reach its corners.
type typ struct {
	name string
	vals []string
	num  bool // arithmetic works and mixes with other numbers
	min  bool // min and max exist
	eq   bool // equality and order exist
}

var typs = []typ{
	{"boolean", []string{"true", "false"}, false, false, true},
	{"smallint", []string{"0", "1", "-1", "32767", "(-32768)", "7", "42"}, true, true, true},
	{"integer", []string{"0", "1", "-1", "2147483647", "(-2147483648)", "10", "123456", "3"}, true, true, true},
	{"bigint", []string{"0", "1", "-1", "9223372036854775807", "(-9223372036854775808)", "5000000000", "12"}, true, true, true},
	{"oid", []string{"0", "1", "4294967295", "2147483648", "16384"}, false, true, true},
	{"real", []string{"0", "1.5", "-2.25", "'NaN'", "'Infinity'", "'-Infinity'", "3e10", "0.1", "1e-45", "3.4028235e38", "'-0'"}, false, true, true},
	{"double precision", []string{"0", "1.5", "-2.25", "'NaN'", "'Infinity'", "'-Infinity'", "1e-300", "0.1", "1.7976931348623157e308", "'-0'", "123456789.125"}, false, true, true},
	{"numeric", []string{"0", "1.50", "-2.25", "'NaN'", "12345678901234567890.123456789", "0.000001", "10", "'Infinity'", "'-Infinity'", "1e30", "-1e-20"}, true, true, true},
	{"numeric(12,2)", []string{"0", "1.50", "-2.25", "9999999999.99", "0.01", "100"}, true, true, true},
	{"numeric(30,10)", []string{"0", "1.5", "-2.25", "12345678901234567890.0123456789", "-0.0000000001", "99999999999999999999.9999999999"}, true, true, true},
	{"numeric(4,0)", []string{"0", "1", "-9999", "9999"}, true, true, true},
	{"text", []string{"''", "'a'", "'abc'", "'ABC'", "'a longer string than twelve bytes'", "'h\u00e9llo'", "'%_'", "'1'", "'12.5'", "'2024-02-29'", "' a b '", "'a,b,,c'", `'a"b''c\d'`, "'\u6f22\u5b57'"}, false, true, true},
	{"varchar(8)", []string{"''", "'a'", "'abc'", "'zzzzzzzz'", "'12'", "' x '"}, false, true, true},
	{"char(4)", []string{"''", "'a'", "'ab'", "'abcd'", "' a'"}, false, true, true},
	{"name", []string{"''", "'a'", "'abc'", "'Upper Case'", "'pg_class'"}, false, false, true},
	{`"char"`, []string{"''", "'a'", "'b'", "'1'"}, false, false, true},
	{"bytea", []string{`'\x'`, `'\x00ff'`, `'\xdeadbeef'`, `'\x616263'`, `'\x00000000000000000000000000'`}, false, false, true},
	{"date", []string{"'2024-02-29'", "'1999-12-31'", "'infinity'", "'-infinity'", "'2000-01-01'", "'0044-03-15 BC'", "'5874897-12-31'", "'2021-01-03'"}, false, true, true},
	{"time", []string{"'00:00:00'", "'12:34:56.789'", "'23:59:59.999999'", "'24:00:00'"}, false, true, true},
	{"timetz", []string{"'00:00:00+00'", "'12:34:56.789+02'", "'23:59:59.999999-08'", "'10:34:56.789+00'", "'12:00:00+05:30'"}, false, true, true},
	{"timestamp", []string{"'2024-02-29 12:34:56.789'", "'1970-01-01'", "'infinity'", "'-infinity'", "'2000-01-01'", "'0001-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'1999-12-31 23:59:59.999999'"}, false, true, true},
	{"timestamptz", []string{"'2024-02-29 12:34:56+02'", "'1970-01-01 00:00Z'", "'-infinity'", "'infinity'", "'2024-07-01 00:30:00+00'", "'1883-11-18 12:00:00+00'", "'2024-11-03 05:30:00+00'"}, false, true, true},
	{"interval", []string{"'1 day'", "'24 hours'", "'1 month'", "'-1 year 2 days'", "'00:00:00.5'", "'0'", "'-3 days 04:05:06.789'", "'178000000 years'", "'1 mon -1 day'"}, false, true, true},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}, false, false, true},
	{"json", []string{`'{"a": 1, "b": [1, 2]}'`, `'[]'`, `'null'`, `'"x"'`, `'{"a": {"b":null}, "a": 2 }'`, `' 3.50'`, `'[1,[2,{"c":"\u00e9"}],null]'`}, false, false, false},
	{"jsonb", []string{`'{"a": 1, "b": [1, 2]}'`, `'[]'`, `'null'`, `'"x"'`, `'{"a": {"b": null}}'`, `'3.50'`, `'[1, "a", {"b": true}]'`, `'{}'`, `'1e5'`}, false, false, true},
	{"integer[]", []string{"'{}'", "'{1,2,3}'", "'{NULL,1}'", "'{3}'", "'{{1,2},{3,4}}'", "'[0:1]={7,8}'"}, false, true, true},
	{"text[]", []string{"'{}'", "'{a,b}'", "'{NULL,\"\"}'", `'{"a b","c,d","\"q\""}'`, "'{NULL}'", "'{{a},{b}}'"}, false, true, true},
	{"double precision[]", []string{"'{}'", "'{1.5,NaN}'", "'{Infinity,NULL}'", "'{0}'"}, false, true, true},
	{"numeric[]", []string{"'{}'", "'{1.50,NaN}'", "'{0.001,NULL}'"}, false, true, true},
	{"date[]", []string{"'{}'", "'{2024-02-29,infinity}'", "'{NULL}'"}, false, true, true},
	{"boolean[]", []string{"'{}'", "'{t,f,NULL}'"}, false, true, true},
	{"uuid[]", []string{"'{}'", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"}, false, true, true},
	{"timestamptz[]", []string{"'{}'", `'{"2024-02-29 12:34:56+02",infinity}'`}, false, true, true},
	{"jsonb[]", []string{"'{}'", `'{"{\"a\": 1}","[]",NULL}'`}, false, true, true},
}

func typeNamed(name string) *typ {
	for i := range typs {
		if typs[i].name == name {
			return &typs[i]
		}
	}
	panic("diff: no type " + name)
}
