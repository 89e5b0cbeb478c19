package eval

import (
	"math/bits"
	"unsafe"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

type ints interface{ int16 | int32 | int64 }

func outOfRange[E any]() error {
	var z E
	name := "bigint"
	switch any(z).(type) {
	case int16:
		name = "smallint"
	case int32:
		name = "integer"
	}
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "%s out of range", name)
}

func divisionByZero() error { return sqlstate.Errorf(sqlstate.DivisionByZero, "division by zero") }

func init() {
	intOps[int16, int16, int16]("int2")
	intOps[int32, int32, int32]("int4")
	intOps[int64, int64, int64]("int8")
	intOps[int16, int32, int32]("int24")
	intOps[int32, int16, int32]("int42")
	intOps[int16, int64, int64]("int28")
	intOps[int64, int16, int64]("int82")
	intOps[int32, int64, int64]("int48")
	intOps[int64, int32, int64]("int84")
	intUnary[int16]("int2")
	intUnary[int32]("int4")
	intUnary[int64]("int8")
	reg("int4inc", impl{loop: try1(func(a int32) (int32, error) { return addChecked(a, 1) })})
	reg("int8inc", impl{loop: try1(func(a int64) (int64, error) { return addChecked(a, 1) })})
	reg("gcd(int4,int4)", impl{loop: try2(gcd[int32])})
	reg("gcd(int8,int8)", impl{loop: try2(gcd[int64])})
	reg("lcm(int4,int4)", impl{loop: try2(lcm[int32])})
	reg("lcm(int8,int8)", impl{loop: try2(lcm[int64])})
}

// intOps registers + - * / of two integer types.
func intOps[A, B, R ints](pre string) {
	reg(pre+"pl", impl{loop: addInts[A, B, R], dense: true, cost: 1})
	reg(pre+"mi", impl{loop: subInts[A, B, R], dense: true, cost: 1})
	reg(pre+"mul", impl{loop: mulInts[A, B, R], dense: true, cost: 1.5})
	reg(pre+"div", impl{loop: divInts[A, B, R], cost: 4})
}

func intUnary[E ints](pre string) {
	name := map[string]string{"int2": "int2", "int4": "int4", "int8": "int8"}[pre]
	reg(pre+"um", impl{loop: negInts[E], dense: true, cost: 1})
	reg(pre+"up", impl{loop: map1(func(a E) E { return a }), dense: true, cost: 1})
	reg(pre+"abs", impl{loop: absInts[E], dense: true, cost: 1})
	reg("abs("+name+")", impl{loop: absInts[E], dense: true, cost: 1})
	reg(pre+"mod", impl{loop: modInts[E], cost: 4})
	reg("mod("+name+","+name+")", impl{loop: modInts[E], cost: 4})
	reg(pre+"and", impl{loop: map2(func(a, b E) E { return a & b }), dense: true, cost: 1})
	reg(pre+"or", impl{loop: map2(func(a, b E) E { return a | b }), dense: true, cost: 1})
	reg(pre+"xor", impl{loop: map2(func(a, b E) E { return a ^ b }), dense: true, cost: 1})
	reg(pre+"not", impl{loop: map1(func(a E) E { return ^a }), dense: true, cost: 1})
	width := uint32(31)
	if pre == "int8" {
		width = 63
	}
	reg(pre+"shl", impl{loop: map2(func(a E, b int32) E { return E(int64(a) << (uint32(b) & width)) }), dense: true, cost: 1})
	reg(pre+"shr", impl{loop: map2(func(a E, b int32) E { return a >> (uint32(b) & width) }), dense: true, cost: 1})
	reg(pre+"larger", impl{loop: map2(func(a, b E) E { return max(a, b) }), dense: true, cost: 1})
	reg(pre+"smaller", impl{loop: map2(func(a, b E) E { return min(a, b) }), dense: true, cost: 1})
}

