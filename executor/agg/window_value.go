package agg

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	for _, f := range []struct {
		name string
		sign int
	}{{"lag", -1}, {"lead", 1}} {
		shift := func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
			return shifted(c, p, args, out, f.sign)
		}
		regWindow(f.name+"(anyelement)", shift)
		regWindow(f.name+"(anyelement,int4)", shift)
		regWindow(f.name+"(anycompatible,int4,anycompatible)", shift)
	}
	regWindow("first_value", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		return framed(c, p, args[0], out, func(i int) (int, error) { return 1, nil })
	})
	regWindow("last_value", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		return framed(c, p, args[0], out, func(i int) (int, error) { return -1, nil })
	})
	regWindow("nth_value", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		return framed(c, p, args[0], out, func(i int) (int, error) {
			if args[1].IsNull(i) {
				return 0, nil
			}
			n := int(args[1].Datum(i).I)
			if n <= 0 {
				return 0, sqlstate.Errorf(sqlstate.InvalidArgumentForNthValue, "argument of nth_value must be greater than zero")
			}
			return n, nil
		})
	})
}

// shifted is lag and lead: the value some rows away, or the default.
func shifted(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec, sign int) error {
	v := args[0]
	for i := 0; i < p.N; i++ {
		if err := p.step(); err != nil {
			return err
		}
		off := 1
		if len(args) > 1 {
			if args[1].IsNull(i) {
				out.AppendNull()
				continue
			}
			off = int(args[1].Datum(i).I)
		}
		j, found := i+sign*off, true
		if c.IgnoreNulls && off != 0 {
			step := sign
			if off < 0 {
				off, step = -off, -step
			}
			found = false
			for j = i + step; j >= 0 && j < p.N; j += step {
				if err := p.step(); err != nil {
					return err
				}
				if !v.IsNull(j) {
					if off--; off == 0 {
						found = true
						break
					}
				}
			}
		}
		switch {
		case found && j >= 0 && j < p.N:
			appendRow(out, v, j)
		case len(args) > 2:
			appendRow(out, args[2], i)
		default:
			out.AppendNull()
		}
	}
	return nil
}

// appendRow appends row i of a vector that may have another scaled layout than out.
func appendRow(out, v *vec.Vec, i int) {
	if v.IsNull(i) {
		out.AppendNull()
		return
	}
	if out.T.OID == types.NumericOID && !out.T.Same(v.T) {
		out.AppendDatum(recast(v.Datum(i), v.T, out.T))
		return
	}
	out.AppendDatum(v.Datum(i))
}

// recast gives a numeric another layout and scale.
func recast(d types.Datum, from, to types.T) types.Datum {
	if from.Same(to) || from.OID != types.NumericOID || !d.Valid {
		return d
	}
	b := []byte(d.S)
	switch from.Layout {
	case types.LayoutI64:
		b = types.NumericFromInt64(nil, d.I, int(from.Scale))
	case types.LayoutI128:
		b = types.NumericFromI128(nil, d.I128(), int(from.Scale))
	}
	if to.Layout == types.LayoutView {
		return types.NewString(string(b))
	}
	v, ok := types.NumericToI128(b, int(to.Scale))
	if !ok {
		return types.Null
	}
	if to.Layout == types.LayoutI64 {
		return types.NewInt(int64(v.Lo))
	}
	return types.NewI128(v)
}

// framed takes the nth row of each row's frame: from its start when nth is
// positive, from its end when it is negative; 0 gives NULL.
func framed(c *WindowCall, p *Partition, v *vec.Vec, out *vec.Vec, nth func(i int) (int, error)) error {
	for i := 0; i < p.N; i++ {
		if err := p.step(); err != nil {
			return err
		}
		n, err := nth(i)
		if err != nil {
			return err
		}
		from, to := 0, p.N
		if p.Start != nil {
			from, to = int(p.Start[i]), int(p.End[i])
		}
		from, to = max(from, 0), min(to, p.N)
		row := -1
		switch {
		case n == 0 || from >= to:
		case p.Excluded == nil && !c.IgnoreNulls:
			row = from + n - 1
			if n < 0 {
				row = to + n
			}
		case n > 0:
			for j := from; j < to; j++ {
				if err := p.step(); err != nil {
					return err
				}
				if counts(c, p, v, i, j) {
					if n--; n == 0 {
						row = j
						break
					}
				}
			}
		default:
			for j := to - 1; j >= from; j-- {
				if err := p.step(); err != nil {
					return err
				}
				if counts(c, p, v, i, j) {
					if n++; n == 0 {
						row = j
						break
					}
				}
			}
		}
		if row < from || row >= to {
			out.AppendNull()
			continue
		}
		appendRow(out, v, row)
	}
	return nil
}

// counts says whether row j of i's frame is to be looked at.
func counts(c *WindowCall, p *Partition, v *vec.Vec, i, j int) bool {
	if p.Excluded != nil && p.Excluded(i, j) {
		return false
	}
	return !c.IgnoreNulls || !v.IsNull(j)
}
