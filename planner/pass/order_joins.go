package pass

import (
	"math"
	"math/bits"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/cost"
	"github.com/millrace/millrace/planner/plan"
)

// orderJoins finds a cheap order for each maximal tree of inner joins: all bushy
// orders by dynamic programming over connected subsets (Moerkotte and Neumann,
// VLDB 2006, in its plain subset form) up to dpRelations inputs, beyond that
// greedily by the smallest result. Cross products come last. Conditions that may
// fail are kept above the whole tree's joins, where they were, but for equalities
// without which there would be a cross product.
func orderJoins(c *Context, n plan.Node) (plan.Node, error) {
	est := &cost.Estimator{Stats: c.Stats, Sample: c.Sample}
	return order(c, est, n), nil
}

const dpRelations = 11

func order(c *Context, est *cost.Estimator, n plan.Node) plan.Node {
	if w, ok := n.(*plan.With); ok {
		m := *w
		m.Def = order(c, est, w.Def)
		est.Of(&m) // the references take their estimates from the definition
		m.Body = order(c, est, w.Body)
		return &m
	}
	if j, ok := n.(*plan.Join); ok && flattens(j) {
		g := &graph{c: c, est: est}
		g.add(j)
		before := n.Columns()
		out := g.solve()
		cols := out.Columns()
		same := len(cols) == len(before)
		for i := range before {
			same = same && cols[i].ID == before[i].ID
		}
		if same {
			return out
		}
		return &plan.Project{Input: out, Exprs: passThrough(before)}
	}
	cs := n.Children()
	if len(cs) == 0 {
		return n
	}
	out := make([]plan.Node, len(cs))
	for i, x := range cs {
		out[i] = order(c, est, x)
	}
	n = n.WithChildren(out)
	if j, ok := n.(*plan.Join); ok {
		return swapSides(est, j)
	}
	return n
}

// swapSides puts the smaller input of a left join, with the preserved side large,
// where it can be built: a left join builds its right side, so when that is much the
// larger it becomes a right join.
func swapSides(est *cost.Estimator, j *plan.Join) plan.Node {
	if j.Kind != plan.Left && j.Kind != plan.Right && j.Kind != plan.Full {
		return j
	}
	if est.Of(j.R).Rows <= est.Of(j.L).Rows*1.5 {
		return j
	}
	m := *j
	m.L, m.R = j.R, j.L
	m.KeysUnique = false
	m.Keys = make([]plan.JoinKey, len(j.Keys))
	for i, k := range j.Keys {
		m.Keys[i] = plan.JoinKey{L: k.R, R: k.L, Eq: commuted(k.Eq), NullEqual: k.NullEqual}
	}
	switch j.Kind {
	case plan.Left:
		m.Kind = plan.Right
	case plan.Right:
		m.Kind = plan.Left
	}
	return &plan.Project{Input: &m, Exprs: passThrough(j.Columns())}
}

// flattens: an inner join, or a semi join that is one because its right side has
// each key once.
func flattens(j *plan.Join) bool {
	if j.Lateral || j.Resid != nil {
		return false
	}
	if j.Kind == plan.Inner {
		return true
	}
	return j.Kind == plan.Semi && len(j.Keys) == 0 && semiIsInner(j)
}

// conditions are the conjuncts of a join, the keys that unnesting gave it among them.
func conditions(j *plan.Join) []expr.Expr {
	conj := expr.Conjuncts(j.On)
	for _, k := range j.Keys {
		if k.NullEqual {
			conj = append(conj, &expr.Distinct{Not: true, L: k.L, R: k.R, Eq: k.Eq})
		} else {
			conj = append(conj, &expr.Call{Fn: k.Eq, Op: "=", Args: []expr.Expr{k.L, k.R}, T: types.Bool})
		}
	}
	return conj
}

