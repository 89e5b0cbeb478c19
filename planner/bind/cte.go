package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// cte is one WITH item.
type cte struct {
	name string
	id   int
	def  plan.Node
	cols []plan.Column // of def, renamed
	refs int
	// inline: NOT MATERIALIZED; bound anew for each reference.
	node         *pg.CommonTableExpr
	home         *query
	materialized bool
	inline       bool
	recursive    bool
	// modifies: an INSERT, UPDATE or DELETE, which runs whether or not it is read;
	// silent: without RETURNING.
	modifies, silent bool
	// step is set while the recursive term is bound; selfRefs counts its uses.
	step     bool
	selfRefs int
}

// with binds a WITH clause; its items become visible to the query.
func (q *query) with(w *pg.WithClause) error {
	if w == nil {
		return nil
	}
	b := q.b
	seen := map[string]bool{}
	items := make([]*pg.CommonTableExpr, 0, len(w.Ctes))
	for _, n := range w.Ctes {
		c := n.GetCommonTableExpr()
		if seen[c.Ctename] {
			return b.errf(c.Location, sqlstate.DuplicateAlias, "WITH query name \"%s\" specified more than once", c.Ctename)
		}
		seen[c.Ctename] = true
		items = append(items, c)
	}
	if w.Recursive {
		items = sortCTEs(items)
	}
	for _, c := range items {
		modifies := c.Ctequery.GetSelectStmt() == nil
		if modifies && q.parent != nil {
			return b.errf(c.Location, sqlstate.FeatureNotSupported, "WITH clause containing a data-modifying statement must be at the top level")
		}
		if c.SearchClause != nil {
			return b.unsupported(c.Location, "SEARCH in a recursive query")
		}
		if c.CycleClause != nil {
			return b.unsupported(c.Location, "CYCLE in a recursive query")
		}
		x := &cte{name: c.Ctename, id: b.id(), node: c, home: q}
		x.materialized = c.Ctematerialized == pg.CTEMaterialize_CTEMaterializeAlways
		x.inline = c.Ctematerialized == pg.CTEMaterialize_CTEMaterializeNever
		var err error
		if modifies {
			if w.Recursive && mentions(c.Ctequery, c.Ctename) {
				return b.errf(c.Location, sqlstate.InvalidRecursion, "recursive query \"%s\" must not contain data-modifying statements", c.Ctename)
			}
			x.inline, x.modifies = false, true
			err = q.modifyingCTE(x)
		} else if w.Recursive && mentions(c.Ctequery, c.Ctename) {
			x.inline, x.recursive = false, true
			err = q.recursiveCTE(x)
		} else {
			err = q.plainCTE(x)
		}
		if err != nil {
			return err
		}
		q.ctes = append(q.ctes, x)
	}
	return nil
}

func (q *query) plainCTE(x *cte) error {
	r, err := q.b.bindQuery(x.node.Ctequery.GetSelectStmt(), q, false)
	if err != nil {
		return err
	}
	x.def = r.node
	x.cols, err = q.renameCTE(x, r.cols)
	return err
}

// modifyingCTE binds INSERT, UPDATE or DELETE in WITH. All of a statement's parts
// see the same snapshot; only RETURNING tells one what another did.
func (q *query) modifyingCTE(x *cte) error {
	b := q.b
	var node plan.Node
	var cols []plan.Column
	var err error
	switch s := x.node.Ctequery.GetNode().(type) {
	case *pg.Node_InsertStmt:
		node, cols, err = b.insert(s.InsertStmt, q)
	case *pg.Node_UpdateStmt:
		node, cols, err = b.update(s.UpdateStmt, q)
	case *pg.Node_DeleteStmt:
		node, cols, err = b.delete(s.DeleteStmt, q)
	case *pg.Node_MergeStmt:
		return b.errf(x.node.Location, sqlstate.FeatureNotSupported, "MERGE not supported in WITH query")
	default:
		return b.unsupported(x.node.Location, "this statement in WITH")
	}
	if err != nil {
		return err
	}
	b.modifies = true
	x.def, x.silent = node, len(cols) == 0
	x.cols, err = q.renameCTE(x, cols)
	return err
}

