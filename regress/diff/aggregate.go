package diff

import (
	"fmt"
	"strings"
)

func (g *Gen) aggregate(s *scope) string {
	a, _ := g.aggregateTyped(s)
	return a
}

// aggregateTyped is an aggregate call and the type of its answer, nil when the
// generator has no such type or its order matters.
func (g *Gen) aggregateTyped(s *scope) (string, *typ) {
	c := g.anyCol(s)
	x := g.expr(s, c.t, 1)
	d := ""
	if g.p(20) && c.t.eq {
		d = "DISTINCT "
	}
	f := ""
	if g.p(15) {
		f = " FILTER (WHERE " + g.cond(s, 1) + ")"
	}
	big := typeNamed("bigint")
	order := func() string {
		// Sorted by everything that tells rows apart.
		o := x
		if !c.t.eq {
			o = x + "::text"
		}
		return " ORDER BY " + o + g.pick("", " DESC", " NULLS FIRST")
	}
	isInt := c.t.name == "smallint" || c.t.name == "integer" || c.t.name == "bigint"
	isFloat := c.t.name == "real" || c.t.name == "double precision"
	switch {
	case g.p(15):
		return "count(*)" + f, big
	case g.p(15):
		return "count(" + d + x + ")" + f, big
	case c.t.num && g.p(35):
		return g.pick("sum(", "avg(") + d + x + ")" + f, nil
	case (c.t.num || isFloat) && g.p(25):
		return g.pick("stddev(", "variance(", "stddev_pop(", "var_pop(", "stddev_samp(", "var_samp(") + d + x + ")" + f, nil
	case isFloat && g.p(30):
		y := g.expr(s, typeNamed("double precision"), 1)
		return g.pick("corr(", "covar_pop(", "covar_samp(", "regr_slope(", "regr_count(", "regr_avgx(", "regr_r2(", "regr_intercept(", "regr_sxx(") + x + ", " + y + ")" + f, nil
	case isFloat && g.p(50):
		return g.pick("sum(", "avg(") + x + ")" + f, nil
	case isInt && g.p(30):
		return g.pick("bit_and(", "bit_or(", "bit_xor(") + d + x + ")" + f, c.t
	case c.t.name == "boolean" && g.p(60):
		return g.pick("bool_and(", "bool_or(", "every(") + x + ")" + f, c.t
	case c.t.name == "interval" && g.p(50):
		return g.pick("sum(", "avg(") + x + ")" + f, nil
	case (isInt || isFloat || c.t.name == "interval") && g.p(30):
		return g.pick("percentile_cont(0.5)", "percentile_cont(0)", "percentile_cont(ARRAY[0.25, 0.75])", "percentile_cont(1)") + " WITHIN GROUP (ORDER BY " + x + ")" + f, nil
	case c.t.eq && g.p(15):
		return g.pick("percentile_disc(0.5)", "percentile_disc(ARRAY[0, 0.5, 1])", "mode()") + " WITHIN GROUP (ORDER BY " + x + g.pick("", " DESC") + ")" + f, nil
	case c.t.eq && g.p(12):
		return g.pick("rank(", "dense_rank(", "percent_rank(", "cume_dist(") + g.typed(c.t) + ") WITHIN GROUP (ORDER BY " + x + g.pick("", " DESC", " NULLS FIRST") + ")" + f, nil
	case c.t.name == "text" && g.p(50):
		if d != "" {
			return "string_agg(DISTINCT " + x + ", ',')" + f, nil
		}
		return "string_agg(" + x + ", " + g.pick("','", "''", "NULL") + order() + ")" + f, nil
	case c.t.name == "bytea" && g.p(50):
		return `string_agg(` + x + `, '\x00'` + order() + ")" + f, nil
	case !strings.Contains(c.t.name, "[]") && g.p(25):
		if d != "" {
			return "array_agg(DISTINCT " + x + ")" + f, nil
		}
		return "array_agg(" + x + order() + ")" + f, nil
	case g.p(15):
		return g.pick("jsonb_agg(", "json_agg(") + x + order() + ")" + f, nil
	case g.p(8):
		return "jsonb_object_agg(" + s.cols[0].name + "::text || 'k', " + s.cols[0].name + ")" + " FILTER (WHERE " + s.cols[0].name + " IS NOT NULL)", nil
	case c.t.min:
		return g.pick("min(", "max(") + x + ")" + f, c.t
	}
	return "count(" + x + ")" + f, big
}

