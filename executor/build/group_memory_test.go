package build_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/optest"
	"github.com/millrace/millrace/planner/plan"
)

// TestGroupsShortOfMemory groups under limits at which the lanes' tables fit and what
// comes after them does not: states that double, and the merge.
func TestGroupsShortOfMemory(t *testing.T) {
	f := optest.New()
	const n = 600_000
	rows := make(optest.Rows, n)
	for i := range rows {
		rows[i] = []any{i, i / 9, i % 30_000}
	}
	s := f.Table([]types.T{types.Int8, types.Int4, types.Int4}, rows)
	x := s.Cols[0]
	of := func(name string) plan.Agg {
		return plan.Agg{Col: f.Col(name, types.Int8), Fn: optest.Agg(name, types.Int8), Args: []expr.Expr{x.Ref()}}
	}
	for _, c := range []struct {
		key int
		at  [][2]int // workers and MB
	}{{1, [][2]int{{0, 20}, {2, 27}, {4, 32}}}, {2, [][2]int{{2, 17}, {4, 23}}}} {
		k := s.Cols[c.key]
		a := &plan.Aggregate{Input: s, Groups: []plan.Projection{group(k)}}
		var out []plan.Projection
		for range 10 {
			m := of("max")
			a.Aggs = append(a.Aggs, m)
			out = append(out, group(m.Col))
		}
		p := &plan.Project{Input: a, Exprs: append([]plan.Projection{group(k)}, out[len(out)-1])}
		last := map[int32]int64{}
		for _, r := range rows {
			last[int32(r[c.key].(int))] = int64(r[0].(int))
		}
		var want []string
		for k, x := range last {
			want = append(want, fmt.Sprintf("%d|%d", k, x))
		}
		slices.Sort(want)
		for _, at := range c.at {
			got, err := f.Run(t, p, optest.Variant{Workers: at[0], Memory: int64(at[1]) << 20})
			if err != nil {
				t.Errorf("key %d, %d workers, %d MB: %v", c.key, at[0], at[1], err)
				continue
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("key %d, %d workers, %d MB: wrong", c.key, at[0], at[1])
			}
		}
	}
}