func semiIsInner(j *plan.Join) bool {
	r := outputs(j.R)
	keys := colset{}
	for _, e := range expr.Conjuncts(j.On) {
		l, rr, _, ok := equality(e)
		if !ok {
			return false
		}
		if col, isCol := l.(*expr.Column); isCol && r[col.ID] && !usedBy(rr).intersects(r) {
			keys[col.ID] = true
		} else if col, isCol := rr.(*expr.Column); isCol && r[col.ID] && !usedBy(l).intersects(r) {
			keys[col.ID] = true
		} else {
			return false
		}
	}
	return uniqueOn(j.R, keys)
}

// uniqueOn says whether n has at most one row for each combination of values of cols.
func uniqueOn(n plan.Node, cols colset) bool {
	switch x := n.(type) {
	case *plan.Scan:
		if len(x.Table.PK) == 0 {
			return false
		}
		for _, o := range x.Table.PK {
			ok := false
			for i, so := range x.Ords {
				ok = ok || so == o && cols[x.Cols[i].ID]
			}
			if !ok {
				return false
			}
		}
		return true
	case *plan.Filter:
		return uniqueOn(x.Input, cols)
	case *plan.Sort:
		return uniqueOn(x.Input, cols)
	case *plan.Limit:
		return uniqueOn(x.Input, cols)
	case *plan.Project:
		in := colset{}
		for _, p := range x.Exprs {
			if col, ok := p.Expr.(*expr.Column); ok && cols[p.Col.ID] {
				in[col.ID] = true
			}
		}
		return uniqueOn(x.Input, in)
	case *plan.Aggregate:
		if x.Sets != nil {
			return false
		}
		for _, g := range x.Groups {
			if !cols[g.Col.ID] {
				return false
			}
		}
		return true
	case *plan.Distinct:
		if len(x.On) > 0 {
			return false
		}
		for _, c := range x.Columns() {
			if !cols[c.ID] {
				return false
			}
		}
		return true
	case *plan.Join:
		switch x.Kind {
		case plan.Semi, plan.Anti, plan.Mark, plan.Single:
			return uniqueOn(x.L, cols)
		}
	}
	return false
}

// graph is a tree of inner joins taken apart: inputs and conditions.
type graph struct {
	c      *Context
	est    *cost.Estimator
	rels   []plan.Node
	conds  []cond
	above  []expr.Expr
	byCols map[int]int
}

type cond struct {
	e    expr.Expr
	rels relset
}

// relset is a set of a graph's inputs.
type relset [maxRelations / 64]uint64

func single(i int) (s relset) {
	s[i/64] = 1 << (i % 64)
	return s
}

func (s relset) or(t relset) relset {
	for i, w := range t {
		s[i] |= w
	}
	return s
}

func (s relset) meets(t relset) bool {
	for i, w := range t {
		if s[i]&w != 0 {
			return true
		}
	}
	return false
}

// in says whether t has all of s.
func (s relset) in(t relset) bool {
	for i, w := range t {
		if s[i]&^w != 0 {
			return false
		}
	}
	return true
}

// only is the input that s has and no other; -1: there are several, or none.
func (s relset) only() int {
	at := -1
	for i, w := range s {
		if n := bits.OnesCount64(w); n > 1 || n == 1 && at >= 0 {
			return -1
		} else if n == 1 {
			at = 64*i + bits.TrailingZeros64(w)
		}
	}
	return at
}

type entry struct {
	n    plan.Node
	cost float64
}

// maxRelations is how many inputs one graph has. Of a larger tree the larger sides are
// ordered by themselves, with the cross products that this may mean.
const maxRelations = 256

// relations counts the inputs that add would take n apart into.
func relations(n plan.Node) int {
	if p, ok := n.(*plan.Project); ok && onlyPasses(p) {
		if j, ok := p.Input.(*plan.Join); ok && flattens(j) {
			n = j
		}
	}
	if j, ok := n.(*plan.Join); ok && flattens(j) {
		return relations(j.L) + relations(j.R)
	}
	return 1
}

