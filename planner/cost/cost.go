// Package cost estimates what plan nodes yield: rows and distinct values of
// columns, from statistics and samples. It imports the catalog and plans only.
package cost

import (
	"math"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// Props are the expected properties of a node's output.
type Props struct {
	Rows float64
	// Distinct has the number of different values of some output columns, by id.
	Distinct map[int]float64
	// Range has the bounds of integer-like columns, by id.
	Range map[int][2]float64
}

// Estimator computes and remembers Props. Not safe for concurrent use.
type Estimator struct {
	Stats  func(*catalog.Table) *stats.Table
	Sample stats.Sampler
	memo   map[plan.Node]*Props
}

// Of estimates n.
func (e *Estimator) Of(n plan.Node) *Props {
	if e.memo == nil {
		e.memo = map[plan.Node]*Props{}
	}
	if p := e.memo[n]; p != nil {
		return p
	}
	p := e.compute(n)
	p.Rows = math.Max(p.Rows, 0)
	e.memo[n] = p
	n.SetEstimate(&plan.Estimate{Rows: p.Rows})
	return p
}

func (e *Estimator) compute(n plan.Node) *Props {
	switch x := n.(type) {
	case *plan.Scan:
		return e.scan(x)
	case *plan.Values:
		return &Props{Rows: float64(len(x.Rows))}
	case *plan.Filter:
		in := e.Of(x.Input)
		return scale(in, e.Selectivity(x.Input, x.Pred))
	case *plan.Project:
		in := e.Of(x.Input)
		out := &Props{Rows: in.Rows, Distinct: map[int]float64{}, Range: map[int][2]float64{}}
		for _, p := range x.Exprs {
			if d, ok := distinctOf(in, p.Expr); ok {
				out.Distinct[p.Col.ID] = d
			}
			if c, ok := p.Expr.(*expr.Column); ok {
				if r, ok := in.Range[c.ID]; ok {
					out.Range[p.Col.ID] = r
				}
			}
		}
		return out
	case *plan.ProjectSet:
		return e.projectSet(x)
	case *plan.Join:
		return e.join(x)
	case *plan.Aggregate:
		return e.aggregate(x)
	case *plan.Sort:
		in := e.Of(x.Input)
		if x.Limit >= 0 {
			return scaleTo(in, math.Min(in.Rows, float64(x.Limit)))
		}
		return in
	case *plan.Limit:
		in := e.Of(x.Input)
		if c, ok := x.Count.(*expr.Const); ok && c.D.Valid {
			return scaleTo(in, math.Min(in.Rows, float64(c.D.I)))
		}
		return in
	case *plan.Distinct:
		in := e.Of(x.Input)
		rows := 1.0
		for _, c := range x.Input.Columns() {
			d, ok := in.Distinct[c.ID]
			if !ok {
				d = in.Rows / 2
			}
			rows = math.Min(rows*math.Max(d, 1), in.Rows)
		}
		return scaleTo(in, rows)
	case *plan.Window:
		return e.Of(x.Input)
	case *plan.SetOp:
		rows := 0.0
		for i, in := range x.Inputs {
			r := e.Of(in).Rows
			switch {
			case x.Kind == plan.Union || i == 0:
				rows += r
			case x.Kind == plan.Intersect:
				rows = math.Min(rows, r)
			}
		}
		return &Props{Rows: rows}
	case *plan.With:
		def := e.Of(x.Def)
		e.ref(x.Body, x.ID, def, x.Def.Columns())
		return e.Of(x.Body)
	case *plan.Recursive:
		return &Props{Rows: e.Of(x.Base).Rows * 10}
	case *plan.CTERef:
		return &Props{Rows: 1000}
	}
	for _, c := range n.Children() {
		e.Of(c)
	}
	if cs := n.Children(); len(cs) == 1 {
		return &Props{Rows: e.Of(cs[0]).Rows}
	}
	return &Props{Rows: 1}
}

// ref gives the references to a CTE the properties of its definition.
func (e *Estimator) ref(n plan.Node, id int, def *Props, cols []plan.Column) {
	if r, ok := n.(*plan.CTERef); ok && r.ID == id {
		p := &Props{Rows: def.Rows, Distinct: map[int]float64{}, Range: map[int][2]float64{}}
		for i, c := range r.Cols {
			if d, ok := def.Distinct[cols[i].ID]; ok {
				p.Distinct[c.ID] = d
			}
			if d, ok := def.Range[cols[i].ID]; ok {
				p.Range[c.ID] = d
			}
		}
		e.memo[n] = p
		return
	}
	for _, c := range n.Children() {
		e.ref(c, id, def, cols)
	}
}

func scale(in *Props, f float64) *Props { return scaleTo(in, in.Rows*f) }

// scaleTo keeps the distinct counts that rows can still show.
func scaleTo(in *Props, rows float64) *Props {
	out := &Props{Rows: rows, Distinct: make(map[int]float64, len(in.Distinct)), Range: in.Range}
	f := 1.0
	if in.Rows > 0 {
		f = rows / in.Rows
	}
	for id, d := range in.Distinct {
		// Expected distinct values in a sample of the rows (Yao's formula, approximated).
		per := in.Rows / math.Max(d, 1)
		left := d * (1 - math.Pow(1-math.Min(f, 1), per))
		out.Distinct[id] = math.Max(math.Min(left, rows), math.Min(1, rows))
	}
	return out
}

func number(t types.T, d types.Datum) (float64, bool) {
	if !d.Valid {
		return 0, false
	}
	switch t.Layout {
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
		return float64(d.I) / math.Pow(10, float64(t.Scale)), true
	case types.LayoutF32, types.LayoutF64:
		return d.F, true
	}
	return 0, false
}

func (e *Estimator) scan(s *plan.Scan) *Props {
	p := &Props{Rows: 1000, Distinct: map[int]float64{}, Range: map[int][2]float64{}}
	if s.Table.Kind != catalog.KindTable || e.Stats == nil {
		return scale(p, math.Pow(0.2, float64(len(s.Filter))))
	}
	st := e.Stats(s.Table)
	p.Rows = float64(st.Rows)
	for i, c := range s.Cols {
		o := s.Ords[i]
		if o < 0 || o >= len(st.Columns) {
			continue
		}
		cs := &st.Columns[o]
		d := cs.Distinct
		lo, ok1 := number(c.T, cs.Min)
		hi, ok2 := number(c.T, cs.Max)
		if ok1 && ok2 {
			p.Range[c.ID] = [2]float64{lo, hi}
			if c.T.Layout <= types.LayoutI64 {
				span := (hi-lo)*math.Pow(10, float64(c.T.Scale)) + 1
				if d == 0 || d > span {
					d = math.Min(span, p.Rows)
				}
			}
		}
		if d == 0 {
			d = p.Rows / 10
		}
		p.Distinct[c.ID] = math.Max(math.Min(d, p.Rows), 1)
	}
	if len(s.Table.PK) == 1 {
		for i, o := range s.Ords {
			if o == s.Table.PK[0] {
				p.Distinct[s.Cols[i].ID] = math.Max(p.Rows, 1)
			}
		}
	}
	if len(s.Filter) == 0 {
		return p
	}
	return scale(p, e.scanSelectivity(s, p, st))
}

// scanSelectivity runs the conjuncts on the sample; when too few rows pass for that
// to mean much, the guess from ranges and distinct counts decides.
func (e *Estimator) scanSelectivity(s *plan.Scan, p *Props, st *stats.Table) float64 {
	guess := 1.0
	for _, f := range s.Filter {
		guess *= selectivity(p, f)
	}
	n := float64(len(st.Sample))
	if e.Sample == nil || n < 100 {
		return guess
	}
	ords := map[int]int{}
	for i, c := range s.Cols {
		ords[c.ID] = s.Ords[i]
	}
	usable := true
	pred := expr.Rewrite(expr.Conjoin(s.Filter), func(x expr.Expr) expr.Expr {
		switch y := x.(type) {
		case *expr.Column:
			o, ok := ords[y.ID]
			usable = usable && ok && o >= 0
			m := *y
			m.ID = o
			return &m
		case *expr.Param:
			usable = false
		}
		return x
	})
	if !usable {
		return guess
	}
	f, ok := e.Sample(st, pred)
	if !ok {
		return guess
	}
	hits := f * n
	if hits < 5 {
		// Between the sample's upper bound and the guess.
		return math.Min(math.Max(guess, (hits+0.1)/n/10), (hits+3)/n)
	}
	return f
}

// Selectivity guesses the share of in's rows for which pred is true.
func (e *Estimator) Selectivity(in plan.Node, pred expr.Expr) float64 {
	p := e.Of(in)
	f := 1.0
	for _, c := range expr.Conjuncts(pred) {
		g := selectivity(p, c)
		if _, ok := in.(*plan.Aggregate); ok && g > 0.1 {
			g = 0.1 // HAVING is written to keep few groups
		}
		f *= g
	}
	return f
}

func distinctOf(p *Props, e expr.Expr) (float64, bool) {
	switch x := e.(type) {
	case *expr.Column:
		d, ok := p.Distinct[x.ID]
		return d, ok
	case *expr.Const:
		return 1, true
	case *expr.Cast:
		return distinctOf(p, x.Arg)
	case *expr.Call:
		d := 1.0
		for _, a := range x.Args {
			k, ok := distinctOf(p, a)
			if !ok {
				return 0, false
			}
			d *= k
		}
		return math.Min(d, p.Rows), true
	}
	return 0, false
}

func selectivity(p *Props, e expr.Expr) float64 {
	switch x := e.(type) {
	case *expr.Const:
		if x.D.Valid && x.D.Bool() {
			return 1
		}
		return 0
	case *expr.And:
		f := 1.0
		for _, a := range x.Args {
			f *= selectivity(p, a)
		}
		return f
	case *expr.Or:
		f := 1.0
		for _, a := range x.Args {
			f *= 1 - selectivity(p, a)
		}
		return 1 - f
	case *expr.Not:
		return 1 - selectivity(p, x.Arg)
	case *expr.IsNull:
		if x.Not {
			return 0.98
		}
		return 0.02
	case *expr.In:
		d, ok := distinctOf(p, x.Arg)
		if !ok {
			d = 20
		}
		f := math.Min(float64(len(x.List))/math.Max(d, 1), 1)
		if x.Not {
			return 1 - f
		}
		return f
	case *expr.Call:
		return comparison(p, x)
	}
	return 0.3
}

func comparison(p *Props, x *expr.Call) float64 {
	if len(x.Args) != 2 {
		return 0.3
	}
	switch x.Op {
	case "=":
		l, ok1 := distinctOf(p, x.Args[0])
		r, ok2 := distinctOf(p, x.Args[1])
		if !ok1 && !ok2 {
			return 0.05
		}
		return 1 / math.Max(math.Max(l, r), 1)
	case "<>":
		return 0.9
	case "<", "<=", ">", ">=":
		col, ok1 := x.Args[0].(*expr.Column)
		k, ok2 := x.Args[1].(*expr.Const)
		op := x.Op
		if !ok1 || !ok2 {
			col, ok1 = x.Args[1].(*expr.Column)
			k, ok2 = x.Args[0].(*expr.Const)
			op = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
		}
		if !ok1 || !ok2 {
			return 0.33
		}
		r, ok := p.Range[col.ID]
		v, okv := number(k.T, k.D)
		if !ok || !okv || r[1] <= r[0] {
			return 0.33
		}
		f := (v - r[0]) / (r[1] - r[0])
		if op[0] == '>' {
			f = 1 - f
		}
		return math.Min(math.Max(f, 0.0005), 1)
	case "~~":
		return 0.05
	case "!~~":
		return 0.95
	}
	return 0.3
}

func (e *Estimator) join(j *plan.Join) *Props {
	l, r := e.Of(j.L), e.Of(j.R)
	out := &Props{Distinct: map[int]float64{}, Range: map[int][2]float64{}}
	for _, p := range []*Props{l, r} {
		for id, d := range p.Distinct {
			out.Distinct[id] = d
		}
		for id, d := range p.Range {
			out.Range[id] = d
		}
	}
	rows := l.Rows * r.Rows
	match := 1.0 // share of left rows with a partner
	conj := expr.Conjuncts(j.On)
	for _, k := range j.Keys {
		conj = append(conj, &expr.Call{Fn: k.Eq, Op: "=", Args: []expr.Expr{k.L, k.R}, T: types.Bool})
	}
	conj = append(conj, expr.Conjuncts(j.Resid)...)
	keysL, keysR := 1.0, 1.0 // combinations of key values on each side
	for _, c := range conj {
		if a, b, ok := equated(c); ok {
			if _, left := distinctOf(l, b); left {
				if _, right := distinctOf(r, a); right {
					a, b = b, a
				}
			}
			dl, okl := distinctOf(out, a)
			dr, okr := distinctOf(out, b)
			if !okl {
				dl = math.Max(l.Rows/3, 1)
			}
			if !okr {
				dr = math.Max(r.Rows/3, 1)
			}
			keysL, keysR = keysL*math.Max(dl, 1), keysR*math.Max(dr, 1)
			match *= math.Min(1, math.Min(dl, dr)/math.Max(math.Max(dl, dr), 1)*math.Max(dl, dr)/math.Max(dl, 1))
			continue
		}
		rows *= selectivity(out, c)
	}
	// Several keys have no more combinations than there are rows to have them.
	rows /= math.Max(math.Max(math.Min(keysL, l.Rows), math.Min(keysR, r.Rows)), 1)
	switch j.Kind {
	case plan.Left, plan.Single:
		rows = math.Max(rows, l.Rows)
	case plan.Right:
		rows = math.Max(rows, r.Rows)
	case plan.Full:
		rows = math.Max(rows, l.Rows+r.Rows)
	case plan.Semi:
		return scale(l, math.Min(math.Max(math.Min(match, rows/math.Max(l.Rows, 1)), 0.0001), 1))
	case plan.Anti:
		return scale(l, math.Min(math.Max(1-math.Min(match, rows/math.Max(l.Rows, 1)), 0.05), 1))
	case plan.Mark:
		return l
	}
	out.Rows = rows
	for id, d := range out.Distinct {
		out.Distinct[id] = math.Min(d, math.Max(rows, 1))
	}
	return out
}

// equated are the sides of an equality; of one that takes nulls as equal, too.
func equated(e expr.Expr) (a, b expr.Expr, ok bool) {
	switch x := e.(type) {
	case *expr.Call:
		if x.Op == "=" && len(x.Args) == 2 {
			return x.Args[0], x.Args[1], true
		}
	case *expr.Distinct:
		if x.Not {
			return x.L, x.R, true
		}
	}
	return nil, nil, false
}

func (e *Estimator) aggregate(a *plan.Aggregate) *Props {
	in := e.Of(a.Input)
	out := &Props{Rows: 1, Distinct: map[int]float64{}, Range: map[int][2]float64{}}
	for _, g := range a.Groups {
		d, ok := distinctOf(in, g.Expr)
		if !ok {
			d = math.Sqrt(in.Rows)
		}
		out.Rows = math.Min(out.Rows*math.Max(d, 1), in.Rows)
		out.Distinct[g.Col.ID] = d
	}
	if len(a.Sets) > 0 {
		out.Rows *= float64(len(a.Sets))
	}
	for id, d := range out.Distinct {
		out.Distinct[id] = math.Min(d, math.Max(out.Rows, 1))
	}
	return out
}