// addInts adds; the sign of of is set when some sum wrapped around.
func addInts[A, B, R ints](c *Call) error {
	a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)[:c.N]
	var of R
	switch {
	case !c.Dense:
		for _, j := range c.Sel {
			x, y := R(a[int(j)&c.mask[0]]), R(b[int(j)&c.mask[1]])
			r := x + y
			out[j] = r
			of |= (x ^ r) & (y ^ r)
		}
	case c.mask[1] == 0:
		y := R(b[0])
		a = padded(a, c.N, c.mask[0])
		for i, x := range a {
			r := R(x) + y
			out[i] = r
			of |= (R(x) ^ r) & (y ^ r)
		}
	case c.mask[0] == 0:
		x := R(a[0])
		for i, y := range b[:c.N] {
			r := x + R(y)
			out[i] = r
			of |= (x ^ r) & (R(y) ^ r)
		}
	default:
		a, b = a[:c.N], b[:c.N]
		for i := range out {
			x, y := R(a[i]), R(b[i])
			r := x + y
			out[i] = r
			of |= (x ^ r) & (y ^ r)
		}
	}
	if of < 0 && c.firstFailing(func(i int) bool {
		_, err := addChecked(R(a[i&c.mask[0]]), R(b[i&c.mask[1]]))
		return err != nil
	}) >= 0 {
		return outOfRange[R]()
	}
	return nil
}

func addChecked[R ints](x, y R) (R, error) {
	r := x + y
	if (x^r)&(y^r) < 0 {
		return 0, outOfRange[R]()
	}
	return r, nil
}

func subInts[A, B, R ints](c *Call) error {
	a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)[:c.N]
	var of R
	switch {
	case !c.Dense:
		for _, j := range c.Sel {
			x, y := R(a[int(j)&c.mask[0]]), R(b[int(j)&c.mask[1]])
			r := x - y
			out[j] = r
			of |= (x ^ y) & (x ^ r)
		}
	case c.mask[1] == 0:
		y := R(b[0])
		a = padded(a, c.N, c.mask[0])
		for i, x := range a {
			r := R(x) - y
			out[i] = r
			of |= (R(x) ^ y) & (R(x) ^ r)
		}
	case c.mask[0] == 0:
		x := R(a[0])
		for i, y := range b[:c.N] {
			r := x - R(y)
			out[i] = r
			of |= (x ^ R(y)) & (x ^ r)
		}
	default:
		a, b = a[:c.N], b[:c.N]
		for i := range out {
			x, y := R(a[i]), R(b[i])
			r := x - y
			out[i] = r
			of |= (x ^ y) & (x ^ r)
		}
	}
	if of < 0 && c.firstFailing(func(i int) bool {
		x, y := R(a[i&c.mask[0]]), R(b[i&c.mask[1]])
		return (x^y)&(x^(x-y)) < 0
	}) >= 0 {
		return outOfRange[R]()
	}
	return nil
}

// mulWrap multiplies and says (non-zero) whether the product wrapped around.
func mulWrap[R ints](x, y R) (R, int64) {
	if unsafe.Sizeof(x) < 8 {
		p := int64(x) * int64(y)
		return R(p), p ^ int64(R(p))
	}
	hi, lo := bits.Mul64(uint64(x), uint64(y))
	// The signed high word.
	hi -= uint64(int64(x)>>63)&uint64(y) + uint64(int64(y)>>63)&uint64(x)
	return R(lo), int64(hi) ^ int64(lo)>>63
}

func mulInts[A, B, R ints](c *Call) error {
	a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)[:c.N]
	var of int64
	switch {
	case !c.Dense:
		for _, j := range c.Sel {
			r, f := mulWrap(R(a[int(j)&c.mask[0]]), R(b[int(j)&c.mask[1]]))
			out[j] = r
			of |= f
		}
	case c.mask[1] == 0:
		y := R(b[0])
		for i, x := range padded(a, c.N, c.mask[0]) {
			r, f := mulWrap(R(x), y)
			out[i] = r
			of |= f
		}
	case c.mask[0] == 0:
		x := R(a[0])
		for i, y := range b[:c.N] {
			r, f := mulWrap(x, R(y))
			out[i] = r
			of |= f
		}
	default:
		a, b = a[:c.N], b[:c.N]
		for i := range out {
			r, f := mulWrap(R(a[i]), R(b[i]))
			out[i] = r
			of |= f
		}
	}
	if of != 0 && c.firstFailing(func(i int) bool {
		_, f := mulWrap(R(a[i&c.mask[0]]), R(b[i&c.mask[1]]))
		return f != 0
	}) >= 0 {
		return outOfRange[R]()
	}
	return nil
}

