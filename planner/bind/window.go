package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// window is one partitioning and order, and the functions over it.
type window struct {
	key       string
	partition []expr.Expr
	order     []plan.SortKey
	funcs     []plan.WindowFunc
}

// spec is a window definition, bound.
type spec struct {
	partition []expr.Expr
	order     []plan.SortKey
	frame     plan.Frame
}

// windowCall takes a call with OVER out of an expression.
func (q *query) windowCall(in *invocation, c *candidate) (expr.Expr, error) {
	b, f := q.b, in.call
	switch {
	case c.fn.Kind == fn.Scalar:
		return nil, q.plainCall(in)
	case c.fn.Agg != fn.Plain:
		return nil, b.errf(in.loc, sqlstate.FeatureNotSupported, "OVER is not supported for ordered-set aggregate %s", in.name)
	case f.AggWithinGroup:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "WITHIN GROUP specified, but %s is not an ordered-set aggregate function", in.name)
	case q.clause.win != "":
		return nil, b.errf(in.loc, sqlstate.WindowingError, "window functions are not allowed in %s", q.clause.win)
	case f.AggDistinct:
		return nil, b.errf(in.loc, sqlstate.FeatureNotSupported, "DISTINCT is not implemented for window functions")
	case len(f.AggOrder) > 0:
		return nil, b.errf(in.loc, sqlstate.FeatureNotSupported, "aggregate ORDER BY is not implemented for window functions")
	case f.AggFilter != nil && c.fn.Kind == fn.Window:
		return nil, b.errf(in.loc, sqlstate.FeatureNotSupported, "FILTER is not implemented for non-aggregate window functions")
	case c.fn.Kind == fn.Aggregate && len(in.args) == 0 && !f.AggStar:
		return nil, b.errf(in.loc, sqlstate.WrongObjectType, "%s(*) must be used to call a parameterless aggregate function", in.name)
	}
	args, ret, err := b.arguments(in, c)
	if err != nil {
		return nil, err
	}
	wf := plan.WindowFunc{Fn: c.fn, Args: args, Star: f.AggStar, Filter: in.filter}
	for _, a := range append(append([]expr.Expr(nil), args...), wf.Filter) {
		if err := q.notNested(a, "window function calls cannot be nested", "window function calls cannot contain set-returning function calls"); err != nil {
			return nil, err
		}
	}
	s, err := q.overClause(f.Over)
	if err != nil {
		return nil, err
	}
	wf.Frame = s.frame
	wf.Col = b.column(q, c.fn.Name, callType(c.fn, args, ret), windowCol)
	k := keys(s.partition) + "|" + sortKeys(s.order)
	for _, w := range q.wins {
		if w.key == k {
			w.funcs = append(w.funcs, wf)
			return b.ref(wf.Col.ID, in.loc), nil
		}
	}
	q.wins = append(q.wins, &window{key: k, partition: s.partition, order: s.order, funcs: []plan.WindowFunc{wf}})
	return b.ref(wf.Col.ID, in.loc), nil
}

// notNested refuses window and set-returning results of this level inside e.
func (q *query) notNested(e expr.Expr, win, srf string) error {
	var err error
	expr.Walk(e, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Column); ok && err == nil {
			if info := q.b.cols[c.ID]; info != nil && info.q == q {
				switch info.kind {
				case windowCol:
					err = q.b.errf(q.b.at[c], sqlstate.WindowingError, "%s", win)
				case srfCol:
					err = q.b.errf(q.b.at[c], sqlstate.FeatureNotSupported, "%s", srf).
						WithHint("You might be able to move the set-returning function into a LATERAL FROM item.")
				}
			}
		}
		return true
	})
	return err
}

// overClause binds what follows OVER: a window's name or a definition.
func (q *query) overClause(w *pg.WindowDef) (*spec, error) {
	if w.Name != "" { // OVER name
		return q.namedWindow(w.Name, w.Location)
	}
	return q.windowDef(w)
}

func (q *query) namedWindow(name string, loc int32) (*spec, error) {
	for i, n := range q.windowDefs {
		d := n.GetWindowDef()
		if d == nil || d.Name != name {
			continue
		}
		if s := q.windowSpecs[i]; s != nil {
			return s, nil
		}
		// A window may copy only earlier ones.
		saved := q.windowDefs
		q.windowDefs = q.windowDefs[:i]
		s, err := q.windowDef(d)
		q.windowDefs = saved
		if err != nil {
			return nil, err
		}
		q.windowSpecs[i] = s
		return s, nil
	}
	return nil, q.b.errf(loc, sqlstate.UndefinedObject, "window \"%s\" does not exist", name)
}

