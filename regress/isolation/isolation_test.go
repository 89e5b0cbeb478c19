// Package isolation runs testdata/*.txt: steps of several sessions, one after
// another, with what each answers, whether it has to wait, and when it goes on. The
// answers come from a real PostgreSQL:
//
//	go test ./regress/isolation -rewrite -dsn postgres://postgres@127.0.0.1:5432/postgres
//
// A step is "session: SQL". Below it stand its answer, the rows and the command tag
// or "error" and the SQLSTATE; or "waits". Of a step that waited "session goes on"
// and its answer stand below the step that let it go on.
package isolation

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

var (
	rewrite = flag.Bool("rewrite", false, "take the answers over from the server at -dsn")
	dsn     = flag.String("dsn", "", "run on this server instead of one of our own")
)

// step is a step of a script with the lines below it.
type step struct {
	session, sql string
	want         []string
}

func parse(text string) (steps []step) {
	for _, line := range strings.Split(text, "\n") {
		name, sql, ok := strings.Cut(line, ": ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			steps = append(steps, step{sql: line})
		case ok && !strings.HasPrefix(line, "\t"):
			steps = append(steps, step{session: name, sql: sql})
		case len(steps) > 0:
			s := &steps[len(steps)-1]
			s.want = append(s.want, strings.TrimPrefix(line, "\t"))
		}
	}
	return steps
}

// session runs one step at a time.
type session struct {
	conn *pgconn.PgConn
	done chan []string // nil: idle
}

func (s *session) start(sql string) {
	s.done = make(chan []string, 1)
	go func() { s.done <- answer(s.conn, sql) }()
}

func answer(c *pgconn.PgConn, sql string) (out []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rs, err := c.Exec(ctx, sql).ReadAll()
	for _, r := range rs {
		for _, row := range r.Rows {
			var vs []string
			for _, v := range row {
				if v == nil {
					vs = append(vs, `\N`)
				} else {
					vs = append(vs, string(v))
				}
			}
			out = append(out, strings.Join(vs, " "))
		}
		if r.Err == nil {
			out = append(out, r.CommandTag.String())
		}
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return append(out, "error "+pe.Code)
	} else if err != nil {
		return append(out, err.Error())
	}
	return out
}

// patience is how long a step may take that is not to wait, and how long one must
// wait that is to.
const (
	patience = 30 * time.Second
	sure     = 60 * time.Millisecond
)

func TestIsolation(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	at, waits := *dsn, func() float64 { return 0 }
	if at == "" {
		n := node.ForTest(t)
		at = n.DSN
		waits = func() float64 {
			v, err := n.Metric("millrace_lock_waits_total")
			if err != nil {
				t.Error(err)
			}
			return v
		}
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { run(t, f, at, waits) })
	}
}

func run(t *testing.T, file, at string, waits func() float64) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps := parse(strings.TrimSuffix(string(text), "\n"))
	schema := "i_" + strings.TrimSuffix(filepath.Base(file), ".txt")
	sessions := map[string]*session{}
	connect := func(name string) *session {
		if s := sessions[name]; s != nil {
			return s
		}
		c, err := pgconn.Connect(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		s := &session{conn: c}
		if len(sessions) == 0 {
			answer(c, "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
			answer(c, "CREATE SCHEMA "+schema)
		}
		answer(c, "SET search_path = "+schema)
		sessions[name] = s
		return s
	}
	for i := range steps {
		st := &steps[i]
		if st.session == "" {
			continue
		}
		s := connect(st.session)
		if s.done != nil {
			t.Fatalf("%s: a step for %s, which waits", st.sql, st.session)
		}
		sql := st.sql
		if *dsn == "" && strings.HasPrefix(sql, "CREATE TABLE") && strings.Contains(sql, "UNIQUE") {
			sql += " WITH (orientation = 'row')" // column tables take none
		}
		before := waits()
		s.start(sql)
		if slices.Contains(st.want, "waits") && *dsn == "" {
			// The next step is for when this one waits: however slow the machine is.
			for end := time.Now().Add(patience); len(s.done) == 0 && waits() == before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: %s neither waits nor ends", st.session, sql)
				}
			}
		}
		var got []string
		expect := func(line string) bool { return *rewrite || slices.Contains(st.want, line) }
		take := func(s *session, waits bool) ([]string, bool) {
			limit := patience
			if waits {
				limit = sure
			}
			if *rewrite {
				limit = 400 * time.Millisecond
			}
			select {
			case a := <-s.done:
				s.done = nil
				return a, true
			case <-time.After(limit):
				return nil, false
			}
		}
		if a, ok := take(s, !*rewrite && slices.Contains(st.want, "waits")); ok {
			got = append(got, a...)
		} else {
			got = append(got, "waits")
		}
		names := make([]string, 0, len(sessions))
		for n := range sessions {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			o := sessions[n]
			if o.done == nil || o == s {
				continue
			}
			if a, ok := take(o, !expect(n+" goes on")); ok {
				got = append(append(got, n+" goes on"), a...)
			}
		}
		if !*rewrite && !slices.Equal(got, st.want) {
			t.Fatalf("%s: %s\ngot:\n\t%s\nwant:\n\t%s", st.session, st.sql, strings.Join(got, "\n\t"), strings.Join(st.want, "\n\t"))
		}
		st.want = got
	}
	if *rewrite {
		var b strings.Builder
		for _, st := range steps {
			if st.session == "" {
				b.WriteString(st.sql + "\n")
				continue
			}
			fmt.Fprintf(&b, "%s: %s\n", st.session, st.sql)
			for _, w := range st.want {
				b.WriteString("\t" + w + "\n")
			}
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
