// Package diff compares Millrace with a PostgreSQL, and with itself under other
// settings, on random queries. A seed gives one schema, its rows and a stream of
// queries; what differs is printed with the seed and the query's number, which
// replay it.
package diff

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// typ is a column type of the generator, with literals that reach its corners.
type typ struct {
	name string
	vals []string
	num  bool // arithmetic works and mixes with other numbers
	min  bool // min and max exist
}

var typs = []typ{
	{"boolean", []string{"true", "false"}, false, false},
	{"smallint", []string{"0", "1", "-1", "32767", "(-32768)", "7", "42"}, true, true},
	{"integer", []string{"0", "1", "-1", "2147483647", "(-2147483648)", "10", "123456", "3"}, true, true},
	{"bigint", []string{"0", "1", "-1", "9223372036854775807", "(-9223372036854775808)", "5000000000", "12"}, true, true},
	{"real", []string{"0", "1.5", "-2.25", "'NaN'", "'Infinity'", "'-Infinity'", "3e10", "0.1"}, false, true},
	{"double precision", []string{"0", "1.5", "-2.25", "'NaN'", "'Infinity'", "'-Infinity'", "1e-300", "0.1"}, false, true},
	{"numeric", []string{"0", "1.50", "-2.25", "'NaN'", "12345678901234567890.123456789", "0.000001", "10"}, true, true},
	{"numeric(12,2)", []string{"0", "1.50", "-2.25", "9999999999.99", "0.01", "100"}, true, true},
	{"text", []string{"''", "'a'", "'abc'", "'ABC'", "'a longer string than twelve bytes'", "'h\u00e9llo'", "'%_'", "'1'"}, false, true},
	{"varchar(8)", []string{"''", "'a'", "'abc'", "'zzzzzzzz'", "'12'"}, false, true},
	{"char(4)", []string{"''", "'a'", "'ab'", "'abcd'"}, false, true},
	{"bytea", []string{`'\x'`, `'\x00ff'`, `'\xdeadbeef'`}, false, false},
	{"date", []string{"'2024-02-29'", "'1999-12-31'", "'infinity'", "'-infinity'", "'2000-01-01'", "'0044-03-15 BC'"}, false, true},
	{"time", []string{"'00:00:00'", "'12:34:56.789'", "'23:59:59.999999'"}, false, true},
	{"timestamp", []string{"'2024-02-29 12:34:56.789'", "'1970-01-01'", "'infinity'", "'2000-01-01'"}, false, true},
	{"timestamptz", []string{"'2024-02-29 12:34:56+02'", "'1970-01-01 00:00Z'", "'-infinity'"}, false, true},
	{"interval", []string{"'1 day'", "'24 hours'", "'1 month'", "'-1 year 2 days'", "'00:00:00.5'"}, false, true},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"}, false, false},
	{"jsonb", []string{`'{"a": 1, "b": [1, 2]}'`, `'[]'`, `'null'`, `'"x"'`, `'{"a": {"b": null}}'`, `'3.50'`}, false, false},
	{"integer[]", []string{"'{}'", "'{1,2,3}'", "'{NULL,1}'", "'{3}'"}, false, true},
}

func typeNamed(name string) *typ {
	for i := range typs {
		if typs[i].name == name {
			return &typs[i]
		}
	}
	panic("diff: no type " + name)
}

type column struct {
	name string
	t    *typ
}

type table struct {
	name string
	cols []column
	key  bool
}

// Gen makes a schema and queries over it from a seed.
type Gen struct {
	r      *rand.Rand
	tables []table
}

// NewGen starts a generator.
func NewGen(seed uint64) *Gen {
	g := &Gen{r: rand.New(rand.NewPCG(seed, 1))}
	for i := 0; i < 3; i++ {
		t := table{name: fmt.Sprintf("t%d", i), key: i != 1}
		t.cols = append(t.cols, column{"id", typeNamed("integer")})
		perm := g.r.Perm(len(typs))
		for k, x := range perm[:7] {
			t.cols = append(t.cols, column{fmt.Sprintf("c%d", k), &typs[x]})
		}
		g.tables = append(g.tables, t)
	}
	return g
}

