package eval

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// Fold replaces the parts of e that are the same in every execution (no columns,
// parameters, stable or volatile functions) by their values. A part that raises
// stays as it is: whether it is reached is decided when it runs. The error is for
// expressions that cannot be compiled at all.
func Fold(e expr.Expr, env *Env) (expr.Expr, error) {
	return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		if !foldable(e) {
			return prune(e)
		}
		// What is large is not kept in a plan.
		if env.ended() {
			return e
		}
		c := Env{Session: env.session(), Reserve: smallOnly, Ended: env.endedFunc()}
		p, err := Compile(e, &c)
		if err != nil || !p.roots[0].isConst {
			return prune(e)
		}
		n := p.roots[0]
		n.out.N = 1
		d := n.out.Datum(0)
		if len(d.S) > keptBytes(e) {
			return prune(e)
		}
		return &expr.Const{T: boundDigits(e.Type(), d), D: d}
	}), nil
}

// keptBytes is how long the value of e, whose children are constants, may be in a plan,
// for which no query is charged: hardly longer than they are. A list of numbers is
// longer as an array than as text.
func keptBytes(e expr.Expr) int {
	n := 0
	for _, c := range e.Children() {
		if k, ok := c.(*expr.Const); ok {
			n += 32 + len(k.D.S)
		}
	}
	if _, ok := e.(*expr.Cast); ok {
		n *= 16
	}
	return n + 64<<10
}

// smallOnly refuses constants of more than some megabytes: no query has been charged
// for them when it is planned.
func smallOnly(n int64) error {
	if n > 16<<20 {
		return sqlstate.Errorf(sqlstate.OutOfMemory, "out of memory")
	}
	return nil
}

// foldable says whether a node with constant children has one value for ever.
func foldable(e expr.Expr) bool {
	if !sameForEver(e) {
		return false
	}
	for _, c := range e.Children() {
		if _, ok := c.(*expr.Const); !ok {
			return false
		}
	}
	return true
}

// sameForEver says whether a node computes the same of the same operands always.
func sameForEver(e expr.Expr) bool {
	switch x := e.(type) {
	case *expr.Const, *expr.Column, *expr.Param:
		return false
	case *expr.Call:
		if x.Fn.Volatility != fn.Immutable || x.Fn.RetSet || x.Fn.Kind != fn.Scalar || registry[x.Fn.OID] == nil {
			return false
		}
	case *expr.Cast:
		if x.Kind == expr.CastIO && (bySettings(x.T.OID) || bySettings(x.Arg.Type().OID)) {
			return false
		}
	case *expr.And, *expr.Or, *expr.Not, *expr.IsNull, *expr.BoolTest, *expr.Distinct, *expr.Case, *expr.Coalesce, *expr.MinMax,
		*expr.In, *expr.AnyAll, *expr.Array, *expr.Row, *expr.Field, *expr.Subscript:
	default:
		return false // a node of the plan's own
	}
	return true
}

// Timeless says whether an expression over columns and constants has one value for
// ever: a program made of it serves any session at any time.
func Timeless(e expr.Expr) bool {
	ok := true
	expr.Walk(e, func(e expr.Expr) bool {
		switch e.(type) {
		case *expr.Const, *expr.Column:
		default:
			ok = ok && sameInAll(e)
		}
		return ok
	})
	return ok
}

// sameInAll says whether a node computes the same of the same operands in all sessions.
// Plans are known by the settings that the text of floats and bytea follows, programs of
// these plans are not.
func sameInAll(e expr.Expr) bool {
	if x, is := e.(*expr.Cast); is && x.Kind == expr.CastIO {
		oid := x.Arg.Type().OID
		if elem := types.ElemOf(oid); elem != 0 {
			oid = elem
		}
		if oid == types.Float4OID || oid == types.Float8OID || oid == types.ByteaOID {
			return false
		}
	}
	return sameForEver(e)
}

