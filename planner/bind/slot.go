package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
)

// A literal in a slot becomes a parameter where no rule looks at its value: as an
// operand of a comparison, an item of IN or VALUES, a LIMIT. Its type must be one
// that the cache can give back from the text alone, so numeric literals, whose
// digits decide types, stay as they are.

// slotted binds n, a literal in a slot as a parameter of type t.
func (q *query) slotted(n *pg.Node, t types.T) (expr.Expr, error) {
	c := n.GetAConst()
	if c == nil || q.b.env.Slots == nil || q.b.text == "" {
		return q.expr(n)
	}
	s := q.b.env.Slots[int(c.Location)]
	if s == nil || s.Used {
		return q.expr(n)
	}
	switch c.Val.(type) {
	case *pg.A_Const_Ival:
		switch t.OID {
		case types.Int2OID, types.Int4OID, types.Int8OID, types.UnknownOID, types.Float8OID:
			s.T = types.Int4
			if t.OID == types.Int8OID {
				s.T = types.Int8
			}
		default:
			return q.expr(n)
		}
	case *pg.A_Const_Sval:
		switch t.OID {
		case types.TextOID, types.VarcharOID:
			s.T = types.Text
		case types.DateOID, types.TimestampOID, types.TimestamptzOID, types.UUIDOID:
			if Momentary(t, c.GetSval().GetSval()) {
				return q.expr(n)
			}
			// A wrong literal must fail where and as it would without a slot.
			if _, err := types.ParseText(types.Of(t.OID, -1), c.GetSval().GetSval(), q.b.env.Types); err != nil {
				return q.expr(n)
			}
			s.T = types.Of(t.OID, -1)
		default:
			return q.expr(n)
		}
	default:
		return q.expr(n)
	}
	s.Used = true
	return &expr.Param{N: s.N, T: s.T}, nil
}

// slottedLike is slotted for the other operand of a comparison with type t.
func (q *query) slottedLike(n *pg.Node, t types.T) (expr.Expr, error) { return q.slotted(n, t) }
