package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// merge binds MERGE: the source joined with the target, and for each row of the join
// the number of the WHEN clause that it falls under.
func (b *binder) merge(s *pg.MergeStmt) (plan.Node, error) {
	q := &query{b: b}
	if s.WithClause != nil && s.WithClause.Recursive {
		return nil, b.errf(-1, sqlstate.SyntaxError, "WITH RECURSIVE is not supported for MERGE statement")
	}
	if err := q.with(s.WithClause); err != nil {
		return nil, err
	}
	whens := make([]*pg.MergeWhenClause, len(s.MergeWhenClauses))
	var always [2]bool // NOT MATCHED, MATCHED
	kind := plan.Inner
	need := "r"
	for i, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		whens[i] = w
		at := 0
		if w.Matched {
			at = 1
		} else {
			kind = plan.Left
		}
		if always[at] {
			return nil, b.errf(-1, sqlstate.SyntaxError, "unreachable WHEN clause specified after unconditional WHEN clause")
		}
		always[at] = w.Condition == nil
		switch w.CommandType {
		case pg.CmdType_CMD_INSERT:
			need += "a"
		case pg.CmdType_CMD_UPDATE:
			need += "w"
		case pg.CmdType_CMD_DELETE:
			need += "d"
		}
	}
	t, err := b.mergeTarget(s.Relation)
	if err != nil {
		return nil, err
	}
	b.use(t, need)
	scan, target, old, csn, id, err := q.targetScan(t, s.Relation)
	if err != nil {
		return nil, err
	}
	source, rels, err := q.fromItem(s.SourceRelation)
	if err != nil {
		return nil, err
	}
	for _, r := range rels {
		if r.relVisible && r.name == target.name {
			return nil, b.errf(-1, sqlstate.DuplicateAlias, "name \"%s\" specified more than once", r.name).
				WithDetail("The name is used both as MERGE target table and data source.")
		}
	}
	matched := append([]*rel{target}, rels...)
	j := &plan.Join{ID: b.id(), Kind: kind, L: source, R: scan}
	q.ns = matched
	if j.On, err = q.condition(s.JoinCondition, clauseOn, "JOIN/ON"); err != nil {
		return nil, err
	}
	m := &plan.Merge{Table: t, Old: old, CSN: csn, RowID: id}
	hide := *target
	hide.relVisible, hide.colsVisible = false, false
	var pick []expr.When
	for i, w := range whens {
		q.ns = matched
		if !w.Matched {
			q.ns = append([]*rel{&hide}, rels...)
		}
		cond := []expr.Expr{&expr.IsNull{Arg: csn.Ref(), Not: w.Matched}}
		if w.Condition != nil {
			e, err := q.condition(w.Condition, clauseMergeWhen, "WHEN")
			if err != nil {
				return nil, err
			}
			cond = append(cond, e)
		}
		pick = append(pick, expr.When{Cond: conjunction(cond), Then: intConst(int64(i + 1))})
		arm := plan.MergeWhen{Matched: w.Matched, Conditional: w.Condition != nil}
		switch w.CommandType {
		case pg.CmdType_CMD_INSERT:
			arm.Action = plan.MergeInsert
			arm.Set, err = q.mergeRow(t, w)
		case pg.CmdType_CMD_UPDATE:
			arm.Action = plan.MergeUpdate
			var set map[int]expr.Expr
			if set, err = q.assignments(t, w.TargetList); err == nil {
				arm.Set, err = b.newRow(q, t, old, set)
			}
		case pg.CmdType_CMD_DELETE:
			arm.Action = plan.MergeDelete
		}
		if err != nil {
			return nil, err
		}
		m.Whens = append(m.Whens, arm)
	}
	m.Row = b.rowColumns(q, t)
	if m.Checks, err = b.checks(q, t, m.Row); err != nil {
		return nil, err
	}
	m.Pick = b.column(q, "action", types.Int4, inputCol)
	p := &plan.Project{Input: j}
	for _, c := range j.Columns() {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	p.Exprs = append(p.Exprs, plan.Projection{Col: m.Pick, Expr: &expr.Case{Whens: pick, T: types.Int4}})
	m.Input = q.wrapCTEs(q.hoistMerge(p, m))
	return m, nil
}

