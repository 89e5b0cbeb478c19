package build_test

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/optest"
	"github.com/millrace/millrace/planner/plan"
)

var two = []types.T{types.Int4, types.Text}

func people(f *optest.Fixture) *plan.Scan {
	return f.Table(two, optest.Rows{{1, "ann"}, {2, "bob"}, {nil, "a name of more than twelve bytes"}, {2, nil}, {3, "cid"}})
}

func TestScanFilterProject(t *testing.T) {
	f := optest.New()
	s := people(f)
	f.Check(t, s, false, "1|ann", "2|bob", "null|a name of more than twelve bytes", "2|null", "3|cid")
	pred := optest.Op(">", s.Cols[0].Ref(), optest.Const(types.Int4, 1))
	f.Check(t, &plan.Filter{Input: s, Pred: pred}, false, "2|bob", "2|null", "3|cid")
	in := *s
	in.Filter = []expr.Expr{pred}
	in.Out = []int{1}
	f.Check(t, &in, false, "bob", "null", "cid")
	sum := f.Col("x", types.Int4)
	f.Check(t, &plan.Project{Input: s, Exprs: []plan.Projection{
		{Col: sum, Expr: optest.Op("+", s.Cols[0].Ref(), s.Cols[0].Ref())}, {Col: s.Cols[1], Expr: s.Cols[1].Ref()}}}, false,
		"2|ann", "4|bob", "null|a name of more than twelve bytes", "4|null", "6|cid")
}

func TestValuesAndLimit(t *testing.T) {
	f := optest.New()
	v := &plan.Values{Cols: []plan.Column{f.Col("a", types.Int4)}}
	for i := range 10 {
		v.Rows = append(v.Rows, []expr.Expr{optest.Const(types.Int4, i)})
	}
	n := func(x any) expr.Expr { return optest.Const(types.Int8, x) }
	f.Check(t, &plan.Limit{Input: v, Count: n(3), Offset: n(2)}, true, "2", "3", "4")
	f.Check(t, &plan.Limit{Input: v, Count: n(0)}, true)
	f.Check(t, &plan.Limit{Input: v, Count: n(nil), Offset: n(8)}, true, "8", "9")
	f.Check(t, &plan.Limit{Input: v, Count: n(-1)}, true, "error: LIMIT must not be negative")
	f.Check(t, &plan.Values{Rows: [][]expr.Expr{{}, {}}}, true, "", "")
	ties := f.Table([]types.T{types.Int4}, optest.Rows{{3}, {1}, {2}, {2}, {2}, {4}})
	keys := []plan.SortKey{{Expr: ties.Cols[0].Ref()}}
	f.Check(t, &plan.Limit{Input: &plan.Sort{Input: ties, Keys: keys, Limit: -1}, Count: n(2), WithTies: true, Ties: keys}, true, "1", "2", "2", "2")
}

func join(f *optest.Fixture, k plan.JoinKind, l, r *plan.Scan) *plan.Join {
	j := &plan.Join{ID: f.ID(), Kind: k, L: l, R: r, Mark: f.Col("mark", types.Bool)}
	j.Keys = []plan.JoinKey{{L: l.Cols[0].Ref(), R: r.Cols[0].Ref(), Eq: optest.Eq(l.Cols[0].Ref(), r.Cols[0].Ref())}}
	return j
}

