package eval

import (
	"math"
	"math/big"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	for _, n := range []string{"ceil", "ceiling"} {
		reg(n+"(float8)", impl{loop: map1(math.Ceil), cost: 2, dense: true})
		reg(n+"(numeric)", impl{loop: numeric1(types.NumericCeil)})
	}
	reg("floor(float8)", impl{loop: map1(math.Floor), cost: 2, dense: true})
	reg("floor(numeric)", impl{loop: numeric1(types.NumericFloor)})
	for _, n := range []string{"round(float8)", "dround"} {
		reg(n, impl{loop: map1(math.RoundToEven), cost: 2, dense: true})
	}
	for _, n := range []string{"trunc(float8)", "dtrunc"} {
		reg(n, impl{loop: map1(math.Trunc), cost: 2, dense: true})
	}
	reg("sign(float8)", impl{loop: map1(func(v float64) float64 { // of NaN 0, as there
		switch {
		case v > 0:
			return 1
		case v < 0:
			return -1
		}
		return 0
	}), cost: 2})
	reg("sign(numeric)", impl{loop: total(func(c *Call, i int) { c.End(i, types.NumericSignum(c.Begin(), c.Bytes(0, i))) })})
	reg("round(numeric)", impl{loop: numeric1(func(dst, a []byte) ([]byte, error) { return types.NumericRound(dst, a, 0) })})
	reg("trunc(numeric)", impl{loop: numeric1(func(dst, a []byte) ([]byte, error) { return types.NumericTrunc(dst, a, 0) })})
	scaled := func(f func(dst, a []byte, scale int) ([]byte, error)) Loop {
		return each(func(c *Call, i int) error {
			b, err := f(c.Begin(), c.Bytes(0, i), int(c.I32(1, i)))
			if err == nil {
				c.End(i, b)
			}
			return err
		})
	}
	reg("round(numeric,int4)", impl{loop: scaled(types.NumericRound)})
	reg("trunc(numeric,int4)", impl{loop: scaled(types.NumericTrunc)})
	for sig, f := range map[string]func(dst, a, b []byte) ([]byte, error){
		"numeric_div": types.NumericDiv, "div": types.NumericQuo, "numeric_div_trunc": types.NumericQuo, "mod(numeric,numeric)": types.NumericRem,
		"numeric_mod": types.NumericRem, "power(numeric,numeric)": types.NumericPow, "pow(numeric,numeric)": types.NumericPow,
		"numeric_power": types.NumericPow, "log(numeric,numeric)": types.NumericLog, "numeric_log": types.NumericLog,
	} {
		reg(sig, impl{loop: numeric2(f), cost: 40})
	}
	for sig, f := range map[string]func(dst, a []byte) ([]byte, error){
		"sqrt(numeric)": types.NumericSqrt, "numeric_sqrt": types.NumericSqrt, "exp(numeric)": types.NumericExp, "numeric_exp": types.NumericExp,
		"ln(numeric)": types.NumericLn, "numeric_ln": types.NumericLn,
		"log(numeric)":   func(dst, a []byte) ([]byte, error) { return types.NumericLog(dst, ten, a) },
		"log10(numeric)": func(dst, a []byte) ([]byte, error) { return types.NumericLog(dst, ten, a) },
	} {
		reg(sig, impl{loop: numeric1(f), cost: 200})
	}
	reg("numeric_larger", impl{loop: numericPick(1)})
	reg("numeric_smaller", impl{loop: numericPick(-1)})
	reg("numeric_inc", impl{loop: numeric1(func(dst, a []byte) ([]byte, error) {
		return types.NumericAdd(dst, a, types.NumericFromInt64(nil, 1, 0))
	})})
	reg("scale", impl{loop: total(func(c *Call, i int) { c.scale(i, types.NumericDScale(c.Bytes(0, i))) })})
	reg("min_scale", impl{loop: total(func(c *Call, i int) { c.scale(i, types.NumericMinScale(c.Bytes(0, i))) })})
	reg("trim_scale", impl{loop: total(func(c *Call, i int) { c.End(i, types.NumericTrimScale(c.Begin(), c.Bytes(0, i))) })})
	reg("gcd(numeric,numeric)", impl{loop: numeric2(func(dst, a, b []byte) ([]byte, error) { return gcdNumeric(dst, a, b, false) })})
	reg("lcm(numeric,numeric)", impl{loop: numeric2(func(dst, a, b []byte) ([]byte, error) { return gcdNumeric(dst, a, b, true) })})
	reg("factorial", impl{loop: each(func(c *Call, i int) error {
		n := c.I64(0, i)
		switch {
		case n < 0:
			return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "factorial of a negative number is undefined")
		case n > 32177:
			return numericOverflow()
		}
		b, err := types.NumericFromBig(c.Begin(), new(big.Int).MulRange(1, n), 0)
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
	reg("numeric_cmp", impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(types.CompareNumeric(c.Bytes(0, i), c.Bytes(1, i))) })})

	for _, n := range []string{"sqrt(float8)", "dsqrt"} {
		reg(n, impl{cost: 5, loop: try1(func(v float64) (float64, error) {
			if v < 0 {
				return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "cannot take square root of a negative number")
			}
			return math.Sqrt(v), nil
		})})
	}
	reg("cbrt", impl{loop: map1(math.Cbrt)})
	reg("dcbrt", impl{loop: map1(math.Cbrt)})
	for _, n := range []string{"exp(float8)", "dexp"} {
		reg(n, impl{loop: try1(func(v float64) (float64, error) {
			r := math.Exp(v)
			switch {
			case math.IsInf(r, 0) && !math.IsInf(v, 0):
				return 0, overflow()
			case r == 0 && !math.IsInf(v, 0):
				return 0, underflow()
			}
			return r, nil
		})})
	}
	logs := map[string]func(float64) float64{"ln(float8)": math.Log, "dlog1": math.Log, "log(float8)": math.Log10, "log10(float8)": math.Log10, "dlog10": math.Log10}
	for n, f := range logs {
		reg(n, impl{loop: try1(func(v float64) (float64, error) {
			switch {
			case v == 0:
				return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForLogarithm, "cannot take logarithm of zero")
			case v < 0:
				return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForLogarithm, "cannot take logarithm of a negative number")
			}
			return f(v), nil
		})})
	}
	for _, n := range []string{"power(float8,float8)", "pow(float8,float8)", "dpow"} {
		reg(n, impl{cost: 20, loop: try2(power)})
	}
	initTrig()
	const degree = math.Pi / 180
	reg("degrees", impl{loop: try1(func(v float64) (float64, error) { return v / degree, checkQuotient(v, degree, v/degree) })})
	reg("radians", impl{loop: try1(func(v float64) (float64, error) { return v * degree, checkProduct(v, degree, v*degree) })})
	reg("pi", impl{loop: func(c *Call) error {
		for i := range c.Out.F64[:c.N] {
			c.Out.F64[i] = math.Pi
		}
		return nil
	}})
	reg("random", impl{cost: 5, loop: total(func(c *Call, i int) { c.Out.F64[i] = c.Env.session().float64() })})
	reg("random_normal", impl{loop: total(func(c *Call, i int) {
		s := c.Env.session()
		u := math.Sqrt(-2*math.Log(1-s.float64())) * math.Sin(2*math.Pi*s.float64())
		c.Out.F64[i] = c.F64(0, i) + c.F64(1, i)*u
	})})
	reg("erf", impl{loop: map1(math.Erf)})
	reg("erfc", impl{loop: map1(math.Erfc)})
	reg("width_bucket(float8,float8,float8,int4)", impl{loop: each(func(c *Call, i int) (err error) {
		c.Out.I32[i], err = bucket(c.F64(0, i), c.F64(1, i), c.F64(2, i), c.I32(3, i))
		return err
	})})
	reg("width_bucket(numeric,numeric,numeric,int4)", impl{loop: each(bucketNumeric)})
	reg("width_bucket(anycompatible,anycompatiblearray)", impl{loop: each(func(c *Call, i int) error {
		a := types.Array(c.Bytes(1, i))
		if a.NDim() > 1 {
			return sqlstate.Errorf(sqlstate.ArraySubscriptError, "thresholds must be one-dimensional array")
		}
		if a.HasNulls() {
			return sqlstate.Errorf(sqlstate.NullValueNotAllowed, "thresholds array must not contain NULLs")
		}
		r, d := a.Reader(), c.datum(c.Args[0], 0, i)
		lo, hi := 0, r.N
		for lo < hi {
			mid := (lo + hi) / 2
			if types.Compare(r.T, d, r.Datum(mid)) < 0 {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		c.Out.I32[i] = int32(lo)
		return nil
	})})
}

var ten = types.NumericFromInt64(nil, 10, 0)

func (c *Call) scale(i, scale int) {
	if b := c.Bytes(0, i); types.NumericIsNaN(b) || types.NumericIsInf(b) {
		c.SetNull(i)
		return
	}
	c.Out.I32[i] = int32(scale)
}

func numericPick(want int) Loop {
	return total(func(c *Call, i int) {
		a, b := c.Bytes(0, i), c.Bytes(1, i)
		if types.CompareNumeric(a, b)*want > 0 {
			c.RetBytes(i, a)
		} else {
			c.RetBytes(i, b)
		}
	})
}

// gcdNumeric is the greatest common divisor, or the least common multiple.
func gcdNumeric(dst, a, b []byte, least bool) ([]byte, error) {
	special := func(x []byte) bool { return types.NumericIsNaN(x) || types.NumericIsInf(x) }
	if special(a) || special(b) {
		return types.ParseNumeric(dst, []byte("NaN"))
	}
	scale := max(types.NumericDScale(a), types.NumericDScale(b))
	x, y := bigOf(a, scale), bigOf(b, scale)
	x.Abs(x)
	y.Abs(y)
	g := new(big.Int).GCD(nil, nil, x, y)
	if least && g.Sign() != 0 {
		g.Mul(x.Quo(x, g), y)
	}
	return types.NumericFromBig(dst, g, scale)
}

// bigOf is a finite numeric × 10^scale, exactly.
func bigOf(b []byte, scale int) *big.Int {
	t := types.AppendNumeric(nil, b)
	out := t[:0]
	for _, x := range t {
		if x != '.' {
			out = append(out, x)
		}
	}
	v, _ := new(big.Int).SetString(string(out), 10)
	return v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-types.NumericDScale(b))), nil))
}

