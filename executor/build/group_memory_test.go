package build_test

import (
	"fmt"
	"slices"
	"strings"
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

// TestDependentShortOfMemory: a batch whose dependent keys find no room leaves nothing
// behind in the table that its groups were found in.
func TestDependentShortOfMemory(t *testing.T) {
	f := optest.New()
	const n = 30_000
	text := strings.Repeat("a long text, ", 40)
	rows, want := make(optest.Rows, n), make([]string, n)
	for i := range rows {
		s := fmt.Sprint(i, " ", text)
		rows[i], want[i] = []any{i, s}, fmt.Sprintf("%d|%s|1", i, s)
	}
	slices.Sort(want)
	s := f.Table([]types.T{types.Int4, types.Text}, rows)
	s.Table.PK = []int{0}
	count := plan.Agg{Col: f.Col("n", types.Int8), Fn: optest.Agg("count"), Star: true}
	a := &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0]), group(s.Cols[1])}, Aggs: []plan.Agg{count}}
	for _, workers := range []int{0, 2} {
		for _, mb := range []int64{14, 18, 21} {
			got, err := f.Run(t, a, optest.Variant{Workers: workers, Memory: mb << 20})
			if err != nil {
				t.Errorf("%d workers, %d MB: %v", workers, mb, err)
				continue
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d workers, %d MB: wrong, %d rows", workers, mb, len(got))
			}
		}
	}
}

// TestOrderShortOfMemory: rows that go to files since memory ended in the middle of a
// batch stay behind those that came before them.
func TestOrderShortOfMemory(t *testing.T) {
	f := optest.New()
	const n, groups = 450_000, 90_000
	rows, want := make(optest.Rows, n), make([]string, groups)
	for i := range rows {
		rows[i] = []any{i % groups, i / groups, "a text of some length"}
	}
	for i := range want {
		want[i] = fmt.Sprintf("%d|{0,1,2,3,4}", i)
	}
	slices.Sort(want)
	s := f.Table([]types.T{types.Int4, types.Int4, types.Text}, rows)
	all := plan.Agg{Col: f.Col("l", types.Of(types.Int4ArrayOID, -1)), Fn: optest.Agg("array_agg", types.Int4), Args: []expr.Expr{s.Cols[1].Ref()}}
	last := plan.Agg{Col: f.Col("t", types.Text), Fn: optest.Agg("max", types.Text), Args: []expr.Expr{s.Cols[2].Ref()}}
	a := &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0])}, Aggs: []plan.Agg{all, last}}
	p := &plan.Project{Input: a, Exprs: []plan.Projection{group(s.Cols[0]), group(all.Col)}}
	for mb := int64(20); mb < 36; mb += 8 {
		got, err := f.Run(t, p, optest.Variant{Memory: mb << 20})
		if err != nil {
			t.Errorf("%d MB: %v", mb, err)
			continue
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("%d MB: %s, not %s", mb, got[i], want[i])
					break
				}
			}
		}
	}
}
