package eval

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// TestFastRegex holds the fast engine to Go's answers on generated patterns.
func TestFastRegex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	atoms := []string{"a", "b", "ab", "/", ".", "[ab]", "[^/]", "[^a]", "\\d", "\\w", "é", "1", "^", "$"}
	quants := []string{"", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}"}
	var gen func(depth int) string
	gen = func(depth int) string {
		var b strings.Builder
		for n := 1 + r.IntN(3); n > 0; n-- {
			switch k := r.IntN(10); {
			case k < 7 || depth > 2:
				a := atoms[r.IntN(len(atoms))]
				b.WriteString(a)
				if a != "^" && a != "$" {
					b.WriteString(quants[r.IntN(len(quants))])
				}
			case k == 7:
				b.WriteString("(?:" + gen(depth+1) + "|" + gen(depth+1) + ")" + quants[r.IntN(len(quants))])
			default:
				b.WriteString("(" + gen(depth+1) + ")" + quants[r.IntN(len(quants))])
			}
		}
		return b.String()
	}
	texts := []string{"", "a", "ab", "aab/b1", "é", "aéb/1", "abababab", "http://a.b/ab?1", "111", "bbbbbaaaa/", "ééa/é1ba"}
	tried := 0
	for range 20000 {
		pat := "(?s)" + gen(0)
		re, err := regexp.Compile(pat)
		if err != nil {
			continue
		}
		f := newFastRegex(pat, syntax.Perl)
		if f == nil {
			continue
		}
		tried++
		for _, s := range texts {
			got, done := f.find([]byte(s), 0)
			if want := re.FindSubmatchIndex([]byte(s)); done && !slices.Equal(got, want) {
				t.Fatalf("%q on %q: %v, want %v", pat, s, got, want)
			}
		}
	}
	if tried < 5000 {
		t.Errorf("only %d patterns were of the kind", tried)
	}
	// A pattern that explodes makes the engine give up.
	f := newFastRegex("(?s)(a|a)*(a|a)*(a|a)*b", syntax.Perl)
	if _, done := f.find([]byte(strings.Repeat("a", 200)), 0); done {
		t.Error("no limit")
	}
}

func BenchmarkRegex(b *testing.B) {
	s := []byte("https://www.example.com/some/path/to/a/page.html?query=string&more=1")
	m, err := compileRegex(`^https?://(?:www\.)?([^/]+)/.*$`, "")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fast", func(b *testing.B) {
		for b.Loop() {
			m.find(s, 0)
		}
	})
	b.Run("go", func(b *testing.B) {
		for b.Loop() {
			m.re.FindSubmatchIndex(s)
		}
	})
}
