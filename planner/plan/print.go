package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
)

// FormatOptions says how Format writes a plan.
type FormatOptions struct {
	// Costs adds the estimates; Verbose the output columns.
	Costs, Verbose bool
	// IDs adds column ids to names.
	IDs bool
	// Annotate, when not nil, gives text to put behind a node's first line.
	Annotate func(Node) string
	// Measure gives what FormatJSON says besides of a node: names and JSON values.
	Measure func(Node) [][2]string
}

// Format writes a plan in the shape of PostgreSQL's EXPLAIN: a line a node, its
// details below, children indented. Subqueries that are still inside expressions
// are numbered and follow the details of their node.
func Format(n Node, opts FormatOptions) []string {
	p := &printer{o: opts}
	p.node(n, "", "")
	return p.lines
}

type printer struct {
	o     FormatOptions
	lines []string
	subs  []*Subquery // of the node being written, not yet printed
	count int
}

// node writes n; first leads its first line and rest all others.
func (p *printer) node(n Node, first, rest string) {
	line := first + p.title(n)
	if e := n.Estimate(); p.o.Costs && e != nil {
		line += fmt.Sprintf("  (cost=%.2f rows=%.0f)", e.Cost, e.Rows)
	}
	if p.o.Annotate != nil {
		if s := p.o.Annotate(n); s != "" {
			line += "  " + s
		}
	}
	p.lines = append(p.lines, line)
	saved := p.subs
	p.subs = nil
	detail := rest + "  "
	if p.o.Verbose {
		var cols []string
		for _, c := range n.Columns() {
			cols = append(cols, p.col(c))
		}
		p.lines = append(p.lines, detail+"Output: "+strings.Join(cols, ", "))
	}
	for _, d := range p.details(n) {
		p.lines = append(p.lines, detail+d)
	}
	subs := p.subs
	p.subs = saved
	for i, s := range subs {
		p.lines = append(p.lines, detail+"SubPlan "+strconv.Itoa(p.count-len(subs)+i+1))
		p.node(s.Plan, detail+"  ->  ", detail+"      ")
	}
	for _, c := range n.Children() {
		if _, ok := c.(*Values); ok && len(c.Columns()) == 0 && len(c.(*Values).Rows) == 1 {
			continue // the one empty row under SELECT without FROM
		}
		p.node(c, rest+"  ->  ", rest+"      ")
	}
}

var joinNames = [...]string{"Join", "Left Join", "Right Join", "Full Join", "Semi Join", "Anti Join", "Mark Join", "Single Join"}

func relName(t *catalog.Table, alias string) string {
	if alias != "" && alias != t.Name {
		return t.Name + " " + alias
	}
	return t.Name
}

func (p *printer) title(n Node) string {
	switch x := n.(type) {
	case *Scan:
		if x.Unique != nil {
			return "Key Lookup using " + x.Unique.Name + " on " + relName(x.Table, x.Alias)
		}
		if x.Key != nil || x.KeyIn != nil {
			return "Key Lookup on " + relName(x.Table, x.Alias)
		}
		if x.Table.IsBinlog {
			return "Binlog Scan on " + relName(x.Table, x.Alias)
		}
		return "Scan on " + relName(x.Table, x.Alias)
	case *Values:
		if len(x.Cols) == 0 && len(x.Rows) == 1 {
			return "Result"
		}
		return fmt.Sprintf("Values (%d rows)", len(x.Rows))
	case *Filter:
		return "Filter"
	case *Project:
		return "Project"
	case *ProjectSet:
		return "ProjectSet"
	case *Join:
		how := "Nested Loop "
		if len(x.Keys) > 0 {
			how = "Hash "
		} else if x.On != nil {
			how = ""
		}
		s := how + joinNames[x.Kind]
		if x.Lateral {
			s += " Lateral"
		}
		return s
	case *Aggregate:
		switch {
		case len(x.Sets) > 0:
			return "GroupingSets Aggregate"
		case len(x.Groups) > 0:
			return "Group Aggregate"
		}
		return "Aggregate"
	case *Sort:
		if x.Limit >= 0 {
			return fmt.Sprintf("Top-N Sort (%d rows)", x.Limit)
		}
		return "Sort"
	case *Limit:
		return "Limit"
	case *Distinct:
		if x.On != nil {
			return "Distinct On"
		}
		return "Distinct"
	case *Window:
		return "WindowAgg"
	case *SetOp:
		s := [...]string{"Union", "Intersect", "Except"}[x.Kind]
		if x.All {
			if x.Kind == Union {
				return "Append"
			}
			s += " All"
		}
		return s
	case *With:
		return "With " + x.Name
	case *CTERef:
		return "CTE Scan on " + x.Name
	case *Recursive:
		if x.All {
			return "Recursive Union All"
		}
		return "Recursive Union"
	case *Insert:
		return "Insert on " + x.Table.Name
	case *Update:
		return "Update on " + x.Table.Name
	case *Delete:
		return "Delete on " + x.Table.Name
	case *Merge:
		return "Merge on " + x.Table.Name
	case *LockRows:
		if x.Joined != nil {
			var of []string
			for _, t := range x.Joined {
				of = append(of, t.Table.Name+" for "+strings.ToLower(t.Mode.String()))
			}
			return "Lock rows of " + strings.Join(of, ", ")
		}
		return "Lock rows of " + x.Table.Name + " for " + strings.ToLower(x.Mode.String())
	}
	return fmt.Sprintf("%T", n)
}

