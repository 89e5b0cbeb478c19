package build_test

import (
	"fmt"
	"sort"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/optest"
	"github.com/millrace/millrace/planner/plan"
)

func group(c plan.Column) plan.Projection { return plan.Projection{Col: c, Expr: c.Ref()} }

func TestAggregate(t *testing.T) {
	f := optest.New()
	s := f.Table([]types.T{types.Text, types.Int4, types.Int8}, optest.Rows{
		{"a", 1, 10}, {"b", 2, 20}, {"a", 1, nil}, {nil, 3, 30}, {"b", 2, 5}, {"a", nil, 7}, {nil, 3, 1}})
	count := func() plan.Agg { return plan.Agg{Col: f.Col("n", types.Int8), Fn: optest.Agg("count"), Star: true} }
	max := func() plan.Agg {
		return plan.Agg{Col: f.Col("m", types.Int8), Fn: optest.Agg("max", types.Int8), Args: []expr.Expr{s.Cols[2].Ref()}}
	}
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0])}, Aggs: []plan.Agg{count(), max()}}, false,
		"a|3|10", "b|2|20", "null|2|30")
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[1])}, Aggs: []plan.Agg{count()}}, false,
		"1|2", "2|2", "3|2", "null|1")
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0]), group(s.Cols[1])}, Aggs: []plan.Agg{count()}}, false,
		"a|1|2", "a|null|1", "b|2|2", "null|3|2")
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[2])}, Aggs: []plan.Agg{count()}}, false,
		"10|1", "20|1", "null|1", "30|1", "5|1", "7|1", "1|1")
	f.Check(t, &plan.Aggregate{Input: s, Aggs: []plan.Agg{count(), max()}}, false, "7|30")
	none := &plan.Filter{Input: s, Pred: optest.Const(types.Bool, false)}
	f.Check(t, &plan.Aggregate{Input: none, Aggs: []plan.Agg{count(), max()}}, false, "0|null")
	f.Check(t, &plan.Aggregate{Input: none, Groups: []plan.Projection{group(s.Cols[0])}, Aggs: []plan.Agg{count()}}, false)

	// DISTINCT, FILTER, ORDER BY.
	d := plan.Agg{Col: f.Col("d", types.Int8), Fn: optest.Agg("count", types.Int4), Args: []expr.Expr{s.Cols[1].Ref()}, Distinct: true}
	x := count()
	x.Filter = optest.Op(">", s.Cols[2].Ref(), optest.Const(types.Int8, 9))
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0])}, Aggs: []plan.Agg{d, x}}, false,
		"a|1|1", "b|1|1", "null|1|1")
	str := plan.Agg{Col: f.Col("s", types.Text), Fn: optest.Agg("string_agg", types.Text, types.Text),
		Args:  []expr.Expr{s.Cols[0].Ref(), optest.Const(types.Text, ",")},
		Order: []plan.SortKey{{Expr: s.Cols[2].Ref(), Desc: true, NullsFirst: true}}}
	f.Check(t, &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[1])}, Aggs: []plan.Agg{str}}, false,
		"1|a,a", "2|b,b", "3|null", "null|a")
	f.Check(t, &plan.Aggregate{Input: s, Aggs: []plan.Agg{str}}, false, "a,b,a,a,b")

	// Grouping sets.
	gs := &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0]), group(s.Cols[1])}, Aggs: []plan.Agg{count()},
		Sets:     [][]int{{0, 1}, {0}, {}},
		Grouping: []plan.GroupingCall{{Col: f.Col("g", types.Int4), Args: []int{0, 1}}}}
	f.Check(t, gs, false, "a|1|2|0", "a|null|1|0", "b|2|2|0", "null|3|2|0", "a|null|3|1", "b|null|2|1", "null|null|2|1", "null|null|7|3")
	gs.Input = none
	f.Check(t, gs, false, "null|null|0|3")
}

