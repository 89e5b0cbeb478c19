// Package diff compares Millrace with a PostgreSQL, and with itself under other
// settings, on random queries. A seed gives one schema, its rows and a stream of
// queries; what differs is printed with the seed and the query's number, which
// replay it. README.md says what is generated, and which differences are accepted.
package diff

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

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
	fresh  int // the last id given to an inserted row
	alias  int // the last alias given to a subquery's table
}

// NewGen starts a generator.
func NewGen(seed uint64) *Gen {
	g := &Gen{r: rand.New(rand.NewPCG(seed, 1)), fresh: 100000}
	for i := 0; i < 3; i++ {
		t := table{name: fmt.Sprintf("t%d", i), key: i != 1}
		t.cols = append(t.cols, column{"id", typeNamed("integer")})
		perm := g.r.Perm(len(typs))
		for k, x := range perm[:9] {
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
	out = append(out, "SET DateStyle = "+g.pick("ISO", "ISO", "ISO", "'SQL, DMY'", "'Postgres, MDY'", "German"),
		"SET IntervalStyle = "+g.pick("postgres", "postgres", "postgres_verbose", "iso_8601", "sql_standard"),
		"SET TimeZone = "+g.pick("'UTC'", "'UTC'", "'America/New_York'", "'Asia/Kolkata'"))
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
				rows = append(rows, g.row(t, n))
				n--
			}
			out = append(out, "INSERT INTO "+t.name+" VALUES "+strings.Join(rows, ", "))
		}
	}
	return out
}

func (g *Gen) row(t table, id int) string {
	vals := []string{fmt.Sprint(id)}
	for _, c := range t.cols[1:] {
		vals = append(vals, g.literal(c.t))
	}
	return "(" + strings.Join(vals, ", ") + ")"
}

func (g *Gen) literal(t *typ) string {
	if g.p(15) {
		return "NULL"
	}
	return t.vals[g.r.IntN(len(t.vals))]
}

// scope is what an expression may name. keys are columns that together are unique
// in its rows, nil when there are none.
type scope struct {
	cols  []column // names qualified
	keys  []string
	outer *scope // what a correlated subquery sees besides
}