// changes are the columns of a row that a statement sets, less those that stay.
func (p *printer) changes(t *catalog.Table, old []Column, set []expr.Expr) string {
	var out []string
	for i, e := range set {
		if c, ok := e.(*expr.Column); ok && c.ID == old[i].ID {
			continue
		}
		out = append(out, t.Columns[i].Name+" = "+p.expr(e))
	}
	return strings.Join(out, ", ")
}

func (p *printer) details(n Node) []string {
	var out []string
	add := func(name, s string) {
		if s != "" {
			out = append(out, name+": "+s)
		}
	}
	switch x := n.(type) {
	case *Scan:
		if t := x.Table; t.Kind == catalog.KindTable && t.StoresRows() {
			if x.Key != nil || x.KeyIn != nil || x.ByRow || !t.StoresColumns() {
				add("Tablet", "row")
			} else {
				add("Tablet", "column")
			}
		}
		add("Filter", p.list(x.Filter, " AND "))
		if x.Limit >= 0 {
			add("Rows wanted", strconv.FormatInt(x.Limit, 10))
		}
		if x.First != nil {
			end := "first"
			if x.Last {
				end = "last"
			}
			add("Rows wanted", end+" "+p.list(x.First, " + ")+" by key")
		}
		for _, r := range x.Runtime {
			add("Runtime Filter", fmt.Sprintf("join %d key %d on %s", r.Join, r.Key, p.scanColumn(x, r.Col)))
		}
	case *Values:
		if len(x.Rows) <= 4 && len(x.Cols) > 0 {
			for _, r := range x.Rows {
				add("Row", "("+p.list(r, ", ")+")")
			}
		}
	case *Filter:
		add("Filter", p.expr(x.Pred))
	case *Project:
		add("Exprs", p.projections(x.Exprs))
	case *ProjectSet:
		for _, c := range x.Calls {
			var cols []string
			for _, k := range c.Cols {
				cols = append(cols, p.col(k))
			}
			add("Call", strings.Join(cols, ", ")+" := "+p.expr(c.Call))
		}
		if x.Ordinality.ID != 0 {
			add("Ordinality", p.col(x.Ordinality))
		}
	case *Join:
		var conds []string
		for _, k := range x.Keys {
			eq := " = "
			if k.NullEqual {
				eq = " IS NOT DISTINCT FROM "
			}
			conds = append(conds, "("+p.expr(k.L)+eq+p.expr(k.R)+")")
		}
		add("Hash Cond", strings.Join(conds, " AND "))
		if x.Resid != nil {
			add("Join Filter", p.expr(x.Resid))
		}
		if x.On != nil {
			add("Join Cond", p.expr(x.On))
		}
		if x.Kind == Mark {
			add("Mark", p.col(x.Mark))
		}
	case *Aggregate:
		if len(x.Sets) > 0 {
			for _, set := range x.Sets {
				var ks []string
				for _, i := range set {
					ks = append(ks, p.expr(x.Groups[i].Expr))
				}
				out = append(out, "Group Key: ("+strings.Join(ks, ", ")+")")
			}
		} else {
			add("Group Key", p.projections(x.Groups))
		}
		var aggs []string
		for _, a := range x.Aggs {
			aggs = append(aggs, p.col(a.Col)+" := "+p.agg(a))
		}
		add("Aggregates", strings.Join(aggs, ", "))
	case *Sort:
		add("Sort Key", p.keys(x.Keys))
	case *Limit:
		if x.Count != nil {
			s := p.expr(x.Count)
			if x.WithTies {
				s += " WITH TIES"
			}
			add("Count", s)
		}
		if x.Offset != nil {
			add("Offset", p.expr(x.Offset))
		}
	case *Distinct:
		add("On", p.list(x.On, ", "))
	case *Window:
		add("Partition", p.list(x.Partition, ", "))
		add("Order", p.keys(x.Order))
		for _, f := range x.Funcs {
			add("Function", p.col(f.Col)+" := "+p.window(f))
		}
	case *Insert:
		p.checks(x.Checks, add)
		if x.Conflict != nil {
			if x.Conflict.DoNothing {
				add("On Conflict", "DO NOTHING")
			} else {
				add("On Conflict", "DO UPDATE SET "+p.changes(x.Table, x.Conflict.Old, x.Conflict.Set))
				if x.Conflict.Where != nil {
					add("Conflict Filter", p.expr(x.Conflict.Where))
				}
			}
		}
		add("Returning", p.projections(x.Returning))
	case *Update:
		add("Set", p.changes(x.Table, x.Old, x.Set))
		p.checks(x.Checks, add)
		add("Returning", p.projections(x.Returning))
	case *Delete:
		add("Returning", p.projections(x.Returning))
	case *Merge:
		for i, w := range x.Whens {
			name := fmt.Sprintf("When %d", i+1)
			if !w.Matched {
				name += " Not"
			}
			s := w.Action.String()
			if len(w.Set) > 0 {
				s += " " + p.list(w.Set, ", ")
			}
			add(name+" Matched", s)
		}
		p.checks(x.Checks, add)
	}
	return out
}

