package parser

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func TestSplit(t *testing.T) {
	sql := " select 1 ; -- two\n/* a /* b */ */ select 'é;' ;\n ;select 3"
	stmts, err := Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range stmts {
		got = append(got, s.Text(sql))
	}
	if g := strings.Join(got, "|"); g != "select 1|select 'é;'|select 3" {
		t.Errorf("split into %s", g)
	}
	for _, none := range []string{"", " ;; ", "-- nothing"} {
		if s, err := Parse(none); err != nil || len(s) != 0 {
			t.Errorf("%q: %d statements, %v", none, len(s), err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		sql, code, msg string
		pos            int
	}{
		{"selec 1", "42601", `syntax error at or near "selec"`, 1},
		{"select 'é', from", "42601", `syntax error at or near "from"`, 13},
		{"select 1 from", "42601", "syntax error at end of input", 14},
		{"select 'x", "42601", `unterminated quoted string at or near "'x"`, 8},
		{`select ""`, "42601", `zero-length delimited identifier at or near """"`, 8},
		{"select /* x", "42601", `unterminated /* comment at or near "/* x"`, 8},
		{"select 1\x00", "22021", `invalid byte sequence for encoding "UTF8": 0x00`, 0},
		{"select sum(a) over (rows between unbounded following and current row)", "42P20", "frame start cannot be UNBOUNDED FOLLOWING", 34},
	} {
		_, err := Parse(c.sql)
		e := sqlstate.From(err)
		if e == nil || string(e.Code) != c.code || e.Message != c.msg || e.Position != c.pos {
			t.Errorf("%q: %+v", c.sql, e)
		}
	}
}

// Deep trees would overflow the C parser's stack; long flat texts must pass.
func TestDepth(t *testing.T) {
	deep := map[string]string{
		"plus":  "select " + strings.Repeat("1+", 200000) + "1",
		"union": strings.Repeat("select 1 union ", 100000) + "select 1",
		"cast":  "select 1" + strings.Repeat("::int", 300000),
		"join":  "select 1 from a" + strings.Repeat(" join b on true", 100000),
		"paren": "select " + strings.Repeat("(", 30000) + "1" + strings.Repeat(")", 30000),
		"not":   "select " + strings.Repeat("not ", 30000) + "a",
		"is":    "select a" + strings.Repeat(" is null", 50000),
	}
	for name, sql := range deep {
		if _, err := Parse(sql); sqlstate.CodeOf(err) != sqlstate.StatementTooComplex {
			t.Errorf("%s: %v", name, err)
		}
	}
	flat := map[string]string{
		"or":     "select a = 1" + strings.Repeat(" or a = 1 + 2", 3000),
		"list":   "select a in (-1" + strings.Repeat(", -1", 10000) + ")",
		"values": "insert into t values (1 + 1, 'x')" + strings.Repeat(", (-1, 'x'::text)", 3000),
	}
	for name, sql := range flat {
		if _, err := Parse(sql); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNormalize(t *testing.T) {
	show := func(b []byte) string {
		return strings.NewReplacer("\x01i", "?i", "\x01s", "?s").Replace(string(b))
	}
	for _, c := range []struct{ sql, want string }{
		{"select  a from t\nwhere a = 5 and b='x' ;", "select a from t where a = ?i and b=?s"},
		{"select 1.5, 3000000000, 1e5, -7", "select 1.5, 3000000000, 1e5, -?i"},
		{"select 'it''s', \"A b\"", "select 'it''s', \"A b\""},
		{"select 1 -- x", ""}, {"select E'x'", ""}, {"select $1", ""}, {"select $$x$$", ""}, {"select 1; select 2", ""},
		{"select a->>'k', a-1", "select a->>?s, a-?i"},
	} {
		got, lits, ok := Normalize(nil, nil, c.sql)
		if !ok {
			if c.want != "" {
				t.Errorf("%q: not understood", c.sql)
			}
			continue
		}
		if show(got) != c.want {
			t.Errorf("%q: %q", c.sql, show(got))
		}
		for _, l := range lits {
			if v := l.Value(c.sql); !strings.Contains(c.sql, v) || strings.Contains(v, "'") {
				t.Errorf("%q: literal %q", c.sql, v)
			}
		}
	}
	dst, lits := make([]byte, 0, 256), make([]Literal, 0, 8)
	if n := testing.AllocsPerRun(10, func() {
		Normalize(dst[:0], lits[:0], "select a, b from t where a = 5 and b = 'x'")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type tupleLog struct {
	strings.Builder
	refuse string
}

func (l *tupleLog) put(format string, args ...any) error {
	s := fmt.Sprintf(format, args...)
	if s == l.refuse {
		return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "bad %s", s)
	}
	l.WriteString(s + " ")
	return nil
}
func (l *tupleLog) Number(c int, s string) error { return l.put("%d:n%s", c, s) }
func (l *tupleLog) String(c int, s string) error { return l.put("%d:s%s", c, s) }
func (l *tupleLog) Bool(c int, v bool) error     { return l.put("%d:%t", c, v) }
func (l *tupleLog) Null(c int) error             { return l.put("%d:null", c) }
func (l *tupleLog) Default(c int) error          { return l.put("%d:default", c) }
func (l *tupleLog) End() error                   { return l.put(";") }

func TestTuples(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"insert into t (a, b) values (-2, 'it''s'), (null, DEFAULT) ,(1.5e3,true);", "0:n-2 1:sit's ; 0:null 1:default ; 0:n1.5e3 1:true ; "},
		{"INSERT INTO s.\"VALUES\" VALUES (1,2)\n, (3,4)", "0:n1 1:n2 ; 0:n3 1:n4 ; "},
		{"insert into t values (f(1),2),(3,4)", "not plain"},
		{"insert into t values (1,2),(3,4) returning a", "not plain"},
		{"insert into t values (1,2),(3)", "not plain"},
		{"insert into t values (1,2),(3,4,5)", "not plain"},
		{"insert into t values (1,2),(3,4+1)", "not plain"},
		{"insert into t values (1,2),(3,E'x')", "not plain"},
		{"insert into t values (1,2)", "none"},
		{"insert into t select 1, 2", "none"},
		{"select 1", "none"},
	} {
		got := "none"
		if start, end, ok := firstTuple(c.sql); ok {
			if _, err := Parse(c.sql[:end]); err != nil {
				t.Errorf("%q: first tuple %q: %v", c.sql, c.sql[:end], err)
			}
			l := &tupleLog{}
			switch err := ScanTuples(c.sql, start, 2, l); {
			case errors.Is(err, ErrNotPlain):
				got = "not plain"
			case err != nil:
				got = err.Error()
			default:
				got = l.text()
			}
		}
		if got != c.want {
			t.Errorf("%q: %q", c.sql, got)
		}
	}
	sql := "insert into t values (1,'é'), (2,'bad')"
	start, _, _ := firstTuple(sql)
	err := ScanTuples(sql, start, 2, &tupleLog{refuse: "1:sbad"})
	if e := sqlstate.From(err); e.Position != 34 {
		t.Errorf("position %d", e.Position)
	}
}

func TestParseLong(t *testing.T) {
	long := "insert into t values (1, 'x')" + strings.Repeat(", (2, 'y')", 1000)
	stmts, err := ParseLong(long + " ; ")
	if err != nil || len(stmts) != 1 || long[stmts[0].Tuples:][:8] != "(1, 'x')" {
		t.Fatalf("%+v %v", stmts, err)
	}
	if n := len(stmts[0].Node.GetInsertStmt().SelectStmt.GetSelectStmt().ValuesLists); n != 1 {
		t.Errorf("%d tuples parsed", n)
	}
	for _, sql := range []string{long[:100], "select 1; " + long} {
		if stmts, err := ParseLong(sql); err != nil && len(sql) > 200 || len(stmts) > 0 && stmts[0].Tuples != 0 {
			t.Errorf("%.30q: %v", sql, err)
		}
	}
}

func (l *tupleLog) text() string { return l.Builder.String() }

func TestAfter(t *testing.T) {
	for _, c := range []struct{ sql, kw, want string }{
		{"prepare as (int) as select 1", "as", "(int) as select 1"},
		{"PREPARE p(numeric(3,2)) AS  select 'as'", "as", "select 'as'"},
		{"declare c cursor with hold for /* x */ select 1", "for", "select 1"},
	} {
		if i := After(c.sql, c.kw); i < 0 || c.sql[i:] != c.want {
			t.Errorf("%q: %d", c.sql, i)
		}
	}
}

func FuzzLexer(f *testing.F) {
	f.Add("select 1, 'x', $$y$$ -- z")
	f.Fuzz(func(t *testing.T, sql string) {
		Normalize(nil, nil, sql)
		_, _, _ = firstTuple(sql)
		_ = checkDepth(sql + strings.Repeat(" ", safeLength))
		lx := lexer{src: sql}
		for last := -1; ; last = lx.pos {
			tok := lx.next()
			if tok.kind == tokEnd {
				break
			}
			if lx.pos <= last || tok.end > len(sql) || tok.start > tok.end {
				t.Fatalf("stuck at %d", lx.pos)
			}
		}
	})
}