// TestJoins runs all kinds over integer and over string keys, hashed and looped.
func TestJoins(t *testing.T) {
	type sides struct{ l, r *plan.Scan }
	f := optest.New()
	ints := func() sides {
		return sides{
			f.Table(two, optest.Rows{{1, "a"}, {2, "b"}, {2, "c"}, {nil, "d"}, {5, "e"}}),
			f.Table(two, optest.Rows{{2, "x"}, {2, "y"}, {1, "z"}, {7, "w"}, {nil, "n"}})}
	}
	texts := func() sides {
		ts := []types.T{types.Text, types.Text}
		return sides{
			f.Table(ts, optest.Rows{{"1", "a"}, {"2", "b"}, {"2", "c"}, {nil, "d"}, {"5", "e"}}),
			f.Table(ts, optest.Rows{{"2", "x"}, {"2", "y"}, {"1", "z"}, {"7", "w"}, {nil, "n"}})}
	}
	wide := func() sides {
		ts := []types.T{types.Int8, types.Text}
		big := int64(1) << 40
		row := func(x any, s string) []any {
			if x == nil {
				return []any{nil, s}
			}
			return []any{int64(x.(int)) * big, s}
		}
		return sides{
			f.Table(ts, optest.Rows{row(1, "a"), row(2, "b"), row(2, "c"), row(nil, "d"), row(5, "e")}),
			f.Table(ts, optest.Rows{row(2, "x"), row(2, "y"), row(1, "z"), row(7, "w"), row(nil, "n")})}
	}
	want := map[plan.JoinKind][]string{
		plan.Inner: {"a|z", "b|x", "b|y", "c|x", "c|y"},
		plan.Left:  {"a|z", "b|x", "b|y", "c|x", "c|y", "d|null", "e|null"},
		plan.Right: {"a|z", "b|x", "b|y", "c|x", "c|y", "null|w", "null|n"},
		plan.Full:  {"a|z", "b|x", "b|y", "c|x", "c|y", "d|null", "e|null", "null|w", "null|n"},
		plan.Semi:  {"a", "b", "c"},
		plan.Anti:  {"d", "e"},
		plan.Mark:  {"a|t", "b|t", "c|t", "d|null", "e|null"},
	}
	for name, mk := range map[string]func() sides{"int": ints, "text": texts, "wide": wide} {
		for k, w := range want {
			for _, form := range []string{"hash", "residual", "loop", "flip", "flip residual"} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, k, form), func(t *testing.T) {
					s := mk()
					j := join(f, k, s.l, s.r)
					true3 := &expr.IsNull{Arg: &expr.Const{T: types.Text, D: types.NewString("")}, Not: true}
					switch form {
					case "residual", "flip residual":
						if k == plan.Mark {
							t.Skip()
						}
						j.Resid = &expr.Or{Args: []expr.Expr{true3, optest.Op("=", s.l.Cols[1].Ref(), s.r.Cols[1].Ref())}}
					case "loop":
						j.Resid = optest.Op("=", s.l.Cols[0].Ref(), s.r.Cols[0].Ref())
						j.Keys = nil
					}
					if form[0] == 'f' {
						if k != plan.Semi && k != plan.Anti {
							t.Skip()
						}
						l, r := *s.l, *s.r
						l.SetEstimate(&plan.Estimate{Rows: 1})
						r.SetEstimate(&plan.Estimate{Rows: 100})
						j.L, j.R = &l, &r
					}
					p := &plan.Project{Input: j, Exprs: []plan.Projection{{Col: s.l.Cols[1], Expr: s.l.Cols[1].Ref()}}}
					switch k {
					case plan.Semi, plan.Anti:
					case plan.Mark:
						p.Exprs = append(p.Exprs, plan.Projection{Col: j.Mark, Expr: j.Mark.Ref()})
					default:
						p.Exprs = append(p.Exprs, plan.Projection{Col: s.r.Cols[1], Expr: s.r.Cols[1].Ref()})
					}
					f.Check(t, p, false, w...)
				})
			}
		}
	}
}

func TestNullAwareAnti(t *testing.T) {
	f := optest.New()
	one := []types.T{types.Int4}
	l := f.Table(one, optest.Rows{{1}, {2}, {nil}})
	for _, c := range []struct {
		r    optest.Rows
		want []string
	}{
		{optest.Rows{{2}, {3}}, []string{"1"}},
		{optest.Rows{{2}, {nil}}, nil},
		{optest.Rows{}, []string{"1", "2", "null"}},
	} {
		for _, loop := range []bool{false, true} {
			r := f.Table(one, c.r)
			j := join(f, plan.Anti, l, r)
			j.NullAware = true
			if loop {
				j.Resid, j.Keys = optest.Op("=", l.Cols[0].Ref(), r.Cols[0].Ref()), nil
			}
			f.Check(t, j, false, c.want...)
		}
	}
}

