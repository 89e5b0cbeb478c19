package bind

import (
	"math"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

// sequenceOptions is what the options of a sequence say, before they are put in
// relation to each other.
type sequenceOptions struct {
	typ                                  *pg.DefElem
	inc, start, restart, max, min, cache *pg.DefElem
	cycle, owned, name                   *pg.DefElem
}

func (b *binder) sequenceOptions(list []*pg.Node, identity bool) (*sequenceOptions, error) {
	o := &sequenceOptions{}
	at := map[string]**pg.DefElem{"as": &o.typ, "increment": &o.inc, "start": &o.start, "restart": &o.restart, "maxvalue": &o.max,
		"minvalue": &o.min, "cache": &o.cache, "cycle": &o.cycle, "owned_by": &o.owned, "sequence_name": &o.name}
	for _, n := range list {
		d := n.GetDefElem()
		p := at[d.Defname]
		if p == nil || identity && d.Defname == "owned_by" || !identity && d.Defname == "sequence_name" {
			return nil, b.errf(d.Location, sqlstate.SyntaxError, "invalid sequence option SET %s", strings.ToUpper(d.Defname))
		}
		if *p != nil {
			return nil, b.errf(d.Location, sqlstate.SyntaxError, "conflicting or redundant options")
		}
		*p = d
	}
	return o, nil
}

// whole is the number of an option.
func (b *binder) whole(d *pg.DefElem) (int64, error) {
	switch x := d.Arg.GetNode().(type) {
	case *pg.Node_Integer:
		return int64(x.Integer.Ival), nil
	case *pg.Node_Float:
		if n, err := strconv.ParseInt(x.Float.Fval, 10, 64); err == nil {
			return n, nil
		}
		return 0, sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value \"%s\" is out of range for type bigint", x.Float.Fval)
	}
	return 0, b.errf(d.Location, sqlstate.SyntaxError, "%s requires a numeric value", d.Defname)
}

// sequence makes a definition of options; old is the one that they change, nil for a
// new sequence. restart is what it begins anew with, if it is to.
func (b *binder) sequence(o *sequenceOptions, old *catalog.Sequence) (q catalog.Sequence, restart *int64, err error) {
	num := func(d *pg.DefElem) int64 {
		var n int64
		if err == nil {
			n, err = b.whole(d)
		}
		return n
	}
	bad := func(format string, args ...any) (catalog.Sequence, *int64, error) {
		return q, nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, format, args...)
	}
	q = catalog.Sequence{Type: types.Int8OID, Inc: 1, Cache: 1}
	if old != nil {
		q = *old
	}
	resetMin, resetMax := old == nil, old == nil
	if o.typ != nil {
		t, err := b.typeName(o.typ.Arg.GetTypeName())
		if err != nil {
			return q, nil, err
		}
		if t.OID != types.Int2OID && t.OID != types.Int4OID && t.OID != types.Int8OID {
			return bad("sequence type must be smallint, integer, or bigint")
		}
		if old != nil {
			lo, hi := typeBounds(old.Type)
			resetMin = resetMin || q.Inc < 0 && q.Min == lo
			resetMax = resetMax || q.Inc > 0 && q.Max == hi
		}
		q.Type = t.OID
	}
	if o.inc != nil {
		if q.Inc = num(o.inc); err == nil && q.Inc == 0 {
			return bad("INCREMENT must not be zero")
		}
	}
	if o.cycle != nil {
		q.Cycle = o.cycle.Arg.GetBoolean().GetBoolval()
	}
	lo, hi := catalog.SequenceBounds(q.Type, q.Inc > 0)
	tlo, thi := typeBounds(q.Type)
	name := types.FormatTypeNoMod(q.Type)
	switch {
	case o.max != nil && o.max.Arg != nil:
		q.Max = num(o.max)
	case o.max != nil || resetMax:
		q.Max = hi
	}
	if err == nil && (q.Max < tlo || q.Max > thi) {
		return bad("MAXVALUE (%d) is out of range for sequence data type %s", q.Max, name)
	}
	switch {
	case o.min != nil && o.min.Arg != nil:
		q.Min = num(o.min)
	case o.min != nil || resetMin:
		q.Min = lo
	}
	if err == nil && (q.Min < tlo || q.Min > thi) {
		return bad("MINVALUE (%d) is out of range for sequence data type %s", q.Min, name)
	}
	if err == nil && q.Min >= q.Max {
		return bad("MINVALUE (%d) must be less than MAXVALUE (%d)", q.Min, q.Max)
	}
	switch {
	case o.start != nil:
		q.Start = num(o.start)
	case old == nil && q.Inc > 0:
		q.Start = q.Min
	case old == nil:
		q.Start = q.Max
	}
	if err == nil && q.Start < q.Min {
		return bad("START value (%d) cannot be less than MINVALUE (%d)", q.Start, q.Min)
	}
	if err == nil && q.Start > q.Max {
		return bad("START value (%d) cannot be greater than MAXVALUE (%d)", q.Start, q.Max)
	}
	if o.restart != nil {
		n := q.Start
		if o.restart.Arg != nil {
			n = num(o.restart)
		}
		if err == nil && n < q.Min {
			return bad("RESTART value (%d) cannot be less than MINVALUE (%d)", n, q.Min)
		}
		if err == nil && n > q.Max {
			return bad("RESTART value (%d) cannot be greater than MAXVALUE (%d)", n, q.Max)
		}
		restart = &n
	}
	if o.cache != nil {
		if q.Cache = num(o.cache); err == nil && q.Cache <= 0 {
			return bad("CACHE (%d) must be greater than zero", q.Cache)
		}
	}
	return q, restart, err
}