// power follows PostgreSQL's rules for float8.
func power(a, b float64) (float64, error) {
	switch {
	case a != a:
		if b == 0 {
			return 1, nil
		}
		return a, nil
	case b != b:
		if a == 1 {
			return 1, nil
		}
		return b, nil
	case a == 0 && b < 0:
		return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "zero raised to a negative power is undefined")
	case a < 0 && math.Floor(b) != b:
		return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForPowerFunction, "a negative number raised to a non-integer power yields a complex result")
	}
	r := math.Pow(a, b)
	if math.IsInf(a, 0) || math.IsInf(b, 0) {
		return r, nil
	}
	switch {
	case math.IsInf(r, 0):
		return 0, overflow()
	case r == 0 && a != 0:
		return 0, underflow()
	}
	return r, nil
}

func inputRange() error {
	return sqlstate.Errorf(sqlstate.NumericValueOutOfRange, "input is out of range")
}

func initTrig() {
	// Of any finite angle.
	for n, f := range map[string]func(float64) float64{
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "cot": func(v float64) float64 { return 1 / math.Tan(v) },
		"sind": sind, "cosd": cosd, "tand": tand, "cotd": func(v float64) float64 { return tidy(cosd(v) / sind(v)) },
	} {
		reg(n, impl{loop: try1(func(v float64) (float64, error) {
			if math.IsInf(v, 0) {
				return 0, inputRange()
			}
			return f(v), nil
		})})
	}
	for n, f := range map[string]func(float64) float64{
		"asin": math.Asin, "acos": math.Acos, "atanh": math.Atanh, "asind": asind, "acosd": acosd,
	} {
		reg(n, impl{loop: try1(func(v float64) (float64, error) {
			if v < -1 || v > 1 {
				return 0, inputRange()
			}
			return f(v), nil
		})})
	}
	reg("acosh", impl{loop: try1(func(v float64) (float64, error) {
		if v < 1 {
			return 0, inputRange()
		}
		return math.Acosh(v), nil
	})})
	for n, f := range map[string]func(float64) float64{
		"atan": math.Atan, "sinh": math.Sinh, "tanh": math.Tanh, "asinh": math.Asinh, "atand": atand,
	} {
		reg(n, impl{loop: map1(f)})
	}
	reg("cosh", impl{loop: map1(math.Cosh)})
	reg("atan2", impl{loop: map2(math.Atan2)})
	reg("atan2d", impl{loop: map2(func(y, x float64) float64 { return math.Atan2(y, x) / math.Atan(1) * 45 })})
}

