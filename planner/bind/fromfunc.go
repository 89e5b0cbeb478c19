package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// function binds functions in FROM: one, or several in ROWS FROM, with their
// ordinality and column definitions.
func (q *query) function(x *pg.RangeFunction) (plan.Node, *rel, error) {
	b := q.b
	saved, savedSRFs := q.lateral, q.srfs
	q.lateral = true
	q.srfs = nil
	defer func() { q.lateral, q.srfs = saved, savedSRFs }()

	set := &plan.ProjectSet{Input: oneRow()}
	var plain []plan.Projection
	var cols []plan.Column
	name := ""
	scalar := false
	var firstCall expr.Expr
	var record plan.Node
	items := rowsFrom(x.Functions)
	for i, it := range items {
		e, err := q.fromCall(it.call)
		if err != nil {
			return nil, nil, err
		}
		defs := it.defs
		if len(x.Coldeflist) > 0 {
			at := x.Coldeflist[0].GetColumnDef().GetLocation()
			if len(items) > 1 {
				return nil, nil, b.errf(at, sqlstate.SyntaxError, "ROWS FROM() with multiple functions cannot have a column definition list").
					WithHint("Put a separate column definition list for each function inside ROWS FROM().")
			}
			if x.Ordinality {
				return nil, nil, b.errf(at, sqlstate.SyntaxError, "WITH ORDINALITY cannot be used with a column definition list").
					WithHint("Put the column definition list inside ROWS FROM().")
			}
			defs = x.Coldeflist
		}
		if i == 0 {
			firstCall = e
			name = columnName(it.call)
		}
		shape, single, err := q.callColumns(e, columnName(it.call), defs, location(it.call))
		if err != nil {
			return nil, nil, err
		}
		scalar = single && len(items) == 1
		call, isCall := e.(*expr.Call)
		if isCall && len(defs) > 0 && len(items) == 1 {
			if record, err = q.jsonRecord(call, shape, location(it.call)); err != nil {
				return nil, nil, err
			}
		}
		if isCall && (call.Fn.RetSet || len(items) > 1 || x.Ordinality || len(shape) > 1) || !isCall && (len(items) > 1 || x.Ordinality) {
			set.Calls = append(set.Calls, plan.SetCall{Call: e, Cols: shape})
		} else {
			plain = append(plain, plan.Projection{Col: shape[0], Expr: e})
		}
		cols = append(cols, shape...)
	}
	var node plan.Node
	if record != nil {
		node = record
	} else if len(plain) > 0 {
		node = &plan.Project{Input: oneRow(), Exprs: plain}
	} else {
		if x.Ordinality {
			set.Ordinality = b.column(q, "ordinality", types.Int8, inputCol)
			cols = append(cols, set.Ordinality)
			scalar = false
		}
		node = set
	}
	entry := &rel{}
	rc := q.claim(cols, entry)
	// An alias without column names also names the one column of a scalar function,
	// unless it is a named OUT parameter.
	named := false
	if call, ok := firstCall.(*expr.Call); ok {
		named = len(call.Fn.OutTypes) > 0
	}
	if !named && x.Alias != nil && len(x.Alias.Colnames) == 0 && len(rc) > 0 && (scalar || len(items) == 1 && x.Ordinality && len(cols) == 2) {
		rc[0].name = x.Alias.Aliasname
	}
	r, err := q.newRel(name, rc, x.Alias)
	if err != nil {
		return nil, nil, err
	}
	*entry = *r
	entry.scalar = scalar
	for i := range rc { // names as the alias gave them
		info := b.cols[cols[i].ID]
		info.col.Name = entry.cols[i].name
		entry.cols[i].e = info.col.Ref()
	}
	return node, entry, nil
}