func divChecked[R ints](x, y R) (R, error) {
	switch y {
	case 0:
		return 0, divisionByZero()
	case -1:
		if r := -x; r != x || x == 0 {
			return r, nil
		}
		return 0, outOfRange[R]()
	}
	return x / y, nil
}

func divInts[A, B, R ints](c *Call) error {
	a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)
	ma, mb := c.mask[0], c.mask[1]
	if mb == 0 && b[0] > 0 {
		y := R(b[0])
		if c.Sel == nil {
			for i := range out[:c.N] {
				out[i] = R(a[i&ma]) / y
			}
			return nil
		}
		for _, i := range c.Sel {
			out[i] = R(a[int(i)&ma]) / y
		}
		return nil
	}
	return try2(func(x A, y B) (R, error) { return divChecked(R(x), R(y)) })(c)
}

func modInts[E ints](c *Call) error {
	a, b, out := vec.Values[E](c.Args[0]), vec.Values[E](c.Args[1]), vec.Values[E](c.Out)
	if c.mask[1] == 0 && b[0] > 0 {
		y := b[0]
		if c.Sel == nil {
			for i := range out[:c.N] {
				out[i] = a[i&c.mask[0]] % y
			}
			return nil
		}
		for _, i := range c.Sel {
			out[i] = a[int(i)&c.mask[0]] % y
		}
		return nil
	}
	return try2(func(x, y E) (E, error) {
		switch y {
		case 0:
			return 0, divisionByZero()
		case -1:
			return 0, nil
		}
		return x % y, nil
	})(c)
}

func negInts[E ints](c *Call) error {
	return unaryInts(c, func(a E) (E, E) { return -a, a & -a }, func(a E) bool { return a < 0 && -a == a })
}

func absInts[E ints](c *Call) error {
	return unaryInts(c, func(a E) (E, E) {
		r := max(a, -a) // the smallest number stays negative
		return r, r
	}, func(a E) bool { return a < 0 && -a == a })
}

// unaryInts applies f, whose second result has the sign set when it wrapped.
func unaryInts[E ints](c *Call, f func(E) (E, E), bad func(E) bool) error {
	a, out := vec.Values[E](c.Args[0]), vec.Values[E](c.Out)
	var of E
	if c.Dense {
		for i := range out[:c.N] {
			r, x := f(a[i&c.mask[0]])
			out[i] = r
			of |= x
		}
	} else {
		for _, i := range c.Sel {
			r, x := f(a[int(i)&c.mask[0]])
			out[i] = r
			of |= x
		}
	}
	if of < 0 && c.firstFailing(func(i int) bool { return bad(a[i&c.mask[0]]) }) >= 0 {
		return outOfRange[E]()
	}
	return nil
}

// gcd and lcm follow PostgreSQL: of the absolute values, and out of range when
// the answer is the absolute value of the smallest number.
func gcd[E ints](a, b E) (E, error) {
	for b != 0 {
		if b == -1 {
			return 1, nil
		}
		a, b = b, a%b
	}
	if a < 0 {
		a = -a
		if a < 0 {
			return 0, outOfRange[E]()
		}
	}
	return a, nil
}

func lcm[E ints](a, b E) (E, error) {
	if a == 0 || b == 0 {
		return 0, nil
	}
	g, err := gcd(a, b)
	if err != nil {
		return 0, err
	}
	r, f := mulWrap(a/g, b)
	if r < 0 {
		if -r == r {
			f = 1
		}
		r = -r
	}
	if f != 0 {
		return 0, outOfRange[E]()
	}
	return r, nil
}
