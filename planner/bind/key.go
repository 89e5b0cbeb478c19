package bind

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// key is a text that is the same for two expressions exactly when they compute
// the same from the same columns. Subqueries are each like themselves only.
func key(e expr.Expr) string {
	var sb strings.Builder
	writeKey(&sb, e)
	return sb.String()
}

func keys(es []expr.Expr) string {
	var sb strings.Builder
	for _, e := range es {
		writeKey(&sb, e)
		sb.WriteByte(';')
	}
	return sb.String()
}

func sortKeys(ks []plan.SortKey) string {
	var sb strings.Builder
	for _, k := range ks {
		writeKey(&sb, k.Expr)
		fmt.Fprintf(&sb, "%t%t;", k.Desc, k.NullsFirst)
	}
	return sb.String()
}

func writeKey(sb *strings.Builder, e expr.Expr) {
	switch x := e.(type) {
	case nil:
		sb.WriteByte('-')
		return
	case *expr.Column:
		sb.WriteByte('c')
		sb.WriteString(strconv.Itoa(x.ID))
		return
	case *expr.Const:
		fmt.Fprintf(sb, "k%d/%d/%d/%d", x.T.OID, x.T.Mod, x.T.Layout, x.T.Scale)
		if x.D.Valid {
			fmt.Fprintf(sb, "=%d,%d,%g,%q", x.D.I, x.D.H, x.D.F, x.D.S)
		}
		return
	case *expr.Param:
		fmt.Fprintf(sb, "$%d", x.N)
		return
	case *expr.Call:
		fmt.Fprintf(sb, "f%d", x.Fn.OID)
	case *expr.Cast:
		fmt.Fprintf(sb, "t%d/%d/%d/%d/%d/%t", x.Kind, x.T.OID, x.T.Mod, x.T.Layout, x.T.Scale, x.Explicit)
	case *expr.IsNull:
		fmt.Fprintf(sb, "n%t", x.Not)
	case *expr.BoolTest:
		fmt.Fprintf(sb, "b%t%t", x.Want, x.Not)
	case *expr.Distinct:
		fmt.Fprintf(sb, "d%d%t", x.Eq.OID, x.Not)
	case *expr.Case:
		fmt.Fprintf(sb, "C%d%t", len(x.Whens), x.Else != nil)
	case *expr.MinMax:
		fmt.Fprintf(sb, "M%t", x.Greatest)
	case *expr.In:
		fmt.Fprintf(sb, "I%d%t", x.Eq.OID, x.Not)
	case *expr.AnyAll:
		fmt.Fprintf(sb, "A%d%t", x.Fn.OID, x.All)
	case *expr.Array:
		fmt.Fprintf(sb, "a%d%t", x.T.OID, x.Multi)
	case *expr.Field:
		fmt.Fprintf(sb, "F%d", x.N)
	case *expr.Subscript:
		fmt.Fprintf(sb, "S%t", x.Slice)
		for _, l := range [][]expr.Expr{{x.Arg}, x.Lower, x.Upper} {
			sb.WriteByte('[')
			for _, i := range l {
				writeKey(sb, i)
				sb.WriteByte(',')
			}
			sb.WriteByte(']')
		}
		return
	case *plan.Subquery:
		fmt.Fprintf(sb, "Q%p", x)
		return
	default:
		fmt.Fprintf(sb, "%T", e)
	}
	sb.WriteByte('(')
	for _, c := range e.Children() {
		writeKey(sb, c)
		sb.WriteByte(',')
	}
	sb.WriteByte(')')
}