// col is a column of a type, or "" when the scope has none.
func (g *Gen) col(s *scope, t *typ) string {
	if s == nil {
		return ""
	}
	if s.outer != nil && g.p(25) {
		if c := g.col(s.outer, t); c != "" {
			return c
		}
	}
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

// anyCol is any column of the scope itself.
func (g *Gen) anyCol(s *scope) column { return s.cols[g.r.IntN(len(s.cols))] }

// ordCol is a column that can be compared, sorted and grouped by.
func (g *Gen) ordCol(s *scope) column {
	for range 20 {
		if c := g.anyCol(s); c.t.eq {
			return c
		}
	}
	return s.cols[0]
}

func (g *Gen) typed(t *typ) string { return "CAST(" + g.literal(t) + " AS " + t.name + ")" }

func (g *Gen) anyType() *typ { return &typs[g.r.IntN(len(typs))] }

func (g *Gen) ordType() *typ {
	for {
		if t := g.anyType(); t.eq {
			return t
		}
	}
}

// scopeType is the type of a column more often than not.
func (g *Gen) scopeType(s *scope, ord bool) *typ {
	if s != nil && len(s.cols) > 0 && g.p(80) {
		if ord {
			return g.ordCol(s).t
		}
		return g.anyCol(s).t
	}
	if ord {
		return g.ordType()
	}
	return g.anyType()
}

// expr is a random expression of type t.
func (g *Gen) expr(s *scope, t *typ, depth int) string {
	if depth <= 0 || g.p(25) {
		if c := g.col(s, t); c != "" && g.p(85) {
			return c
		}
		return g.typed(t)
	}
	sub := func(t *typ) string { return g.expr(s, t, depth-1) }
	switch {
	case g.p(8):
		return "CASE WHEN " + g.cond(s, depth-1) + " THEN " + sub(t) + " ELSE " + sub(t) + " END"
	case g.p(6):
		return "COALESCE(" + sub(t) + ", " + sub(t) + ")"
	case g.p(4) && t.eq:
		return "NULLIF(" + sub(t) + ", " + sub(t) + ")"
	case g.p(4) && t.eq:
		return g.pick("GREATEST", "LEAST") + "(" + sub(t) + ", " + sub(t) + ")"
	case g.p(3) && s != nil && len(s.cols) > 0 && depth > 1:
		return g.scalarSubquery(s, t)
	}
	if ts := templates[t.name]; len(ts) > 0 {
		return "(" + g.fill(s, ts[g.r.IntN(len(ts))].text, depth-1) + ")"
	}
	if c := g.col(s, t); c != "" {
		return c
	}
	return g.typed(t)
}

// fill puts expressions into a template's holes.
func (g *Gen) fill(s *scope, text string, depth int) string {
	var b strings.Builder
	var last *typ
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		k := holeEnd(text, i)
		b.WriteString(text[:i])
		hole := text[i+1 : k]
		text = text[k+1:]
		switch {
		case hole[0] == '=':
			alts := strings.Split(hole[1:], "|")
			b.WriteString(strings.ReplaceAll(alts[g.r.IntN(len(alts))], "&#124;", "|"))
		case hole == "si":
			b.WriteString(g.pick("0", "1", "2", "3", "-1", "5", "20"))
		case hole == "any":
			last = g.scopeType(s, false)
			b.WriteString(g.expr(s, last, depth))
		case hole == "cmp":
			last = g.scopeType(s, true)
			b.WriteString(g.expr(s, last, depth))
		case hole == "same":
			b.WriteString(g.expr(s, last, depth))
		case hole == "fmt":
			b.WriteString(g.pick("'YYYY-MM-DD HH24:MI:SS.US'", "'Day, DD Month YYYY'", "'FMDay FMDDth FMMonth'", "'HH12:MI AM'", "'IYYY-IW-ID'", "'J Q WW DDD'",
				"'YY CC BC'", "'Dy Mon MS'", "'TZ OF'", "'\"quoted\" SSSS'", "'RM rm'", "'day DAY dy DY'", "'Y,YYY FF3 FF6'", "''"))
		case hole == "nfmt":
			b.WriteString(g.pick("'999'", "'FM9990.00'", "'999,999.99'", "'S9999'", "'9999MI'", "'9999PR'", "'000'", "'RN'", "'9.99EEEE'", "'L999'", "'FM999th'", "'99V99'", "'SG999'", "'B999'", "'9G999D99'"))
		case hole == "field":
			b.WriteString(g.pick("year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "dow", "doy", "isodow", "isoyear", "week", "quarter", "epoch", "century", "decade", "millennium", "julian"))
		case hole == "dfield":
			b.WriteString(g.pick("year", "month", "day", "dow", "doy", "isoyear", "week", "quarter", "epoch", "century", "julian", "hour"))
		case hole == "tfield":
			b.WriteString(g.pick("hour", "minute", "second", "epoch", "milliseconds", "day"))
		case hole == "tzfield":
			b.WriteString(g.pick("hour", "minute", "second", "epoch", "timezone", "timezone_hour", "timezone_minute"))
		case hole == "ifield":
			b.WriteString(g.pick("year", "month", "day", "hour", "minute", "second", "epoch", "quarter", "century", "decade", "week"))
		default:
			e := g.expr(s, typeNamed(hole), depth)
			b.WriteString(e)
		}
	}
}

// holeEnd is the index of the brace that ends the hole at i: alternatives may hold
// braces of their own, inside quotes.
func holeEnd(text string, i int) int {
	quoted := false
	for k := i + 1; k < len(text); k++ {
		switch text[k] {
		case '\'':
			quoted = !quoted
		case '}':
			if !quoted {
				return k
			}
		}
	}
	panic("diff: hole without end in " + text)
}

// cond is a random condition.
func (g *Gen) cond(s *scope, depth int) string {
	if depth > 0 && g.p(30) {
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
	if depth > 0 && g.p(25) {
		return "(" + g.fill(s, templates["boolean"][g.r.IntN(len(templates["boolean"]))].text, depth-1) + ")"
	}
	t := g.scopeType(s, true)
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
	}
	return e() + " " + g.pick("=", "<>", "<", "<=", ">", ">=") + " " + e()
}