func (g *graph) add(n plan.Node) {
	if j, ok := n.(*plan.Join); ok && flattens(j) {
		if l, r := relations(j.L), relations(j.R); l+r <= maxRelations {
			g.add(j.L)
			g.add(j.R)
		} else if l >= r {
			g.rels = append(g.rels, order(g.c, g.est, j.L))
			g.add(j.R)
		} else {
			g.add(j.L)
			g.rels = append(g.rels, order(g.c, g.est, j.R))
		}
		for _, e := range conditions(j) {
			if movable(e) {
				g.conds = append(g.conds, cond{e: e})
			} else {
				g.above = append(g.above, e)
			}
		}
		return
	}
	// A projection that only passes columns on hides no join.
	if p, ok := n.(*plan.Project); ok {
		if j, ok := p.Input.(*plan.Join); ok && flattens(j) && onlyPasses(p) {
			g.add(p.Input)
			return
		}
	}
	g.rels = append(g.rels, order(g.c, g.est, n))
}

func onlyPasses(p *plan.Project) bool {
	for _, e := range p.Exprs {
		if col, ok := e.Expr.(*expr.Column); !ok || col.ID != e.Col.ID {
			return false
		}
	}
	return true
}

func (g *graph) solve() plan.Node {
	g.byCols = map[int]int{}
	for i, r := range g.rels {
		for id := range outputs(r) {
			g.byCols[id] = i
		}
	}
	for i := range g.conds {
		for id := range usedBy(g.conds[i].e) {
			if r, ok := g.byCols[id]; ok {
				g.conds[i].rels = g.conds[i].rels.or(single(r))
			}
		}
	}
	g.link()
	// A condition on one input that was not pushed into it belongs on top of it.
	for _, c := range g.conds {
		if i := c.rels.only(); i >= 0 {
			g.rels[i] = filter(g.rels[i], []expr.Expr{c.e})
		}
	}
	var best *entry
	if len(g.rels) <= dpRelations {
		best = g.dp()
	} else {
		best = g.greedy()
	}
	var above []expr.Expr
	for _, c := range g.conds {
		if c.rels == (relset{}) {
			above = append(above, c.e)
		}
	}
	return filter(best.n, append(above, g.above...))
}

// link takes equalities that may fail as join conditions where the inputs on their sides
// would otherwise meet in a cross product: there each side would be computed for every
// row as well, and for each many times.
func (g *graph) link() {
	part := make([]int, len(g.rels))
	for i := range part {
		part[i] = i
	}
	union := func(s relset) {
		to := -1
		for i := range g.rels {
			if !s.meets(single(i)) || to == part[i] {
				continue
			}
			if to < 0 {
				to = part[i]
				continue
			}
			from := part[i]
			for k := range part {
				if part[k] == from {
					part[k] = to
				}
			}
		}
	}
	inputs := func(e expr.Expr) (s relset) {
		for id := range usedBy(e) {
			if i, ok := g.byCols[id]; ok {
				s = s.or(single(i))
			}
		}
		return s
	}
	for _, c := range g.conds {
		union(c.rels)
	}
	above := g.above[:0]
	for _, e := range g.above {
		l, r, _, ok := equality(e)
		if ok && expr.Volatility(e) != fn.Volatile && !hasSubquery(e) {
			// Each side of one input: nothing is computed on rows that a join has yet to drop.
			a, b := inputs(l).only(), inputs(r).only()
			if a >= 0 && b >= 0 && part[a] != part[b] {
				c := cond{e: e, rels: single(a).or(single(b))}
				g.conds = append(g.conds, c)
				union(c.rels)
				continue
			}
		}
		above = append(above, e)
	}
	g.above = above
}

func (g *graph) leaf(i int) *entry {
	return &entry{n: g.rels[i], cost: g.est.Of(g.rels[i]).Rows * 0.1}
}

func (g *graph) connected(a, b relset) bool {
	both := a.or(b)
	for i := range g.conds {
		if c := &g.conds[i]; c.rels.in(both) && c.rels.meets(a) && c.rels.meets(b) {
			return true
		}
	}
	return false
}