// jsonRecord makes the fields of json[b]_to_record and json[b]_to_recordset, which
// the column definitions name; nil for all other functions.
func (q *query) jsonRecord(call *expr.Call, cols []plan.Column, loc int32) (plan.Node, error) {
	b := q.b
	base, kind, ok := strings.Cut(call.Fn.Name, "_to_record")
	if !ok || base != "json" && base != "jsonb" {
		return nil, nil
	}
	doc := b.column(q, "value", call.Args[0].Type(), inputCol)
	var in plan.Node
	if kind == "set" {
		elements := fn.BySignature(base + "_array_elements")
		in = &plan.ProjectSet{Input: oneRow(), Calls: []plan.SetCall{{
			Call: &expr.Call{Fn: elements, Args: call.Args, T: doc.T, Pos: call.Pos}, Cols: []plan.Column{doc}}}}
	} else {
		in = &plan.Project{Input: oneRow(), Exprs: []plan.Projection{{Col: doc, Expr: call.Args[0]}}}
	}
	p := &plan.Project{Input: in}
	for _, c := range cols {
		name := &expr.Const{T: types.Text, D: types.NewString(c.Name)}
		text, err := b.binary("->>", doc.Ref(), name, loc)
		if err != nil {
			return nil, err
		}
		var e expr.Expr
		switch {
		case c.T.OID == types.JSONOID || c.T.OID == types.JSONBOID:
			if e, err = b.binary("->", doc.Ref(), name, loc); err != nil {
				return nil, err
			}
			if e, err = b.coerceType(e, c.T, fn.Explicit, loc); err != nil {
				return nil, err
			}
			// A null there is a null here.
			e = &expr.Case{Whens: []expr.When{{Cond: &expr.IsNull{Arg: text}, Then: null(c.T)}}, Else: e, T: c.T}
		case types.IsArray(c.T.OID):
			return nil, b.unsupported(loc, "an array column of %s", call.Fn.Name)
		case c.T.OID == types.VarcharOID || c.T.OID == types.BPCharOID:
			if e, err = b.assignable(text, c.T, c.Name, loc); err != nil {
				return nil, err
			}
		default:
			if e, err = b.coerceType(text, c.T, fn.Explicit, loc); err != nil {
				return nil, err
			}
		}
		p.Exprs = append(p.Exprs, plan.Projection{Col: c, Expr: e})
	}
	return p, nil
}

type rowsFromItem struct {
	call *pg.Node
	defs []*pg.Node
}

// rowsFrom takes the list apart: each entry is a call and its column definitions.
// unnest of several arrays is one call each.
func rowsFrom(list []*pg.Node) []rowsFromItem {
	var out []rowsFromItem
	for _, n := range list {
		l := n.GetList()
		if l == nil || len(l.Items) == 0 {
			continue
		}
		it := rowsFromItem{call: l.Items[0]}
		if len(l.Items) > 1 {
			if d := l.Items[1].GetList(); d != nil {
				it.defs = d.Items
			}
		}
		f := it.call.GetFuncCall()
		if f != nil && len(f.Args) > 1 && stringNode(f.Funcname[len(f.Funcname)-1]) == "unnest" && len(f.AggOrder) == 0 && !f.FuncVariadic {
			for _, a := range f.Args {
				one := &pg.FuncCall{Funcname: f.Funcname, Args: []*pg.Node{a}, Location: f.Location, Funcformat: f.Funcformat}
				out = append(out, rowsFromItem{call: &pg.Node{Node: &pg.Node_FuncCall{FuncCall: one}}})
			}
			continue
		}
		out = append(out, it)
	}
	return out
}

// fromCall binds a call in FROM: a set-returning one stays a call.
func (q *query) fromCall(n *pg.Node) (expr.Expr, error) {
	b := q.b
	var e expr.Expr
	err := q.in(clauseFunction, func() (err error) {
		e, err = q.expr(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	if e, err = b.known(e, location(n)); err != nil {
		return nil, err
	}
	if len(q.srfs) == 0 {
		return e, nil
	}
	if len(q.srfs) > 1 || q.srfs[0].out != e {
		return nil, b.errf(location(n), sqlstate.FeatureNotSupported, "set-returning functions must appear at top level of FROM")
	}
	e = q.srfs[0].call.Call
	q.srfs = nil
	return e, nil
}

// callColumns are the output columns of a call in FROM; scalar is set when it has
// one plain value.
func (q *query) callColumns(e expr.Expr, name string, defs []*pg.Node, loc int32) (cols []plan.Column, scalar bool, err error) {
	b := q.b
	call, _ := e.(*expr.Call)
	if len(defs) > 0 {
		if call == nil || call.Fn.Ret != types.RecordOID {
			return nil, false, b.errf(loc, sqlstate.SyntaxError, "a column definition list is only allowed for functions returning \"record\"")
		}
		if len(call.Fn.OutTypes) > 0 {
			return nil, false, b.errf(loc, sqlstate.SyntaxError, "a column definition list is redundant for a function with OUT parameters")
		}
		for _, d := range defs {
			cd := d.GetColumnDef()
			t, err := b.typeName(cd.TypeName)
			if err != nil {
				return nil, false, err
			}
			cols = append(cols, b.column(q, cd.Colname, t, inputCol))
		}
		return cols, false, nil
	}
	if call != nil && len(call.Fn.OutTypes) > 0 {
		for i := range call.Fn.OutTypes {
			cols = append(cols, b.column(q, call.Fn.OutNames[i], types.Of(outType(call, i), -1), inputCol))
		}
		return cols, len(cols) == 1, nil
	}
	if call != nil && call.T.OID == types.RecordOID {
		return nil, false, b.errf(loc, sqlstate.SyntaxError, "a column definition list is required for functions returning \"record\"")
	}
	return []plan.Column{b.column(q, name, e.Type(), inputCol)}, true, nil
}
