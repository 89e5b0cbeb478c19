package fn

import "github.com/millrace/millrace/catalog/types"

// Oids of the numeric functions that have loops over scaled layouts.
const (
	numericAdd    = 1724
	numericSub    = 1725
	numericMul    = 1726
	numericUminus = 1771
	numericUplus  = 1915
	numericAbs    = 1704
	numericAbs2   = 1705
	numericInt2   = 1782
	numericInt4   = 1740
	numericInt8   = 1781
	sumNumeric    = 2114
	sumInt8       = 2107
)

// TakesScaled says whether a function has loops for numerics in scaled layouts, of
// whatever scales and widths its arguments are. All others take the variable form.
// Callers need not care: executor/eval and executor/agg convert an argument by
// themselves, and take any mixture of layouts. The rule is here because it decides
// the layout of results.
func TakesScaled(f *Func) bool {
	switch f.OID {
	case numericAdd, numericSub, numericMul, numericUminus, numericUplus, numericAbs, numericAbs2, sumNumeric:
		return true
	}
	return f.Ret == types.BoolOID || isPolyResult(f) || f.Kind != Scalar
}

func isPolyResult(f *Func) bool { return IsPoly(f.Ret) }

// ResultType is the type of a call of f with arguments of these types. Arguments
// must be of the declared types already, where these are not polymorphic. It
// gives scaled numerics their layouts:
//
//   - -        scale: the larger; digits before the point: the larger + 1
//   - scales and digits add up
//     abs, -x    as the argument
//     sum        38 digits, when the argument fits 64 bits; the variable form otherwise
//     (sum(int8): 38 digits, scale 0)
//     min, max, lag, any_value and other functions of anyelement: as the argument
//     all else   the variable form
//
// What needs more than 38 digits is in the variable form. A record function's
// columns are in OutTypes.
func ResultType(f *Func, args []types.T) types.T {
	switch f.OID {
	case numericAdd, numericSub:
		if len(args) == 2 && args[0].Scaled() && args[1].Scaled() {
			a, b := args[0], args[1]
			scale := max(a.Scale, b.Scale)
			whole := max(a.Prec-a.Scale, b.Prec-b.Scale, 0) + 1
			return types.DecimalResult(int(whole+scale), int(scale))
		}
		return types.Numeric
	case numericMul:
		if len(args) == 2 && args[0].Scaled() && args[1].Scaled() {
			return types.DecimalResult(int(args[0].Prec+args[1].Prec), int(args[0].Scale+args[1].Scale))
		}
		return types.Numeric
	case numericUminus, numericUplus, numericAbs, numericAbs2:
		if len(args) == 1 && args[0].Scaled() {
			return types.DecimalResult(int(args[0].Prec), int(args[0].Scale))
		}
		return types.Numeric
	case sumNumeric:
		if len(args) == 1 && args[0].Layout == types.LayoutI64 {
			return types.DecimalResult(types.NumericDigitsI128, int(args[0].Scale))
		}
		return types.Numeric
	case sumInt8:
		return types.DecimalResult(types.NumericDigitsI128, 0)
	case numericInt2:
		return types.DecimalResult(5, 0)
	case numericInt4:
		return types.DecimalResult(10, 0)
	case numericInt8:
		return types.DecimalResult(19, 0)
	}
	if f.Kind == Aggregate && f.Ret == types.NumericOID && len(args) == 1 && args[0].OID == types.NumericOID && (f.Name == "min" || f.Name == "max") {
		return withoutMod(args[0])
	}
	if !IsPoly(f.Ret) {
		return types.Of(f.Ret, -1)
	}
	elem, array, ok := f.poly(args)
	if !ok {
		return types.Unknown
	}
	switch f.Ret {
	case types.AnyArrayOID, types.AnyCompatibleArrayOID:
		return types.Of(array, -1)
	}
	// A plain element keeps its layout; one taken out of an array has the variable form.
	var common types.T
	for i, d := range f.Args {
		if i >= len(args) {
			break
		}
		switch d {
		case types.AnyElementOID, types.AnyNonArrayOID, types.AnyCompatibleOID, types.AnyCompatibleNonArrayOID:
			if args[i].OID != elem {
				continue
			}
			if common.OID == 0 {
				common = args[i]
			} else {
				common = CommonNumeric(common, args[i])
			}
		}
	}
	if common.OID == elem && elem != 0 {
		for i, d := range f.Args {
			if i < len(args) && (d == types.AnyArrayOID || d == types.AnyCompatibleArrayOID) {
				return types.Of(elem, -1)
			}
		}
		return withoutMod(common)
	}
	return types.Of(elem, -1)
}

// withoutMod is t as the result of a call: no modifier, the same form.
func withoutMod(t types.T) types.T {
	if t.Scaled() {
		return types.T{OID: t.OID, Mod: -1, Layout: t.Layout, Scale: t.Scale, Prec: t.Prec}
	}
	t.Mod = -1
	return t
}

