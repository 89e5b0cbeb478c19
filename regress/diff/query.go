package diff

import (
	"fmt"
	"strings"
)

// Query is one thing to ask both sides. Where rows may come in any order they are
// compared as multisets.
type Query struct {
	SQL    string
	Strict bool   // one expression over one row: error codes agree exactly
	Merged bool   // DISTINCT, groups or set operations: one of several equal values is kept
	Table  string // the table that the statement writes, "" for a query
}

// Query is the next random query.
func (g *Gen) Query() Query {
	switch n := g.r.IntN(100); {
	case n < 28:
		return Query{SQL: g.scalar(), Strict: true}
	case n < 36:
		return g.write()
	}
	q := g.selectQuery(0)
	up := strings.ToUpper(q)
	merged := false
	for _, w := range []string{"DISTINCT", "GROUP BY", "UNION", "INTERSECT", "EXCEPT", "MIN(", "MAX(", "MODE(", "PERCENTILE", "GREATEST", "LEAST"} {
		merged = merged || strings.Contains(up, w)
	}
	return Query{SQL: q, Merged: merged}
}

// scalar is one call over constants.
func (g *Gen) scalar() string {
	if g.p(8) {
		// An operator between any two types: most of them do not exist.
		return "SELECT " + g.typed(g.anyType()) + " " + g.pick("=", "<", "+", "-", "*", "/", "||", "%", "~", "&", "->", "@>") + " " + g.typed(g.anyType())
	}
	if g.p(8) {
		return "SELECT " + g.typed(g.anyType()) + "::" + g.anyType().name
	}
	t := allTemplates[g.r.IntN(len(allTemplates))]
	return "SELECT " + g.fill(nil, t.text, 0)
}

func (g *Gen) selectQuery(depth int) string {
	if depth == 0 && g.p(12) {
		return g.withQuery()
	}
	if g.p(8) {
		return g.setOp()
	}
	from, s := g.from(nil, 1)
	w := g.where(s)
	switch g.r.IntN(12) {
	case 0, 1, 2:
		return g.grouped(from, w, s)
	case 3, 4:
		return g.windowed(from, w, s)
	case 5:
		if len(s.keys) > 0 {
			return g.distinctOn(from, w, s)
		}
	}
	q, _ := g.plain(from, w, s)
	return q
}

func (g *Gen) where(s *scope) string {
	var where []string
	if g.p(55) {
		where = append(where, g.cond(s, 2))
	}
	if g.p(30) {
		where = append(where, g.subqueryCond(s))
	}
	if len(where) == 0 {
		return ""
	}
	sep := " AND "
	if g.p(15) {
		sep = " OR "
	}
	return " WHERE " + strings.Join(where, sep)
}

