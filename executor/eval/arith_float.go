package eval

import (
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

type floats interface{ float32 | float64 }

func overflow() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value out of range: overflow")
}

func underflow() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "value out of range: underflow")
}

func isInf[E floats](x E) bool { return x-x != 0 && x == x }

func init() {
	floatOps[float32, float32, float32]("float4")
	floatOps[float64, float64, float64]("float8")
	floatOps[float32, float64, float64]("float48")
	floatOps[float64, float32, float64]("float84")
	floatUnary[float32]("float4")
	floatUnary[float64]("float8")
}

func floatOps[A, B, R floats](pre string) {
	reg(pre+"pl", impl{dense: true, cost: 1, prepare: arithFloats[A, B, R](
		addFloats[R], func(x, y R) R { return x + y }, checkSum[R])})
	reg(pre+"mi", impl{dense: true, cost: 1, prepare: arithFloats[A, B, R](
		subFloats[R], func(x, y R) R { return x - y }, checkSum[R])})
	reg(pre+"mul", impl{dense: true, cost: 1, prepare: arithFloats[A, B, R](
		mulFloats[R], func(x, y R) R { return x * y }, checkProduct[R])})
	reg(pre+"div", impl{dense: true, cost: 2, prepare: arithFloats[A, B, R](
		divFloats[R], func(x, y R) R { return x / y }, checkQuotient[R])})
}

func floatUnary[E floats](pre string) {
	reg(pre+"um", impl{loop: map1(func(a E) E { return -a }), dense: true, cost: 1})
	reg(pre+"up", impl{loop: map1(func(a E) E { return a }), dense: true, cost: 1})
	abs := func(a E) E { return E(math.Abs(float64(a))) }
	reg(pre+"abs", impl{loop: map1(abs), dense: true, cost: 1})
	reg("abs("+pre+")", impl{loop: map1(abs), dense: true, cost: 1})
	reg(pre+"larger", impl{loop: map2(func(a, b E) E {
		if compareFloat(float64(a), float64(b)) > 0 {
			return a
		}
		return b
	}), dense: true, cost: 1})
	reg(pre+"smaller", impl{loop: map2(func(a, b E) E {
		if compareFloat(float64(a), float64(b)) < 0 {
			return a
		}
		return b
	}), dense: true, cost: 1})
}

// The dense loops return a number that is not 0 when some result is suspicious:
// infinite or NaN, and for products and quotients 0 from numbers that are not.

func addFloats[R floats](a, b, out []R) (sus R) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		r := a[i] + b[i]
		out[i] = r
		sus += r - r
	}
	return sus
}

func subFloats[R floats](a, b, out []R) (sus R) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		r := a[i] - b[i]
		out[i] = r
		sus += r - r
	}
	return sus
}

func mulFloats[R floats](a, b, out []R) (sus R) {
	a, b = a[:len(out)], b[:len(out)]
	zeros := 0
	for i := range out {
		x, y := a[i], b[i]
		r := x * y
		out[i] = r
		sus += r - r
		if r == 0 {
			zeros += b2i(x != 0 && y != 0)
		}
	}
	return sus + R(zeros)
}

func divFloats[R floats](a, b, out []R) (sus R) {
	a, b = a[:len(out)], b[:len(out)]
	zeros := 0
	for i := range out {
		x := a[i]
		r := x / b[i]
		out[i] = r
		sus += r - r
		if r == 0 {
			zeros += b2i(x != 0)
		}
	}
	return sus + R(zeros)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func checkSum[R floats](x, y, r R) error {
	if isInf(r) && !isInf(x) && !isInf(y) {
		return overflow()
	}
	return nil
}

func checkProduct[R floats](x, y, r R) error {
	if r == 0 && x != 0 && y != 0 {
		return underflow()
	}
	return checkSum(x, y, r)
}

func checkQuotient[R floats](x, y, r R) error {
	switch {
	case y == 0 && x == x:
		return divisionByZero()
	case r == 0 && x != 0 && !isInf(y):
		return underflow()
	case isInf(r) && !isInf(x):
		return overflow()
	}
	return nil
}

// arithFloats runs the dense loop over operands brought to R, or f row by row over
// a sparse selection, and checks the rows that count when a result is suspicious.
func arithFloats[A, B, R floats](dense func(a, b, out []R) R, f func(x, y R) R, check func(x, y, r R) error) func(*prepareContext) (Loop, error) {
	return func(*prepareContext) (Loop, error) { return arithFloatsLoop[A, B](dense, f, check), nil }
}

func arithFloatsLoop[A, B, R floats](dense func(a, b, out []R) R, f func(x, y R) R, check func(x, y, r R) error) Loop {
	var ta, tb []R
	return func(c *Call) error {
		a, b, out := vec.Values[A](c.Args[0]), vec.Values[B](c.Args[1]), vec.Values[R](c.Out)
		var sus R
		if c.Dense {
			xa, xb := side[A, R](&ta, a, c.N, c.mask[0]), side[B, R](&tb, b, c.N, c.mask[1])
			sus = dense(xa, xb, out[:c.N])
		} else {
			for _, j := range c.Sel {
				x, y := R(a[int(j)&c.mask[0]]), R(b[int(j)&c.mask[1]])
				r := f(x, y)
				out[j] = r
				sus += r - r
				if r == 0 {
					sus++
				}
			}
		}
		if sus == 0 {
			return nil
		}
		var err error
		c.firstFailing(func(i int) bool {
			err = check(R(a[i&c.mask[0]]), R(b[i&c.mask[1]]), out[i])
			return err != nil
		})
		return err
	}
}

// side is an operand of the dense loops: as it is, converted, or repeated.
func side[A, R floats](tmp *[]R, v []A, n, mask int) []R {
	if same, ok := any(v).([]R); ok && mask != 0 {
		return same[:n]
	}
	*tmp = growTo(*tmp, n)
	t := *tmp
	if mask == 0 {
		x := R(v[0])
		for i := range t {
			t[i] = x
		}
		return t
	}
	for i := range t {
		t[i] = R(v[i])
	}
	return t
}