// join makes the join of two solved subsets. A row built into a hash table costs
// about three probes, and a probe into a table beyond the caches twice one inside.
func (g *graph) join(a, b *entry, sa, sb relset) *entry {
	g.c.look()
	l, r := a, b
	if g.est.Of(r.n).Rows > g.est.Of(l.n).Rows {
		l, r = r, l
	}
	j := &plan.Join{Kind: plan.Inner, L: l.n, R: r.n}
	var on []expr.Expr
	both := sa.or(sb)
	for i := range g.conds {
		if c := &g.conds[i]; c.rels.in(both) && c.rels.meets(sa) && c.rels.meets(sb) {
			on = append(on, c.e)
		}
	}
	j.On = expr.Conjoin(on)
	out := g.est.Of(j).Rows
	build, probe := g.est.Of(r.n).Rows, g.est.Of(l.n).Rows
	k := l.cost + r.cost + 3*build + probe*(1+math.Min(1, build/200000)) + out
	if len(on) == 0 {
		k += build * probe * 10
	}
	return &entry{n: j, cost: k}
}

func (g *graph) dp() *entry {
	n := len(g.rels)
	best := make([]*entry, 1<<n)
	for i := 0; i < n; i++ {
		best[1<<i] = g.leaf(i)
	}
	full := uint64(1)<<n - 1
	for s := uint64(1); s <= full; s++ {
		if bits.OnesCount64(s) < 2 {
			continue
		}
		g.c.look()
		for pass := 0; pass < 2 && best[s] == nil; pass++ {
			// First joins with a condition; a cross product only if there are none.
			for a := (s - 1) & s; a > s>>1; a = (a - 1) & s {
				b := s &^ a
				if best[a] == nil || best[b] == nil || pass == 0 && !g.connected(relset{a}, relset{b}) {
					continue
				}
				if e := g.join(best[a], best[b], relset{a}, relset{b}); best[s] == nil || e.cost < best[s].cost {
					best[s] = e
				}
			}
			if pass == 0 && best[s] == nil && s != full && g.anyEdge(relset{s}) {
				break
			}
		}
	}
	if best[full] == nil {
		return g.greedy()
	}
	return best[full]
}

// anyEdge says whether the subset is linked to the rest at all; then a cross product
// inside it can wait.
func (g *graph) anyEdge(s relset) bool {
	for i := range g.conds {
		if c := &g.conds[i]; c.rels.meets(s) && !c.rels.in(s) {
			return true
		}
	}
	return false
}

// greedy joins the two parts whose join is smallest, until one is left. What a pair
// would give is kept, so that a round only looks at the pairs of the part that it made.
func (g *graph) greedy() *entry {
	type part struct {
		e  *entry
		s  relset
		id int
	}
	type pair struct {
		e     *entry
		score float64
	}
	var parts []part
	for i := range g.rels {
		parts = append(parts, part{g.leaf(i), single(i), i})
	}
	known := map[[2]int]pair{}
	of := func(a, b part) pair {
		id := [2]int{a.id, b.id}
		p, ok := known[id]
		if !ok {
			if g.connected(a.s, b.s) {
				p.e = g.join(a.e, b.e, a.s, b.s)
				p.score = g.est.Of(p.e.n).Rows
			} else {
				p.score = g.est.Of(a.e.n).Rows*g.est.Of(b.e.n).Rows*1e6 + 1e12
			}
			known[id] = p
		}
		return p
	}
	for next := len(parts); len(parts) > 1; next++ {
		bi, bk := -1, -1
		var best *entry
		score := math.Inf(1)
		for i := range parts {
			g.c.look()
			for k := i + 1; k < len(parts); k++ {
				if p := of(parts[i], parts[k]); p.score < score {
					score, best, bi, bk = p.score, p.e, i, k
				}
			}
		}
		if bi < 0 { // estimates beyond all numbers: any pair
			bi, bk = 0, 1
		}
		if best == nil {
			best = g.join(parts[bi].e, parts[bk].e, parts[bi].s, parts[bk].s)
		}
		for _, p := range parts {
			for _, gone := range [2]int{parts[bi].id, parts[bk].id} {
				delete(known, [2]int{p.id, gone})
				delete(known, [2]int{gone, p.id})
			}
		}
		parts[bi] = part{best, parts[bi].s.or(parts[bk].s), next}
		parts = append(parts[:bk], parts[bk+1:]...)
	}
	return parts[0].e
}