func TestNullEqualAndSingle(t *testing.T) {
	f := optest.New()
	l := f.Table(two, optest.Rows{{1, "a"}, {nil, "b"}, {100, "c"}})
	r := f.Table(two, optest.Rows{{nil, "x"}, {100, "y"}, {101, "z"}})
	j := join(f, plan.Left, l, r)
	j.Keys[0].NullEqual = true
	f.Check(t, j, false, "1|a|null|null", "null|b|null|x", "100|c|100|y")
	j = join(f, plan.Single, l, r)
	f.Check(t, j, false, "1|a|null|null", "null|b|null|null", "100|c|100|y")
	r2 := f.Table(two, optest.Rows{{100, "x"}, {100, "y"}})
	f.Check(t, join(f, plan.Single, l, r2), false, "error: more than one row returned by a subquery used as an expression")
	none := join(f, plan.Single, l, r2)
	none.Keys = nil
	f.Check(t, none, false, "error: more than one row returned by a subquery used as an expression")
}

func TestJoinResidual(t *testing.T) {
	f := optest.New()
	l := f.Table(two, optest.Rows{{1, "a"}, {1, "b"}, {2, "c"}})
	r := f.Table(two, optest.Rows{{1, "a"}, {1, "x"}, {2, "x"}, {2, "z"}})
	differ := optest.Op("<>", l.Cols[1].Ref(), r.Cols[1].Ref())
	same := optest.Op("=", l.Cols[1].Ref(), r.Cols[1].Ref())
	for _, c := range []struct {
		k    plan.JoinKind
		on   expr.Expr
		want []string
	}{
		{plan.Inner, differ, []string{"1|a|1|x", "1|b|1|a", "1|b|1|x", "2|c|2|x", "2|c|2|z"}},
		{plan.Left, same, []string{"1|a|1|a", "1|b|null|null", "2|c|null|null"}},
		{plan.Full, same, []string{"1|a|1|a", "1|b|null|null", "2|c|null|null", "null|null|1|x", "null|null|2|x", "null|null|2|z"}},
		{plan.Right, same, []string{"1|a|1|a", "null|null|1|x", "null|null|2|x", "null|null|2|z"}},
		{plan.Semi, same, []string{"1|a"}},
		{plan.Anti, same, []string{"1|b", "2|c"}},
		{plan.Single, same, []string{"1|a|1|a", "1|b|null|null", "2|c|null|null"}},
	} {
		j := join(f, c.k, l, r)
		j.Resid = c.on
		f.Check(t, j, false, c.want...)
	}
}

// TestBigJoin has more rows than a batch on both sides, with several keys.
func TestBigJoin(t *testing.T) {
	f := optest.New()
	ts := []types.T{types.Int4, types.Int2, types.Text}
	var lr, rr optest.Rows
	var want []string
	for i := range 3000 {
		lr = append(lr, []any{i, i % 7, fmt.Sprint("left ", i)})
	}
	for i := range 4000 {
		rr = append(rr, []any{i % 2000, i % 7, fmt.Sprint("right row ", i)})
	}
	for i := range 3000 {
		for _, k := range []int{i, i + 2000} {
			if i < 2000 && k%7 == i%7 {
				want = append(want, fmt.Sprintf("left %d|right row %d", i, k))
			}
		}
	}
	l, r := f.Table(ts, lr), f.Table(ts, rr)
	j := join(f, plan.Inner, l, r)
	j.Keys = append(j.Keys, plan.JoinKey{L: l.Cols[1].Ref(), R: r.Cols[1].Ref(), Eq: optest.Eq(l.Cols[1].Ref(), r.Cols[1].Ref())})
	ls := *l
	ls.Runtime = []plan.RuntimeFilter{{Join: j.ID, Key: 0, Col: l.Cols[0].ID}}
	j.L = &ls
	p := &plan.Project{Input: j, Exprs: []plan.Projection{{Col: l.Cols[2], Expr: l.Cols[2].Ref()}, {Col: r.Cols[2], Expr: r.Cols[2].Ref()}}}
	f.Check(t, p, false, want...)
	j1 := join(f, plan.Semi, l, r)
	ls2 := *l
	ls2.Runtime = []plan.RuntimeFilter{{Join: j1.ID, Key: 0, Col: l.Cols[0].ID}}
	j1.L = &ls2
	agg := f.Col("n", types.Int8)
	f.Check(t, &plan.Aggregate{Input: j1, Aggs: []plan.Agg{{Col: agg, Fn: optest.Agg("count"), Star: true}}}, false, "2000")
}