func (g *Gen) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g *Gen) p(percent int) bool { return g.r.IntN(100) < percent }

// Schema is the statements that make and fill the tables; the third stays empty in
// one seed of four.
func (g *Gen) Schema() []string {
	var out []string
	for i, t := range g.tables {
		var defs []string
		for k, c := range t.cols {
			d := c.name + " " + c.t.name
			if k == 0 && t.key {
				d += " PRIMARY KEY"
			}
			defs = append(defs, d)
		}
		out = append(out, "CREATE TABLE "+t.name+" ("+strings.Join(defs, ", ")+")")
		n := 1 + g.r.IntN(30)
		if i == 2 && g.p(25) {
			n = 0
		}
		if i == 0 && g.p(20) {
			n = 400
		}
		for n > 0 {
			k := min(n, 50)
			var rows []string
			for ; k > 0; k-- {
				vals := []string{fmt.Sprint(n)}
				for _, c := range t.cols[1:] {
					vals = append(vals, g.literal(c.t))
				}
				rows = append(rows, "("+strings.Join(vals, ", ")+")")
				n--
			}
			out = append(out, "INSERT INTO "+t.name+" VALUES "+strings.Join(rows, ", "))
		}
	}
	return out
}

func (g *Gen) literal(t *typ) string {
	if g.p(15) {
		return "NULL"
	}
	return t.vals[g.r.IntN(len(t.vals))]
}

// scope is what an expression may name.
type scope struct {
	cols []column // names qualified
}

// column of a type, or "" when the scope has none.
func (g *Gen) col(s *scope, t *typ) string {
	var have []string
	for _, c := range s.cols {
		if c.t == t {
			have = append(have, c.name)
		}
	}
	if len(have) == 0 {
		return ""
	}
	return have[g.r.IntN(len(have))]
}

func (g *Gen) typed(t *typ) string { return "CAST(" + g.literal(t) + " AS " + t.name + ")" }

// expr is a random expression of type t.
func (g *Gen) expr(s *scope, t *typ, depth int) string {
	if depth <= 0 || g.p(30) {
		if c := g.col(s, t); c != "" && g.p(85) {
			return c
		}
		return g.typed(t)
	}
	sub := func(t *typ) string { return g.expr(s, t, depth-1) }
	switch {
	case g.p(12):
		return "CASE WHEN " + g.cond(s, depth-1) + " THEN " + sub(t) + " ELSE " + sub(t) + " END"
	case g.p(10):
		return "COALESCE(" + sub(t) + ", " + sub(t) + ")"
	case g.p(6) && t.name != "jsonb":
		return "NULLIF(" + sub(t) + ", " + sub(t) + ")"
	case g.p(6) && t.min && t.name != "integer[]":
		return g.pick("GREATEST", "LEAST") + "(" + sub(t) + ", " + sub(t) + ")"
	}
	switch t.name {
	case "boolean":
		return "(" + g.cond(s, depth-1) + ")"
	case "smallint", "integer", "bigint", "numeric":
		switch g.r.IntN(6) {
		case 0, 1, 2:
			return "(" + sub(t) + " " + g.pick("+", "-", "*") + " " + sub(t) + ")"
		case 3:
			return "(" + sub(t) + " " + g.pick("/", "%") + " " + sub(t) + ")"
		case 4:
			return g.pick("abs", "-") + "(" + sub(t) + ")"
		}
		if t.name == "integer" {
			return g.pick("length(", "ascii(", "octet_length(") + sub(typeNamed("text")) + ")"
		}
		return "(" + sub(typeNamed("integer")) + ")::" + t.name
	case "numeric(12,2)":
		return sub(t)
	case "real", "double precision":
		if g.p(30) {
			return "(" + sub(typeNamed("integer")) + ")::" + t.name
		}
		return "(" + sub(t) + " " + g.pick("+", "-") + " " + sub(t) + ")"
	case "text":
		switch g.r.IntN(6) {
		case 0:
			return "(" + sub(t) + " || " + sub(t) + ")"
		case 1:
			return g.pick("upper", "lower", "reverse", "trim", "initcap") + "(" + sub(t) + ")"
		case 2:
			return fmt.Sprintf("substr(%s, %d, %d)", sub(t), g.r.IntN(5)-1, g.r.IntN(5))
		case 3:
			return "replace(" + sub(t) + ", 'a', " + sub(t) + ")"
		case 4:
			return "(" + sub(&typs[g.r.IntN(len(typs))]) + ")::text"
		}
		return g.pick("left(", "right(") + sub(t) + ", " + fmt.Sprint(g.r.IntN(6)-2) + ")"
	case "date":
		return "(" + sub(t) + " " + g.pick("+", "-") + " " + fmt.Sprint(g.r.IntN(40)) + ")"
	case "timestamp":
		if g.p(50) {
			return "date_trunc('" + g.pick("year", "month", "day", "hour", "week", "quarter") + "', " + sub(t) + ")"
		}
		return "(" + sub(t) + " + " + sub(typeNamed("interval")) + ")"
	case "interval":
		return "(" + sub(t) + " " + g.pick("+", "-") + " " + sub(t) + ")"
	case "jsonb":
		return "(" + sub(t) + " -> " + g.pick("'a'", "'b'", "0") + ")"
	case "integer[]":
		return "(" + sub(t) + " || " + sub(typeNamed("integer")) + ")"
	}
	if c := g.col(s, t); c != "" {
		return c
	}
	return g.typed(t)
}