func (g *Gen) grouped(from, w string, s *scope) string {
	var keys []string
	for i := g.r.IntN(4); i > 0; i-- {
		c := g.ordCol(s)
		if g.p(20) {
			keys = append(keys, g.expr(s, c.t, 1))
		} else {
			keys = append(keys, c.name)
		}
	}
	// A constant as a key would be taken for a position, and the same expression
	// twice is one.
	var out []string
	for i, k := range keys {
		if strings.HasPrefix(k, "CAST(") {
			keys[i] = s.cols[0].name
		}
		out = append(out, keys[i])
	}
	for i := 1 + g.r.IntN(3); i > 0; i-- {
		out = append(out, g.aggregate(s))
	}
	group := ""
	if len(keys) > 0 {
		list := strings.Join(keys, ", ")
		switch {
		case g.p(8):
			group = "ROLLUP (" + list + ")"
		case g.p(8):
			group = "CUBE (" + list + ")"
		case g.p(8):
			group = "GROUPING SETS ((" + list + "), (), (" + keys[0] + "))"
		case g.p(5) && len(keys) > 1:
			group = keys[0] + ", ROLLUP (" + strings.Join(keys[1:], ", ") + ")"
		case g.p(3):
			group = "DISTINCT ROLLUP (" + list + "), CUBE (" + keys[0] + ")"
		default:
			group = list
		}
		if group != list {
			for i, k := range keys {
				if g.p(40) && !strings.Contains(k, " ") {
					out = append(out, "grouping("+k+")")
				}
				_ = i
			}
		}
	}
	q := "SELECT " + strings.Join(out, ", ") + " FROM " + from + w
	if group != "" {
		q += " GROUP BY " + group
		if g.p(25) {
			q += " HAVING " + g.pick("count(*) > 1", "count(*) <= 2", "count(*) < 4 OR min(1) = 2", "bool_and("+g.cond(s, 1)+")")
		}
	} else if g.p(15) {
		q += " HAVING " + g.pick("count(*) > 0", "false", "count(*) = 0")
	}
	return q
}

