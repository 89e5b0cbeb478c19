// Package fn knows the signatures of functions, operators, aggregates and casts
// under PostgreSQL's OIDs: argument and result types, strictness, volatility,
// whether a call may fail. It does not have their loops: those are in
// executor/eval and executor/agg, registered by the same OIDs.
package fn

// Kind says how a function is called.
type Kind uint8

// The kinds.
const (
	Scalar Kind = iota
	Aggregate
	Window
)

// Volatility is PostgreSQL's provolatile.
type Volatility uint8

// The volatilities.
const (
	Immutable Volatility = iota
	Stable
	Volatile
)

// Func is one callable signature. There is exactly one *Func per OID, so that
// pointers compare. Funcs are immutable.
type Func struct {
	OID  uint32
	Name string
	Args []uint32
	Ret  uint32
	// Variadic is the element type of a variadic last argument ("any" for
	// VARIADIC "any"), 0 when there is none. The last entry of Args is then the array type.
	Variadic uint32
	// Defaults is how many trailing arguments may be left out; DefaultText has their SQL.
	Defaults    int
	DefaultText []string
	Kind        Kind
	Volatility  Volatility
	// RetSet marks a set-returning function.
	RetSet bool
	// Strict functions are null on any null argument, and are not called then.
	Strict bool
	// MayFail is false only when no argument values can make the call raise.
	MayFail bool
	// OutNames and OutTypes describe OUT columns of functions used as tables; nil when none.
	OutNames []string
	OutTypes []uint32
	// Agg says how an aggregate takes its arguments; the first DirectArgs of an
	// ordered-set or hypothetical-set aggregate stand in its parentheses, the rest
	// in WITHIN GROUP.
	Agg        AggKind
	DirectArgs int
}

// AggKind is PostgreSQL's aggkind.
type AggKind uint8

// The kinds of aggregates.
const (
	Plain AggKind = iota
	OrderedSet
	Hypothetical
)

// Operator is one operator signature; Left is 0 for a prefix operator.
type Operator struct {
	OID                 uint32
	Name                string
	Left, Right, Result uint32
	Func                *Func
	// Commutator and Negator are operator OIDs, 0 when there is none.
	Commutator, Negator uint32
	// CanHash and CanMerge: an equality usable by hash joins and sort merges.
	CanHash, CanMerge bool
}

// CastContext says where a cast applies by itself.
type CastContext uint8

// The contexts, from the widest to the narrowest use.
const (
	Implicit CastContext = iota
	Assignment
	Explicit
)

// CastMethod says how a cast is done.
type CastMethod uint8

// The methods. CastBinary relabels; CastIO goes through the text forms.
const (
	CastFunc CastMethod = iota
	CastBinary
	CastIO
)

// Cast is one entry of pg_cast.
type Cast struct {
	Source, Target uint32
	Func           *Func
	Context        CastContext
	Method         CastMethod
}