// CommonNumeric is the numeric type that holds the values of both a and b without
// a change of worth: for the branches of CASE, COALESCE, UNION. Display scales of
// the narrower side grow when both are scaled and differ, which PostgreSQL would
// show; so scaled types of different scales meet in the variable form. Types that
// are not numeric give a, without modifier unless both have the same.
func CommonNumeric(a, b types.T) types.T {
	if a.OID != types.NumericOID || b.OID != types.NumericOID {
		if a.Mod != b.Mod {
			a.Mod = -1
		}
		return a
	}
	if !a.Scaled() || !b.Scaled() || a.Scale != b.Scale {
		return types.Numeric
	}
	t := types.DecimalResult(int(max(a.Prec, b.Prec)), int(a.Scale))
	if a.Mod == b.Mod {
		t.Mod = a.Mod
	}
	return t
}

// Concrete replaces the polymorphic types among f's declared arguments and result
// by those that the actual argument types imply. args has one entry an argument
// as called (a variadic call has its elements already in one array, or f.Variadic
// expanded: then pass the expanded declared list as decl). Unknown arguments
// (types.UnknownOID) take no part. ok is false when the types do not agree.
func Concrete(decl []uint32, ret uint32, args []uint32) (out []uint32, result uint32, ok bool) {
	var elem, array, celem, carray uint32
	set := func(p *uint32, v uint32) bool {
		if *p != 0 && *p != v {
			return false
		}
		*p = v
		return true
	}
	for i, d := range decl {
		if i >= len(args) || args[i] == types.UnknownOID {
			continue
		}
		a := args[i]
		switch d {
		case types.AnyElementOID, types.AnyNonArrayOID:
			if !set(&elem, a) {
				return nil, 0, false
			}
		case types.AnyArrayOID:
			if ElemOf(a) == 0 && a != types.AnyArrayOID || !set(&array, a) {
				return nil, 0, false
			}
		case types.AnyCompatibleOID, types.AnyCompatibleNonArrayOID:
			if celem = commonOf(celem, a); celem == 0 {
				return nil, 0, false
			}
		case types.AnyCompatibleArrayOID:
			if ElemOf(a) == 0 {
				return nil, 0, false
			}
			if celem = commonOf(celem, ElemOf(a)); celem == 0 {
				return nil, 0, false
			}
		}
	}
	if array != 0 && array != types.AnyArrayOID {
		if !set(&elem, ElemOf(array)) {
			return nil, 0, false
		}
	} else if elem != 0 {
		array = ArrayOf(elem)
	}
	if celem != 0 {
		carray = ArrayOf(celem)
	}
	sub := func(d uint32) uint32 {
		switch d {
		case types.AnyElementOID, types.AnyNonArrayOID:
			return elem
		case types.AnyArrayOID:
			return array
		case types.AnyCompatibleOID, types.AnyCompatibleNonArrayOID:
			return celem
		case types.AnyCompatibleArrayOID:
			return carray
		}
		return d
	}
	out = make([]uint32, len(decl))
	ok = true
	for i, d := range decl {
		out[i] = sub(d)
		ok = ok && out[i] != 0
	}
	result = sub(ret)
	return out, result, ok && result != 0
}

// commonOf is the type that an anycompatible pair meets in: the one to which the
// other casts implicitly; 0 when there is none.
func commonOf(a, b uint32) uint32 {
	switch {
	case a == 0 || a == b:
		return b
	case b == 0:
		return a
	}
	ca, pa := Category(a)
	cb, pb := Category(b)
	if ca != cb {
		return 0
	}
	if c, ok := CastOf(b, a); ok && c.Context == Implicit && (pa || !pb) {
		return a
	}
	if c, ok := CastOf(a, b); ok && c.Context == Implicit {
		return b
	}
	if c, ok := CastOf(b, a); ok && c.Context == Implicit {
		return a
	}
	return 0
}

// poly is the element and array type that args give f's polymorphic arguments.
func (f *Func) poly(args []types.T) (elem, array uint32, ok bool) {
	oids := make([]uint32, len(args))
	for i := range args {
		oids[i] = args[i].OID
	}
	decl := f.Args
	if f.Variadic != 0 && len(args) >= len(decl) && len(decl) > 0 {
		last := len(decl) - 1
		if IsPoly(f.Variadic) && (len(args) > len(decl) || ElemOf(oids[last]) == 0) {
			decl = append([]uint32(nil), decl[:last]...)
			for len(decl) < len(args) {
				decl = append(decl, f.Variadic)
			}
		}
	}
	switch f.Ret {
	case types.AnyArrayOID, types.AnyCompatibleArrayOID:
		_, r, ok := Concrete(decl, f.Ret, oids)
		return ElemOf(r), r, ok || r != 0
	}
	_, r, ok := Concrete(decl, f.Ret, oids)
	return r, ArrayOf(r), ok || r != 0
}
