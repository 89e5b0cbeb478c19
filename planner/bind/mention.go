package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// visitTree calls f for every message of a parse tree, parents first, until it
// answers false: then what is below is left out.
func visitTree(m proto.Message, f func(proto.Message) bool) {
	if m == nil || !m.ProtoReflect().IsValid() || !f(m) {
		return
	}
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if fd.IsList() {
			l := v.List()
			for i := 0; i < l.Len(); i++ {
				visitTree(l.Get(i).Message().Interface(), f)
			}
		} else {
			visitTree(v.Message().Interface(), f)
		}
		return true
	})
}

// mentions says whether a tree names relation name without a schema.
func mentions(n *pg.Node, name string) bool { return mention(n, name) != nil }

func mentionsSelect(s *pg.SelectStmt, name string) bool { return mention(s, name) != nil }

func mentionLocation(m proto.Message, name string) int32 {
	if rv := mention(m, name); rv != nil {
		return rv.Location
	}
	return -1
}

func mention(m proto.Message, name string) *pg.RangeVar {
	var found *pg.RangeVar
	visitTree(m, func(m proto.Message) bool {
		if rv, ok := m.(*pg.RangeVar); ok && rv.Schemaname == "" && rv.Relname == name && found == nil {
			found = rv
		}
		// A WITH of its own that defines the name hides it.
		if s, ok := m.(*pg.SelectStmt); ok && s.WithClause != nil {
			for _, c := range s.WithClause.Ctes {
				if c.GetCommonTableExpr().GetCtename() == name {
					return false
				}
			}
		}
		return found == nil
	})
	return found
}

// badRecursion says in what forbidden place a recursive term names itself, and
// where that is; "" when in none.
func badRecursion(s *pg.SelectStmt, name string) (where string, loc int32) {
	var walk func(m proto.Message, place string)
	walk = func(m proto.Message, place string) {
		visitTree(m, func(m proto.Message) bool {
			if where != "" {
				return false
			}
			switch x := m.(type) {
			case *pg.RangeVar:
				if x.Schemaname == "" && x.Relname == name && place != "" {
					where, loc = place, x.Location
				}
			case *pg.SubLink:
				walk(x.Testexpr, place)
				walk(x.Subselect, "a subquery")
				return false
			case *pg.JoinExpr:
				l, r := place, place
				switch x.Jointype {
				case pg.JoinType_JOIN_LEFT:
					r = "an outer join"
				case pg.JoinType_JOIN_RIGHT:
					l = "an outer join"
				case pg.JoinType_JOIN_FULL:
					l, r = "an outer join", "an outer join"
				}
				walk(x.Larg, l)
				walk(x.Rarg, r)
				walk(x.Quals, place)
				return false
			case *pg.SelectStmt:
				switch x.Op {
				case pg.SetOperation_SETOP_EXCEPT:
					walk(x.Larg, place)
					walk(x.Rarg, "EXCEPT")
					return false
				case pg.SetOperation_SETOP_INTERSECT:
					walk(x.Larg, "INTERSECT")
					walk(x.Rarg, "INTERSECT")
					return false
				}
			}
			return true
		})
	}
	walk(s, "")
	return where, loc
}

// sortCTEs orders the items of WITH RECURSIVE so that each comes after those it
// names; cycles stay as written and fail as unknown relations.
func sortCTEs(items []*pg.CommonTableExpr) []*pg.CommonTableExpr {
	var out []*pg.CommonTableExpr
	state := make([]int, len(items))
	var visit func(i int)
	visit = func(i int) {
		if state[i] != 0 {
			return
		}
		state[i] = 1
		for j, other := range items {
			if j != i && mentions(items[i].Ctequery, other.Ctename) {
				visit(j)
			}
		}
		out = append(out, items[i])
	}
	for i := range items {
		visit(i)
	}
	return out
}
