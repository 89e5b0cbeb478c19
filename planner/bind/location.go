package bind

import (
	"fmt"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

func itoa(i int) string { return strconv.Itoa(i) }

// nodeName is a tree node's kind, for messages about what is not known.
func nodeName(n *pg.Node) string {
	s := fmt.Sprintf("%T", n.GetNode())
	return s[strings.LastIndexByte(s, '.')+1:]
}

// location is where an expression begins, as PostgreSQL's exprLocation has it: the
// leftmost of the node and its first argument.
func location(x any) int32 {
	n, ok := x.(*pg.Node)
	if !ok {
		if rv, ok := x.(*pg.RangeVar); ok && rv != nil {
			return rv.Location
		}
		return -1
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return x.ColumnRef.Location
	case *pg.Node_AConst:
		return x.AConst.Location
	case *pg.Node_ParamRef:
		return x.ParamRef.Location
	case *pg.Node_AExpr:
		return leftmost(x.AExpr.Location, location(x.AExpr.Lexpr))
	case *pg.Node_BoolExpr:
		if len(x.BoolExpr.Args) > 0 {
			return leftmost(x.BoolExpr.Location, location(x.BoolExpr.Args[0]))
		}
		return x.BoolExpr.Location
	case *pg.Node_FuncCall:
		loc := x.FuncCall.Location
		if len(x.FuncCall.Args) > 0 {
			loc = leftmost(loc, location(x.FuncCall.Args[0]))
		}
		return loc
	case *pg.Node_TypeCast:
		loc := leftmost(x.TypeCast.Location, location(x.TypeCast.Arg))
		if x.TypeCast.TypeName != nil {
			loc = leftmost(loc, x.TypeCast.TypeName.Location)
		}
		return loc
	case *pg.Node_NullTest:
		return leftmost(x.NullTest.Location, location(x.NullTest.Arg))
	case *pg.Node_BooleanTest:
		return leftmost(x.BooleanTest.Location, location(x.BooleanTest.Arg))
	case *pg.Node_CaseExpr:
		return x.CaseExpr.Location
	case *pg.Node_CaseWhen:
		return x.CaseWhen.Location
	case *pg.Node_CoalesceExpr:
		return x.CoalesceExpr.Location
	case *pg.Node_MinMaxExpr:
		return x.MinMaxExpr.Location
	case *pg.Node_SubLink:
		return leftmost(location(x.SubLink.Testexpr), x.SubLink.Location)
	case *pg.Node_SqlvalueFunction:
		return x.SqlvalueFunction.Location
	case *pg.Node_AArrayExpr:
		return x.AArrayExpr.Location
	case *pg.Node_RowExpr:
		return x.RowExpr.Location
	case *pg.Node_AIndirection:
		return location(x.AIndirection.Arg)
	case *pg.Node_CollateClause:
		return location(x.CollateClause.Arg)
	case *pg.Node_GroupingFunc:
		return x.GroupingFunc.Location
	case *pg.Node_SetToDefault:
		return x.SetToDefault.Location
	case *pg.Node_NamedArgExpr:
		return leftmost(x.NamedArgExpr.Location, location(x.NamedArgExpr.Arg))
	case *pg.Node_ResTarget:
		if x.ResTarget.Location >= 0 {
			return x.ResTarget.Location
		}
		return location(x.ResTarget.Val)
	case *pg.Node_SortBy:
		return location(x.SortBy.Node)
	case *pg.Node_RangeVar:
		return x.RangeVar.Location
	case *pg.Node_GroupingSet:
		return x.GroupingSet.Location
	case *pg.Node_TypeName:
		return x.TypeName.Location
	case *pg.Node_List:
		for _, i := range x.List.Items {
			if l := location(i); l >= 0 {
				return l
			}
		}
	}
	return -1
}

func leftmost(a, b int32) int32 {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return min(a, b)
}

// columnName is the name of an output column without AS.
func columnName(n *pg.Node) string {
	if name, _ := figureName(n); name != "" {
		return name
	}
	return "?column?"
}

// figureName is FigureColnameInternal: a name and how good it is (2: take it, 1:
// only when nothing better, 0: none).
func figureName(n *pg.Node) (string, int) {
	switch x := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		for i := len(x.ColumnRef.Fields) - 1; i >= 0; i-- {
			if s := stringNode(x.ColumnRef.Fields[i]); s != "" {
				return s, 2
			}
		}
	case *pg.Node_AIndirection:
		for i := len(x.AIndirection.Indirection) - 1; i >= 0; i-- {
			if s := stringNode(x.AIndirection.Indirection[i]); s != "" {
				return s, 2
			}
		}
		return figureName(x.AIndirection.Arg)
	case *pg.Node_FuncCall:
		ns := x.FuncCall.Funcname
		return stringNode(ns[len(ns)-1]), 2
	case *pg.Node_AExpr:
		if x.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg.Node_TypeCast:
		name, strength := figureName(x.TypeCast.Arg)
		if strength <= 1 && x.TypeCast.TypeName != nil {
			ns := x.TypeCast.TypeName.Names
			return stringNode(ns[len(ns)-1]), 1
		}
		return name, strength
	case *pg.Node_CollateClause:
		return figureName(x.CollateClause.Arg)
	case *pg.Node_GroupingFunc:
		return "grouping", 2
	case *pg.Node_SubLink:
		switch x.SubLink.SubLinkType {
		case pg.SubLinkType_EXISTS_SUBLINK:
			return "exists", 2
		case pg.SubLinkType_ARRAY_SUBLINK:
			return "array", 2
		case pg.SubLinkType_EXPR_SUBLINK:
			sel := x.SubLink.Subselect.GetSelectStmt()
			for sel != nil && sel.Larg != nil {
				sel = sel.Larg
			}
			if sel != nil && len(sel.TargetList) > 0 {
				rt := sel.TargetList[0].GetResTarget()
				if rt.Name != "" {
					return rt.Name, 2
				}
				return figureName(rt.Val)
			}
			if sel != nil && len(sel.ValuesLists) > 0 {
				return "column1", 2
			}
		}
	case *pg.Node_CaseExpr:
		name, strength := figureName(x.CaseExpr.Defresult)
		if strength <= 1 {
			return "case", 1
		}
		return name, strength
	case *pg.Node_AArrayExpr:
		return "array", 2
	case *pg.Node_RowExpr:
		return "row", 2
	case *pg.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg.Node_MinMaxExpr:
		if x.MinMaxExpr.Op == pg.MinMaxOp_IS_GREATEST {
			return "greatest", 2
		}
		return "least", 2
	case *pg.Node_SqlvalueFunction:
		switch x.SqlvalueFunction.Op {
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
			return "current_date", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:
			return "current_time", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N:
			return "current_timestamp", 2
		case pg.SQLValueFunctionOp_SVFOP_LOCALTIME, pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:
			return "localtime", 2
		case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
			return "localtimestamp", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:
			return "current_role", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:
			return "current_user", 2
		case pg.SQLValueFunctionOp_SVFOP_USER:
			return "user", 2
		case pg.SQLValueFunctionOp_SVFOP_SESSION_USER:
			return "session_user", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:
			return "current_catalog", 2
		case pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:
			return "current_schema", 2
		}
	}
	return "", 0
}
