// Package limits tests what keeps a server alive under load: queries end soon after
// they are cancelled and leave nothing behind, and memory stays within its limit.
//
// By default the tests run a server in this process over small data. With
// MILLRACE_LIMITS_DSN they use a running server that has the tpch and hits tables
// loaded, MILLRACE_LIMITS_HTTP being the address of its metrics; MILLRACE_LIMITS_ROUNDS
// is how often each statement is cancelled, and MILLRACE_LIMITS_STACKS a directory for
// what the server did 40 ms after a cancel that had not ended its statement.
package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// target is a server with data.
type target struct {
	dsn, http string
	long      bool
}

var shared struct {
	once sync.Once
	t    target
	n    *node.Node
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.n != nil {
		_ = shared.n.Stop()
		_ = os.RemoveAll(shared.n.Dir)
	}
	os.Exit(code)
}

// server is the server of all tests here.
func server(t *testing.T) target {
	t.Helper()
	shared.once.Do(func() {
		if dsn := os.Getenv("MILLRACE_LIMITS_DSN"); dsn != "" {
			shared.t = target{dsn, os.Getenv("MILLRACE_LIMITS_HTTP"), true}
			return
		}
		shared.err = startSmall()
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.t
}

// startSmall loads small data into a server of this process with little memory.
func startSmall() error {
	dir, err := os.MkdirTemp("", "limits")
	if err != nil {
		return err
	}
	if shared.n, err = node.Start(filepath.Join(dir, "data"), 256<<20); err != nil {
		return err
	}
	shared.n.Dir = dir
	shared.t = target{dsn: shared.n.DSN, http: shared.n.HTTP}
	const kit = "../bench"
	for _, b := range []string{"gen", "runner"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, b), ".")
		cmd.Dir = filepath.Join(kit, b)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %v\n%s", b, err, out)
		}
	}
	for _, s := range [][]string{{"tpch", "-sf", "0.01"}, {"hits", "-rows", "30000"}} {
		data := filepath.Join(dir, s[0])
		if err := os.MkdirAll(data, 0o755); err != nil {
			return err
		}
		if out, err := exec.Command(filepath.Join(dir, "gen"), append(s, "-out", data)...).CombinedOutput(); err != nil {
			return fmt.Errorf("gen: %v\n%s", err, out)
		}
		if out, err := exec.Command(filepath.Join(dir, "runner"), "load", "-kit", kit, "-suite", s[0], "-dialect", "holo", "-data", data, "-dsn", shared.n.DSN).CombinedOutput(); err != nil {
			return fmt.Errorf("load: %v\n%s", err, out)
		}
	}
	return nil
}

func connect(t *testing.T, dsn string) *pgx.Conn { return node.Connect(t, dsn) }

// metric reads one value of /metrics.
func (x target) metric(name string) (float64, error) { return node.Metric(x.http, name) }

// stacks writes the stacks of all goroutines to a file.
func (x target) stacks(t *testing.T, file string) {
	r, err := http.Get("http://" + x.http + "/debug/pprof/goroutine?debug=2")
	if err != nil {
		t.Log(err)
		return
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil {
		err = os.WriteFile(strings.ReplaceAll(file, " ", "_"), b, 0o644)
	}
	if err != nil {
		t.Log(err)
	}
}

// settles waits until the server holds nothing of queries any more.
func (x target) settles(t *testing.T, goroutines float64) {
	t.Helper()
	const slack = 4 // connections of the test's own HTTP client, background work of storage
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		g, err := x.metric("go_goroutines")
		if err != nil {
			t.Fatal(err)
		}
		m, _ := x.metric("millrace_query_memory_bytes")
		s, _ := x.metric("millrace_spill_bytes")
		p, _ := x.metric("millrace_queries_running")
		if m == 0 && s == 0 && p == 0 && g <= goroutines+slack {
			return
		}
		got = fmt.Sprintf("memory %v, spill files %v, places taken %v, goroutines %v (before: %v)", m, s, p, g, goroutines)
	}
	t.Errorf("left behind: %s", got)
}

type statement struct {
	name, sql string
	// memory says that the statement needs more memory than the small server has: it may
	// end in 53200 before it is cancelled. All others must not fail.
	memory bool
}

// queries are those of the kit, by name.
func queries(t *testing.T) []statement {
	t.Helper()
	var out []statement
	for _, suite := range []string{"tpch", "hits"} {
		files, err := filepath.Glob("../bench/queries/" + suite + "/*.sql")
		if err != nil || len(files) == 0 {
			t.Fatal("no queries", err)
		}
		sort.Strings(files)
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, statement{name: suite + " " + strings.TrimSuffix(filepath.Base(f), ".sql"), sql: string(b)})
		}
	}
	return out
}

func background(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// TestHugeStrings asks for strings beyond the memory of the server: the statement ends
// in 53200 before they are made, and the session goes on.
func TestHugeStrings(t *testing.T) {
	x := server(t)
	if x.long {
		t.Skip("the limit of a running server is its own")
	}
	c := connect(t, x.dsn)
	for _, q := range []struct{ sql, code string }{
		{"select length(repeat('abcdefghij', 100000000))", "53200"},
		{"select length(repeat('abcdefghij', 110000000))", "54000"},
		{"select length(lpad('x', 260000000, 'ab'))", "53200"},
		{"select length(format('%1000000000s', 'x'))", "53200"},
		{"select array_length(array_fill(7, array[130000000]), 1)", "53200"},
		{"select sum(length(repeat('abcdefghij', 1000000 + x::int))) from generate_series(1, 3000) x", "53200"},
		{"select sum(length(replace(repeat('a', 100000 + x::int), 'a', 'bb'))) from generate_series(1, 30000) x", "53200"},
		{"select length(upper(repeat('abcdefghij', 6000000)) || reverse(repeat('abcdefghij', 6000000)))", "53200"},
		{"select length(string_agg(x::text, ',')) from generate_series(1, 20000000) x", "53200"},
		{"select length(repeat('abcdefghij', 5000000))", ""},
		{"select length(translate(repeat('abcdefghij', 3000000), 'abc', 'xyz'))", ""},
	} {
		_, err := c.Exec(context.Background(), q.sql)
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			if pe.Code != q.code {
				t.Errorf("%s: %v", q.sql, err)
			}
		} else if err != nil || q.code != "" {
			t.Errorf("%s: %v, want %q", q.sql, err, q.code)
		}
	}
	// Strings of a batch in many buffers, some from before.
	var n, differ int
	if err := c.QueryRow(context.Background(), `select count(*), count(*) filter (where md5(s) <> md5(repeat('ABCDEFGHIJ', 500 + x::int % 1000)))
		from (select x, case when x % 2 = 0 then upper(repeat('abcdefghij', 500 + x::int % 1000)) else repeat('ABCDEFGHIJ', 500 + x::int % 1000) end s
		from generate_series(1, 5000) x) q`).Scan(&n, &differ); err != nil || n != 5000 || differ != 0 {
		t.Errorf("%d of %d long strings differ: %v", differ, n, err)
	}
}
