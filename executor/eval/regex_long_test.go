package eval

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestRegexLong compares the matches of a long subject, each searched for by itself,
// with those of one search.
func TestRegexLong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	looked := 0
	for _, pat := range []string{"a*", "(a)(b)?", "b+?", "(a|ab)(c|bcd)?", "x*$", "[^a]*", "(é|a)+", "", "c$", "(.)(.)", "a{2,3}"} {
		m, err := compileRegex(pat, "")
		if err != nil {
			t.Fatal(err)
		}
		if m.re == nil || looksBack(m.re) {
			continue
		}
		m.fast = nil
		looked++
		for range 300 {
			s := make([]byte, 0, 40)
			for range rng.IntN(20) {
				s = append(s, []string{"a", "b", "c", "é", "x", "\n"}[rng.IntN(6)]...)
			}
			var want, got string
			if err := m.all(s, 0, func(loc []int) bool { want += fmt.Sprint(loc); return true }); err != nil {
				t.Fatal(err)
			}
			if err := m.each(s, 0, m.findRest, func(loc []int) bool { got += fmt.Sprint(loc); return true }); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Fatalf("%q in %q: %s, want %s", pat, s, got, want)
			}
		}
	}
	if looked < 8 {
		t.Errorf("only %d patterns", looked)
	}
}

// TestRegexEnds ends a query amid one long subject.
func TestRegexEnds(t *testing.T) {
	looks := 0
	env := &Env{Ended: func() bool { looks++; return looks > 100 }}
	m, err := (&regexCache{env: env}).get([]byte("(.)(.)"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := m.all(make([]byte, longSubject), 0, func([]int) bool { n++; return true }); err != errEnded || n > 100 {
		t.Errorf("%d matches, then %v", n, err)
	}
}
