package bind

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// TestMutations binds statements put together from the words of those in
// diff.sql.txt: whatever parses must bind to a well-formed plan or fail with an error
// of its own, never panic. MILLRACE_MUTATIONS sets how many.
func TestMutations(t *testing.T) {
	text, err := os.ReadFile("diff.sql.txt")
	if err != nil {
		t.Fatal(err)
	}
	setup, rest, _ := strings.Cut(string(text), "\n--\n")
	c := newTestCatalog()
	if _, err := c.run(setup); err != nil {
		t.Fatal(errText(err))
	}
	var qs [][]string
	for _, q := range strings.Split(rest, ";\n") {
		if q = strings.TrimSpace(q); q != "" {
			qs = append(qs, words(q))
		}
	}
	n := 3000
	if s := os.Getenv("MILLRACE_MUTATIONS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	seed := uint64(1)
	if s := os.Getenv("MILLRACE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	parsed, bound := 0, 0
	for i := 0; i < n; i++ {
		q := strings.Join(mutate(rng, qs), " ")
		stmts, err := parser.Parse(q)
		if err != nil {
			continue
		}
		parsed++
		for _, st := range stmts {
			if bindOne(t, c, st, q) {
				bound++
			}
		}
	}
	t.Logf("%d of %d parsed, %d bound", parsed, n, bound)
}

func bindOne(t *testing.T, c *testCatalog, st parser.Stmt, q string) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s\n%v", q, r)
			if os.Getenv("MILLRACE_PANIC") != "" {
				panic(r)
			}
		}
	}()
	s, err := Bind(st, c.env(q))
	if err != nil {
		if code := sqlstate.CodeOf(err); code == sqlstate.InternalError {
			t.Errorf("%s\n%v", q, err)
		}
		return false
	}
	if s.Root != nil {
		if err := wellFormed(s.Root); err != nil {
			t.Errorf("%s\n%v\n%s", q, err, strings.Join(plan.Format(s.Root, plan.FormatOptions{IDs: true}), "\n"))
		}
	}
	return true
}

// words cuts a statement at white space and around punctuation.
func words(q string) []string {
	var out []string
	cur := ""
	flush := func() {
		if cur != "" {
			out = append(out, cur)
			cur = ""
		}
	}
	quoted := false
	for _, r := range q {
		switch {
		case r == '\'':
			quoted = !quoted
			cur += string(r)
		case quoted:
			cur += string(r)
		case r == ' ' || r == '\n':
			flush()
		case strings.ContainsRune("(),[]", r):
			flush()
			out = append(out, string(r))
		default:
			cur += string(r)
		}
	}
	flush()
	return out
}

// mutate changes a few words of a statement: drops, doubles, swaps them, or takes a
// piece, balanced where it can be, of another.
func mutate(rng *rand.Rand, qs [][]string) []string {
	q := append([]string(nil), qs[rng.IntN(len(qs))]...)
	for k := 1 + rng.IntN(3); k > 0 && len(q) > 2; k-- {
		i := rng.IntN(len(q))
		switch rng.IntN(5) {
		case 0:
			q = append(q[:i], q[i+1:]...)
		case 1:
			q[i] = q[rng.IntN(len(q))]
		case 2:
			o := qs[rng.IntN(len(qs))]
			q[i] = o[rng.IntN(len(o))]
		default:
			// An operand for another's.
			o := qs[rng.IntN(len(qs))]
			a, b := span(rng, o), span(rng, q)
			q = append(append(append([]string(nil), q[:b[0]]...), o[a[0]:a[1]]...), q[b[1]:]...)
		}
	}
	return q
}

// span picks a balanced piece of a statement.
func span(rng *rand.Rand, q []string) [2]int {
	for try := 0; try < 10; try++ {
		i := rng.IntN(len(q))
		depth := 0
		for j := i; j < len(q) && j < i+12; j++ {
			switch q[j] {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			}
			if depth < 0 {
				break
			}
			if depth == 0 && rng.IntN(3) == 0 {
				return [2]int{i, j + 1}
			}
		}
	}
	i := rng.IntN(len(q))
	return [2]int{i, i + 1}
}