// renameCTE gives the columns of an item's query the names of its column list.
func (q *query) renameCTE(x *cte, cols []plan.Column) ([]plan.Column, error) {
	if len(x.node.Aliascolnames) > len(cols) {
		return nil, q.b.errf(x.node.Location, sqlstate.InvalidColumnReference, "WITH query \"%s\" has %d columns available but %d columns specified",
			x.name, len(cols), len(x.node.Aliascolnames))
	}
	out := append([]plan.Column(nil), cols...)
	for i, n := range x.node.Aliascolnames {
		out[i].Name = stringNode(n)
	}
	return out, nil
}

// recursiveCTE binds base UNION [ALL] step.
func (q *query) recursiveCTE(x *cte) error {
	b, loc := q.b, x.node.Location
	s := x.node.Ctequery.GetSelectStmt()
	if s.Op != pg.SetOperation_SETOP_UNION {
		return b.errf(loc, sqlstate.InvalidRecursion, "recursive query \"%s\" does not have the form non-recursive-term UNION [ALL] recursive-term", x.name)
	}
	switch {
	case len(s.SortClause) > 0:
		return b.errf(location(s.SortClause[0]), sqlstate.FeatureNotSupported, "ORDER BY in a recursive query is not implemented")
	case s.LimitOffset != nil:
		return b.errf(location(s.LimitOffset), sqlstate.FeatureNotSupported, "OFFSET in a recursive query is not implemented")
	case s.LimitCount != nil:
		return b.errf(location(s.LimitCount), sqlstate.FeatureNotSupported, "LIMIT in a recursive query is not implemented")
	}
	if mentionsSelect(s.Larg, x.name) {
		return b.errf(mentionLocation(s.Larg, x.name), sqlstate.InvalidRecursion, "recursive reference to query \"%s\" must not appear within its non-recursive term", x.name)
	}
	inner := &query{b: b, parent: q}
	if err := inner.with(s.WithClause); err != nil {
		return err
	}
	base, err := inner.setArm(s.Larg)
	if err != nil {
		return err
	}
	types0 := make([]types.T, len(base.cols))
	for i, c := range base.cols {
		types0[i] = c.T
		if c.T.OID == types.UnknownOID {
			types0[i] = types.Text
		}
		if types0[i].OID == types.NumericOID {
			// Rounds may widen it: only the variable form holds them all.
			if types0[i].Mod < 0 {
				types0[i] = types.Numeric
			}
		}
	}
	node, cols, err := b.retype(inner, base.node, base.cols, types0, fn.Implicit, -1)
	if err != nil {
		return err
	}
	if cols, err = q.renameCTE(x, cols); err != nil {
		return err
	}
	rec := &plan.Recursive{ID: b.id(), Base: exact(node, len(cols)), All: s.All}
	for _, c := range cols {
		rec.Cols = append(rec.Cols, b.column(q, c.Name, c.T, inputCol))
		if !s.All {
			if _, err := b.equality(c.T.OID, loc); err != nil {
				return err
			}
		}
	}
	self := &cte{name: x.name, id: rec.ID, cols: rec.Cols, step: true, home: inner, node: x.node}
	inner.ctes = append(inner.ctes, self)
	if where, at := badRecursion(s.Rarg, x.name); where != "" {
		return b.errf(at, sqlstate.InvalidRecursion, "recursive reference to query \"%s\" must not appear within %s", x.name, where)
	}
	step, err := inner.setArm(s.Rarg)
	if err != nil {
		return err
	}
	if self.selfRefs > 1 {
		return b.errf(mentionLocation(s.Rarg, x.name), sqlstate.InvalidRecursion, "recursive reference to query \"%s\" must not appear more than once", x.name)
	}
	if len(step.cols) != len(cols) {
		return b.errf(firstTarget(s.Rarg), sqlstate.SyntaxError, "each UNION query must have the same number of columns")
	}
	for i := range cols {
		oid, err := b.commonType([]expr.Expr{cols[i].Ref(), armExpr(step, i)}, []int32{targetLocation(s.Larg, i), targetLocation(s.Rarg, i)}, "UNION")
		if err != nil {
			return err
		}
		if oid != cols[i].T.OID {
			return b.errf(targetLocation(s.Larg, i), sqlstate.DatatypeMismatch, "recursive query \"%s\" column %d has type %s in non-recursive term but type %s overall",
				x.name, i+1, types.FormatType(cols[i].T.OID, cols[i].T.Mod), types.FormatTypeNoMod(oid)).
				WithHint("Cast the output of the non-recursive term to the correct type.")
		}
	}
	sn, _, err := b.retype(inner, step.node, step.cols, types0, fn.Implicit, -1)
	if err != nil {
		return err
	}
	rec.Step = exact(sn, len(cols))
	inner.ctes = inner.ctes[:len(inner.ctes)-1]
	x.def = inner.wrapCTEs(rec)
	x.cols = rec.Cols
	return nil
}

