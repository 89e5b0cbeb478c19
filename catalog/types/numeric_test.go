package types

import (
	"math/big"
	"math/rand"
	"testing"
)

// TestInt128 checks the 128-bit operations against math/big.
func TestInt128(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	gen := func() Int128 {
		v := Int128{Lo: r.Uint64(), Hi: int64(r.Uint64())}
		s := uint(r.Intn(128))
		b := new(big.Int).Rsh(v.Big(), s)
		switch r.Intn(12) {
		case 0:
			return MaxInt128
		case 1:
			return MinInt128
		case 2:
			return Pow10I128[r.Intn(39)]
		}
		x, _ := I128FromBig(b)
		return x
	}
	lim := new(big.Int).Lsh(big.NewInt(1), 127)
	fits := func(b *big.Int) bool { return b.Cmp(lim) < 0 && b.Cmp(new(big.Int).Neg(lim)) >= 0 }
	check := func(op string, a, b, got Int128, ok bool, want *big.Int) {
		t.Helper()
		if ok != fits(want) || ok && got.Big().Cmp(want) != 0 {
			t.Fatalf("%v %s %v = %v %v, want %v", a.Big(), op, b.Big(), got.Big(), ok, want)
		}
	}
	for i := 0; i < 40000; i++ {
		a, b := gen(), gen()
		A, B := a.Big(), b.Big()
		if x, ok := I128FromBig(A); !ok || x != a {
			t.Fatalf("%v through big: %v", a, x)
		}
		x, ok := a.Add(b)
		check("+", a, b, x, ok, new(big.Int).Add(A, B))
		x, ok = a.Sub(b)
		check("-", a, b, x, ok, new(big.Int).Sub(A, B))
		x, ok = a.Mul(b)
		check("*", a, b, x, ok, new(big.Int).Mul(A, B))
		x, ok = a.MulInt64(int64(b.Lo))
		check("*", a, I128(int64(b.Lo)), x, ok, new(big.Int).Mul(A, big.NewInt(int64(b.Lo))))
		if c := A.Cmp(B); c != a.Cmp(b) || (c < 0) != a.Less(b) {
			t.Fatalf("compare %v %v", A, B)
		}
		if B.Sign() != 0 && !(a == MinInt128 && b == I128(-1)) {
			q, rem := a.QuoRem(b)
			Q, R := new(big.Int).QuoRem(A, B, new(big.Int))
			if q.Big().Cmp(Q) != 0 || rem.Big().Cmp(R) != 0 {
				t.Fatalf("%v / %v = %v rest %v, want %v rest %v", A, B, q.Big(), rem.Big(), Q, R)
			}
			// Half away from zero.
			if R.Abs(R).Lsh(R, 1).Cmp(new(big.Int).Abs(B)) >= 0 {
				Q.Add(Q, big.NewInt(int64(A.Sign()*B.Sign())))
			}
			if d := a.DivRound(b); d.Big().Cmp(Q) != 0 {
				t.Fatalf("round(%v / %v) = %v, want %v", A, B, d.Big(), Q)
			}
		}
		if got := string(AppendInt128(nil, a)); got != A.String() {
			t.Fatalf("%v prints as %s", A, got)
		}
	}
}

// TestNumericLayouts: one number in any layout prints, compares and hashes the
// same.
func TestNumericLayouts(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for i := 0; i < 20000; i++ {
		scale := r.Intn(19)
		v := r.Int63() >> uint(r.Intn(63))
		if r.Intn(2) == 0 {
			v = -v
		}
		form := NumericFromInt64(nil, v, scale)
		text := string(AppendDecimal64(nil, v, scale))
		if got := string(AppendNumeric(nil, form)); got != text {
			t.Fatalf("%d scale %d: %s and %s", v, scale, got, text)
		}
		if parsed, err := ParseNumeric(nil, []byte(text)); err != nil || string(parsed) != string(form) {
			t.Fatalf("%s reads as %x (%v), want %x", text, parsed, err, form)
		}
		if back, ok := NumericToI128(form, scale); !ok || back != I128(v) {
			t.Fatalf("%s back to %v", text, back)
		}
		h := HashNumeric(form)
		if HashDecimal64(v, scale) != h || HashDecimal128(I128(v), scale) != h {
			t.Fatalf("%s: hashes differ", text)
		}
		wide, ok := I128(v).Rescale(scale, scale+10)
		if ok && HashDecimal128(wide, scale+10) != h {
			t.Fatalf("%s: hash depends on the scale", text)
		}
		// Rescaling rounds as the variable form does.
		to := r.Intn(19)
		a, ok := RescaleI64(v, scale, to)
		rounded, _ := NumericRound(nil, form, to)
		want, _ := NumericToI128(rounded, to)
		if x, fits := want.Int64(); ok != fits || ok && a != x {
			t.Fatalf("%s to scale %d: %d %v, want %d", text, to, a, ok, x)
		}
	}
}

func BenchmarkNumericDiv(b *testing.B) {
	x, _ := ParseNumeric(nil, []byte("123456789.25"))
	y, _ := ParseNumeric(nil, []byte("4567.125"))
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		NumericDiv(buf[:0], x, y)
	}
}

func BenchmarkNumericAdd(b *testing.B) {
	x, _ := ParseNumeric(nil, []byte("123456789.25"))
	y, _ := ParseNumeric(nil, []byte("4567.125"))
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		NumericAdd(buf[:0], x, y)
	}
}