// cond is a random condition.
func (g *Gen) cond(s *scope, depth int) string {
	if depth > 0 && g.p(35) {
		switch g.r.IntN(4) {
		case 0:
			return "(" + g.cond(s, depth-1) + " AND " + g.cond(s, depth-1) + ")"
		case 1:
			return "(" + g.cond(s, depth-1) + " OR " + g.cond(s, depth-1) + ")"
		case 2:
			return "NOT (" + g.cond(s, depth-1) + ")"
		}
		return "(" + g.cond(s, depth-1) + ") IS " + g.pick("TRUE", "NOT TRUE", "FALSE", "UNKNOWN", "NOT FALSE")
	}
	t := s.cols[g.r.IntN(len(s.cols))].t
	if g.p(15) {
		t = &typs[g.r.IntN(len(typs))]
	}
	e := func() string { return g.expr(s, t, depth-1) }
	switch g.r.IntN(10) {
	case 0:
		return e() + " IS " + g.pick("NULL", "NOT NULL")
	case 1:
		return e() + " IS " + g.pick("", "NOT ") + "DISTINCT FROM " + e()
	case 2:
		return e() + g.pick(" IN (", " NOT IN (") + e() + ", " + e() + ")"
	case 3:
		if t.name != "boolean" {
			return e() + g.pick(" BETWEEN ", " NOT BETWEEN ") + e() + " AND " + e()
		}
	case 4:
		x := typeNamed("text")
		return g.expr(s, x, depth-1) + g.pick(" LIKE ", " NOT LIKE ", " ILIKE ") + g.pick("'a%'", "'%b%'", "'_'", "'%'", "'a_c'", "''")
	}
	return e() + " " + g.pick("=", "<>", "<", "<=", ">", ">=") + " " + e()
}