// TestManyGroups goes through growth, partitioned merges and all forms of keys.
func TestManyGroups(t *testing.T) {
	f := optest.New()
	const n = 20000
	ts := []types.T{types.Int4, types.Int8, types.Text, types.Float8}
	var rows optest.Rows
	for i := range n {
		g := i % 9000
		rows = append(rows, []any{g, int64(g) << 33, fmt.Sprintf("group number %d", g), float64(g)})
	}
	s := f.Table(ts, rows)
	var want []string
	for g := range 9000 {
		c := 2
		if g < n-18000 {
			c = 3
		}
		want = append(want, fmt.Sprintf("%d|%d", g, c))
	}
	for k := range ts {
		groups := []plan.Projection{group(s.Cols[k])}
		if k > 0 {
			groups = append(groups, group(s.Cols[0]))
		}
		n := f.Col("n", types.Int8)
		a := &plan.Aggregate{Input: s, Groups: groups, Aggs: []plan.Agg{{Col: n, Fn: optest.Agg("count"), Star: true}}}
		p := &plan.Project{Input: a, Exprs: []plan.Projection{group(s.Cols[0]), group(n)}}
		for _, v := range []optest.Variant{{}, {Workers: 4}, {Workers: 4, Dict: true, Sel: true}, {Spill: true}, {Spill: true, Workers: 4}, {BadBounds: true}, {BadBounds: true, Workers: 4}} {
			got, err := f.Run(t, p, v)
			if err != nil {
				t.Fatal(err)
			}
			sort.Strings(got)
			w := append([]string(nil), want...)
			sort.Strings(w)
			if len(got) != len(w) {
				t.Fatalf("key %d, %+v: %d groups", k, v, len(got))
			}
			for i := range w {
				if got[i] != w[i] {
					t.Fatalf("key %d, %+v: %s, want %s", k, v, got[i], w[i])
				}
			}
		}
	}
}

// TestDependentKeys groups by a primary key and columns that follow from it.
func TestDependentKeys(t *testing.T) {
	f := optest.New()
	a := f.Table([]types.T{types.Int4, types.Text, types.Int8}, optest.Rows{{1, "one, a rather long name", 10}, {2, "two", nil}, {3, nil, 30}})
	a.Table.PK = []int{0}
	b := f.Table([]types.T{types.Int4, types.Int4}, optest.Rows{{1, 5}, {1, 6}, {3, 7}, {9, 8}, {9, 8}})
	j := join(f, plan.Right, a, b)
	groups := []plan.Projection{group(a.Cols[1]), group(a.Cols[0]), group(a.Cols[2])}
	n := f.Col("n", types.Int8)
	agg := &plan.Aggregate{Input: j, Groups: groups, Aggs: []plan.Agg{{Col: n, Fn: optest.Agg("count"), Star: true}}}
	f.Check(t, agg, false, "one, a rather long name|1|10|2", "null|3|30|1", "null|null|null|2")
}

func TestSort(t *testing.T) {
	f := optest.New()
	s := f.Table([]types.T{types.Int4, types.Text, types.Float8}, optest.Rows{
		{3, "c", 1.5}, {1, "a long string, one of two", 2.5}, {nil, "b", -1.0}, {1, "a long string, two of two", nil}, {2, nil, 0.0}})
	key := func(i int, desc, first bool) plan.SortKey {
		return plan.SortKey{Expr: s.Cols[i].Ref(), Desc: desc, NullsFirst: first}
	}
	pick := func(in plan.Node) plan.Node {
		return &plan.Project{Input: in, Exprs: []plan.Projection{group(s.Cols[0]), group(s.Cols[2])}}
	}
	f.Check(t, pick(&plan.Sort{Input: s, Keys: []plan.SortKey{key(0, false, false), key(1, false, false)}, Limit: -1}), true,
		"1|2.5", "1|null", "2|0", "3|1.5", "null|-1")
	f.Check(t, pick(&plan.Sort{Input: s, Keys: []plan.SortKey{key(0, true, true), key(1, true, false)}, Limit: -1}), true,
		"null|-1", "3|1.5", "2|0", "1|null", "1|2.5")
	f.Check(t, pick(&plan.Sort{Input: s, Keys: []plan.SortKey{key(2, true, false)}, Limit: -1}), true,
		"1|2.5", "3|1.5", "2|0", "null|-1", "1|null")
	f.Check(t, pick(&plan.Sort{Input: s, Keys: []plan.SortKey{key(1, false, true)}, Limit: 2}), true, "2|0", "1|2.5")
	f.Check(t, pick(&plan.Sort{Input: s, Keys: []plan.SortKey{{Expr: optest.Op("-", s.Cols[0].Ref(), s.Cols[0].Ref())}, key(2, false, false)}, Limit: -1}), true,
		"2|0", "3|1.5", "1|2.5", "1|null", "null|-1")
}