func (g *Gen) plain(from, w string, s *scope) (string, []*typ) {
	var out []string
	var ts []*typ
	for i := 1 + g.r.IntN(4); i > 0; i-- {
		t := g.anyCol(s).t
		ts = append(ts, t)
		out = append(out, g.expr(s, t, 2))
	}
	if g.p(8) {
		out = append(out, "("+g.subqueryCond(s)+")")
		ts = append(ts, typeNamed("boolean"))
	}
	if g.p(4) {
		out = append(out, g.pick("generate_series(1, 3)", "unnest(ARRAY[1,2])", "generate_series(2, 1)", "jsonb_array_elements('[1,null]'::jsonb)"))
		ts = append(ts, nil)
	}
	all := true
	for _, t := range ts {
		all = all && t != nil && t.eq
	}
	q := "SELECT "
	if all && g.p(15) {
		q += "DISTINCT "
	}
	q += strings.Join(out, ", ") + " FROM " + from + w
	if all && g.p(25) {
		var ord []string
		for i := range out {
			ord = append(ord, fmt.Sprint(i+1)+g.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
		}
		q += " ORDER BY " + strings.Join(ord, ", ")
		if g.p(50) {
			q += g.limit()
		}
	} else if !strings.Contains(q, "DISTINCT") && len(s.keys) > 0 && g.p(20) && ts[len(ts)-1] != nil {
		q += " ORDER BY " + g.orderKeys(s)
		q += g.limit()
	}
	return q, ts
}

func (g *Gen) limit() string {
	q := fmt.Sprintf(" LIMIT %d", g.r.IntN(8))
	if g.p(30) {
		q += fmt.Sprintf(" OFFSET %d", g.r.IntN(4))
	}
	if g.p(8) {
		return fmt.Sprintf(" OFFSET %d", g.r.IntN(4))
	}
	return q
}

// orderKeys is a total order of the scope's rows.
func (g *Gen) orderKeys(s *scope) string {
	var ord []string
	if g.p(50) {
		ord = append(ord, g.ordCol(s).name+g.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
	}
	for _, k := range s.keys {
		ord = append(ord, k+g.pick("", " DESC", " NULLS FIRST"))
	}
	return strings.Join(ord, ", ")
}

func (g *Gen) distinctOn(from, w string, s *scope) string {
	var on, out []string
	for i := 1 + g.r.IntN(2); i > 0; i-- {
		on = append(on, g.ordCol(s).name)
	}
	for i := 1 + g.r.IntN(3); i > 0; i-- {
		out = append(out, g.expr(s, g.anyCol(s).t, 1))
	}
	q := "SELECT DISTINCT ON (" + strings.Join(on, ", ") + ") " + strings.Join(out, ", ") + " FROM " + from + w + " ORDER BY " + strings.Join(on, ", ")
	for _, k := range s.keys {
		q += ", " + k + g.pick("", " DESC")
	}
	return q
}

func (g *Gen) setOp() string {
	var ts [][]*typ
	n := 1 + g.r.IntN(3)
	families := [][]string{{"integer", "bigint", "numeric", "smallint"}, {"text", "varchar(8)"}, {"date", "timestamp"}, {"double precision", "real", "integer"}}
	for range n {
		if g.p(40) {
			var f []*typ
			for _, x := range families[g.r.IntN(len(families))] {
				f = append(f, typeNamed(x))
			}
			ts = append(ts, f)
		} else {
			ts = append(ts, []*typ{g.ordType()})
		}
	}
	one := func() string {
		t := g.tables[g.r.IntN(len(g.tables))]
		s := &scope{cols: t.cols}
		var out []string
		for _, f := range ts {
			out = append(out, g.expr(s, f[g.r.IntN(len(f))], 1))
		}
		w := ""
		if g.p(50) {
			w = " WHERE " + g.cond(s, 1)
		}
		return "SELECT " + strings.Join(out, ", ") + " FROM " + t.name + w
	}
	op := func() string {
		return g.pick(" UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", " EXCEPT ALL ", " INTERSECT ALL ")
	}
	q := one() + op() + one()
	if g.p(30) {
		if g.p(50) {
			q = "(" + q + ")" + op() + one()
		} else {
			q = one() + op() + "(" + q + ")"
		}
	}
	if g.p(25) {
		q += " ORDER BY 1"
		for i := 2; i <= n; i++ {
			q += fmt.Sprintf(", %d", i)
		}
		q += g.limit()
	}
	return q
}

func (g *Gen) withQuery() string {
	t := g.tables[g.r.IntN(len(g.tables))]
	in := &scope{cols: t.cols}
	switch g.r.IntN(4) {
	case 0: // a recursive one
		c := g.ordCol(in)
		q := "WITH RECURSIVE r(n, x, d) AS (SELECT id, " + c.name + ", 0 FROM " + t.name + " WHERE id < " + fmt.Sprint(1+g.r.IntN(10)) +
			g.pick(" UNION ALL ", " UNION ") + "SELECT r.n" + g.pick("", " + 1", " * 2") + ", " + g.pick("r.x", "u."+c.name) + ", d + 1 FROM r"
		if strings.Contains(q, "u.") {
			q += g.pick(" JOIN ", " LEFT JOIN ") + t.name + " u ON u.id = r.n + 1"
		}
		q += " WHERE d < " + fmt.Sprint(g.r.IntN(5))
		if g.p(25) {
			q += " AND EXISTS (SELECT 1 FROM " + t.name + " v WHERE v.id = r.n)"
		}
		return q + ") " + g.pick("SELECT * FROM r", "SELECT d, count(*), min(n) FROM r GROUP BY d", "SELECT a.n, b.d FROM r a JOIN r b ON a.n = b.n")
	case 1: // used twice, materialized or not
		w := ""
		if g.p(60) {
			w = " WHERE " + g.cond(in, 1)
		}
		q := "WITH c AS " + g.pick("", "MATERIALIZED ", "NOT MATERIALIZED ") + "(SELECT * FROM " + t.name + w + ") "
		return q + g.pick("SELECT * FROM c a JOIN c b ON a.id = b.id", "SELECT count(*) FROM c WHERE id IN (SELECT id FROM c)",
			"SELECT id FROM c UNION ALL SELECT id FROM c", "SELECT (SELECT count(*) FROM c), a.* FROM c a")
	case 2: // aggregates below a join
		c := g.ordCol(in)
		agg := g.aggregate(in)
		return "WITH c AS (SELECT " + c.name + " AS k, " + agg + " AS v FROM " + t.name + " GROUP BY " + c.name + ") SELECT c.v, t." + c.name + " FROM c " +
			g.pick("JOIN", "RIGHT JOIN") + " " + t.name + " t ON t." + c.name + " = c.k"
	}
	return "WITH a AS (" + g.selectQuery(1) + "), b AS (SELECT 1 AS one) SELECT count(*) FROM a, b"
}

func (g *Gen) scalarSubquery(s *scope, t *typ) string {
	tb := g.tables[g.r.IntN(len(g.tables))]
	a := g.newAlias()
	in := g.tableScope(tb, a)
	in.outer = s
	var cs []string
	for _, c := range in.cols {
		if c.t == t {
			cs = append(cs, c.name)
		}
	}
	if len(cs) == 0 {
		return g.typed(t)
	}
	c := cs[g.r.IntN(len(cs))]
	if t.min && g.p(50) {
		return "(SELECT " + g.pick("min", "max") + "(" + c + ") FROM " + tb.name + " " + a + " WHERE " + g.correlation(in, s) + ")"
	}
	return "(SELECT " + c + " FROM " + tb.name + " " + a + " WHERE " + g.correlation(in, s) + " ORDER BY " + a + ".id" + g.pick("", " DESC") + " LIMIT 1)"
}

// correlation ties a subquery to the scope around it.
func (g *Gen) correlation(in, out *scope) string {
	for range 6 {
		c := g.ordCol(in)
		var have []string
		for _, o := range out.cols {
			if o.t == c.t {
				have = append(have, o.name)
			}
		}
		if len(have) > 0 {
			q := c.name + " " + g.pick("=", "=", "=", "<", "<>", ">=") + " " + have[g.r.IntN(len(have))]
			if g.p(30) {
				q += " AND " + g.cond(in, 1)
			}
			return q
		}
	}
	return g.cond(in, 1)
}

func (g *Gen) newAlias() string {
	g.alias++
	return fmt.Sprintf("s%d", g.alias)
}

// subqueryCond is a condition with a subquery in it.
func (g *Gen) subqueryCond(s *scope) string {
	from, in := g.from(s, 0)
	where := ""
	if g.p(60) {
		where = " WHERE " + g.correlation(in, s)
	} else if g.p(50) {
		where = " WHERE " + g.cond(&scope{cols: in.cols}, 1)
	}
	c := g.ordCol(in)
	lhs := func(t *typ) string { return g.expr(s, t, 1) }
	switch g.r.IntN(9) {
	case 0, 1:
		return g.pick("", "NOT ") + "EXISTS (SELECT 1 FROM " + from + where + ")"
	case 2:
		return lhs(c.t) + g.pick(" IN ", " NOT IN ") + "(SELECT " + c.name + " FROM " + from + where + ")"
	case 3:
		return lhs(c.t) + " " + g.pick("=", "<", ">", "<>") + " " + g.pick("ANY", "ALL") + " (SELECT " + c.name + " FROM " + from + where + ")"
	case 4:
		return "(SELECT count(*) FROM " + from + where + ") " + g.pick(">", "=", "<") + " " + fmt.Sprint(g.r.IntN(4))
	case 5:
		d := g.ordCol(in)
		return "(" + lhs(c.t) + ", " + lhs(d.t) + ")" + g.pick(" IN ", " NOT IN ") + "(SELECT " + c.name + ", " + d.name + " FROM " + from + where + ")"
	case 6:
		return lhs(c.t) + " " + g.pick("=", "<") + " (SELECT " + c.name + " FROM " + from + where + " ORDER BY 1 " + g.pick("", "DESC ") + "LIMIT 1)"
	case 7:
		return lhs(c.t) + g.pick(" IN ", " NOT IN ") + "(SELECT " + c.name + " FROM " + from + where + " GROUP BY 1 HAVING count(*) > " + fmt.Sprint(g.r.IntN(2)) + ")"
	}
	if !c.t.min {
		c = in.cols[0]
	}
	return g.expr(s, c.t, 1) + " " + g.pick("=", "<", ">=") + " (SELECT " + g.pick("min", "max") + "(" + c.name + ") FROM " + from + where + ")"
}
