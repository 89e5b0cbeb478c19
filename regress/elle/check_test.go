package elle

import (
	"strings"
	"testing"
)

// TestCheck has the checker find each anomaly in a small history, and none where
// there is none. A history is a transaction a line: "snapshot|committed begin-end ops",
// ops being a1=3 (append 3 to list 1), r1=1,2 and r1= (reads), u1=3 (an append that
// was taken back); "|" begins another statement.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, history, final, want string }{
		{"serial", "S 1-2 a1=1\nS 3-4 r1=1 a1=2\nS 5-6 r1=1,2", "1=1,2", ""},
		{"write skew is allowed", "S 1-9 r1= a2=1\nS 1-9 r2= a1=2", "1=2;2=1", ""},
		{"G0", "C 1-9 a1=1 | a2=1\nC 1-9 a1=2 | a2=2", "1=1,2;2=2,1", "G0"},
		{"G1a", "X 1-9 a1=1\nC 1-9 r1=1", "1=", "incompatible order,G1a"},
		{"G1a of a savepoint", "C 1-9 u1=1 | a2=1\nC 1-9 r1=1", "2=1", "incompatible order,G1a"},
		{"G1b", "C 1-9 a1=1 | a1=2\nC 1-9 r1=1", "1=1,2", "G1b,G-single"},
		{"G1c", "C 1-9 a1=1 | r2=2\nC 1-9 a2=2 | r1=1", "1=1;2=2", "G1c"},
		{"lost update", "S 1-9 r1= a1=1\nS 1-9 r1= a1=2", "1=1,2", "G-single"},
		{"lost write", "S 1-2 a1=1\nS 3-4 a1=2", "1=2", "lost write"},
		{"read skew", "S 1-9 a1=1 a2=1\nS 1-9 r1= r2=1", "1=1;2=1", "G-single"},
		{"read skew is allowed between statements", "C 1-9 a1=1 | a2=1\nC 1-9 r1= | r2=1", "1=1;2=1", ""},
		{"read skew within a statement", "C 1-9 a1=1 | a2=1\nC 1-9 r1= r2=1", "1=1;2=1", "G-single"},
		{"back in time between statements", "C 1-9 a1=1 | a2=1\nC 1-9 r1=1 | r2=", "1=1;2=1", "G-single"},
		{"long fork", "S 1-9 a1=1\nS 1-9 a2=1\nS 1-9 r1=1 r2=\nS 1-9 r1= r2=1", "1=1;2=1", "G-nonadjacent"},
		{"stale read", "S 1-2 a1=1\nS 3-4 r1=", "1=1", "G-single-realtime"},
		{"internal", "S 1-2 a1=1 r1=", "1=1", "internal"},
		{"not repeatable", "S 1-9 r1= r1=1\nS 2-3 a1=1", "1=1", "non-repeatable read,G-single"},
		{"garbage", "S 1-2 r1=7", "1=7", "garbage,garbage"},
		{"forked order", "S 1-2 a1=1\nS 1-2 a1=2\nS 3-4 r1=2", "1=1,2", "incompatible order,G-single"},
	} {
		txns, final := parseHistory(c.history), parseLists(c.final)
		var got []string
		for _, a := range check(txns, final) {
			got = append(got, a.name)
		}
		if strings.Join(got, ",") != c.want {
			t.Errorf("%s: %q, want %q", c.name, strings.Join(got, ","), c.want)
		}
	}
}

func parseHistory(s string) []*txn {
	var out []*txn
	for i, line := range strings.Split(s, "\n") {
		f := strings.Fields(line)
		x := &txn{id: i + 1, snapshot: f[0] == "S", begun: number(f[1][:1]), fin: number(f[1][2:])}
		if f[0] == "X" {
			x.end = aborted
		}
		stmt := 0
		for _, w := range f[2:] {
			if w == "|" {
				stmt++
				continue
			}
			k, v, _ := strings.Cut(w[1:], "=")
			o := op{key: int(number(k)), stmt: stmt, undone: w[0] == 'u'}
			if w[0] == 'r' {
				o.kind, o.list = read, numbers(v)
			} else {
				o.value = int(number(v))
			}
			x.ops = append(x.ops, o)
		}
		out = append(out, x)
	}
	return out
}

func parseLists(s string) map[int][]int {
	out := map[int][]int{}
	for _, l := range strings.Split(s, ";") {
		k, v, _ := strings.Cut(l, "=")
		out[int(number(k))] = numbers(v)
	}
	return out
}