// Bits of WindowDef.FrameOptions.
const (
	frameNonDefault         = 0x1
	frameRange              = 0x2
	frameRows               = 0x4
	frameGroups             = 0x8
	startUnboundedPreceding = 0x20
	endUnboundedPreceding   = 0x40
	startUnboundedFollowing = 0x80
	endUnboundedFollowing   = 0x100
	startCurrentRow         = 0x200
	endCurrentRow           = 0x400
	startOffsetPreceding    = 0x800
	endOffsetPreceding      = 0x1000
	startOffsetFollowing    = 0x2000
	endOffsetFollowing      = 0x4000
	excludeCurrentRow       = 0x8000
	excludeGroup            = 0x10000
	excludeTies             = 0x20000
)

// windowDef binds a window definition.
func (q *query) windowDef(w *pg.WindowDef) (*spec, error) {
	b := q.b
	s := &spec{}
	saved := q.clause
	q.clause = clauseWindow
	defer func() { q.clause = saved }()
	var base *spec
	if w.Refname != "" {
		var err error
		if base, err = q.namedWindow(w.Refname, w.Location); err != nil {
			return nil, err
		}
		switch {
		case len(w.PartitionClause) > 0:
			return nil, b.errf(w.Location, sqlstate.WindowingError, "cannot override PARTITION BY clause of window \"%s\"", w.Refname)
		case len(w.OrderClause) > 0 && len(base.order) > 0:
			return nil, b.errf(w.Location, sqlstate.WindowingError, "cannot override ORDER BY clause of window \"%s\"", w.Refname)
		case q.hasFrame(w.Refname):
			return nil, b.errf(w.Location, sqlstate.WindowingError, "cannot copy window \"%s\" because it has a frame clause", w.Refname)
		}
		s.partition, s.order = base.partition, base.order
	}
	for _, p := range w.PartitionClause {
		e, err := q.expr(p)
		if err != nil {
			return nil, err
		}
		if e, err = b.known(e, location(p)); err != nil {
			return nil, err
		}
		if _, err := b.equality(e.Type().OID, location(p)); err != nil {
			return nil, err
		}
		s.partition = append(s.partition, e)
	}
	if len(w.OrderClause) > 0 {
		s.order = nil
	}
	for _, o := range w.OrderClause {
		sb := o.GetSortBy()
		e, err := q.expr(sb.Node)
		if err != nil {
			return nil, err
		}
		if e, err = b.known(e, location(sb.Node)); err != nil {
			return nil, err
		}
		k, err := b.sortKey(e, sb)
		if err != nil {
			return nil, err
		}
		s.order = append(s.order, k)
	}
	for _, e := range s.partition {
		if err := q.notNested(e, "window functions are not allowed in window definitions", "set-returning functions are not allowed in window definitions"); err != nil {
			return nil, err
		}
	}
	for _, k := range s.order {
		if err := q.notNested(k.Expr, "window functions are not allowed in window definitions", "set-returning functions are not allowed in window definitions"); err != nil {
			return nil, err
		}
	}
	var err error
	s.frame, err = q.frame(w, s)
	return s, err
}

func (q *query) hasFrame(name string) bool {
	for _, n := range q.windowDefs {
		if d := n.GetWindowDef(); d != nil && d.Name == name {
			return d.FrameOptions&frameNonDefault != 0
		}
	}
	return false
}