func (g *Gen) windowed(from, w string, s *scope) string {
	part := ""
	if g.p(60) {
		part = "PARTITION BY " + g.ordCol(s).name + " "
	}
	total := ""
	if len(s.keys) > 0 {
		total = "ORDER BY " + strings.Join(s.keys, g.pick(", ", " DESC, "))
	}
	var calls []string
	for i := 1 + g.r.IntN(2); i > 0; i-- {
		c := g.anyCol(s)
		switch {
		case total != "" && g.p(40):
			fn := g.pick("row_number()", "lag("+c.name+")", "lead("+c.name+", 2)", "lag("+c.name+", 1, "+g.typed(c.t)+")", "first_value("+c.name+")", "last_value("+c.name+")",
				"nth_value("+c.name+", 2)", "ntile(3)", "count(*)", "count("+c.name+")", "array_agg("+s.cols[0].name+")", "percent_rank()", "cume_dist()")
			if c.t.num && g.p(30) {
				fn = g.pick("sum(", "avg(") + c.name + ")"
			} else if c.t.min && g.p(30) {
				fn = g.pick("min(", "max(") + c.name + ")"
			}
			if strings.HasSuffix(fn, ")") && !strings.ContainsAny(fn[:4], "_") && g.p(10) && (strings.HasPrefix(fn, "count") || strings.HasPrefix(fn, "sum") || strings.HasPrefix(fn, "min")) {
				fn += " FILTER (WHERE " + g.cond(s, 1) + ")"
			}
			frame := ""
			if g.p(60) {
				bound := func(end bool) string {
					if end {
						return g.pick("CURRENT ROW", "UNBOUNDED FOLLOWING", "1 FOLLOWING", "2 FOLLOWING", "1 PRECEDING", "0 FOLLOWING")
					}
					return g.pick("UNBOUNDED PRECEDING", "CURRENT ROW", "1 PRECEDING", "3 PRECEDING", "1 FOLLOWING", "0 PRECEDING")
				}
				lo, hi := bound(false), bound(true)
				frame = " " + g.pick("ROWS", "ROWS", "GROUPS") + " BETWEEN " + lo + " AND " + hi + g.pick("", "", " EXCLUDE CURRENT ROW", " EXCLUDE TIES", " EXCLUDE GROUP", " EXCLUDE NO OTHERS")
			}
			calls = append(calls, fn+" OVER ("+part+total+frame+")")
		case g.p(25):
			// Offsets in the order's own type.
			var oc column
			for range 12 {
				oc = g.ordCol(s)
				if _, ok := offsets[oc.t.name]; ok {
					break
				}
			}
			off, ok := offsets[oc.t.name]
			if !ok {
				oc, off = s.cols[0], []string{"1", "2"}
				if s.cols[0].t.name != "integer" {
					off = nil
				}
			}
			if off != nil {
				o := func() string { return off[g.r.IntN(len(off))] }
				fn := g.pick("count(*)", "count("+c.name+")")
				if c.t.min && g.p(50) {
					fn = g.pick("min(", "max(") + c.name + ")"
				}
				calls = append(calls, fn+" OVER ("+part+"ORDER BY "+oc.name+g.pick("", " DESC", " NULLS FIRST")+" RANGE BETWEEN "+
					g.pick(o()+" PRECEDING", "UNBOUNDED PRECEDING", "CURRENT ROW")+" AND "+g.pick(o()+" FOLLOWING", "CURRENT ROW", "UNBOUNDED FOLLOWING")+
					g.pick("", "", " EXCLUDE CURRENT ROW", " EXCLUDE TIES", " EXCLUDE GROUP")+")")
				continue
			}
			fallthrough
		default:
			fn := g.pick("rank()", "dense_rank()", "count(*)", "count("+c.name+")", "cume_dist()", "percent_rank()")
			if c.t.min && g.p(40) {
				fn = g.pick("min(", "max(") + c.name + ")"
			}
			if c.t.num && g.p(40) {
				fn = "sum(" + c.name + ")"
			}
			over := part
			if g.p(70) {
				over += "ORDER BY " + g.ordCol(s).name + g.pick("", " DESC", " NULLS FIRST")
				if !strings.Contains(fn, "ran") && g.p(30) {
					over += g.pick(" RANGE UNBOUNDED PRECEDING", " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING EXCLUDE TIES")
				}
			}
			calls = append(calls, fn+" OVER ("+strings.TrimSpace(over)+")")
		}
	}
	q := "SELECT " + s.cols[0].name + ", " + strings.Join(calls, ", ") + " FROM " + from + w
	if g.p(10) {
		gk := g.ordCol(s)
		q = "SELECT " + gk.name + ", sum(count(*)) OVER (ORDER BY " + gk.name + "), rank() OVER (ORDER BY count(*) DESC) FROM " + from + w + " GROUP BY " + gk.name
	}
	return q
}

// offsets of RANGE frames by the type of the order.
var offsets = map[string][]string{
	"smallint": {"1::smallint", "100::smallint"}, "integer": {"1", "5", "0", "2147483647"}, "bigint": {"1::bigint", "9223372036854775807"},
	"real": {"1.5::float8", "'Infinity'::float8"}, "double precision": {"1.5::float8", "0::float8", "'Infinity'::float8"}, "numeric": {"1.5", "0", "'Infinity'::numeric"},
	"date": {"INTERVAL '1 day'", "INTERVAL '1 month'"}, "timestamp": {"INTERVAL '1 day'", "INTERVAL '40 years'"}, "timestamptz": {"INTERVAL '1 day'"},
	"time": {"INTERVAL '2 hours'"}, "interval": {"INTERVAL '1 day'"}, "timetz": {"INTERVAL '1 hour'"},
}