func (p *printer) checks(cs []Check, add func(string, string)) {
	if !p.o.Verbose {
		return
	}
	for _, c := range cs {
		add("Check "+c.Name, p.expr(c.Pred))
	}
}

func (p *printer) scanColumn(s *Scan, id int) string {
	for _, c := range s.Cols {
		if c.ID == id {
			return p.col(c)
		}
	}
	return strconv.Itoa(id)
}

func (p *printer) col(c Column) string {
	name := c.Name
	if name == "" {
		name = "?"
	}
	if p.o.IDs {
		return name + "#" + strconv.Itoa(c.ID)
	}
	return name
}

func (p *printer) list(es []expr.Expr, sep string) string {
	var out []string
	for _, e := range es {
		out = append(out, p.expr(e))
	}
	return strings.Join(out, sep)
}

// projections lists computed columns; those that pass a column on under its name
// show it alone.
func (p *printer) projections(ps []Projection) string {
	var out []string
	for _, x := range ps {
		s := p.expr(x.Expr)
		if c, ok := x.Expr.(*expr.Column); !ok || c.ID != x.Col.ID && p.o.IDs || c.Name != x.Col.Name {
			s += " AS " + p.col(x.Col)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (p *printer) keys(ks []SortKey) string {
	var out []string
	for _, k := range ks {
		s := p.expr(k.Expr)
		if k.Desc {
			s += " DESC"
		}
		if k.NullsFirst != k.Desc {
			s += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[k.NullsFirst]
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (p *printer) agg(a Agg) string {
	args := p.list(a.Args, ", ")
	if a.Star {
		args = "*"
	}
	if a.Distinct {
		args = "DISTINCT " + args
	}
	if len(a.Direct) > 0 {
		s := a.Fn.Name + "(" + p.list(a.Direct, ", ") + ") WITHIN GROUP (ORDER BY " + p.keys(a.Order) + ")"
		return s + p.filter(a.Filter)
	}
	if len(a.Order) > 0 {
		args += " ORDER BY " + p.keys(a.Order)
	}
	return a.Fn.Name + "(" + args + ")" + p.filter(a.Filter)
}

func (p *printer) filter(e expr.Expr) string {
	if e == nil {
		return ""
	}
	return " FILTER (WHERE " + p.expr(e) + ")"
}

func (p *printer) window(f WindowFunc) string {
	args := p.list(f.Args, ", ")
	if f.Star {
		args = "*"
	}
	s := f.Fn.Name + "(" + args + ")" + p.filter(f.Filter)
	fr := f.Frame
	if fr.Mode == Range && fr.Start.Kind == UnboundedPreceding && fr.End.Kind == CurrentRow && fr.Exclude == ExcludeNone {
		return s
	}
	bound := func(b FrameBound) string {
		switch b.Kind {
		case UnboundedPreceding:
			return "UNBOUNDED PRECEDING"
		case Preceding:
			return p.expr(b.Offset) + " PRECEDING"
		case CurrentRow:
			return "CURRENT ROW"
		case Following:
			return p.expr(b.Offset) + " FOLLOWING"
		}
		return "UNBOUNDED FOLLOWING"
	}
	s += fmt.Sprintf(" %s BETWEEN %s AND %s", [...]string{"RANGE", "ROWS", "GROUPS"}[fr.Mode], bound(fr.Start), bound(fr.End))
	return s + [...]string{"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"}[fr.Exclude]
}