// mergeTarget finds the table that MERGE writes to.
func (b *binder) mergeTarget(rv *pg.RangeVar) (*catalog.Table, error) {
	t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
	if err != nil {
		return nil, err
	}
	if t.Kind == catalog.KindView {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot execute MERGE on relation \"%s\"", t.Name).
			WithDetail("This operation is not supported for views.")
	}
	return b.writable(rv, "merge into")
}

func conjunction(es []expr.Expr) expr.Expr {
	if len(es) == 1 {
		return es[0]
	}
	return &expr.And{Args: es}
}

// mergeRow is the row that a WHEN NOT MATCHED clause inserts, by ordinal.
func (q *query) mergeRow(t *catalog.Table, w *pg.MergeWhenClause) ([]expr.Expr, error) {
	b := q.b
	ords, err := b.insertColumns(t, w.TargetList)
	if err != nil {
		return nil, err
	}
	row := map[int]expr.Expr{}
	if len(w.Values) > 0 {
		es := make([]expr.Expr, len(w.Values)) // nil for DEFAULT
		err := q.in(clauseValues, func() (err error) {
			for i, n := range w.Values {
				if n.GetSetToDefault() == nil {
					if es[i], err = q.expr(n); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := b.countMismatch(len(es), ords, len(w.TargetList) > 0, func(i int) int32 { return location(w.Values[i]) }, w.TargetList); err != nil {
			return nil, err
		}
		for i, e := range es {
			c := &t.Columns[ords[i]]
			switch {
			case e == nil && c.GeneratedText != "":
				continue
			case e == nil || c.Identity != 0 && w.Override == pg.OverridingKind_OVERRIDING_USER_VALUE:
				e, err = b.defaultOf(c)
			default:
				if err = explicit(c, w.Override); err == nil {
					e, err = b.assignable(e, c.T, c.Name, location(w.Values[i]))
				}
			}
			if err != nil {
				return nil, err
			}
			row[ords[i]] = e
		}
	}
	given := map[int]bool{}
	for o := range row {
		given[o] = true
	}
	miss, err := b.missing(t, given)
	if err != nil {
		return nil, err
	}
	computed := false
	for i := range t.Columns {
		computed = computed || t.Columns[i].GeneratedText != ""
	}
	for o, e := range miss {
		row[o] = e
	}
	if computed {
		for _, e := range row {
			if expr.Volatility(e) == fn.Volatile {
				return nil, b.unsupported(-1, "MERGE that inserts volatile values beside generated columns")
			}
		}
	}
	return b.newRow(q, t, make([]plan.Column, len(t.Columns)), row)
}

// hoistMerge computes the new values that run subqueries below the write, where they
// can be unnested: for the rows that want them.
func (q *query) hoistMerge(in plan.Node, m *plan.Merge) plan.Node {
	b := q.b
	p := &plan.Project{Input: in}
	for _, c := range in.Columns() {
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: c.Ref()})
	}
	eq := fn.EqualityFor(types.Int4OID).Func
	any := false
	for i := range m.Whens {
		for k, e := range m.Whens[i].Set {
			if !hasSubquery(e) {
				continue
			}
			any = true
			mine := &expr.Call{Fn: eq, Args: []expr.Expr{m.Pick.Ref(), intConst(int64(i + 1))}, T: types.Bool, Pos: -1, Op: "="}
			c := b.column(q, "new", e.Type(), inputCol)
			p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: &expr.Case{Whens: []expr.When{{Cond: mine, Then: e}}, T: e.Type()}})
			m.Whens[i].Set[k] = c.Ref()
		}
	}
	if !any {
		return in
	}
	return p
}