// findCTE finds a WITH item by name in this level and those around it.
func (q *query) findCTE(name string) *cte {
	for l := q; l != nil; l = l.parent {
		for i := len(l.ctes) - 1; i >= 0; i-- {
			if l.ctes[i].name == name {
				return l.ctes[i]
			}
		}
	}
	return nil
}

// cteRef binds a reference to a WITH item in FROM.
func (q *query) cteRef(c *cte, rv *pg.RangeVar) (plan.Node, *rel, error) {
	b := q.b
	if c.silent {
		return nil, nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "WITH query \"%s\" does not have a RETURNING clause", c.name)
	}
	entry := &rel{}
	var node plan.Node
	var cols []plan.Column
	if c.inline && c.refs > 0 {
		// A second copy, with columns of its own, seen from where the item stands.
		saved := c.home.ctes
		for i, x := range saved {
			if x == c {
				c.home.ctes = saved[:i]
			}
		}
		r, err := b.bindQuery(c.node.Ctequery.GetSelectStmt(), c.home, false)
		c.home.ctes = saved
		if err != nil {
			return nil, nil, err
		}
		if cols, err = q.renameCTE(c, r.cols); err != nil {
			return nil, nil, err
		}
		node = exact(r.node, len(cols))
	} else {
		ref := &plan.CTERef{ID: c.id, Name: c.name}
		for _, x := range c.cols {
			n := b.column(q, x.Name, x.T, inputCol)
			n.Table, n.Attr = x.Table, x.Attr
			b.cols[n.ID].col = n
			if was := b.cols[x.ID]; was != nil {
				b.cols[n.ID].fields = was.fields
			}
			ref.Cols = append(ref.Cols, n)
		}
		cols, node = ref.Cols, ref
		c.refs++
		if c.step {
			c.selfRefs++
		}
	}
	rc := q.claim(cols, entry)
	named, err := q.newRel(c.name, rc, rv.Alias)
	if err != nil {
		return nil, nil, err
	}
	*entry = *named
	return node, entry, nil
}

// wrapCTEs puts the level's WITH items above node: dropped when nothing refers to
// them, in the place of the only reference, or as a With.
func (q *query) wrapCTEs(node plan.Node) plan.Node {
	for i := len(q.ctes) - 1; i >= 0; i-- {
		c := q.ctes[i]
		switch {
		case c.modifies:
			node = &plan.With{ID: c.id, Name: c.name, Def: c.def, Body: node}
		case c.refs == 0:
		case c.inline || c.refs == 1 && !c.materialized && !c.recursive && !volatile(c.def):
			node = plan.Rewrite(node, func(n plan.Node) plan.Node {
				ref, ok := n.(*plan.CTERef)
				if !ok || ref.ID != c.id {
					return n
				}
				p := &plan.Project{Input: c.def}
				for k, col := range ref.Cols {
					p.Exprs = append(p.Exprs, plan.Projection{Col: col, Expr: c.cols[k].Ref()})
				}
				return p
			})
		default:
			node = &plan.With{ID: c.id, Name: c.name, Def: exact(c.def, len(c.cols)), Body: node}
		}
	}
	return node
}

// volatile says whether a plan calls a volatile function.
func volatile(n plan.Node) bool {
	found := false
	plan.RewriteExprs(n, func(e expr.Expr) (expr.Expr, bool) {
		if c, ok := e.(*expr.Call); ok && c.Fn.Volatility == fn.Volatile {
			found = true
		}
		return e, found
	})
	return found
}
