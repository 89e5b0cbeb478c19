// Package kernel holds the bare loops over vectors that storage and the executor
// share: compare, arithmetic, gather, hash, bit-packing, strings. Each is a free
// function over slices, without branches on data, allocation or locks; the
// operator is chosen outside the loop and the element type is a type parameter.
//
// Results that are bitmaps have bit i for row i; bits at and above the number of
// rows are 0 in the last word that is written. Selections are ascending []uint16
// of rows below 65,536.
//
// The few loops that gain much from wide registers have a twin in kernel/simd,
// built with GOEXPERIMENT=simd on amd64 and used when the CPU can; tests hold
// both equal.
package kernel

// Signed, Integer, Float and Number are the element types of numeric loops.
type Signed interface {
	~int16 | ~int32 | ~int64
}

// Integer adds the unsigned types that codes and packed values have.
type Integer interface {
	~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Float is float4 and float8.
type Float interface {
	~float32 | ~float64
}

// Number is every element type with Go's arithmetic.
type Number interface {
	Integer | Float
}

// Op is a comparison.
type Op uint8

// The comparisons.
const (
	EQ Op = iota
	NE
	LT
	LE
	GT
	GE
)

// Negate is the comparison that holds exactly when o does not.
func (o Op) Negate() Op {
	return [...]Op{NE, EQ, GE, GT, LE, LT}[o]
}

// Swap is the comparison with its sides exchanged: a o b = b o.Swap() a.
func (o Op) Swap() Op {
	return [...]Op{EQ, NE, GT, GE, LT, LE}[o]
}

// Holds says whether o holds for operands whose comparison gave cmp (<0, 0, >0).
func (o Op) Holds(cmp int) bool {
	switch o {
	case EQ:
		return cmp == 0
	case NE:
		return cmp != 0
	case LT:
		return cmp < 0
	case LE:
		return cmp <= 0
	case GT:
		return cmp > 0
	}
	return cmp >= 0
}

// String is the operator's SQL name.
func (o Op) String() string {
	return [...]string{"=", "<>", "<", "<=", ">", ">="}[o]
}

// b2u and b2i are 1 for true; the compiler makes them SETcc.
func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