func (q *query) frame(w *pg.WindowDef, s *spec) (plan.Frame, error) {
	b, o := q.b, w.FrameOptions
	fr := plan.Frame{Mode: plan.Range}
	mode := "RANGE"
	switch {
	case o&frameRows != 0:
		fr.Mode, mode = plan.Rows, "ROWS"
	case o&frameGroups != 0:
		fr.Mode, mode = plan.Groups, "GROUPS"
		if len(s.order) == 0 {
			return fr, b.errf(w.Location, sqlstate.WindowingError, "GROUPS mode requires an ORDER BY clause")
		}
	}
	switch {
	case o&startUnboundedPreceding != 0:
		fr.Start.Kind = plan.UnboundedPreceding
	case o&startCurrentRow != 0:
		fr.Start.Kind = plan.CurrentRow
	case o&startOffsetPreceding != 0:
		fr.Start.Kind = plan.Preceding
	case o&startOffsetFollowing != 0:
		fr.Start.Kind = plan.Following
	case o&startUnboundedFollowing != 0:
		fr.Start.Kind = plan.UnboundedFollowing
	}
	switch {
	case o&endUnboundedPreceding != 0:
		fr.End.Kind = plan.UnboundedPreceding
	case o&endCurrentRow != 0:
		fr.End.Kind = plan.CurrentRow
	case o&endOffsetPreceding != 0:
		fr.End.Kind = plan.Preceding
	case o&endOffsetFollowing != 0:
		fr.End.Kind = plan.Following
	case o&endUnboundedFollowing != 0:
		fr.End.Kind = plan.UnboundedFollowing
	}
	switch {
	case o&excludeCurrentRow != 0:
		fr.Exclude = plan.ExcludeCurrentRow
	case o&excludeGroup != 0:
		fr.Exclude = plan.ExcludeGroup
	case o&excludeTies != 0:
		fr.Exclude = plan.ExcludeTies
	}
	if o&frameNonDefault == 0 {
		fr.Start.Kind, fr.End.Kind = plan.UnboundedPreceding, plan.CurrentRow
	}
	if err := q.frameOffset(&fr.Start, w.StartOffset, mode, w, s); err != nil {
		return fr, err
	}
	return fr, q.frameOffset(&fr.End, w.EndOffset, mode, w, s)
}

// frameOffset binds the offset of a bound; in RANGE mode it also finds the function
// that shifts the ordering column by it.
func (q *query) frameOffset(fb *plan.FrameBound, n *pg.Node, mode string, w *pg.WindowDef, s *spec) error {
	if n == nil || fb.Kind != plan.Preceding && fb.Kind != plan.Following {
		return nil
	}
	b := q.b
	saved := q.clause
	q.clause = clauseFrame(mode)
	defer func() { q.clause = saved }()
	e, err := q.expr(n)
	if err != nil {
		return err
	}
	if q.usesColumns(e) {
		return b.errf(location(n), sqlstate.InvalidColumnReference, "argument of %s must not contain variables", mode)
	}
	if mode != "RANGE" {
		out, ok, err := b.coerce(e, types.Int8, fn.Assignment, location(n))
		if err != nil {
			return err
		}
		if !ok {
			return b.errf(location(n), sqlstate.DatatypeMismatch, "argument of %s must be type bigint, not type %s", mode, types.FormatTypeNoMod(e.Type().OID))
		}
		fb.Offset = out
		return nil
	}
	if len(s.order) != 1 {
		return b.errf(w.Location, sqlstate.WindowingError, "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
	}
	k := s.order[0]
	t := k.Expr.Type()
	fb.Sub = (fb.Kind == plan.Preceding) != k.Desc
	name := "+"
	if fb.Sub {
		name = "-"
	}
	var off types.T
	switch t.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID, types.Float4OID, types.Float8OID, types.NumericOID:
		off = types.Of(t.OID, -1)
		if t.OID == types.Float4OID {
			off = types.Float8
		}
	case types.DateOID, types.TimestampOID, types.TimestamptzOID, types.TimeOID, types.TimetzOID, types.IntervalOID:
		off = types.Interval
	default:
		return b.errf(location(n), sqlstate.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s", types.FormatTypeNoMod(t.OID))
	}
	out, ok, err := b.coerce(e, off, fn.Implicit, location(n))
	if err != nil {
		return err
	}
	if !ok {
		return b.errf(location(n), sqlstate.FeatureNotSupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and offset type %s",
			types.FormatTypeNoMod(t.OID), types.FormatTypeNoMod(e.Type().OID)).WithHint("Cast the offset value to an appropriate type.")
	}
	op, err := b.operator(name, t.OID, off.OID, location(n))
	if err != nil {
		return err
	}
	fb.Offset, fb.Shift = out, op.Func
	return nil
}

// usesColumns says whether e has columns of this level.
func (q *query) usesColumns(e expr.Expr) bool {
	found := false
	plan.RewriteExpr(e, func(e expr.Expr) (expr.Expr, bool) {
		if c, ok := e.(*expr.Column); ok {
			if info := q.b.cols[c.ID]; info != nil && info.q == q {
				found = true
			}
		}
		return e, found
	})
	return found
}
