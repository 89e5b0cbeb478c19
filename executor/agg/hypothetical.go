package agg

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	for _, name := range []string{"rank", "dense_rank", "percent_rank", "cume_dist"} {
		reg(name+"(any)", func(c *Call) (State, error) {
			return &hypothetical{c: newCollector(c), call: c, name: name}, nil
		})
	}
}

// hypothetical ranks a row that is not there among the rows of a group: the direct
// arguments, against the aggregated ones in their order.
type hypothetical struct {
	c    collector
	call *Call
	name string
}

func (s *hypothetical) Grow(n int) { s.c.grow(n) }

func (s *hypothetical) Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error {
	s.c.add(args, sel, n, groups, nil)
	return nil
}

func (s *hypothetical) Merge(from State, src, dst []uint32) error {
	return s.c.merge(&from.(*hypothetical).c, src, dst)
}

func (s *hypothetical) Bytes() int64 { return s.c.bytes() }

// against compares row r with the hypothetical one, by the sort order.
func (s *hypothetical) against(r int) int {
	for i := range s.c.types {
		if c := s.inOrder(i, s.c.datum(i, r), s.call.Direct[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (s *hypothetical) inOrder(i int, a, b types.Datum) int {
	k := s.call.Order[i]
	if !a.Valid || !b.Valid {
		switch {
		case a.Valid == b.Valid:
			return 0
		case a.Valid == k.NullsFirst:
			return 1
		}
		return -1
	}
	c := types.Compare(s.call.Args[i], a, b)
	if k.Desc {
		return -c
	}
	return c
}

// alike says whether two rows are peers.
func (s *hypothetical) alike(a, b int) bool {
	for i, t := range s.c.types {
		x, y := s.c.datum(i, a), s.c.datum(i, b)
		if x.Valid != y.Valid || x.Valid && types.Compare(t, x, y) != 0 {
			return false
		}
	}
	return true
}

func (s *hypothetical) Result(groups []uint32, out *vec.Vec) error {
	for _, g := range groups {
		var below, peers, distinct, all int64
		last := -1
		if err := s.c.each(g, func(r int) error {
			all++
			switch c := s.against(r); {
			case c < 0:
				below++
				if last < 0 || !s.alike(last, r) {
					distinct++
				}
				last = r
			case c == 0:
				peers++
			}
			return nil
		}); err != nil {
			return err
		}
		switch s.name {
		case "rank":
			out.AppendDatum(types.NewInt(below + 1))
		case "dense_rank":
			out.AppendDatum(types.NewInt(distinct + 1))
		case "percent_rank":
			if all == 0 {
				out.AppendDatum(types.NewFloat(0))
			} else {
				out.AppendDatum(types.NewFloat(float64(below) / float64(all)))
			}
		case "cume_dist":
			out.AppendDatum(types.NewFloat(float64(below+peers+1) / float64(all+1)))
		}
	}
	return nil
}