// write is a statement that changes a table.
func (g *Gen) write() Query {
	t := g.tables[g.r.IntN(len(g.tables))]
	s := g.tableScope(t, t.name)
	bare := &scope{cols: t.cols}
	returning := func() string {
		if g.p(50) {
			return ""
		}
		if g.p(40) {
			return " RETURNING *"
		}
		c := g.anyCol(s)
		return " RETURNING " + s.cols[0].name + ", " + g.expr(s, c.t, 1)
	}
	set := func(s *scope) string {
		var out []string
		for _, i := range g.r.Perm(len(t.cols) - 1)[:1+g.r.IntN(3)] {
			c := t.cols[i+1]
			out = append(out, c.name+" = "+g.pick(g.expr(s, c.t, 1), g.expr(s, c.t, 1), "DEFAULT"))
		}
		return strings.Join(out, ", ")
	}
	q := ""
	switch g.r.IntN(9) {
	case 0:
		var rows []string
		for i := 1 + g.r.IntN(3); i > 0; i-- {
			g.fresh++
			rows = append(rows, g.row(t, g.fresh))
		}
		q = "INSERT INTO " + t.name + " VALUES " + strings.Join(rows, ", ") + returning()
	case 1:
		o := g.tables[g.r.IntN(len(g.tables))]
		os := &scope{cols: o.cols}
		var cols, vals []string
		for _, c := range t.cols[1:] {
			if g.p(60) {
				cols = append(cols, c.name)
				vals = append(vals, g.expr(os, c.t, 1))
			}
		}
		g.fresh += 1000
		cols, vals = append(cols, "id"), append(vals, fmt.Sprintf("id + %d", g.fresh))
		q = "INSERT INTO " + t.name + " (" + strings.Join(cols, ", ") + ") SELECT " + strings.Join(vals, ", ") + " FROM " + o.name + " WHERE id < 20" + returning()
		g.fresh += 1000
	case 2, 3:
		if !t.key {
			q = "DELETE FROM " + t.name + " WHERE " + g.cond(bare, 2) + returning()
			break
		}
		row := g.row(t, 1+g.r.IntN(40))
		g.fresh++
		rows := row
		if g.p(40) {
			rows += ", " + g.row(t, g.fresh)
		}
		ex := &scope{}
		for _, c := range t.cols {
			ex.cols = append(ex.cols, column{"excluded." + c.name, c.t}, column{t.name + "." + c.name, c.t})
		}
		q = "INSERT INTO " + t.name + " VALUES " + rows + " ON CONFLICT "
		switch g.r.IntN(4) {
		case 0:
			q += "DO NOTHING"
		case 1:
			q += "(id) DO NOTHING"
		case 2:
			q += "(id) DO UPDATE SET " + set(ex)
		default:
			q += "(id) DO UPDATE SET " + set(ex) + " WHERE " + g.cond(ex, 1)
		}
		q += returning()
	case 4:
		q = "UPDATE " + t.name + " SET " + set(s) + " WHERE " + g.cond(s, 2) + returning()
	case 5:
		a := g.newAlias()
		o := g.tables[g.r.IntN(len(g.tables))]
		both := &scope{cols: append(append([]column(nil), s.cols...), g.tableScope(o, a).cols...)}
		q = "UPDATE " + t.name + " SET " + set(both) + " FROM " + o.name + " " + a + " WHERE " + t.name + ".id = " + a + ".id AND " + g.cond(both, 1) + returning()
	case 6:
		q = "UPDATE " + t.name + " SET " + set(s) + " WHERE " + g.subqueryCond(s) + returning()
	case 7:
		a := g.newAlias()
		o := g.tables[g.r.IntN(len(g.tables))]
		both := &scope{cols: append(append([]column(nil), s.cols...), g.tableScope(o, a).cols...)}
		q = "DELETE FROM " + t.name + " USING " + o.name + " " + a + " WHERE " + t.name + ".id = " + a + ".id AND " + g.cond(both, 1) + returning()
	default:
		q = "DELETE FROM " + t.name + " WHERE " + g.subqueryCond(s) + returning()
	}
	return Query{SQL: q, Table: t.name}
}
