package agg

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	regWindow("row_number", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			out.AppendDatum(types.NewInt(int64(i) + 1))
		}
		return nil
	})
	regWindow("rank()", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			out.AppendDatum(types.NewInt(int64(p.PeerStart[i]) + 1))
		}
		return nil
	})
	regWindow("dense_rank()", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		rank := int64(0)
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			if int(p.PeerStart[i]) == i {
				rank++
			}
			out.AppendDatum(types.NewInt(rank))
		}
		return nil
	})
	regWindow("percent_rank()", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			r := 0.0
			if p.N > 1 {
				r = float64(p.PeerStart[i]) / float64(p.N-1)
			}
			out.AppendDatum(types.NewFloat(r))
		}
		return nil
	})
	regWindow("cume_dist()", func(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			out.AppendDatum(types.NewFloat(float64(p.PeerEnd[i]) / float64(p.N)))
		}
		return nil
	})
	regWindow("ntile", ntile)
}

// ntile deals the rows into buckets; the number of buckets is that of the first row
// of the partition.
func ntile(c *WindowCall, p *Partition, args []*vec.Vec, out *vec.Vec) error {
	if p.N == 0 {
		return nil
	}
	if args[0].IsNull(0) {
		for i := 0; i < p.N; i++ {
			if err := p.step(); err != nil {
				return err
			}
			out.AppendNull()
		}
		return nil
	}
	n := int(args[0].Datum(0).I)
	if n <= 0 {
		return sqlstate.Errorf(sqlstate.InvalidArgumentForNtile, "argument of ntile must be greater than zero")
	}
	size, large := p.N/n, p.N%n
	for i := 0; i < p.N; i++ {
		if err := p.step(); err != nil {
			return err
		}
		b := 0
		if i < large*(size+1) {
			b = i / (size + 1)
		} else {
			b = large + (i-large*(size+1))/max(size, 1)
		}
		out.AppendDatum(types.NewInt(int64(b) + 1))
	}
	return nil
}