// The functions of degrees are exact where the answer is: at multiples of 30 and
// 45 degrees.

func sind(v float64) float64 {
	v = math.Mod(v, 360)
	sign := 1.0
	if v < 0 {
		v, sign = -v, -sign
	}
	if v > 180 {
		v, sign = 360-v, -sign
	}
	if v > 90 {
		v = 180 - v
	}
	return sign * sin90(v)
}

func cosd(v float64) float64 {
	v = math.Abs(math.Mod(v, 360))
	if v > 180 {
		v = 360 - v
	}
	if v > 90 {
		return -cos90(180 - v)
	}
	return cos90(v)
}

// sin90 and cos90 take 0 to 90 degrees, or NaN.
func sin90(v float64) float64 {
	if !(v > 30) {
		return math.Sin(v*(math.Pi/180)) / sin30 / 2
	}
	return cos90(90 - v)
}

func cos90(v float64) float64 {
	if !(v > 60) {
		return 1 - (1-math.Cos(v*(math.Pi/180)))/oneMinusCos60/2
	}
	return sin90(90 - v)
}

// Computed as their callers compute, not by the compiler's exact arithmetic.
var (
	angle30, angle60 = 30.0, 60.0
	sin30            = math.Sin(angle30 * (math.Pi / 180))
	oneMinusCos60    = 1 - math.Cos(angle60*(math.Pi/180))
)