func TestBigSort(t *testing.T) {
	f := optest.New()
	const n = 20000
	var rows optest.Rows
	for i := range n {
		x := i * 7919 % n
		rows = append(rows, []any{x, fmt.Sprintf("Customer#%09d", x), int64(x) * -3, i})
	}
	s := f.Table([]types.T{types.Int4, types.Text, types.Int8, types.Int4}, rows)
	for k := range 3 {
		for _, limit := range []int64{-1, 10, 3000} {
			keys := []plan.SortKey{{Expr: s.Cols[k].Ref(), Desc: k == 2}}
			var root plan.Node = &plan.Sort{Input: s, Keys: keys, Limit: limit}
			root = &plan.Project{Input: root, Exprs: []plan.Projection{group(s.Cols[0])}}
			for _, v := range []optest.Variant{{}, {Workers: 4}, {Spill: true, Workers: 2}, {Dict: true}} {
				got, err := f.Run(t, root, v)
				if err != nil {
					t.Fatal(err)
				}
				want := n
				if limit >= 0 {
					want = int(limit)
				}
				if len(got) != want {
					t.Fatalf("%d rows, want %d", len(got), want)
				}
				for i, g := range got {
					if g != fmt.Sprint(i) {
						t.Fatalf("key %d limit %d %+v: row %d is %s", k, limit, v, i, g)
					}
				}
			}
		}
	}
}

func TestDistinctAndSetOps(t *testing.T) {
	f := optest.New()
	one := []types.T{types.Int4}
	a := f.Table(one, optest.Rows{{1}, {2}, {2}, {nil}, {nil}, {3}, {3}, {3}})
	b := f.Table(one, optest.Rows{{2}, {3}, {3}, {nil}, {9}})
	f.Check(t, &plan.Distinct{Input: a}, false, "1", "2", "null", "3")
	set := func(k plan.SetOpKind, all bool) plan.Node {
		return &plan.SetOp{Kind: k, All: all, Inputs: []plan.Node{a, b}, Cols: []plan.Column{f.Col("u", types.Int4)}}
	}
	f.Check(t, set(plan.Union, true), false, "1", "2", "2", "null", "null", "3", "3", "3", "2", "3", "3", "null", "9")
	f.Check(t, set(plan.Union, false), false, "1", "2", "null", "3", "9")
	f.Check(t, set(plan.Intersect, false), false, "2", "null", "3")
	f.Check(t, set(plan.Intersect, true), false, "2", "null", "3", "3")
	f.Check(t, set(plan.Except, false), false, "1")
	f.Check(t, set(plan.Except, true), false, "1", "2", "null", "3")
	s := f.Table(two, optest.Rows{{1, "b"}, {2, "x"}, {1, "a"}, {2, "y"}})
	sorted := &plan.Sort{Input: s, Keys: []plan.SortKey{{Expr: s.Cols[0].Ref()}, {Expr: s.Cols[1].Ref()}}, Limit: -1}
	f.Check(t, &plan.Distinct{Input: sorted, On: []expr.Expr{s.Cols[0].Ref()}}, true, "1|a", "2|x")
	f.Check(t, &plan.Distinct{Input: sorted}, true, "1|a", "1|b", "2|x", "2|y")
}

func TestWith(t *testing.T) {
	f := optest.New()
	a := f.Table([]types.T{types.Int4}, optest.Rows{{1}, {2}})
	id := f.ID()
	ref := func() *plan.CTERef { return &plan.CTERef{ID: id, Cols: []plan.Column{f.Col("x", types.Int4)}} }
	l, r := ref(), ref()
	f.Check(t, &plan.With{ID: id, Def: a, Body: &plan.Join{Kind: plan.Inner, L: l, R: r}}, false, "1|1", "1|2", "2|1", "2|2")
}

// TestPartitionedGroups has more groups than a lane's table keeps.
func TestPartitionedGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	f := optest.New()
	const n, groups = 200000, 100000
	var rows optest.Rows
	for i := range n {
		g := i * 7919 % groups
		rows = append(rows, []any{int64(g) << 20, i % 3})
	}
	s := f.Table([]types.T{types.Int8, types.Int4}, rows)
	cnt, sum := f.Col("n", types.Int8), f.Col("m", types.Int4)
	a := &plan.Aggregate{Input: s, Groups: []plan.Projection{group(s.Cols[0])}, Aggs: []plan.Agg{
		{Col: cnt, Fn: optest.Agg("count"), Star: true},
		{Col: sum, Fn: optest.Agg("max", types.Int4), Args: []expr.Expr{s.Cols[1].Ref()}},
		{Col: f.Col("d", types.Int8), Fn: optest.Agg("count", types.Int4), Args: []expr.Expr{s.Cols[1].Ref()}, Distinct: true}}}
	for _, v := range []optest.Variant{{}, {Workers: 3}} {
		got, err := f.Run(t, a, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != groups {
			t.Fatalf("%+v: %d groups", v, len(got))
		}
		sort.Strings(got)
		for i := 1; i < len(got); i++ {
			if got[i] == got[i-1] {
				t.Fatalf("%+v: %s twice", v, got[i])
			}
		}
		if got[0] != "0|2|2|2" && got[0] != "0|2|1|2" {
			t.Fatalf("%+v: first is %s", v, got[0])
		}
	}
}
