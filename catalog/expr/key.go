package expr

import (
	"fmt"
	"strings"
)

// Key is a text that two expressions share exactly when they are the same tree:
// same columns, functions, constants and types.
func Key(e Expr) string {
	var b strings.Builder
	writeKey(&b, e)
	return b.String()
}

func writeKey(b *strings.Builder, e Expr) {
	switch x := e.(type) {
	case nil:
		b.WriteByte('-')
		return
	case *Column:
		fmt.Fprintf(b, "#%d", x.ID)
		return
	case *Const:
		fmt.Fprintf(b, "%d/%d/%d=%v:%d:%d:%x:%q", x.T.OID, x.T.Layout, x.T.Scale, x.D.Valid, x.D.I, x.D.H, x.D.F, x.D.S)
		return
	case *Param:
		fmt.Fprintf(b, "$%d/%d", x.N, x.T.OID)
		return
	case *Call:
		fmt.Fprintf(b, "f%d/%d/%d", x.Fn.OID, x.T.Layout, x.T.Scale)
	case *Cast:
		fmt.Fprintf(b, "cast%d/%d/%d/%d/%d/%v", x.Kind, x.T.OID, x.T.Mod, x.T.Layout, x.T.Scale, x.Explicit)
	case *IsNull:
		fmt.Fprintf(b, "null%v", x.Not)
	case *BoolTest:
		fmt.Fprintf(b, "bool%v%v", x.Want, x.Not)
	case *Distinct:
		fmt.Fprintf(b, "dist%d%v", x.Eq.OID, x.Not)
	case *Case:
		fmt.Fprintf(b, "case%d/%v", len(x.Whens), x.Else != nil)
	case *In:
		fmt.Fprintf(b, "in%v", x.Not)
	case *MinMax:
		fmt.Fprintf(b, "minmax%v", x.Greatest)
	case *AnyAll:
		fmt.Fprintf(b, "any%d%v", x.Fn.OID, x.All)
	case *Array:
		fmt.Fprintf(b, "array%d%v", x.T.OID, x.Multi)
	case *Field:
		fmt.Fprintf(b, "field%d", x.N)
	case *Subscript:
		fmt.Fprintf(b, "sub%v", x.Slice)
		for _, l := range [][]Expr{x.Lower, x.Upper} {
			for _, y := range l {
				fmt.Fprintf(b, "%v", y != nil)
			}
		}
	case *And, *Or, *Not, *Coalesce, *Row:
		fmt.Fprintf(b, "%T", e)
	default:
		fmt.Fprintf(b, "%T@%p", e, e)
	}
	b.WriteByte('(')
	for _, c := range e.Children() {
		writeKey(b, c)
		b.WriteByte(',')
	}
	b.WriteByte(')')
}

// Equal says whether two expressions are the same tree.
func Equal(a, b Expr) bool { return a == b || Key(a) == Key(b) }
