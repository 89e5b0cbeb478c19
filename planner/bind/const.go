package bind

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func null(t types.T) *expr.Const { return &expr.Const{T: t} }

func boolConst(v bool) *expr.Const { return &expr.Const{T: types.Bool, D: types.NewBool(v)} }

func intConst(v int64) *expr.Const { return &expr.Const{T: types.Int4, D: types.NewInt(v)} }

func int8Const(v int64) *expr.Const { return &expr.Const{T: types.Int8, D: types.NewInt(v)} }

func unknownConst(s string) *expr.Const { return &expr.Const{T: types.Unknown, D: types.NewString(s)} }

// constant binds a literal. Strings and NULL are of type unknown until something
// asks for a type.
func (b *binder) constant(c *pg.A_Const) (expr.Expr, error) {
	if c.Isnull {
		return null(types.Unknown), nil
	}
	switch v := c.Val.(type) {
	case *pg.A_Const_Ival:
		return intConst(int64(v.Ival.Ival)), nil
	case *pg.A_Const_Boolval:
		return boolConst(v.Boolval.Boolval), nil
	case *pg.A_Const_Sval:
		k := unknownConst(v.Sval.Sval)
		b.literals[k] = c.Location
		return k, nil
	case *pg.A_Const_Fval:
		return b.number(v.Fval.Fval, c.Location)
	case *pg.A_Const_Bsval:
		return nil, b.unsupported(c.Location, "a bit string constant")
	}
	return intConst(0), nil // an Ival of 0 has no content
}

// number binds a numeric literal: bigint when it fits, else numeric.
func (b *binder) number(s string, loc int32) (expr.Expr, error) {
	s = strings.ReplaceAll(s, "_", "")
	if !strings.ContainsAny(s, ".eE") || strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		base := 10
		if len(s) > 1 && s[0] == '0' && (s[1]|0x20 == 'x' || s[1]|0x20 == 'o' || s[1]|0x20 == 'b') {
			base = 0
		}
		if v, err := strconv.ParseInt(s, base, 64); err == nil {
			if v == int64(int32(v)) {
				return intConst(v), nil
			}
			return int8Const(v), nil
		}
	}
	e, err := b.numeric(s, -1)
	return e, b.locate(err, loc)
}

// numeric reads a numeric value, in a scaled layout where it has one.
func (b *binder) numeric(s string, mod int32) (*expr.Const, error) {
	t := types.Of(types.NumericOID, mod)
	if mod < 0 {
		if digits, scale, ok := plainDecimal(strings.TrimSpace(s)); ok {
			t = types.DecimalResult(digits, scale)
		}
	}
	d, err := types.ParseText(t, s, b.env.Types)
	if err != nil {
		return nil, err
	}
	return &expr.Const{T: t, D: d}, nil
}

// plainDecimal measures [+-]digits[.digits]: the significant digits of the unscaled value, at
// least one, and those after the point.
func plainDecimal(s string) (digits, scale int, ok bool) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	point, any := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			any = true
			if digits > 0 || c != '0' {
				digits++
			}
			if point {
				scale++
			}
		case c == '.' && !point:
			point = true
		default:
			return 0, 0, false
		}
	}
	digits = max(digits, 1)
	return digits, scale, any && digits <= types.NumericDigitsI128 && scale <= types.NumericDigitsI128
}

// decimalOf makes a scaled constant of an integer.
func decimalOf(v int64) *expr.Const {
	n := len(strconv.FormatInt(v, 10))
	if v < 0 {
		n--
	}
	t := types.DecimalResult(n, 0)
	d := types.NewInt(v)
	if t.Layout == types.LayoutI128 {
		d = types.NewI128(types.I128(v))
	}
	return &expr.Const{T: t, D: d}
}

// literal gives a string literal a type, as the type's input function reads it.
func (b *binder) literal(s string, t types.T, loc int32) (expr.Expr, error) {
	switch {
	case t.OID == types.NumericOID:
		c, err := b.numeric(s, t.Mod)
		if err != nil {
			return nil, b.locateLiteral(err, loc)
		}
		return c, nil
	case t.OID == types.RecordOID:
		return nil, b.errf(loc, sqlstate.FeatureNotSupported, "input of anonymous composite types is not implemented")
	case Momentary(t, s), types.IsReg(t.OID):
		b.noCache = true
	}
	d, err := types.ParseText(t, s, b.env.Types)
	if err != nil {
		return nil, b.locateLiteral(err, loc)
	}
	return &expr.Const{T: t, D: d}, nil
}

// locateLiteral gives an input function's error its position; what a modifier
// refuses has none, since it is enforced later.
func (b *binder) locateLiteral(err error, loc int32) error {
	if e := sqlstate.From(err); e.Code == sqlstate.StringDataRightTruncation || e.Message == "numeric field overflow" {
		return err
	}
	return b.locate(err, loc)
}

// Momentary says whether a date or time literal speaks of the present.
func Momentary(t types.T, s string) bool {
	switch t.OID {
	case types.DateOID, types.TimeOID, types.TimetzOID, types.TimestampOID, types.TimestamptzOID:
	default:
		return false
	}
	s = strings.ToLower(s)
	for _, w := range []string{"now", "today", "tomorrow", "yesterday"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	// Without a zone or a date a literal takes them from the session or the clock.
	return t.OID == types.TimetzOID
}

// intOf is the value of an integer constant.
func intOf(e expr.Expr) (int64, bool) {
	c, ok := e.(*expr.Const)
	if !ok || !c.D.Valid {
		return 0, false
	}
	switch c.T.OID {
	case types.Int2OID, types.Int4OID, types.Int8OID:
		return c.D.I, true
	}
	return 0, false
}

// stringNode is the text of a String node, "" for others.
func stringNode(n *pg.Node) string {
	if s := n.GetString_(); s != nil {
		return s.Sval
	}
	return ""
}

// names are the strings of a list of String nodes.
func names(list []*pg.Node) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = stringNode(n)
	}
	return out
}
