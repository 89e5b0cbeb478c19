package op

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// AggSource yields the groups of a finished Aggregate: the keys, the results, the
// GROUPING values. Lanes take whole tables.
type AggSource struct {
	S *Aggregate
	// Grouping lists for each GROUPING() its arguments, as positions in the keys.
	Grouping [][]int
	next     atomic.Int64
}

// Morsels is the number of tables.
func (s *AggSource) Morsels() int { return len(s.S.tables) }

// Lane makes the operator of one lane.
func (s *AggSource) Lane() Operator {
	o := &aggSourceLane{s: s}
	for _, t := range s.S.spec.Keys {
		o.keys = append(o.keys, vec.New(t, 0))
	}
	for i := range s.S.spec.Aggs {
		o.res = append(o.res, vec.New(s.S.spec.Aggs[i].Call.T, 0))
	}
	for range s.Grouping {
		o.grouping = append(o.grouping, vec.New(types.Int4, 1))
	}
	return o
}

type aggSourceLane struct {
	s                   *AggSource
	t                   *aggTable
	at                  int
	keys, res, grouping []*vec.Vec
	group               []*vec.Vec
	ids                 []uint32
	out                 vec.Batch
	// A table of a partition that spilled is made by this lane and freed by it.
	making *remaking
	own    bool
}

// read begins with a table.
func (o *aggSourceLane) read(t *aggTable) {
	o.t, o.at = t, 0
	o.group = o.group[:0]
	for _, c := range t.set {
		o.group = append(o.group, o.keys[c])
	}
}

// Next implements Operator.
func (o *aggSourceLane) Next() (*vec.Batch, error) {
	tables := o.s.S.tables
	if o.making != nil {
		done, err := o.making.step()
		if err != nil {
			return nil, err
		}
		if done {
			o.read(o.making.t)
			o.making.close()
			o.making = nil
		}
		return empty(&o.out), nil
	}
	if o.t == nil || o.at >= o.t.groups.N {
		if o.own && o.t != nil {
			o.t.free()
		}
		o.t = nil
		k := int(o.s.next.Add(1)) - 1
		if k >= len(tables) {
			return nil, nil
		}
		if o.own = tables[k].table == nil; o.own {
			var err error
			o.making, err = o.s.S.remake(tables[k].set, tables[k].part)
			return empty(&o.out), err
		}
		o.read(tables[k].table)
		if o.t.groups.N == 0 {
			return empty(&o.out), nil
		}
	}
	t := o.t
	n := min(vec.Size, t.groups.N-o.at)
	o.ids = grown(o.ids, n)
	for k := range o.ids {
		o.ids[k] = uint32(o.at + k)
	}
	o.at += n
	t.groups.Gather(o.ids, o.group)
	for i, c := range t.deps {
		t.dep.Gather(i, o.ids, o.keys[c])
	}
	if len(t.set)+len(t.deps) < len(o.keys) {
		for c, v := range o.keys {
			if !contains(t.set, c) && !contains(t.deps, c) {
				nullVec(v, o.s.S.spec.Keys[c], n)
			}
		}
	}
	for i, v := range o.res {
		v.Recycle(v.T)
		if err := t.states[i].Result(o.ids, v); err != nil {
			return nil, err
		}
	}
	for i, v := range o.grouping {
		bits := int64(0)
		for _, k := range o.s.Grouping[i] {
			bits <<= 1
			if !contains(t.set, k) && !contains(t.deps, k) {
				bits |= 1
			}
		}
		v.SetConst(types.Int4, types.NewInt(bits), n)
	}
	o.out.Cols = append(append(append(o.out.Cols[:0], o.keys...), o.res...), o.grouping...)
	o.out.N, o.out.Sel = n, nil
	return &o.out, nil
}

func contains(s []int, x int) bool {
	for _, y := range s {
		if y == x {
			return true
		}
	}
	return false
}

// Close implements Operator.
func (o *aggSourceLane) Close() {
	if o.making != nil {
		o.making.t.free()
		o.making.close()
		o.making = nil
	}
	if o.own && o.t != nil {
		o.t.free()
	}
	o.t = nil
}
