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
	s, minus := q.b.slotAt(int(c.Location))
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
	if _, is := c.Val.(*pg.A_Const_Ival); minus && !is {
		return q.expr(n)
	}
	s.Used, s.Minus = true, minus
	return &expr.Param{N: s.N, T: s.T}, nil
}

// slotAt is the slot of the literal at a place of the text, or behind the minus sign
// that stands there: the parser has made that a part of the literal.
func (b *binder) slotAt(at int) (s *Slot, minus bool) {
	if at < len(b.text) && b.text[at] == '-' {
		for at++; at < len(b.text) && b.text[at] == ' '; at++ {
		}
		minus = true
	}
	return b.env.Slots[at], minus
}

// slottedTerm is slotted for what is added to l or subtracted from it. No rule looks at
// the value of an integer beside a column of integers.
func (q *query) slottedTerm(n *pg.Node, op string, l expr.Expr) (expr.Expr, error) {
	if _, is := l.(*expr.Column); is && (op == "+" || op == "-") && n.GetAConst().GetIval() != nil {
		switch l.Type().OID {
		case types.Int2OID, types.Int4OID, types.Int8OID:
			return q.slotted(n, types.Int4)
		}
	}
	return q.expr(n)
}

// slottedLike is slotted for the other operand of a comparison with type t.
func (q *query) slottedLike(n *pg.Node, t types.T) (expr.Expr, error) { return q.slotted(n, t) }
