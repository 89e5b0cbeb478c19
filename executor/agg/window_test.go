package agg

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// TestWindow runs every window function over 1, 2, 2, NULL, 5 with peers 2, 2 and
// the default frame; the answers are PostgreSQL's.
func TestWindow(t *testing.T) {
	v := vec.New(types.Int4, 5)
	for _, x := range []int64{1, 2, 2, -1, 5} {
		if x < 0 {
			v.AppendNull()
		} else {
			v.AppendDatum(types.NewInt(x))
		}
	}
	k := func(n int64) *vec.Vec {
		w := vec.New(types.Int4, 5)
		for range 5 {
			w.AppendDatum(types.NewInt(n))
		}
		return w
	}
	p := &Partition{N: 5, PeerStart: []int32{0, 1, 1, 3, 4}, PeerEnd: []int32{1, 3, 3, 4, 5},
		Start: []int32{0, 0, 0, 0, 0}, End: []int32{1, 3, 3, 4, 5}}
	for _, c := range []struct {
		sig    string
		args   []*vec.Vec
		ignore bool
		want   string
	}{
		{"row_number", nil, false, "1 2 3 4 5"},
		{"rank()", nil, false, "1 2 2 4 5"},
		{"dense_rank()", nil, false, "1 2 2 3 4"},
		{"percent_rank()", nil, false, "0 0.25 0.25 0.75 1"},
		{"cume_dist()", nil, false, "0.2 0.6 0.6 0.8 1"},
		{"ntile", []*vec.Vec{k(3)}, false, "1 1 2 2 3"},
		{"ntile", []*vec.Vec{k(7)}, false, "1 2 3 4 5"},
		{"ntile", []*vec.Vec{k(0)}, false, "!22014 argument of ntile must be greater than zero"},
		{"lag(anyelement)", []*vec.Vec{v}, false, "- 1 2 2 -"},
		{"lead(anyelement,int4)", []*vec.Vec{v, k(2)}, false, "2 - 5 - -"},
		{"lag(anycompatible,int4,anycompatible)", []*vec.Vec{v, k(1), k(9)}, false, "9 1 2 2 -"},
		{"lag(anyelement)", []*vec.Vec{v}, true, "- 1 2 2 2"},
		{"first_value", []*vec.Vec{v}, false, "1 1 1 1 1"},
		{"last_value", []*vec.Vec{v}, false, "1 2 2 - 5"},
		{"last_value", []*vec.Vec{v}, true, "1 2 2 2 5"},
		{"nth_value", []*vec.Vec{v, k(2)}, false, "- 2 2 2 2"},
		{"nth_value", []*vec.Vec{v, k(0)}, false, "!22016 argument of nth_value must be greater than zero"},
	} {
		f := fn.BySignature(c.sig)
		var ts []types.T
		for _, a := range c.args {
			ts = append(ts, a.T)
		}
		call := &WindowCall{Fn: f, Args: ts, T: fn.ResultType(f, ts), IgnoreNulls: c.ignore}
		out := vec.New(call.T, 5)
		got := ""
		if err := Window(f)(call, p, c.args, out); err != nil {
			got = errText(err)
		} else {
			var s []string
			for i := 0; i < out.N; i++ {
				if out.IsNull(i) {
					s = append(s, "-")
				} else {
					s = append(s, string(types.AppendText(nil, out.T, out.Datum(i), nil)))
				}
			}
			got = strings.Join(s, " ")
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", fmt.Sprint(c.sig, c.ignore), got, c.want)
		}
	}
}
