package fn

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog/types"
)

//go:generate go run ./gen

type operatorFact struct {
	oid                 uint32
	name                string
	left, right, result uint32
	proc                uint32
	commutator, negator uint32
	canHash, canMerge   bool
}

type castFact struct {
	source, target, proc uint32
	context              CastContext
	method               CastMethod
}

type orderFact struct{ typ, less, equal, greater uint32 }

type typeFact struct {
	oid       uint32
	name      string
	category  byte
	preferred bool
	elem      uint32
	array     uint32
}

type castKey struct{ source, target uint32 }

var (
	byOID     map[uint32]*Func
	byName    map[string][]*Func
	opByOID   map[uint32]*Operator
	opByName  map[string][]*Operator
	casts     map[castKey]Cast
	orders    map[uint32]orderFact
	typeByOID map[uint32]*typeFact
	allFuncs  []*Func
	allOps    []*Operator
	operators []Operator
)

func init() {
	procs = append(procs, own...)
	byOID = make(map[uint32]*Func, len(procs))
	byName = make(map[string][]*Func, len(procs))
	allFuncs = make([]*Func, len(procs))
	for i := range procs {
		f := &procs[i]
		allFuncs[i] = f
		byOID[f.OID] = f
		byName[f.Name] = append(byName[f.Name], f)
	}
	slices.SortFunc(allFuncs, func(a, b *Func) int { return int(a.OID) - int(b.OID) })
	opByOID = make(map[uint32]*Operator, len(operatorFacts))
	opByName = make(map[string][]*Operator)
	operators = make([]Operator, len(operatorFacts))
	for i, o := range operatorFacts {
		op := &operators[i]
		*op = Operator{OID: o.oid, Name: o.name, Left: o.left, Right: o.right, Result: o.result, Func: byOID[o.proc],
			Commutator: o.commutator, Negator: o.negator, CanHash: o.canHash, CanMerge: o.canMerge}
		opByOID[op.OID] = op
		opByName[op.Name] = append(opByName[op.Name], op)
		allOps = append(allOps, op)
	}
	casts = make(map[castKey]Cast, len(castFacts))
	for _, c := range castFacts {
		casts[castKey{c.source, c.target}] = Cast{c.source, c.target, byOID[c.proc], c.context, c.method}
	}
	orders = make(map[uint32]orderFact, len(orderFacts))
	for _, o := range orderFacts {
		orders[o.typ] = o
	}
	typeByOID = make(map[uint32]*typeFact, len(typeFacts))
	for i := range typeFacts {
		typeByOID[typeFacts[i].oid] = &typeFacts[i]
	}
}

// ByOID is the function with this OID, or nil.
func ByOID(oid uint32) *Func { return byOID[oid] }

// ByName lists the overloads of a name, or nil.
func ByName(name string) []*Func { return byName[name] }

// BySignature finds a function by name(type,type), the types being names of
// pg_type, or by the name alone when it has no overloads; nil when there is none.
func BySignature(sig string) *Func {
	name, rest, given := strings.Cut(strings.TrimSuffix(sig, ")"), "(")
	fs := byName[name]
	if !given {
		if len(fs) == 1 {
			return fs[0]
		}
		return nil
	}
	var want []string
	if rest != "" {
		want = strings.Split(rest, ",")
	}
	for _, f := range fs {
		if slices.EqualFunc(f.Args, want, func(oid uint32, name string) bool { return TypeName(oid) == name }) {
			return f
		}
	}
	return nil
}

// All lists every function by OID; the slice must not be changed.
func All() []*Func { return allFuncs }

// OperatorByOID is the operator with this OID, or nil.
func OperatorByOID(oid uint32) *Operator { return opByOID[oid] }

// Operators lists the overloads of an operator name, or nil.
func Operators(name string) []*Operator { return opByName[name] }

// AllOperators lists every operator; the slice must not be changed.
func AllOperators() []*Operator { return allOps }

// EqualityFor is the = of a type's default operator class, nil when the type
// has none (json).
func EqualityFor(oid uint32) *Operator { return opByOID[orders[orderType(oid)].equal] }

// LessFor is the < of a type's default operator class, nil when the type cannot
// be ordered.
func LessFor(oid uint32) *Operator { return opByOID[orders[orderType(oid)].less] }

// GreaterFor is the > of a type's default operator class, nil when the type
// cannot be ordered.
func GreaterFor(oid uint32) *Operator { return opByOID[orders[orderType(oid)].greater] }

// orderType is the type whose operator class a type uses.
func orderType(oid uint32) uint32 {
	switch oid {
	case types.VarcharOID, types.UnknownOID, types.CstringOID:
		return types.TextOID
	case types.RegprocOID, types.RegprocedureOID, types.RegoperOID, types.RegoperatorOID, types.RegclassOID,
		types.RegtypeOID, types.RegconfigOID, types.RegdictionaryOID, types.RegnamespaceOID, types.RegroleOID, types.RegcollationOID:
		return types.OidOID
	}
	if _, ok := orders[oid]; !ok && ElemOf(oid) != 0 {
		return types.AnyArrayOID
	}
	return oid
}

// IsPoly says whether a declared argument or result type is polymorphic.
func IsPoly(oid uint32) bool {
	switch oid {
	case types.AnyElementOID, types.AnyArrayOID, types.AnyNonArrayOID, types.AnyEnumOID, types.AnyRangeOID,
		types.AnyCompatibleOID, types.AnyCompatibleArrayOID, types.AnyCompatibleNonArrayOID:
		return true
	}
	return false
}

// ElemOf is the element type of an array type, 0 for any other type.
func ElemOf(array uint32) uint32 {
	if t := typeByOID[array]; t != nil {
		return t.elem
	}
	return 0
}

// ArrayOf is the array type over a type, 0 when there is none.
func ArrayOf(elem uint32) uint32 {
	if t := typeByOID[elem]; t != nil {
		return t.array
	}
	return 0
}

// TypeName is the name in pg_type of a type, "" when unknown.
func TypeName(oid uint32) string {
	if t := typeByOID[oid]; t != nil {
		return t.name
	}
	return ""
}

// Category is PostgreSQL's type category and whether the type is the preferred
// one of it; U for unknown types.
func Category(oid uint32) (category byte, preferred bool) {
	if t := typeByOID[oid]; t != nil {
		return t.category, t.preferred
	}
	return 'U', false
}
