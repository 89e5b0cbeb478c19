package store

import (
	"math"

	"github.com/millrace/millrace/catalog/types"
)

// setFloat keeps a float as its bits where JSON cannot say it.
func (s *datum) setFloat(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) || f == 0 && math.Signbit(f) {
		s.Bits = math.Float64bits(f)
		return
	}
	s.F = f
}

func (s datum) datum() types.Datum {
	d := types.Datum{Valid: s.Valid, I: s.I, H: s.H, F: s.F, S: string(s.S)}
	if s.Bits != 0 {
		d.F = math.Float64frombits(s.Bits)
	}
	return d
}
