package diff

import (
	"strings"
)

// template is a call with holes: {type} takes an expression of that type, {=a|b|c}
// one of the texts, {any} an expression of any type, {cmp} one of any type that has
// an order; {same} repeats the type chosen by the {any} or {cmp} before it, and {si}
// is a small integer.
type template struct {
	ret  *typ
	text string
}

// templates by the name of what they return.
var templates = map[string][]template{}

var allTemplates []template

func init() {
	for _, line := range strings.Split(templateText, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		ret, text, ok := strings.Cut(line, ": ")
		if !ok {
			panic("diff: bad template " + line)
		}
		t := template{typeNamed(ret), text}
		templates[ret] = append(templates[ret], t)
		allTemplates = append(allTemplates, t)
	}
}

const templateText = `
# strings
text: {=upper|lower|reverse|trim|btrim|ltrim|rtrim|initcap|md5|quote_literal|quote_ident|quote_nullable}({text})
text: substr({text}, {si}, {si})
text: substr({text}, {si})
text: substring({text} FROM {si} FOR {si})
text: substring({text} FROM {=1|2|-1})
text: substring({text} FROM {=E'b.'|'(a)(b)'|'[[:alpha:]]+'|'^.'|'$'})
text: substring({text} SIMILAR {='%#"b#"%'|'#"_#"%'} ESCAPE '#')
text: replace({text}, {text}, {text})
text: translate({text}, {='abc'|'ab'|'lo'}, {='xyz'|'x'|''})
text: {=left|right}({text}, {si})
text: {=lpad|rpad}({text}, {si})
text: {=lpad|rpad}({text}, {si}, {='xy'|''|'*'})
text: {=ltrim|rtrim|btrim}({text}, {='a'|' '|'abc'|''})
text: repeat({text}, {si})
text: split_part({text}, {=','|'b'|''}, {=1|2|-1|0|3})
text: overlay({text} PLACING {text} FROM {=1|2|3} FOR {=0|1|2})
text: concat({any}, {any})
text: concat({text}, {boolean}, {integer}, {date})
text: concat_ws({=','|'-'|NULL}, {text}, {any}, {text})
text: format({='%s'|'[%s]'|'%s %%'|'%10s|'|'%-6s|'}, {any})
text: format('%I=%L', {text}, {text})
text: format('%2$s-%1$s', {text}, {integer})
text: chr({=65|97|8364|0|128512})
text: to_hex({=255|0|-1|123456})
text: regexp_replace({text}, {='a'|'[ab]'|'(.)(.)'|'^'|'x*'|'\w'}, {='X'|'<\1>'|'\&\&'|''})
text: regexp_replace({text}, {='a'|'[ab]+'|'b*'|'(?i)ABC'}, {='X'|'[\&]'}, {='g'|'gi'|'i'})
text: regexp_replace({text}, {='a'|'b'}, 'X', {=1|2}, {=0|1|2})
text: regexp_substr({text}, {='[a-z]+'|'(.)(b)'|'z'})
text: array_to_string({text[]}, ',')
text: array_to_string({integer[]}, {='-'|''}, {='*'|NULL})
text: ({text} || {text})
text: ({text} || {any})
text: {any}::text
text: CAST({any} AS text)
text: encode({bytea}, {='hex'|'base64'|'escape'})
text: convert_from({bytea}, 'UTF8')
text: pg_typeof({any})::text
text: ({jsonb} ->> {='a'|'b'|'c'})
text: ({json} ->> {='a'|'b'|'c'})
text: ({jsonb} ->> {=0|1|-1})
text: ({json} ->> {=0|1|-1})
text: ({jsonb} #>> {='{a,b}'|'{b,1}'|'{0}'|'{}'})
text: ({json} #>> {='{a,b}'|'{b,1}'|'{0}'|'{1,1,c}'|'{}'})
text: jsonb_typeof({jsonb})
text: json_typeof({json})
text: jsonb_pretty({jsonb})
text: jsonb_extract_path_text({jsonb}, {='a'|'b'}, {='b'|'1'})
text: json_extract_path_text({json}, {='a'|'b'})
text: to_char({timestamp}, {fmt})
text: to_char({timestamptz}, {fmt})
text: to_char({interval}, {='HH24:MI:SS'|'DD HH12'|'YYYY MM DD'|'SSSS'})
text: to_char({integer}, {nfmt})
text: to_char({bigint}, {nfmt})
text: to_char({numeric}, {nfmt})
text: to_char({double precision}, {nfmt})
text: to_char({real}, {nfmt})
text: array_dims({integer[]})
text: array_dims({text[]})
text: ({text[]})[{=1|2|0}]
text: {char(4)}::text
text: {name}::text
text: {varchar(8)} || {char(4)}
text: COALESCE({varchar(8)}, {text})
text: to_json({any})::text
text: to_jsonb({any})::text
text: row_to_json(ROW({any}, {any}))::text
text: ROW({any}, {any}, {any})::text
text: left({varchar(8)}, 2)
text: upper({name})
text: CASE {cmp} WHEN {same} THEN 'one' WHEN {same} THEN 'two' ELSE 'other' END
text: CASE {integer} WHEN 1 THEN {text} WHEN 2 THEN {varchar(8)} ELSE NULL END
text: string_to_array({text}, {=','|'b'|''|NULL})::text
text: regexp_match({text}, {='(a)(b)?'|'b.'|'[[:digit:]]'|'\d+\.?'})::text
text: regexp_split_to_array({text}, {=','|'\s*'|'b'})::text
text: parse_ident({='a.b'|'"A".b'|'a'})::text
text: unistr({='\0041b'|'abc'|'\+01F600'})
text: quote_literal({any})
varchar(8): {text}::varchar(8)
varchar(8): {any}::varchar(8)
char(4): {text}::char(4)
char(4): {integer}::char(4)
name: {text}::name
"char": {text}::"char"
"char": {=0|65|127|-1|128}::integer::"char"
integer: {=length|char_length|octet_length|bit_length|ascii}({text})
integer: length({char(4)})
integer: octet_length({char(4)})
integer: length({bytea})
integer: octet_length({bytea})
integer: strpos({text}, {text})
integer: position({text} IN {text})
integer: regexp_count({text}, {='a'|'.'|'[a-c]'|''})
integer: regexp_instr({text}, {='b'|'[bc]'|'z'})
boolean: {text} {=LIKE|NOT LIKE|ILIKE|NOT ILIKE} {='a%'|'%b%'|'_'|'%'|'a_c'|''|'%\%%'|'\_'}
boolean: {text} LIKE {text}
boolean: {char(4)} LIKE {='a%'|'ab'|'ab  '|'%'}
boolean: {name} LIKE 'a%'
boolean: {text} {=~|!~|~*|!~*} {='^a'|'b$'|'[0-9]+'|'a|b'|'(?:a)b'|''|'\mabc\M'|'h.l*o'|'(a)\1'}
boolean: {text} {=SIMILAR TO|NOT SIMILAR TO} {='%(b|d)%'|'a_c'|'[a-z]+'}
boolean: starts_with({text}, {text})
boolean: regexp_like({text}, {='^A'|'b'}, {='i'|'c'})
boolean: {text} ^@ {text}
boolean: {bytea} LIKE '\x61%'
# numbers
integer: ({integer} {=+|-|*|/|%|&|&#124;|#} {integer})
integer: (~ {integer})
integer: ({integer} {=<<|>>} {=0|1|31|32|5})
integer: {=abs|-|+}({integer})
integer: mod({integer}, {integer})
integer: {=gcd|lcm}({integer}, {integer})
integer: {smallint} + {integer}
integer: {any}::integer
integer: {text}::integer
integer: {boolean}::integer
integer: {date} - {date}
integer: width_bucket({double precision}, 0, 10, {=5|1|0})
integer: width_bucket({numeric}, -1, 1.5, 4)
integer: width_bucket({integer}, ARRAY[0, 1, 10])
integer: scale({numeric})
integer: min_scale({numeric})
integer: num_nulls({any}, {any}, NULL)
integer: num_nonnulls({any}, {any})
integer: array_length({integer[]}, {=1|2|0})
integer: array_length({text[]}, 1)
integer: {=array_upper|array_lower}({integer[]}, 1)
integer: array_ndims({integer[]})
integer: cardinality({=NULL::|}{integer[]})
integer: cardinality({text[]})
integer: array_position({integer[]}, {integer})
integer: array_position({text[]}, {text}, {=1|2})
integer: ({integer[]})[{=1|2|0|-1}]
integer: ({integer[]})[1][2]
integer: jsonb_array_length({jsonb})
integer: json_array_length({json})
integer: ({jsonb} -> 'a')::integer
integer: ascii({text})
integer: get_byte({bytea}, {=0|1|5})
integer: get_bit({bytea}, {=0|7|9})
smallint: ({smallint} {=+|-|*|/|%} {smallint})
smallint: {=abs|-}({smallint})
smallint: {integer}::smallint
smallint: {any}::smallint
bigint: ({bigint} {=+|-|*|/|%|&|&#124;|#} {bigint})
bigint: ({bigint} {=+|-|*} {integer})
bigint: ({integer} {=+|-|*} {bigint})
bigint: {=abs|-}({bigint})
bigint: {any}::bigint
bigint: {text}::bigint
bigint: {numeric}::bigint
bigint: {double precision}::bigint
bigint: {real}::bigint
bigint: mod({bigint}, {bigint})
bigint: ({bigint} {=<<|>>} {=0|1|63|64|5})
oid: {any}::oid
oid: {bigint}::oid
oid: {integer}::oid
numeric: ({numeric} {=+|-|*|/|%} {numeric})
numeric: ({numeric(12,2)} {=+|-|*|/|%} {numeric(12,2)})
numeric: ({numeric(30,10)} {=+|-|*|/|%} {numeric(12,2)})
numeric: ({numeric(12,2)} {=+|-|*|/} {integer})
numeric: ({bigint} {=+|-|*|/} {numeric(12,2)})
numeric: {=abs|-|ceil|ceiling|floor|round|trunc|sign|trim_scale}({numeric})
numeric: {=abs|-|ceil|floor|round|trunc|sign}({numeric(12,2)})
numeric: {=round|trunc}({numeric}, {=0|1|2|-1|5})
numeric: {=round|trunc}({numeric(30,10)}, {=0|1|2|-1|5})
numeric: {=sqrt|exp|ln|log}({numeric})
numeric: log({numeric}, {numeric})
numeric: power({=1.5|2|10|0|-2.25}::numeric, {=2|0.5|-1|0|3}::numeric)
numeric: div({numeric}, {numeric})
numeric: mod({numeric}, {numeric})
numeric: {=gcd|lcm}({numeric(12,2)}, {numeric(12,2)})
numeric: factorial({=0|1|5|20|25|-1})
numeric: {any}::numeric
numeric: {integer}::numeric
numeric: {double precision}::numeric
numeric: {text}::numeric
numeric: to_number({='12,454.8-'|'1,234'|'-0.5'|'$12.30'|'abc'}, {='99G999D9S'|'9,999'|'S9.9'|'L99.99'})
numeric: ({jsonb})::numeric
numeric: extract({field} FROM {timestamp})
numeric: extract({field} FROM {timestamptz})
numeric: extract({dfield} FROM {date})
numeric: extract({tfield} FROM {time})
numeric: extract({tzfield} FROM {timetz})
numeric: extract({ifield} FROM {interval})
numeric: trim_scale({numeric(30,10)})
numeric(12,2): {numeric}::numeric(12,2)
numeric(12,2): {any}::numeric(12,2)
numeric(12,2): {double precision}::numeric(12,2)
numeric(30,10): {numeric}::numeric(30,10)
numeric(30,10): {any}::numeric(30,10)
numeric(4,0): {numeric}::numeric(4,0)
numeric(4,0): {integer}::numeric(4,0)
real: ({real} {=+|-|*|/} {real})
real: {=abs|-}({real})
real: {any}::real
real: {integer}::real
real: {double precision}::real
real: {text}::real
double precision: ({double precision} {=+|-|*|/} {double precision})
double precision: ({real} {=+|-|*|/} {double precision})
double precision: {=abs|-|ceil|floor|round|trunc|sign|degrees|radians}({double precision})
double precision: {=sqrt|cbrt|exp|ln|log|sin|cos|tan|atan|asin|acos|sinh|tanh|asinh|acosh|atanh|cot|sind|cosd|tand}({double precision})
double precision: atan2({double precision}, {double precision})
double precision: power({double precision}, {=2|0.5|-1|0|'NaN'|'Infinity'}::double precision)
double precision: ({double precision} ^ 2)
double precision: (|/ {double precision})
double precision: {any}::double precision
double precision: {integer}::double precision
double precision: {numeric}::double precision
double precision: {text}::double precision
double precision: {numeric(12,2)}::double precision
double precision: date_part({='year'|'epoch'|'dow'|'month'|'week'}, {timestamp})
double precision: date_part({='hour'|'epoch'|'second'}, {interval})
double precision: pi()
boolean: {any} IS {=NULL|NOT NULL}
boolean: {cmp} {=<|<=|>|>=|=|<>} {same}
boolean: {cmp} IS {=|NOT }DISTINCT FROM {same}
boolean: {cmp} {=BETWEEN|NOT BETWEEN|BETWEEN SYMMETRIC} {same} AND {same}
boolean: {cmp} {=IN|NOT IN} ({same}, {same}, {same})
boolean: {cmp} {==|<|>|<>} {=ANY|ALL} (ARRAY[{same}, {same}])
boolean: ({cmp}, {integer}) {==|<|>=|<>} ({same}, {integer})
boolean: ({integer}, {text}) IN (({integer}, {text}), ({integer}, {text}))
boolean: {integer} {=<|>|=} {bigint}
boolean: {numeric} {=<|>|=} {integer}
boolean: {double precision} {=<|>|=} {numeric}
boolean: {real} {=<|>|=} {double precision}
boolean: {date} {=<|>|=} {timestamp}
boolean: {timestamptz} {=<|>|=} {timestamp}
boolean: {date} {=<|>|=} {timestamptz}
boolean: {varchar(8)} {=<|>|=} {text}
boolean: {char(4)} {=<|>|=} {text}
boolean: {char(4)} {=<|>|=} {varchar(8)}
boolean: {name} {=<|>|=} {text}
boolean: {oid} {=<|>|=} {integer}
boolean: {text}::boolean
boolean: {integer}::boolean
boolean: {any}::boolean
boolean: ({jsonb})::boolean
boolean: NOT {boolean}
boolean: {boolean} {=AND|OR} {boolean}
boolean: {boolean} IS {=TRUE|NOT TRUE|FALSE|NOT FALSE|UNKNOWN|NOT UNKNOWN}
boolean: isfinite({date})
boolean: isfinite({timestamp})
boolean: isfinite({interval})
boolean: ({timestamp}, {timestamp}) OVERLAPS ({timestamp}, {interval})
boolean: ({date}, {date}) OVERLAPS ({date}, {date})
# dates
date: ({date} {=+|-} {si})
date: {timestamp}::date
date: {timestamptz}::date
date: {any}::date
date: {text}::date
date: make_date({=2024|1|-1|0|2023}, {=2|12|13}, {=29|1|31})
date: to_date({='2024-02-29'|'20240229'|'29 Feb 2024'|'2024-13-01'|'bad'|'24-366'}, {='YYYY-MM-DD'|'YYYYMMDD'|'DD Mon YYYY'|'YY-DDD'})
time: ({time} {=+|-} {interval})
time: {timestamp}::time
time: {timestamptz}::time
time: {interval}::time
time: {any}::time
time: make_time({=0|12|23|24}, {=0|59|60}, {=0|59.999|61})
timetz: {time}::timetz
timetz: {timestamptz}::timetz
timetz: {timetz} AT TIME ZONE {='UTC'|'+03'|'-05:30'}
timetz: ({timetz} {=+|-} {interval})
timestamp: ({timestamp} {=+|-} {interval})
timestamp: ({date} {=+|-} {interval})
timestamp: ({date} + {time})
timestamp: {date}::timestamp
timestamp: {timestamptz}::timestamp
timestamp: {any}::timestamp
timestamp: {text}::timestamp
timestamp: date_trunc({='year'|'month'|'day'|'hour'|'week'|'quarter'|'decade'|'century'|'millennium'|'second'|'milliseconds'|'bogus'}, {timestamp})
timestamp: {timestamptz} AT TIME ZONE {='UTC'|'America/New_York'|'Asia/Kolkata'|'-08'|'No/Where'}
timestamp: date_bin({='15 minutes'|'1 day'|'2 hours 30 minutes'|'1 month'}, {timestamp}, TIMESTAMP '2001-01-01')
timestamp: make_timestamp({=2024|-44|0}, {=2|12}, {=29|1}, 12, 30, {=0|45.678|60})
timestamptz: ({timestamptz} {=+|-} {interval})
timestamptz: {timestamp}::timestamptz
timestamptz: {date}::timestamptz
timestamptz: {any}::timestamptz
timestamptz: {text}::timestamptz
timestamptz: date_trunc({='year'|'month'|'day'|'hour'|'week'}, {timestamptz})
timestamptz: date_trunc({='month'|'day'|'hour'}, {timestamptz}, {='Asia/Tokyo'|'America/New_York'})
timestamptz: {timestamp} AT TIME ZONE {='UTC'|'America/New_York'|'Asia/Kolkata'|'EST'}
timestamptz: to_timestamp({=0|1709210096.789|-1e9|'NaN'|'Infinity'|1e30}::float8)
timestamptz: to_timestamp({='2024-02-29 12:34:56'|'05 Dec 2000'|'12:30 PM'|'2024-060'}, {='YYYY-MM-DD HH24:MI:SS'|'DD Mon YYYY'|'HH12:MI AM'|'YYYY-DDD'})
timestamptz: make_timestamptz(2024, 7, {=1|31}, 12, 30, 0, {='UTC'|'America/New_York'})
interval: ({interval} {=+|-} {interval})
interval: ({timestamp} - {timestamp})
interval: ({timestamptz} - {timestamptz})
interval: ({time} - {time})
interval: ({interval} {=*|/} {=2|0.5|-1|0|1.1|'NaN'}::double precision)
interval: (- {interval})
interval: age({timestamp}, {timestamp})
interval: age({timestamptz}, {timestamptz})
interval: age({date}, {date})
interval: {=justify_days|justify_hours|justify_interval}({interval})
interval: date_trunc({='hour'|'day'|'month'|'year'|'week'}, {interval})
interval: make_interval({=0|1}, {=0|13}, {=0|2}, {=0|-5}, {=0|25}, {=0|61}, {=0|1.5})
interval: {time}::interval
interval: {text}::interval
interval: {any}::interval
interval: {='P1Y2M3DT4H5M6S'|'1-2'|'3 4:05:06'|'1 day ago'|'1.5 weeks'|'@ 2 mins'|'-1:30'|'1e3 s'}::interval
interval: {interval}::interval({=0|3})
interval: {interval}::interval {=hour|day|day to second|year to month|minute}
time: {time}::time({=0|2})
timestamp: {timestamp}::timestamp({=0|3})
timestamptz: {timestamptz}::timestamptz({=0|1})
# bytea, uuid
bytea: ({bytea} || {bytea})
bytea: substring({bytea}, {=1|2|0}, {=0|1|2})
bytea: decode({='616263'|'YWJj'|'a\\000b'|'zz'}, {='hex'|'base64'|'escape'})
bytea: sha256({bytea})
bytea: convert_to({text}, 'UTF8')
bytea: {text}::bytea
bytea: set_byte({bytea}, {=0|1}, {=255|256})
bytea: overlay({bytea} PLACING '\xff' FROM 1)
bytea: trim({bytea} FROM {bytea})
text: md5({bytea})
uuid: {text}::uuid
uuid: {uuid}::text::uuid
# json
jsonb: ({jsonb} -> {='a'|'b'|0|-1})
jsonb: ({jsonb} #> {='{a,b}'|'{b,1}'|'{}'})
jsonb: ({jsonb} || {jsonb})
jsonb: ({jsonb} - {='a'|'b'|0|-1|5})
jsonb: ({jsonb} - {='{a,b}'|'{}'}::text[])
jsonb: ({jsonb} #- {='{a,b}'|'{0}'|'{b,0}'})
jsonb: jsonb_set({jsonb}, {='{a}'|'{a,b}'|'{0}'|'{z}'}, {jsonb}{=|, false|, true})
jsonb: jsonb_insert({jsonb}, {='{a}'|'{0}'|'{b,1}'}, {jsonb}{=|, true})
jsonb: jsonb_strip_nulls({jsonb})
jsonb: to_jsonb({any})
jsonb: jsonb_build_object('k', {any}, 'l', {any})
jsonb: jsonb_build_array({any}, {any})
jsonb: jsonb_object(ARRAY['a', {text}], ARRAY[{text}, {text}])
jsonb: {json}::jsonb
jsonb: {text}::jsonb
jsonb: ({jsonb})['a']
json: ({json} -> {='a'|'b'|0|-1})
json: ({json} #> {='{a,b}'|'{b,1}'|'{1,1}'})
json: to_json({any})
json: json_build_object('k', {any}, 'l', {any})
json: json_build_array({any}, {any})
json: {jsonb}::json
json: {text}::json
json: json_strip_nulls({json})
json: row_to_json(ROW({any}, {any}))
json: array_to_json({integer[]})
boolean: {jsonb} {=@>|<@} {jsonb}
boolean: {jsonb} ? {='a'|'x'|'b'}
boolean: {jsonb} {=?&#124;|?&} {=ARRAY['a','b']|ARRAY['x']|'{}'::text[]}
boolean: jsonb_exists({jsonb}, 'a')
# arrays
integer[]: ({integer[]} || {integer})
integer[]: ({integer} || {integer[]})
integer[]: ({integer[]} || {integer[]})
integer[]: array_append({integer[]}, {integer})
integer[]: array_prepend({integer}, {integer[]})
integer[]: array_cat({integer[]}, {integer[]})
integer[]: array_remove({integer[]}, {integer})
integer[]: array_replace({integer[]}, {integer}, {integer})
integer[]: array_positions({integer[]}, {integer})
integer[]: array_fill({integer}, ARRAY[{=2|0|3}])
integer[]: ({integer[]})[{=1|2}:{=2|3|1}]
integer[]: ({integer[]})[:1]
integer[]: trim_array({integer[]}, {=0|1|5})
integer[]: ARRAY[{integer}, {integer}]
integer[]: ARRAY[]::integer[]
integer[]: {text}::integer[]
integer[]: {text[]}::integer[]
text[]: string_to_array({text}, {=','|'b'|''|NULL}{=|, ''|, 'a'})
text[]: regexp_split_to_array({text}, {=','|'b'})
text[]: regexp_match({text}, {='(a)(b)?'|'b.'|'z'})
text[]: ({text[]} || {text})
text[]: array_remove({text[]}, {text})
text[]: ARRAY[{text}, {varchar(8)}]
text[]: {integer[]}::text[]
text[]: {date[]}::text[]
numeric[]: {integer[]}::numeric[]
numeric[]: ARRAY[{numeric}, {integer}]
double precision[]: ARRAY[{double precision}, {real}]
double precision[]: {numeric[]}::double precision[]
date[]: ARRAY[{date}, {date}]
boolean[]: ARRAY[{boolean}, {boolean}]
uuid[]: ARRAY[{uuid}]
timestamptz[]: ARRAY[{timestamptz}]
jsonb[]: ARRAY[{jsonb}, {jsonb}]
boolean: {integer[]} {=@>|<@|&&|=|<} {integer[]}
boolean: {text[]} {=@>|<@|&&|=|<} {text[]}
boolean: {integer} {==|<|<>} {=ANY|ALL} ({integer[]})
boolean: {text} {==|<|LIKE} {=ANY|ALL} ({text[]})
boolean: {numeric[]} {=@>|=|<} {numeric[]}
numeric: ({numeric[]})[1]
date: ({date[]})[{=1|2}]
`
