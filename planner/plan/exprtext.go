package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
)

// ExprText writes an expression as SQL-like text.
func ExprText(e expr.Expr) string { return (&printer{}).expr(e) }

func (p *printer) expr(e expr.Expr) string {
	switch x := e.(type) {
	case nil:
		return ""
	case *expr.Column:
		return p.col(Column{ID: x.ID, Name: x.Name})
	case *expr.Const:
		return constText(x)
	case *expr.Param:
		return "$" + strconv.Itoa(x.N)
	case *expr.Call:
		switch {
		case x.Op != "" && len(x.Args) == 2:
			return "(" + p.expr(x.Args[0]) + " " + x.Op + " " + p.expr(x.Args[1]) + ")"
		case x.Op != "" && len(x.Args) == 1:
			return "(" + x.Op + " " + p.expr(x.Args[0]) + ")"
		}
		return x.Fn.Name + "(" + p.list(x.Args, ", ") + ")"
	case *expr.Cast:
		if x.Kind == expr.CastNumeric {
			return p.expr(x.Arg) + "::" + formText(x.T)
		}
		return p.expr(x.Arg) + "::" + types.FormatType(x.T.OID, x.T.Mod)
	case *expr.And:
		return "(" + p.list(x.Args, " AND ") + ")"
	case *expr.Or:
		return "(" + p.list(x.Args, " OR ") + ")"
	case *expr.Not:
		return "(NOT " + p.expr(x.Arg) + ")"
	case *expr.IsNull:
		return "(" + p.expr(x.Arg) + " IS " + not(x.Not) + "NULL)"
	case *expr.BoolTest:
		return "(" + p.expr(x.Arg) + " IS " + not(x.Not) + strings.ToUpper(strconv.FormatBool(x.Want)) + ")"
	case *expr.Distinct:
		return "(" + p.expr(x.L) + " IS " + not(x.Not) + "DISTINCT FROM " + p.expr(x.R) + ")"
	case *expr.Case:
		var sb strings.Builder
		sb.WriteString("CASE")
		for _, w := range x.Whens {
			sb.WriteString(" WHEN " + p.expr(w.Cond) + " THEN " + p.expr(w.Then))
		}
		if x.Else != nil {
			sb.WriteString(" ELSE " + p.expr(x.Else))
		}
		return sb.String() + " END"
	case *expr.Coalesce:
		return "COALESCE(" + p.list(x.Args, ", ") + ")"
	case *expr.MinMax:
		return map[bool]string{true: "GREATEST", false: "LEAST"}[x.Greatest] + "(" + p.list(x.Args, ", ") + ")"
	case *expr.In:
		return "(" + p.expr(x.Arg) + " " + not(x.Not) + "IN (" + p.list(x.List, ", ") + "))"
	case *expr.AnyAll:
		return "(" + p.expr(x.L) + " " + x.Op + " " + map[bool]string{true: "ALL", false: "ANY"}[x.All] + " (" + p.expr(x.Array) + "))"
	case *expr.Array:
		return "ARRAY[" + p.list(x.Elems, ", ") + "]"
	case *expr.Row:
		return "ROW(" + p.list(x.Elems, ", ") + ")"
	case *expr.Field:
		return "(" + p.expr(x.Arg) + ")." + x.Name
	case *expr.Subscript:
		s := p.expr(x.Arg)
		for i, l := range x.Lower {
			if x.Slice {
				s += "[" + p.expr(l) + ":" + p.expr(x.Upper[i]) + "]"
			} else {
				s += "[" + p.expr(l) + "]"
			}
		}
		return s
	case *Subquery:
		p.count++
		p.subs = append(p.subs, x)
		name := "SubPlan " + strconv.Itoa(p.count)
		switch x.Kind {
		case ExistsSubquery:
			return "EXISTS(" + name + ")"
		case ArraySubquery:
			return "ARRAY(" + name + ")"
		case AnyAllSubquery:
			test := p.list(x.Test, ", ")
			if len(x.Test) > 1 {
				test = "(" + test + ")"
			}
			return "(" + test + " " + x.OpName + " " + map[bool]string{true: "ALL", false: "ANY"}[x.All] + " (" + name + "))"
		}
		return "(" + name + ")"
	}
	return fmt.Sprintf("%T(%s)", e, p.list(e.Children(), ", "))
}

func not(b bool) string {
	if b {
		return "NOT "
	}
	return ""
}

// formText names a numeric's form: digits and scale, or none for the variable one.
func formText(t types.T) string {
	if !t.Scaled() {
		return "numeric"
	}
	return fmt.Sprintf("numeric[%d,%d]", t.Prec, t.Scale)
}

func constText(c *expr.Const) string {
	if !c.D.Valid {
		return "NULL"
	}
	s := string(types.AppendText(nil, c.T, c.D, nil))
	switch c.T.OID {
	case types.BoolOID:
		return map[bool]string{true: "true", false: "false"}[c.D.Bool()]
	case types.Int2OID, types.Int4OID, types.Int8OID, types.NumericOID, types.Float8OID:
		return s
	}
	s = "'" + strings.ReplaceAll(s, "'", "''") + "'"
	switch c.T.OID {
	case types.TextOID, types.UnknownOID:
		return s
	}
	return s + "::" + types.FormatTypeNoMod(c.T.OID)
}
