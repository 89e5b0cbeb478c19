package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// setOperation binds UNION, INTERSECT and EXCEPT with the ORDER BY and LIMIT of
// the whole.
func (q *query) setOperation(s *pg.SelectStmt, unresolved bool) (*result, error) {
	r, err := q.setTree(s, unresolved)
	if err != nil {
		return nil, err
	}
	return q.orderResult(r, s, "UNION/INTERSECT/EXCEPT")
}

// setTree binds the operation without its ORDER BY and LIMIT.
func (q *query) setTree(s *pg.SelectStmt, _ bool) (*result, error) {
	b := q.b
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.leave()
	l, err := q.setArm(s.Larg)
	if err != nil {
		return nil, err
	}
	r, err := q.setArm(s.Rarg)
	if err != nil {
		return nil, err
	}
	op, kind := "UNION", plan.Union
	switch s.Op {
	case pg.SetOperation_SETOP_INTERSECT:
		op, kind = "INTERSECT", plan.Intersect
	case pg.SetOperation_SETOP_EXCEPT:
		op, kind = "EXCEPT", plan.Except
	}
	if len(l.cols) != len(r.cols) {
		return nil, b.errf(firstTarget(s.Rarg), sqlstate.SyntaxError, "each %s query must have the same number of columns", op)
	}
	want := make([]types.T, len(l.cols))
	for i := range want {
		le, re := armExpr(l, i), armExpr(r, i)
		locs := []int32{targetLocation(s.Larg, i), targetLocation(s.Rarg, i)}
		oid, err := b.commonType([]expr.Expr{le, re}, locs, op)
		if err != nil {
			return nil, err
		}
		both := []expr.Expr{le, re}
		for k, e := range both {
			if !canCoerce(e.Type().OID, oid, fn.Implicit) {
				return nil, b.errf(locs[k], sqlstate.CannotCoerce, "%s could not convert type %s to %s", op,
					types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(oid))
			}
			if _, isParam := e.(*expr.Param); isParam && e.Type().OID == types.UnknownOID {
				both[k] = &expr.Param{T: types.Of(oid, -1)} // settled below
				continue
			}
			if both[k], err = b.coerceType(e, types.Of(oid, -1), fn.Implicit, locs[k]); err != nil {
				return nil, err
			}
		}
		want[i] = commonForm(both, oid)
		if !s.All {
			at := locs[0]
			if le.Type().OID != oid {
				at = locs[1]
			}
			if _, err := b.equality(oid, at); err != nil {
				return nil, err
			}
		}
	}
	ln, lcols, err := b.retype(q, l.node, l.cols, want, fn.Implicit, -1)
	if err != nil {
		return nil, err
	}
	rn, _, err := b.retype(q, r.node, r.cols, want, fn.Implicit, -1)
	if err != nil {
		return nil, err
	}
	set := &plan.SetOp{Kind: kind, All: s.All, Inputs: []plan.Node{exact(ln, len(want)), exact(rn, len(want))}}
	for i, c := range lcols {
		set.Cols = append(set.Cols, b.column(q, c.Name, want[i], inputCol))
	}
	if kind == plan.Union && s.All {
		if inner, ok := ln.(*plan.SetOp); ok && inner.Kind == plan.Union && inner.All {
			set.Inputs = append(append([]plan.Node(nil), inner.Inputs...), set.Inputs[1])
		}
	}
	return &result{node: set, cols: set.Cols}, nil
}

