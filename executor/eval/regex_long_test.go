package eval

import (
	"slices"
	"strings"
	"testing"
)

// TestLongSubject: searches in long subjects give what short ones do, and are given up
// when the query has ended.
func TestLongSubject(t *testing.T) {
	text := strings.Repeat("häßlich ab\n", longText/8) + "needle 42"
	asked := 0
	for _, pat := range []string{`(a|b)*c(a|b)*d`, `[0-9]+$`, `(\w+) (\d+)$`, `\Ah(ä)`, `x.*y`, `(?:e{2})dle`, `^ne`} {
		m, err := compileRegex(pat, "")
		if err != nil || m.re == nil {
			t.Fatal(pat, err)
		}
		m.fast = nil
		want := m.re.FindSubmatchIndex([]byte(text))
		m.env = &Env{Ended: func() bool { asked++; return false }}
		got, err := m.firstIn([]byte(text))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v, %v", pat, got, want, err)
		}
		if ok, err := m.search([]byte(text)); err != nil || ok != (want != nil) {
			t.Errorf("%s: %v %v", pat, ok, err)
		}
	}
	if asked == 0 {
		t.Error("nobody asked")
	}
	m, _ := compileRegex(`(a|b)*c(a|b)*d`, "")
	m.fast = nil
	m.env = &Env{Ended: func() bool { return true }}
	if _, err := m.search([]byte(text)); err != errEnded {
		t.Error(err)
	}
}