func typeBounds(typ uint32) (lo, hi int64) {
	switch typ {
	case types.Int2OID:
		return math.MinInt16, math.MaxInt16
	case types.Int4OID:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// owner resolves OWNED BY into q.
func (b *binder) sequenceOwner(q *catalog.Sequence, d *pg.DefElem, schema, owner uint32) error {
	if d == nil {
		return nil
	}
	ns := names(d.Arg.GetList().GetItems())
	if q.Identity {
		return b.errf(-1, sqlstate.FeatureNotSupported, "cannot change ownership of identity sequence")
	}
	if len(ns) == 1 {
		if ns[0] != "none" {
			return b.errf(-1, sqlstate.SyntaxError, "invalid OWNED BY option").WithHint("Specify OWNED BY table.column or OWNED BY NONE.")
		}
		q.OwnerTable, q.OwnerColumn = 0, 0
		return nil
	}
	sc := ""
	if len(ns) > 2 {
		sc = ns[len(ns)-3]
	}
	t, err := b.relation(sc, ns[len(ns)-2], -1)
	if err != nil {
		return err
	}
	if t.Kind != catalog.KindTable {
		return sqlstate.Errorf(sqlstate.WrongObjectType, "sequence cannot be owned by relation \"%s\"", t.Name)
	}
	if owner != 0 && t.Owner != owner {
		return b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "sequence must have same owner as table it is linked to")
	}
	if t.Schema != schema {
		return b.errf(-1, sqlstate.ObjectNotInPrerequisiteState, "sequence must be in same schema as table it is linked to")
	}
	o := t.Ordinal(ns[len(ns)-1])
	if o < 0 {
		return b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", ns[len(ns)-1], t.Name)
	}
	q.OwnerTable, q.OwnerColumn = t.OID, t.Columns[o].ID
	return nil
}

// createSequence binds CREATE SEQUENCE.
func (b *binder) createSequence(s *pg.CreateSeqStmt) (*plan.Statement, error) {
	sc, err := b.creationSchema(s.Sequence)
	if err != nil {
		return nil, err
	}
	o, err := b.sequenceOptions(s.Options, false)
	if err != nil {
		return nil, err
	}
	q, restart, err := b.sequence(o, nil)
	if err != nil {
		return nil, err
	}
	q.Last = q.Start
	if restart != nil {
		q.Last = *restart
	}
	if err := b.sequenceOwner(&q, o.owned, sc.OID, 0); err != nil {
		return nil, err
	}
	t := &catalog.Table{Name: s.Sequence.Relname, Schema: sc.OID, Kind: catalog.KindSequence, Columns: catalog.SequenceColumns(), Seq: &q, SchemaVersion: 1}
	if t.Temp, err = b.tempKind(sc, 0); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "CREATE SEQUENCE", Writes: true, Utility: &plan.CreateSequence{Table: t, IfNotExists: s.IfNotExists}}, nil
}

// alterSequence binds ALTER SEQUENCE.
func (b *binder) alterSequence(s *pg.AlterSeqStmt) (*plan.Statement, error) {
	t, err := b.altered(s.Sequence, s.MissingOk)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return skipped("ALTER SEQUENCE", s.Sequence), nil
	}
	if t.Kind != catalog.KindSequence {
		return nil, b.errf(-1, sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
	}
	o, err := b.sequenceOptions(s.Options, false)
	if err != nil {
		return nil, err
	}
	q, restart, err := b.sequence(o, t.Seq)
	if err != nil {
		return nil, err
	}
	if err := b.sequenceOwner(&q, o.owned, t.Schema, t.Owner); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "ALTER SEQUENCE", Writes: true, Utility: &plan.AlterSequence{Table: t, Seq: q, Restart: restart}}, nil
}