// Clockless replaces calls of now() by clock, and says whether the rest is Timeless but for
// the session's time zone.
func Clockless(e expr.Expr, clock expr.Expr) (_ expr.Expr, ok bool) {
	ok = true
	e = expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		if c, is := e.(*expr.Call); is && (c.Fn.OID == fnNow || c.Fn.OID == fnTransactionTimestamp) {
			return clock
		}
		return e
	})
	expr.Walk(e, func(e expr.Expr) bool {
		switch x := e.(type) {
		case *expr.Const, *expr.Column:
		case *expr.Call:
			ok = ok && (x.Fn.OID == fnTimestamp || sameInAll(e))
		default:
			ok = ok && sameInAll(e)
		}
		return ok
	})
	return e, ok
}

// Functions, by PostgreSQL's OIDs.
const (
	fnNow                  = 1299
	fnTransactionTimestamp = 2647
	fnTimestamp            = 2027 // of a timestamptz
)

// bySettings says whether the text form of a type depends on the session or the
// clock.
func bySettings(oid uint32) bool {
	if e := types.ElemOf(oid); e != 0 {
		oid = e
	}
	switch oid {
	case types.DateOID, types.TimeOID, types.TimetzOID, types.TimestampOID, types.TimestamptzOID, types.IntervalOID, types.RecordOID:
		return true
	}
	return types.IsReg(oid)
}

// prune simplifies what constants among the operands decide.
func prune(e expr.Expr) expr.Expr {
	switch x := e.(type) {
	case *expr.Call:
		return narrowCall(x)
	case *expr.And:
		return pruneLogic(x, x.Args, true)
	case *expr.Or:
		return pruneLogic(x, x.Args, false)
	case *expr.Case:
		return pruneCase(x)
	case *expr.Coalesce:
		var args []expr.Expr
		for _, a := range x.Args {
			if c, ok := a.(*expr.Const); ok {
				if c.D.Valid {
					args = append(args, a)
					break
				}
				continue
			}
			args = append(args, a)
		}
		switch {
		case len(args) == 0:
			return &expr.Const{T: x.T}
		case len(args) == 1 && args[0].Type().Same(x.T):
			return args[0]
		case len(args) < len(x.Args):
			return &expr.Coalesce{Args: args, T: x.T}
		}
	}
	return e
}

func pruneLogic(e expr.Expr, args []expr.Expr, and bool) expr.Expr {
	var live []expr.Expr
	for _, a := range args {
		c, ok := a.(*expr.Const)
		switch {
		case ok && c.D.Valid && c.D.Bool() == and:
		case ok && c.D.Valid:
			return a
		default:
			live = append(live, a)
		}
	}
	switch {
	case len(live) == len(args):
		return e
	case len(live) == 0:
		return &expr.Const{T: types.Bool, D: types.NewBool(and)}
	case len(live) == 1:
		return live[0]
	case and:
		return &expr.And{Args: live}
	}
	return &expr.Or{Args: live}
}

func pruneCase(x *expr.Case) expr.Expr {
	n := &expr.Case{T: x.T, Else: x.Else}
	for _, w := range x.Whens {
		c, ok := w.Cond.(*expr.Const)
		if ok && (!c.D.Valid || !c.D.Bool()) {
			continue
		}
		if ok {
			n.Else = w.Then
			break
		}
		n.Whens = append(n.Whens, w)
	}
	switch {
	case len(n.Whens) == len(x.Whens):
		return x
	case len(n.Whens) > 0:
		return n
	case n.Else == nil:
		return &expr.Const{T: x.T}
	case n.Else.Type().Same(x.T):
		return n.Else
	}
	return n
}

// boundDigits narrows the digit bound of a scaled constant to the value's own.
func boundDigits(t types.T, d types.Datum) types.T {
	if !t.Scaled() || !d.Valid || t.Mod >= 0 {
		return t
	}
	v := types.I128(d.I)
	if t.Layout == types.LayoutI128 {
		v = d.I128()
	}
	digits := 1
	for digits < int(t.Prec) {
		hi, lo := v.Abs()
		p := types.Pow10I128[digits]
		if hi < uint64(p.Hi) || hi == uint64(p.Hi) && lo < p.Lo {
			break
		}
		digits++
	}
	t.Prec = int16(max(digits, int(t.Scale)))
	return t
}
