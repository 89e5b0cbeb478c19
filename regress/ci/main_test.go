package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	cases := []struct {
		name           string
		in             []string
		passed, failed int
		shows          string
	}{
		{"pass", []string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"pass","Package":"p","Test":"A"}`,
			`{"Action":"pass","Package":"p"}`}, 1, 0, "ok   p"},
		{"subtests count, their parent does not", []string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"run","Package":"p","Test":"A/x"}`,
			`{"Action":"run","Package":"p","Test":"A/y"}`,
			`{"Action":"pass","Package":"p","Test":"A/x"}`,
			`{"Action":"output","Package":"p","Test":"A/y","Output":"boom\n"}`,
			`{"Action":"fail","Package":"p","Test":"A/y"}`,
			`{"Action":"fail","Package":"p","Test":"A"}`,
			`{"Action":"fail","Package":"p"}`}, 1, 1, "boom"},
		{"a package that dies is one failure", []string{
			`{"Action":"output","Package":"p","Output":"panic: x\n"}`,
			`{"Action":"fail","Package":"p"}`}, 0, 1, "panic: x"},
		{"a build error is one failure", []string{
			`{"Action":"build-output","ImportPath":"p","Output":"a.go:1: no\n"}`,
			`{"Action":"fail","Package":"p"}`}, 0, 1, "a.go:1: no"},
		{"skipped tests count as neither", []string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"skip","Package":"p","Test":"A"}`,
			`{"Action":"pass","Package":"p"}`}, 0, 0, "skip p A"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			y := newTally()
			y.read(strings.NewReader(strings.Join(c.in, "\n")+"\n"), &out)
			if y.passed != c.passed || y.failed != c.failed {
				t.Errorf("counted %d passed, %d failed; want %d and %d", y.passed, y.failed, c.passed, c.failed)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("output lacks %q:\n%s", c.shows, out.String())
			}
		})
	}
}
