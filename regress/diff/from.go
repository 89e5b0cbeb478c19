package diff

import (
	"fmt"
	"strings"
)

func (g *Gen) tableScope(t table, alias string) *scope {
	s := &scope{keys: []string{alias + ".id"}}
	for _, c := range t.cols {
		s.cols = append(s.cols, column{alias + "." + c.name, c.t})
	}
	return s
}

// from is a FROM clause and its scope; outer is what its conditions may name besides.
func (g *Gen) from(outer *scope, depth int) (string, *scope) {
	text, s := g.item(nil, depth)
	n := []int{0, 0, 1, 1, 1, 2, 3}[g.r.IntN(7)]
	if outer != nil && n > 1 {
		n = 1
	}
	for i := 1; i <= n; i++ {
		if depth > 0 && g.p(15) {
			text, s = g.lateral(text, s)
			continue
		}
		rt, rs := g.item(nil, depth)
		all := &scope{cols: append(append([]column(nil), s.cols...), rs.cols...)}
		if s.keys != nil && rs.keys != nil {
			all.keys = append(append([]string(nil), s.keys...), rs.keys...)
		}
		kind := g.pick("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "NATURAL")
		l, r := s.cols[0].name, rs.cols[0].name
		on := " ON " + l + " = " + r
		if s.cols[0].t != rs.cols[0].t {
			on = " ON " + g.cond(all, 1)
			if kind == "FULL JOIN" {
				kind = "LEFT JOIN"
			}
		}
		if g.p(40) {
			// Any pair of columns of one type.
			for range 8 {
				c := g.ordCol(rs)
				if x := g.col(s, c.t); x != "" {
					on = " ON " + x + " = " + c.name
					break
				}
			}
		}
		if g.p(30) && kind != "FULL JOIN" {
			on += " AND " + g.cond(all, 1)
		}
		if g.p(6) && kind != "FULL JOIN" && depth > 0 {
			on += " AND " + g.subqueryCond(all)
		}
		if kind == "NATURAL" {
			kind = "JOIN"
		}
		if kind == "CROSS JOIN" {
			on = ""
		}
		text += " " + kind + " " + rt + on
		s = all
	}
	s.outer = outer
	return text, s
}

// item is one table, subquery, VALUES list or function.
func (g *Gen) item(_ *scope, depth int) (string, *scope) {
	t := g.tables[g.r.IntN(len(g.tables))]
	a := g.newAlias()
	s := g.tableScope(t, a)
	if depth == 0 || g.p(75) {
		return t.name + " " + a, s
	}
	in := &scope{cols: t.cols, keys: []string{"id"}}
	switch g.r.IntN(5) {
	case 0, 1:
		where := ""
		if g.p(50) {
			where = " WHERE " + g.cond(in, 1)
		}
		lim := ""
		if g.p(25) {
			lim = " ORDER BY " + g.orderKeys(in) + g.limit()
		}
		return "(SELECT * FROM " + t.name + where + lim + ") " + a, s
	case 2:
		c := g.ordCol(in)
		agg, at := g.aggregateTyped(in)
		if at == nil {
			agg, at = "count(*)", typeNamed("bigint")
		}
		return "(SELECT " + c.name + " AS k, " + agg + " AS v FROM " + t.name + " GROUP BY " + c.name + ") " + a,
			&scope{cols: []column{{a + ".k", c.t}, {a + ".v", at}}, keys: nil}
	case 3:
		t1, t2 := g.anyType(), g.anyType()
		var rows []string
		for i := range 1 + g.r.IntN(4) {
			rows = append(rows, fmt.Sprintf("(%d, %s, %s)", i+1, g.typed(t1), g.typed(t2)))
		}
		return "(VALUES " + strings.Join(rows, ", ") + ") AS " + a + "(k, v, w)",
			&scope{cols: []column{{a + ".k", typeNamed("integer")}, {a + ".v", t1}, {a + ".w", t2}}, keys: []string{a + ".k"}}
	}
	switch g.r.IntN(4) {
	case 0:
		return fmt.Sprintf("generate_series(%d, %d) %s(k)", g.r.IntN(3), g.r.IntN(6), a), &scope{cols: []column{{a + ".k", typeNamed("integer")}}, keys: []string{a + ".k"}}
	case 1:
		return "generate_series(TIMESTAMP '2024-01-31', '2024-06-30', INTERVAL '" + g.pick("1 month", "20 days", "40 days 12 hours") + "') " + a + "(k)",
			&scope{cols: []column{{a + ".k", typeNamed("timestamp")}}, keys: []string{a + ".k"}}
	case 2:
		e := g.pick("integer[]", "text[]")
		return "unnest(" + g.typed(typeNamed(e)) + ") WITH ORDINALITY " + a + "(v, k)",
			&scope{cols: []column{{a + ".v", typeNamed(strings.TrimSuffix(e, "[]"))}, {a + ".k", typeNamed("bigint")}}, keys: []string{a + ".k"}}
	}
	return "generate_series(1.5::numeric, 4, 0.5) " + a + "(k)", &scope{cols: []column{{a + ".k", typeNamed("numeric")}}, keys: []string{a + ".k"}}
}

// lateral joins something that depends on what stands left of it.
func (g *Gen) lateral(text string, s *scope) (string, *scope) {
	a := g.newAlias()
	kind, on := " CROSS JOIN LATERAL ", ""
	if g.p(50) {
		kind, on = " LEFT JOIN LATERAL ", " ON true"
	}
	all := &scope{cols: s.cols, keys: nil}
	add := func(cs ...column) { all.cols = append(append([]column(nil), all.cols...), cs...) }
	switch g.r.IntN(5) {
	case 0:
		if c := g.col(s, typeNamed("integer[]")); c != "" {
			add(column{a + ".v", typeNamed("integer")})
			return text + kind + "unnest(" + c + ") " + a + "(v)" + on, all
		}
	case 1:
		if c := g.col(s, typeNamed("jsonb")); c != "" {
			add(column{a + ".k", typeNamed("text")}, column{a + ".v", typeNamed("jsonb")})
			return text + kind + "jsonb_each(CASE WHEN jsonb_typeof(" + c + ") = 'object' THEN " + c + " END) " + a + "(k, v)" + on, all
		}
		if c := g.col(s, typeNamed("text")); c != "" {
			add(column{a + ".v", typeNamed("text")})
			return text + kind + g.pick("regexp_split_to_table", "string_to_table") + "(" + c + ", ',') " + a + "(v)" + on, all
		}
	case 2:
		add(column{a + ".v", typeNamed("integer")})
		return text + kind + "generate_series(1, " + "CASE WHEN " + g.cond(s, 1) + " THEN 2 ELSE 0 END) " + a + "(v)" + on, all
	}
	t := g.tables[g.r.IntN(len(g.tables))]
	b := g.newAlias()
	in := g.tableScope(t, b)
	in.outer = s
	where := " WHERE " + g.correlation(in, s)
	if g.p(40) {
		agg, at := g.aggregateTyped(&scope{cols: in.cols})
		if at == nil {
			agg, at = "count(*)", typeNamed("bigint")
		}
		add(column{a + ".v", at})
		if s.keys != nil {
			all.keys = s.keys
		}
		return text + kind + "(SELECT " + agg + " AS v FROM " + t.name + " " + b + where + ") " + a + on, all
	}
	c, d := g.anyCol(in), g.anyCol(in)
	add(column{a + ".v", c.t}, column{a + ".w", d.t}, column{a + ".id", typeNamed("integer")})
	if s.keys != nil {
		all.keys = append(append([]string(nil), s.keys...), a+".id")
	}
	lim := ""
	if g.p(60) {
		lim = " ORDER BY " + g.orderKeys(in) + fmt.Sprintf(" LIMIT %d", 1+g.r.IntN(3))
	}
	return text + kind + "(SELECT " + c.name + " AS v, " + d.name + " AS w, " + b + ".id FROM " + t.name + " " + b + where + lim + ") " + a + on, all
}
