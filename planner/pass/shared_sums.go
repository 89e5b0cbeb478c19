package pass

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// sharedSums computes several sums of one smallint column plus constants from the
// column's own sum and count: sum(x + 7) is sum(x) + 7 * count(x). It would be
// wrong where x + 7 can overflow, because then an error is lost; a smallint and a
// small constant cannot overflow an integer.
func sharedSums(c *Context, n plan.Node) (plan.Node, error) {
	return rewrite(n, func(n plan.Node) (plan.Node, error) {
		a, ok := n.(*plan.Aggregate)
		if !ok {
			return n, nil
		}
		times := map[int]int{}
		for i := range a.Aggs {
			if x, _, ok := shiftedSum(&a.Aggs[i]); ok {
				times[x.ID]++
			}
		}
		m := *a
		m.Aggs = nil
		made := map[int][2]plan.Column{} // sum and count of a column
		sums := map[int]expr.Expr{}      // of an aggregate's column
		for i := range a.Aggs {
			x, k, ok := shiftedSum(&a.Aggs[i])
			if !ok || times[x.ID] < 2 {
				m.Aggs = append(m.Aggs, a.Aggs[i])
				continue
			}
			at, ok := made[x.ID]
			if !ok {
				for j, f := range []*fn.Func{fn.ByOID(sumInt2OID), fn.ByOID(countOID)} {
					at[j] = plan.Column{ID: c.ID(), Name: f.Name, T: types.Int8}
					m.Aggs = append(m.Aggs, plan.Agg{Col: at[j], Fn: f, Args: []expr.Expr{x}})
				}
				made[x.ID] = at
			}
			shift := &expr.Call{Fn: fn.ByOID(int8mulOID), Op: "*", T: types.Int8, Pos: -1,
				Args: []expr.Expr{at[1].Ref(), &expr.Const{D: types.NewInt(k), T: types.Int8}}}
			sums[a.Aggs[i].Col.ID] = &expr.Call{Fn: fn.ByOID(int8plOID), Op: "+", T: types.Int8, Pos: -1, Args: []expr.Expr{at[0].Ref(), shift}}
		}
		if len(sums) == 0 {
			return n, nil
		}
		p := &plan.Project{Input: &m, Exprs: passThrough(a.Columns())}
		for i := range p.Exprs {
			if e := sums[p.Exprs[i].Col.ID]; e != nil {
				p.Exprs[i].Expr = e
			}
		}
		return p, nil
	})
}

// OIDs of the functions that sums are made of.
const (
	sumInt2OID, countOID   = 2109, 2147
	int8plOID, int8mulOID  = 463, 465
	int24plOID, int42plOID = 178, 179
	int24miOID             = 182
	sumInt4OID             = 2108
	largestShift           = 1 << 24
)

// shiftedSum is sum(x + k) of a smallint column x.
func shiftedSum(a *plan.Agg) (x *expr.Column, k int64, ok bool) {
	if a.Fn.OID != sumInt4OID || a.Distinct || a.Filter != nil || len(a.Args) != 1 {
		return nil, 0, false
	}
	call, ok := a.Args[0].(*expr.Call)
	if !ok || len(call.Args) != 2 {
		return nil, 0, false
	}
	l, r := call.Args[0], call.Args[1]
	sign := int64(1)
	switch call.Fn.OID {
	case int24plOID:
	case int42plOID:
		l, r = r, l
	case int24miOID:
		sign = -1
	default:
		return nil, 0, false
	}
	x, isCol := l.(*expr.Column)
	d, isConst := r.(*expr.Const)
	if !isCol || !isConst || !d.D.Valid || d.D.I > largestShift || d.D.I < -largestShift {
		return nil, 0, false
	}
	return x, sign * d.D.I, true
}