// from is a FROM clause and its scope.
func (g *Gen) from(tag string, depth int) (string, *scope) {
	one := func(i int) (string, *scope) {
		t := g.tables[g.r.IntN(len(g.tables))]
		a := fmt.Sprintf("%s%d", tag, i)
		s := &scope{}
		for _, c := range t.cols {
			s.cols = append(s.cols, column{a + "." + c.name, c.t})
		}
		if depth > 0 && g.p(15) {
			where := ""
			in := &scope{cols: t.cols}
			if g.p(50) {
				where = " WHERE " + g.cond(in, 1)
			}
			return "(SELECT * FROM " + t.name + where + ") " + a, s
		}
		return t.name + " " + a, s
	}
	text, s := one(0)
	n := []int{0, 0, 1, 1, 1, 2}[g.r.IntN(6)]
	for i := 1; i <= n; i++ {
		rt, rs := one(i)
		all := &scope{cols: append(append([]column(nil), s.cols...), rs.cols...)}
		kind := g.pick("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
		l, r := s.cols[0].name, rs.cols[0].name
		on := " ON " + l + " = " + r
		if g.p(40) {
			// Any pair of columns of one type.
			for try := 0; try < 8; try++ {
				c := rs.cols[g.r.IntN(len(rs.cols))]
				if x := g.col(s, c.t); x != "" && c.t.name != "jsonb" {
					on = " ON " + x + " = " + c.name
					break
				}
			}
		}
		if g.p(30) && kind != "FULL JOIN" {
			on += " AND " + g.cond(all, 1)
		}
		if kind == "CROSS JOIN" {
			on = ""
		}
		text += " " + kind + " " + rt + on
		s = all
	}
	return text, s
}

func (g *Gen) subquery(s *scope) string {
	from, in := g.from("s", 0)
	outer := s.cols[g.r.IntN(len(s.cols))]
	where := ""
	if x := g.col(in, outer.t); x != "" && g.p(60) && outer.t.name != "jsonb" {
		where = " WHERE " + x + " " + g.pick("=", "=", "=", "<", "<>") + " " + outer.name
		if g.p(30) {
			where += " AND " + g.cond(in, 1)
		}
	} else if g.p(50) {
		where = " WHERE " + g.cond(in, 1)
	}
	c := in.cols[g.r.IntN(len(in.cols))]
	switch g.r.IntN(5) {
	case 0:
		return g.pick("", "NOT ") + "EXISTS (SELECT 1 FROM " + from + where + ")"
	case 1:
		return g.expr(s, c.t, 1) + g.pick(" IN ", " NOT IN ") + "(SELECT " + c.name + " FROM " + from + where + ")"
	case 2:
		return g.expr(s, c.t, 1) + " " + g.pick("=", "<", ">", "<>") + " " + g.pick("ANY", "ALL") + " (SELECT " + c.name + " FROM " + from + where + ")"
	case 3:
		return "(SELECT count(*) FROM " + from + where + ") " + g.pick(">", "=", "<") + " " + fmt.Sprint(g.r.IntN(4))
	}
	if !c.t.min || c.t.name == "integer[]" {
		c = in.cols[0]
	}
	return g.expr(s, c.t, 1) + " " + g.pick("=", "<", ">=") + " (SELECT " + g.pick("min", "max") + "(" + c.name + ") FROM " + from + where + ")"
}

// Query is the next random query. Its rows have no order unless all columns are
// sorted by; the caller compares them as multisets.
func (g *Gen) Query() string {
	if g.p(10) {
		return g.selectOne() + g.pick(" UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", " EXCEPT ALL ") + g.selectOne()
	}
	from, s := g.from("a", 1)
	var where []string
	if g.p(60) {
		where = append(where, g.cond(s, 2))
	}
	if g.p(30) {
		where = append(where, g.subquery(s))
	}
	w := ""
	if len(where) > 0 {
		w = " WHERE " + strings.Join(where, " AND ")
	}
	switch g.r.IntN(10) {
	case 0, 1, 2:
		return g.grouped(from, w, s)
	case 3:
		return g.windowed(from, w, s)
	}
	var out []string
	for i := 1 + g.r.IntN(4); i > 0; i-- {
		out = append(out, g.expr(s, s.cols[g.r.IntN(len(s.cols))].t, 2))
	}
	if g.p(10) {
		out = append(out, "("+g.subquery(s)+")")
	}
	q := "SELECT " + strings.Join(out, ", ") + " FROM " + from + w
	if g.p(15) && !strings.Contains(strings.Join(out, ""), "::json") {
		q = "SELECT DISTINCT " + q[len("SELECT "):]
	}
	if g.p(20) {
		var ord []string
		for i := range out {
			ord = append(ord, fmt.Sprint(i+1)+g.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
		}
		q += " ORDER BY " + strings.Join(ord, ", ")
		if g.p(50) {
			q += fmt.Sprintf(" LIMIT %d", g.r.IntN(8))
			if g.p(30) {
				q += fmt.Sprintf(" OFFSET %d", g.r.IntN(4))
			}
		}
	}
	return q
}

func (g *Gen) selectOne() string {
	t := g.tables[g.r.IntN(len(g.tables))]
	s := &scope{cols: t.cols}
	w := ""
	if g.p(50) {
		w = " WHERE " + g.cond(s, 1)
	}
	return "SELECT " + g.expr(s, typeNamed("integer"), 1) + ", " + g.expr(s, typeNamed("text"), 1) + " FROM " + t.name + w
}

func (g *Gen) aggregate(s *scope) string {
	c := s.cols[g.r.IntN(len(s.cols))]
	x := g.expr(s, c.t, 1)
	d := ""
	if g.p(20) && c.t.name != "jsonb" {
		d = "DISTINCT "
	}
	f := ""
	if g.p(15) {
		f = " FILTER (WHERE " + g.cond(s, 1) + ")"
	}
	switch {
	case g.p(20):
		return "count(*)" + f
	case g.p(25):
		return "count(" + d + x + ")" + f
	case c.t.num && g.p(70):
		return g.pick("sum(", "avg(") + d + x + ")" + f
	case c.t.name == "boolean":
		return g.pick("bool_and(", "bool_or(") + x + ")" + f
	case c.t.min && c.t.name != "integer[]" && c.t.name != "uuid":
		return g.pick("min(", "max(") + x + ")" + f
	}
	return "count(" + x + ")" + f
}

func (g *Gen) grouped(from, w string, s *scope) string {
	var keys []string
	for i := g.r.IntN(3); i > 0; i-- {
		c := s.cols[g.r.IntN(len(s.cols))]
		keys = append(keys, c.name)
	}
	out := append([]string(nil), keys...)
	for i := 1 + g.r.IntN(3); i > 0; i-- {
		out = append(out, g.aggregate(s))
	}
	q := "SELECT " + strings.Join(out, ", ") + " FROM " + from + w
	if len(keys) > 0 {
		switch {
		case g.p(10):
			q += " GROUP BY ROLLUP (" + strings.Join(keys, ", ") + ")"
		case g.p(8):
			q += " GROUP BY CUBE (" + strings.Join(keys, ", ") + ")"
		default:
			q += " GROUP BY " + strings.Join(keys, ", ")
		}
		if g.p(25) {
			q += " HAVING count(*) " + g.pick(">", "<=") + " " + fmt.Sprint(g.r.IntN(4))
		}
	}
	return q
}

func (g *Gen) windowed(from, w string, s *scope) string {
	// A total order by the first table's id makes the answer one.
	part := ""
	if g.p(60) {
		part = "PARTITION BY " + s.cols[g.r.IntN(len(s.cols))].name + " "
	}
	c := s.cols[g.r.IntN(len(s.cols))]
	fn := g.pick("rank()", "dense_rank()", "count(*)", "count("+c.name+")")
	if c.t.min && c.t.name != "integer[]" && g.p(40) {
		fn = g.pick("min(", "max(") + c.name + ")"
	}
	if c.t.num && g.p(40) {
		fn = "sum(" + c.name + ")"
	}
	over := part
	if g.p(70) {
		over += "ORDER BY " + s.cols[0].name + g.pick("", " DESC")
		if !strings.Contains(fn, "rank") && g.p(30) {
			over += g.pick(" RANGE UNBOUNDED PRECEDING", " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING")
		}
	}
	return "SELECT " + s.cols[0].name + ", " + fn + " OVER (" + strings.TrimSpace(over) + ") FROM " + from + w
}
