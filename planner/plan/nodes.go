package plan

func (n *Scan) Children() []Node       { return nil }
func (n *Values) Children() []Node     { return nil }
func (n *CTERef) Children() []Node     { return nil }
func (n *Filter) Children() []Node     { return []Node{n.Input} }
func (n *Project) Children() []Node    { return []Node{n.Input} }
func (n *ProjectSet) Children() []Node { return []Node{n.Input} }
func (n *Join) Children() []Node       { return []Node{n.L, n.R} }
func (n *Aggregate) Children() []Node  { return []Node{n.Input} }
func (n *Sort) Children() []Node       { return []Node{n.Input} }
func (n *Limit) Children() []Node      { return []Node{n.Input} }
func (n *Distinct) Children() []Node   { return []Node{n.Input} }
func (n *Window) Children() []Node     { return []Node{n.Input} }
func (n *SetOp) Children() []Node      { return n.Inputs }
func (n *With) Children() []Node       { return []Node{n.Def, n.Body} }
func (n *Recursive) Children() []Node  { return []Node{n.Base, n.Step} }
func (n *Insert) Children() []Node     { return []Node{n.Input} }
func (n *Update) Children() []Node     { return []Node{n.Input} }
func (n *Delete) Children() []Node     { return []Node{n.Input} }
func (n *Merge) Children() []Node      { return []Node{n.Input} }

func (n *Scan) WithChildren([]Node) Node         { return n }
func (n *Values) WithChildren([]Node) Node       { return n }
func (n *CTERef) WithChildren([]Node) Node       { return n }
func (n *Filter) WithChildren(c []Node) Node     { m := *n; m.Input = c[0]; return &m }
func (n *Project) WithChildren(c []Node) Node    { m := *n; m.Input = c[0]; return &m }
func (n *ProjectSet) WithChildren(c []Node) Node { m := *n; m.Input = c[0]; return &m }
func (n *Join) WithChildren(c []Node) Node       { m := *n; m.L, m.R = c[0], c[1]; return &m }
func (n *Aggregate) WithChildren(c []Node) Node  { m := *n; m.Input = c[0]; return &m }
func (n *Sort) WithChildren(c []Node) Node       { m := *n; m.Input = c[0]; return &m }
func (n *Limit) WithChildren(c []Node) Node      { m := *n; m.Input = c[0]; return &m }
func (n *Distinct) WithChildren(c []Node) Node   { m := *n; m.Input = c[0]; return &m }
func (n *Window) WithChildren(c []Node) Node     { m := *n; m.Input = c[0]; return &m }
func (n *SetOp) WithChildren(c []Node) Node      { m := *n; m.Inputs = c; return &m }
func (n *With) WithChildren(c []Node) Node       { m := *n; m.Def, m.Body = c[0], c[1]; return &m }
func (n *Recursive) WithChildren(c []Node) Node  { m := *n; m.Base, m.Step = c[0], c[1]; return &m }
func (n *Insert) WithChildren(c []Node) Node     { m := *n; m.Input = c[0]; return &m }
func (n *Update) WithChildren(c []Node) Node     { m := *n; m.Input = c[0]; return &m }
func (n *Delete) WithChildren(c []Node) Node     { m := *n; m.Input = c[0]; return &m }
func (n *Merge) WithChildren(c []Node) Node      { m := *n; m.Input = c[0]; return &m }

// Columns are the scan's output columns, those of Cols that Out names.
func (n *Scan) Columns() []Column {
	if n.Out == nil {
		return n.Cols
	}
	out := make([]Column, len(n.Out))
	for i, k := range n.Out {
		out[i] = n.Cols[k]
	}
	return out
}
func (n *Values) Columns() []Column   { return n.Cols }
func (n *CTERef) Columns() []Column   { return n.Cols }
func (n *Filter) Columns() []Column   { return n.Input.Columns() }
func (n *Sort) Columns() []Column     { return n.Input.Columns() }
func (n *Limit) Columns() []Column    { return n.Input.Columns() }
func (n *Distinct) Columns() []Column { return n.Input.Columns() }
func (n *SetOp) Columns() []Column    { return n.Cols }
func (n *With) Columns() []Column     { return n.Body.Columns() }
func (n *Recursive) Columns() []Column {
	return n.Cols
}
func (n *Project) Columns() []Column { return projected(nil, n.Exprs) }
func (n *Insert) Columns() []Column  { return projected(nil, n.Returning) }
func (n *Update) Columns() []Column  { return projected(nil, n.Returning) }
func (n *Delete) Columns() []Column  { return projected(nil, n.Returning) }
func (n *Merge) Columns() []Column   { return nil }

// Columns are the input's, then the calls', then the ordinality.
func (n *ProjectSet) Columns() []Column {
	out := append([]Column(nil), n.Input.Columns()...)
	for _, c := range n.Calls {
		out = append(out, c.Cols...)
	}
	if n.Ordinality.ID != 0 {
		out = append(out, n.Ordinality)
	}
	return out
}

// Columns are the left ones, and for kinds that output them the right ones or the mark.
func (n *Join) Columns() []Column {
	out := append([]Column(nil), n.L.Columns()...)
	switch n.Kind {
	case Semi, Anti:
		return out
	case Mark:
		return append(out, n.Mark)
	}
	return append(out, n.R.Columns()...)
}

// Columns are the groups, the aggregates and the GROUPING results.
func (n *Aggregate) Columns() []Column {
	out := projected(nil, n.Groups)
	for _, a := range n.Aggs {
		out = append(out, a.Col)
	}
	for _, g := range n.Grouping {
		out = append(out, g.Col)
	}
	return out
}

// Columns are the input's and the functions'.
func (n *Window) Columns() []Column {
	out := append([]Column(nil), n.Input.Columns()...)
	for _, f := range n.Funcs {
		out = append(out, f.Col)
	}
	return out
}

func projected(out []Column, ps []Projection) []Column {
	for _, p := range ps {
		out = append(out, p.Col)
	}
	return out
}
