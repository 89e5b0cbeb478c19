package bind

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// maxParam is the highest parameter number: the protocol counts in 16 bits.
const maxParam = 65535

// param binds $n. Until its type is known it is of type unknown, like a literal.
func (b *binder) param(n int, loc int32) (expr.Expr, error) {
	if n <= 0 || n > maxParam {
		return nil, b.errf(loc, sqlstate.UndefinedParameter, "there is no parameter $%d", n)
	}
	for len(b.params) < n {
		b.params = append(b.params, types.T{})
	}
	t := b.params[n-1]
	if t.OID == 0 {
		if b.paramAt == nil {
			b.paramAt = map[int]int32{}
		}
		if _, ok := b.paramAt[n]; !ok {
			b.paramAt[n] = loc
		}
		t = types.Unknown
	}
	return &expr.Param{N: n, T: t}, nil
}

// settle gives an unknown parameter the type that its use asks for.
func (b *binder) settle(p *expr.Param, t types.T, loc int32) (expr.Expr, error) {
	t = types.Of(t.OID, -1)
	known := b.params[p.N-1]
	switch {
	case known.OID == 0 || known.OID == types.UnknownOID:
		b.params[p.N-1] = t
	case known.OID != t.OID:
		return nil, b.errf(loc, sqlstate.AmbiguousParameter, "inconsistent types deduced for parameter $%d", p.N).
			WithDetail("%s versus %s", types.FormatTypeNoMod(known.OID), types.FormatTypeNoMod(t.OID))
	}
	return &expr.Param{N: p.N, T: t}, nil
}

// paramTypes are the final types of all parameters.
func (b *binder) paramTypes() ([]types.T, error) {
	for i, t := range b.params {
		if t.OID != 0 && t.OID != types.UnknownOID {
			continue
		}
		loc, ok := b.paramAt[i+1]
		if !ok {
			if i < b.fixedParams && t.OID == types.UnknownOID {
				b.params[i] = types.Text
				continue
			}
			loc = -1
		}
		return nil, b.errf(loc, sqlstate.IndeterminateDatatype, "could not determine data type of parameter $%d", i+1)
	}
	return b.params, nil
}