// serialType is the type that a serial pseudo-type stands for; 0 for other names.
func serialType(name string) uint32 {
	switch name {
	case "serial", "serial4":
		return types.Int4OID
	case "bigserial", "serial8":
		return types.Int8OID
	case "smallserial", "serial2":
		return types.Int2OID
	}
	return 0
}

// serial is the sequence of a serial column.
func serial(column string, typ uint32) plan.ColumnSequence {
	_, hi := typeBounds(typ)
	return plan.ColumnSequence{Column: column, Seq: catalog.Sequence{Type: typ, Start: 1, Inc: 1, Min: 1, Max: hi, Cache: 1, Last: 1}}
}

// identity is the sequence of an identity column, by its options.
func (b *binder) identity(c *catalog.Column, options []*pg.Node) (plan.ColumnSequence, error) {
	none := plan.ColumnSequence{}
	if c.T.OID != types.Int2OID && c.T.OID != types.Int4OID && c.T.OID != types.Int8OID {
		return none, b.errf(-1, sqlstate.InvalidParameterValue, "identity column type must be smallint, integer, or bigint")
	}
	o, err := b.sequenceOptions(options, true)
	if err != nil {
		return none, err
	}
	if o.typ == nil {
		o.typ = &pg.DefElem{Defname: "as", Arg: &pg.Node{Node: &pg.Node_TypeName{TypeName: &pg.TypeName{
			Names: []*pg.Node{stringOf("pg_catalog"), stringOf(types.Lookup(c.T.OID).Name)}, Typemod: -1, Location: -1}}}}
	}
	q, _, err := b.sequence(o, nil)
	if err != nil {
		return none, err
	}
	q.Last, q.Identity = q.Start, true
	s := plan.ColumnSequence{Column: c.Name, Seq: q}
	if o.name != nil {
		ns := names(o.name.Arg.GetList().GetItems())
		s.Name = ns[len(ns)-1]
	}
	return s, nil
}

func stringOf(s string) *pg.Node {
	return &pg.Node{Node: &pg.Node_String_{String_: &pg.String{Sval: s}}}
}

// fixRelations replaces the names of relations that are constants in an expression,
// as in nextval('s') and 's'::regclass, by their OIDs: so they survive renaming and
// other search paths.
func (b *binder) fixRelations(n *pg.Node) error {
	fix := func(a *pg.Node) error {
		c := a.GetAConst()
		if c == nil || c.Isnull || c.GetSval() == nil {
			return nil
		}
		d, err := types.ParseText(types.Regclass, c.GetSval().Sval, b.env.Types)
		if err != nil {
			return b.locate(err, c.Location)
		}
		c.GetSval().Sval = strconv.FormatUint(uint64(uint32(d.I)), 10)
		return nil
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_TypeCast:
		if ns := names(x.TypeCast.TypeName.GetNames()); len(ns) > 0 && ns[len(ns)-1] == "regclass" {
			return fix(x.TypeCast.Arg)
		}
		return b.fixRelations(x.TypeCast.Arg)
	case *pg.Node_FuncCall:
		ns := names(x.FuncCall.Funcname)
		switch ns[len(ns)-1] {
		case "nextval", "currval", "setval":
			if len(x.FuncCall.Args) > 0 && x.FuncCall.Args[0].GetAConst() != nil {
				if err := fix(x.FuncCall.Args[0]); err != nil {
					return err
				}
				x.FuncCall.Args[0] = &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: x.FuncCall.Args[0], Location: -1,
					TypeName: &pg.TypeName{Names: []*pg.Node{stringOf("regclass")}, Typemod: -1, Location: -1}}}}
			}
		}
		for _, a := range x.FuncCall.Args {
			if err := b.fixRelations(a); err != nil {
				return err
			}
		}
	case *pg.Node_AExpr:
		for _, a := range []*pg.Node{x.AExpr.Lexpr, x.AExpr.Rexpr} {
			if a != nil {
				if err := b.fixRelations(a); err != nil {
					return err
				}
			}
		}
	case *pg.Node_CoalesceExpr:
		for _, a := range x.CoalesceExpr.Args {
			if err := b.fixRelations(a); err != nil {
				return err
			}
		}
	}
	return nil
}
