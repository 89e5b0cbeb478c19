package eval

import (
	"slices"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Program is one or more compiled expressions over the same batches.
type Program struct {
	env   *Env
	roots []*node
	order []*node // conjuncts of a filter, in the order of evaluation
	all   []*node

	batch   *vec.Batch
	scopeID int
	run     int // counts evaluations
	top     scope
	results []*vec.Vec
	sel     []uint16 // a filter's working selections
	sel2    []uint16
	mask    []uint64
}

// Compile makes a program of one expression.
func Compile(e expr.Expr, env *Env) (*Program, error) {
	return CompileList([]expr.Expr{e}, env)
}

// CompileList makes a program of several expressions that share equal parts.
func CompileList(es []expr.Expr, env *Env) (*Program, error) {
	p := &Program{env: env, results: make([]*vec.Vec, len(es))}
	c := newCompiler(p)
	for _, e := range es {
		n, err := c.compile(e)
		if err != nil {
			return nil, err
		}
		p.roots = append(p.roots, n)
	}
	return p, nil
}

// CompileFilter makes a program of a condition for Filter: a bool expression, or
// nil for none.
func CompileFilter(e expr.Expr, env *Env) (*Program, error) {
	conj := expr.Conjuncts(e)
	p, err := CompileList(conj, env)
	if err != nil {
		return nil, err
	}
	p.order = slices.Clone(p.roots)
	// Cheap conjuncts first, but one that may raise only after all that cannot,
	// and those as written: a guard written as a conjunct then guards.
	slices.SortStableFunc(p.order, func(a, b *node) int {
		switch {
		case a.mayFail != b.mayFail:
			if a.mayFail {
				return 1
			}
			return -1
		case a.mayFail:
			return 0
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	return p, nil
}

// Type is the type of the i-th expression's result.
func (p *Program) Type(i int) types.T { return p.roots[i].t }

// Eval computes the first expression for the selected rows of b. The result has
// b.N rows, is indexed like b's columns, and is valid until the next Eval; it may
// be one of b's columns.
func (p *Program) Eval(b *vec.Batch) (*vec.Vec, error) {
	p.begin(b)
	return p.roots[0].eval(&p.top)
}

// EvalAll computes all expressions; see Eval. The slice belongs to the program.
func (p *Program) EvalAll(b *vec.Batch) ([]*vec.Vec, error) {
	p.begin(b)
	for i, n := range p.roots {
		v, err := n.eval(&p.top)
		if err != nil {
			return nil, err
		}
		p.results[i] = v
	}
	return p.results, nil
}

func (p *Program) begin(b *vec.Batch) {
	p.batch = b
	p.scopeID++
	p.run++
	p.top = scope{id: p.scopeID, sel: b.Sel, n: b.N}
}

// Filter narrows b.Sel to the rows for which every conjunct is true. The new
// selection belongs to the program and is valid until its next Filter.
func (p *Program) Filter(b *vec.Batch) error {
	if len(p.order) == 0 || b.Rows() == 0 {
		return nil
	}
	n := b.N
	p.sel = growTo(p.sel, n)
	p.sel2 = growTo(p.sel2, n)
	w := words(n)
	p.mask = growTo(p.mask, w)
	sel := b.Sel
	masked := false // the rows so far are p.mask
	for k, c := range p.order {
		p.begin(b)
		// A bitmap is kept as long as the next conjunct would run over all rows anyway.
		if masked {
			cnt := kernel.Count(p.mask, n)
			if c.mayFail || c.cost > cheap || cnt*4 < n {
				m := kernel.BitsToSel(p.mask, n, p.sel)
				sel, masked = p.sel[:m], false
			}
			if cnt == 0 {
				b.Sel = p.sel[:0]
				return nil
			}
		}
		p.top.sel = sel
		v, err := c.eval(&p.top)
		if err != nil {
			return err
		}
		if v.Form == vec.Const {
			if v.IsNull(0) || v.Bits[0]&1 == 0 {
				b.Sel = p.sel[:0]
				return nil
			}
			continue
		}
		switch {
		case masked:
			kernel.And(p.mask[:w], v.Bits)
		case sel == nil:
			copy(p.mask[:w], v.Bits)
			clean(p.mask, n)
			masked = true
			if k == len(p.order)-1 {
				m := kernel.BitsToSel(p.mask, n, p.sel)
				sel, masked = p.sel[:m], false
			}
		default:
			m := kernel.RefineBits(v.Bits, sel, p.sel2)
			p.sel, p.sel2 = p.sel2, p.sel
			sel = p.sel[:m]
			if m == 0 {
				b.Sel = sel
				return nil
			}
		}
	}
	if masked {
		m := kernel.BitsToSel(p.mask, n, p.sel)
		sel = p.sel[:m]
	}
	if sel != nil && len(sel) < n {
		b.Sel = sel
	}
	return nil
}

// clean clears the bits at and above n in the last word.
func clean(b []uint64, n int) {
	if r := uint(n) & 63; r != 0 {
		b[n>>6] &= 1<<r - 1
	}
}

// growTo makes s exactly n long, without keeping what it held.
func growTo[E any](s []E, n int) []E {
	if cap(s) < n {
		s = make([]E, n, max(n, 64))
	}
	return s[:n]
}

// scope is the rows that count at some point of an evaluation.
type scope struct {
	id     int
	sel    []uint16 // nil: all
	n      int
	parent *scope
}

func (s *scope) rows() int {
	if s.sel != nil {
		return len(s.sel)
	}
	return s.n
}

// covers says whether a result made in the scope with this id holds in s.
func (s *scope) covers(id int) bool {
	for ; s != nil; s = s.parent {
		if s.id == id {
			return true
		}
	}
	return false
}

// sub makes a scope of some of s's rows.
func (p *Program) sub(s *scope, sel []uint16) scope {
	p.scopeID++
	return scope{id: p.scopeID, sel: sel, n: s.n, parent: s}
}
