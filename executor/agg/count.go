package agg

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	reg("count()", func(c *Call) (State, error) { return &count{}, nil })
	reg("count(any)", func(c *Call) (State, error) { return &count{}, nil })
	reg("regr_count(float8,float8)", func(c *Call) (State, error) { return &count{}, nil })
}

// count counts rows, of which no argument is null.
type count struct {
	n     []int64
	valid []uint64
	both  []uint64
}

func (s *count) Grow(n int) { s.n = extended(s.n, n) }

func (s *count) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	var valid []uint64
	for k, a := range args {
		v := validity(&s.valid, a, sel, n)
		if v == nil {
			continue
		}
		if k == 0 || valid == nil {
			valid = v
			if len(args) > 1 {
				s.both = append(s.both[:0], v...)
				valid = s.both
			}
			continue
		}
		for i := range valid[:vec.Words(n)] {
			valid[i] &= v[i]
		}
	}
	if len(s.n) == 1 {
		s.n[0] += int64(countValid(valid, n))
		return nil
	}
	if valid == nil {
		for _, g := range groups[:n] {
			s.n[g]++
		}
		return nil
	}
	for k, g := range groups[:n] {
		s.n[g] += int64(valid[k>>6] >> (uint(k) & 63) & 1)
	}
	return nil
}

func (s *count) Merge(from State, src, dst []uint32) error {
	f := from.(*count)
	for k, g := range src {
		s.n[dst[k]] += f.n[g]
	}
	return nil
}

func (s *count) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		out.AppendDatum(types.NewInt(s.n[g]))
	}
	return nil
}

func (s *count) Bytes() int64 { return int64(cap(s.n)) * 8 }