func tand(v float64) float64 { return tidy(sind(v) / cosd(v) / (sind(45) / cosd(45))) }

// tidy drops the sign of zero.
func tidy(v float64) float64 {
	if v == 0 {
		return 0
	}
	return v
}

func asind(v float64) float64 {
	if v >= 0 {
		return asin1(v)
	}
	return -asin1(-v)
}

func asin1(v float64) float64 {
	if v <= 0.5 {
		return math.Asin(v) / math.Asin(0.5) * 30
	}
	return 90 - math.Acos(v)/math.Acos(0.5)*60
}

func acosd(v float64) float64 {
	if v >= 0 {
		return acos1(v)
	}
	return 90 + asin1(-v)
}

func acos1(v float64) float64 {
	if v <= 0.5 {
		return 90 - math.Asin(v)/math.Asin(0.5)*30
	}
	return math.Acos(v) / math.Acos(0.5) * 60
}

func atand(v float64) float64 { return math.Atan(v) / math.Atan(1) * 45 }

func badBuckets(msg string) error {
	return sqlstate.Errorf(sqlstate.InvalidArgumentForWidthBucket, "%s", msg)
}

// bucket is the place of v among n equal parts of lo..hi: 0 before, n+1 after.
func bucket(v, lo, hi float64, n int32) (int32, error) {
	switch {
	case n <= 0:
		return 0, badBuckets("count must be greater than zero")
	case v != v || lo != lo || hi != hi:
		return 0, badBuckets("operand, lower bound, and upper bound cannot be NaN")
	case math.IsInf(lo, 0) || math.IsInf(hi, 0):
		return 0, badBuckets("lower and upper bounds must be finite")
	case lo == hi:
		return 0, badBuckets("lower bound cannot equal upper bound")
	}
	if lo > hi {
		v, lo, hi = -v, -lo, -hi
	}
	switch {
	case v < lo:
		return 0, nil
	case v >= hi:
		if n == math.MaxInt32 {
			return 0, outOfRange[int32]()
		}
		return n + 1, nil
	}
	var r float64
	if d := hi - lo; !math.IsInf(d, 0) {
		r = float64(n) * ((v - lo) / d)
	} else {
		r = float64(n) * ((v/2 - lo/2) / (hi/2 - lo/2))
	}
	return min(int32(r), n-1) + 1, nil
}

func bucketNumeric(c *Call, i int) error {
	v, lo, hi, n := c.Bytes(0, i), c.Bytes(1, i), c.Bytes(2, i), c.I32(3, i)
	switch {
	case n <= 0:
		return badBuckets("count must be greater than zero")
	case types.NumericIsNaN(v) || types.NumericIsNaN(lo) || types.NumericIsNaN(hi):
		return badBuckets("operand, lower bound, and upper bound cannot be NaN")
	case types.NumericIsInf(lo) || types.NumericIsInf(hi):
		return badBuckets("lower and upper bounds must be finite")
	}
	switch types.CompareNumeric(lo, hi) {
	case 0:
		return badBuckets("lower bound cannot equal upper bound")
	case 1:
		v, lo, hi = types.NumericNeg(nil, v), types.NumericNeg(nil, lo), types.NumericNeg(nil, hi)
	}
	switch {
	case types.CompareNumeric(v, lo) < 0:
		c.Out.I32[i] = 0
		return nil
	case types.CompareNumeric(v, hi) >= 0:
		if n == math.MaxInt32 {
			return outOfRange[int32]()
		}
		c.Out.I32[i] = n + 1
		return nil
	}
	// floor((v − lo) × n / (hi − lo)) + 1
	a, err := types.NumericSub(nil, v, lo)
	if err != nil {
		return err
	}
	d, err := types.NumericSub(nil, hi, lo)
	if err != nil {
		return err
	}
	if a, err = types.NumericMul(nil, a, types.NumericFromInt64(nil, int64(n), 0)); err != nil {
		return err
	}
	if a, err = types.NumericQuo(nil, a, d); err != nil {
		return err
	}
	k, _ := types.NumericToInt64(a)
	c.Out.I32[i] = int32(k) + 1
	return nil
}