// exact cuts a node's output to its first n columns.
func exact(n plan.Node, count int) plan.Node {
	cols := n.Columns()
	if len(cols) == count {
		return n
	}
	p := &plan.Project{Input: n}
	for _, c := range cols[:count] {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	return p
}

// setArm binds one side. A nested operation without clauses of its own belongs to
// the same tree.
func (q *query) setArm(s *pg.SelectStmt) (*result, error) {
	nested := s.Op != pg.SetOperation_SETOP_NONE && s.Op != pg.SetOperation_SET_OPERATION_UNDEFINED
	if nested && s.WithClause == nil && len(s.SortClause) == 0 && s.LimitCount == nil && s.LimitOffset == nil && len(s.LockingClause) == 0 {
		return q.setTree(s, true)
	}
	return q.b.bindQuery(s, q, true)
}

// armExpr is an arm's output: a literal as such, that its type may still be chosen.
func armExpr(r *result, i int) expr.Expr {
	if p, ok := r.node.(*plan.Project); ok && i < len(p.Exprs) && p.Exprs[i].Col.ID == r.cols[i].ID {
		switch e := p.Exprs[i].Expr.(type) {
		case *expr.Const, *expr.Param:
			return e
		}
	}
	return r.cols[i].Ref()
}

func targetLocation(s *pg.SelectStmt, i int) int32 {
	for s != nil && s.Larg != nil {
		s = s.Larg
	}
	if s == nil {
		return -1
	}
	if i < len(s.TargetList) {
		return location(s.TargetList[i].GetResTarget().Val)
	}
	if len(s.ValuesLists) > 0 {
		if l := s.ValuesLists[0].GetList(); l != nil && i < len(l.Items) {
			return location(l.Items[i])
		}
	}
	return -1
}

func firstTarget(s *pg.SelectStmt) int32 { return targetLocation(s, 0) }

// orderResult puts ORDER BY and LIMIT over a finished result, whose columns only
// they may name.
func (q *query) orderResult(r *result, s *pg.SelectStmt, what string) (*result, error) {
	b := q.b
	sel := &selection{q: q}
	entry := &rel{q: q, colsVisible: true, lateralOK: true}
	for _, c := range r.cols {
		sel.targets = append(sel.targets, target{name: c.Name, e: b.ref(c.ID, -1), loc: -1})
	}
	if what == "" { // VALUES: expressions over its columns are fine
		entry.cols = q.claim(r.cols, entry)
		q.ns = []*rel{entry}
	} else {
		// Expressions over the result's columns are understood, to be refused.
		entry.cols = q.claim(r.cols, entry)
		q.ns = []*rel{entry}
	}
	n := len(sel.targets)
	if err := sel.orderBy(s.SortClause); err != nil {
		return nil, err
	}
	if what != "" && len(sel.targets) > n {
		return nil, b.errf(sel.targets[n].loc, sqlstate.FeatureNotSupported, "invalid %s ORDER BY clause", what).
			WithDetail("Only result column names can be used, not expressions or functions.").
			WithHint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
	}
	q.ns = nil
	lim, err := q.limit(s)
	if err != nil {
		return nil, err
	}
	node := r.node
	if len(sel.targets) > n {
		p := &plan.Project{Input: node}
		for i, t := range sel.targets {
			c := b.column(q, t.name, t.e.Type(), inputCol)
			if i < n {
				c = r.cols[i]
			}
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: t.e})
		}
		node = p
	}
	var keys []plan.SortKey
	for _, x := range sel.sorts {
		k := x.key
		k.Expr = node.Columns()[x.target].Ref()
		keys = append(keys, k)
	}
	if len(keys) > 0 {
		node = &plan.Sort{Input: node, Keys: keys, Limit: -1}
	}
	node = lim.apply(node, keys)
	return &result{node: exact(node, n), cols: r.cols}, nil
}

// valuesQuery binds VALUES as a query of its own.
func (q *query) valuesQuery(s *pg.SelectStmt, unresolved bool) (*result, error) {
	b := q.b
	rows, locs, err := q.valueRows(s.ValuesLists)
	if err != nil {
		return nil, err
	}
	v := &plan.Values{Rows: rows}
	for c := range rows[0] {
		col := make([]expr.Expr, len(rows))
		cl := make([]int32, len(rows))
		for i := range rows {
			col[i], cl[i] = rows[i][c], locs[i][c]
		}
		var t types.T
		if unresolved && len(rows) == 1 {
			t = col[0].Type()
		} else if col, t, err = b.unify(col, cl, "VALUES"); err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i][c] = col[i]
		}
		v.Cols = append(v.Cols, b.column(q, "column"+itoa(c+1), t, inputCol))
	}
	return q.orderResult(&result{node: v, cols: v.Cols}, s, "")
}

// valueRows binds the expressions of VALUES lists.
func (q *query) valueRows(lists []*pg.Node) (rows [][]expr.Expr, locs [][]int32, err error) {
	err = q.in(clauseValues, func() error {
		for _, l := range lists {
			items := l.GetList().GetItems()
			if len(rows) > 0 && len(items) != len(rows[0]) {
				loc := int32(-1)
				if len(items) > 0 {
					loc = location(items[0])
				}
				return q.b.errf(loc, sqlstate.SyntaxError, "VALUES lists must all be the same length")
			}
			es, ls, err := q.exprs(items)
			if err != nil {
				return err
			}
			rows = append(rows, es)
			locs = append(locs, ls)
		}
		return nil
	})
	return rows, locs, err
}
