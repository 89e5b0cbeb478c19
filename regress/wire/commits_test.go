package wire

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// small prepares an upsert, an insert and a look-up of small rows, and runs so many
// upserts that the connection is in a loop.
func small(t *testing.T, dsn, table string) *pgconn.PgConn {
	t.Helper()
	c := connect(t, dsn)
	for name, sql := range map[string]string{
		"up":  "INSERT INTO " + table + " VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
		"ins": "INSERT INTO " + table + " VALUES ($1, $2)",
		"sel": "SELECT v FROM " + table + " WHERE k = $1",
	} {
		if _, err := c.Prepare(context.Background(), name, sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 24 {
		if got := run(c, "up", "-1", "warm"); got != "INSERT 0 1" {
			t.Fatal(got)
		}
	}
	return c
}

// run runs a prepared statement: the values it gives, its tag, or the code of its error.
func run(c *pgconn.PgConn, name string, params ...string) string {
	ctx, cancel := contextTimeout(time.Minute)
	defer cancel()
	return outcome(c.ExecPrepared(ctx, name, values(params), nil, nil).Read())
}

func values(params []string) (out [][]byte) {
	for _, p := range params {
		out = append(out, []byte(p))
	}
	return out
}

func outcome(r *pgconn.Result) string {
	if r.Err != nil {
		return code(r.Err)
	}
	if !r.CommandTag.Select() {
		return r.CommandTag.String()
	}
	var vals []string
	for _, row := range r.Rows {
		vals = append(vals, string(row[0]))
	}
	return strings.Join(vals, " ")
}

func ask(t *testing.T, c *pgconn.PgConn, sql string) string {
	t.Helper()
	ctx, cancel := contextTimeout(time.Minute)
	defer cancel()
	rs, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rs) == 0 {
		return ""
	}
	return outcome(rs[len(rs)-1])
}

var orientations = []string{"row", "column", "row,column"}

// once skips the second run of the package's tests, which are not of the whole server.
func once(t *testing.T) {
	if settle > 0 {
		t.Skip("it has run")
	}
}

func smallTable(t *testing.T, c *pgconn.PgConn, orientation string) (name string) {
	t.Helper()
	name = "small_" + strings.ReplaceAll(orientation, ",", "_")
	ask(t, c, "CREATE TABLE "+name+" (k int PRIMARY KEY, v text) WITH (orientation = '"+orientation+"')")
	return name
}

// What is answered others see at once, and after the server has stopped in the middle.
func TestCommitsAreKept(t *testing.T) {
	once(t)
	for _, o := range orientations {
		t.Run(o, func(t *testing.T) {
			dir := t.TempDir()
			n, err := node.Start(dir, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			tab := smallTable(t, connect(t, n.DSN), o)
			const clients = 4
			var wg sync.WaitGroup
			sure := make([]int, clients)
			var enough sync.WaitGroup
			for k := range clients {
				c, other := small(t, n.DSN, tab), small(t, n.DSN, tab)
				enough.Add(1)
				wg.Go(func() {
					done := sync.OnceFunc(enough.Done)
					defer done()
					for i := 1; ; i++ {
						v := strconv.Itoa(i)
						got := run(c, "up", strconv.Itoa(k), v)
						if got != "INSERT 0 1" {
							if i < 40 {
								t.Errorf("upsert %d: %s", i, got)
							}
							return
						}
						sure[k] = i
						if i >= 40 {
							done()
							continue
						}
						if got := run(other, "sel", strconv.Itoa(k)); got != v {
							t.Errorf("%s is read after %s was written", got, v)
							return
						}
					}
				})
			}
			enough.Wait()
			if err := n.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			wg.Wait()
			if n, err = node.Start(dir, 1<<30); err != nil {
				t.Fatal(err)
			}
			c := connect(t, n.DSN)
			for k := range clients {
				got, err := strconv.Atoi(ask(t, c, fmt.Sprintf("SELECT v FROM %s WHERE k = %d", tab, k)))
				if err != nil || got < sure[k] || got > sure[k]+1 {
					t.Errorf("key %d has %d after %d was answered", k, got, sure[k])
				}
			}
			_ = c.Close(context.Background())
			if err := n.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}

// Pipelines with several transactions, some of one statement, some of more, and some
// that fail.
func TestCommitsInPipelines(t *testing.T) {
	once(t)
	n := node.ForTest(t)
	for _, o := range orientations {
		c := connect(t, n.DSN)
		tab := smallTable(t, c, o)
		c = small(t, n.DSN, tab)
		p := c.StartPipeline(context.Background())
		var want []string
		send := func(result, name string, params ...string) {
			want = append(want, result)
			if name == "" {
				p.SendPipelineSync()
				return
			}
			p.SendQueryPrepared(name, values(params), nil, nil)
		}
		for i := range 20 {
			k := strconv.Itoa(i)
			send("INSERT 0 1", "ins", k, "a")
			send("sync", "")
			send("a", "sel", k)
			send("sync", "")
			send("INSERT 0 1", "up", k, "b")
			send("b", "sel", k)
			send("INSERT 0 1", "up", k, "c")
			send("sync", "")
			send("c", "sel", k)
			send("sync", "")
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range want {
			r, err := p.GetResults()
			switch r := r.(type) {
			case *pgconn.ResultReader:
				got = append(got, outcome(r.Read()))
			case *pgconn.PipelineSync:
				got = append(got, "sync")
			default:
				got = append(got, fmt.Sprint(err))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", o, got, want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		// Keys that are there are found when the transaction ends.
		for i := range 20 {
			if got := run(c, "ins", strconv.Itoa(i), "d"); got != "23505" {
				t.Fatalf("%s: a second insert: %s", o, got)
			}
			if got := run(c, "up", strconv.Itoa(100+i), "e"); got != "INSERT 0 1" {
				t.Fatalf("%s: an upsert: %s", o, got)
			}
		}
		if got := ask(t, c, "SELECT string_agg(v, '' ORDER BY k) FROM "+tab); got != "warm"+strings.Repeat("c", 20)+strings.Repeat("e", 20) {
			t.Errorf("%s: rows %s", o, got)
		}
	}
}

// Who has to wait for a lock holds nobody up, and what a session sets holds.
func TestCommitsThatWait(t *testing.T) {
	once(t)
	n := node.ForTest(t)
	for _, o := range orientations {
		holder := connect(t, n.DSN)
		tab := smallTable(t, holder, o)
		a, b := small(t, n.DSN, tab), small(t, n.DSN, tab)
		run(a, "up", "1", "old")
		ask(t, holder, "BEGIN; UPDATE "+tab+" SET v = 'held' WHERE k = 1")
		ended := make(chan string, 1)
		go func() { ended <- run(a, "up", "1", "new") }()
		for i := range 50 {
			if got := run(b, "up", strconv.Itoa(100+i), "x"); got != "INSERT 0 1" {
				t.Fatalf("%s: beside one that waits: %s", o, got)
			}
		}
		ask(t, b, "SET lock_timeout = '20ms'")
		if got := run(b, "up", "1", "late"); got != "55P03" {
			t.Errorf("%s: a lock is waited for: %s", o, got)
		}
		ask(t, b, "RESET lock_timeout")
		select {
		case got := <-ended:
			t.Errorf("%s: a locked row was written: %s", o, got)
			ended <- got
		default:
		}
		ask(t, holder, "COMMIT")
		if got := <-ended; got != "INSERT 0 1" {
			t.Errorf("%s: after the lock: %s", o, got)
		}
		if got := run(b, "sel", "1"); got != "new" {
			t.Errorf("%s: the row is %s", o, got)
		}
		state := fmt.Sprintf("SELECT state || ' ' || (xact_start IS NULL) FROM pg_stat_activity WHERE pid = %d", a.PID())
		for range 40 {
			run(a, "up", "2", "y")
		}
		if got := ask(t, holder, state); got != "idle true" {
			t.Errorf("%s: state %s", o, got)
		}
		// What commits without waiting, and who commits with it in one go.
		for i := range 60 {
			if i%20 == 10 {
				ask(t, a, "SET synchronous_commit = off")
			}
			if i%20 == 15 {
				ask(t, a, "RESET synchronous_commit")
			}
			k := strconv.Itoa(200 + i)
			if got := run(a, "ins", k, "z"); got != "INSERT 0 1" {
				t.Fatalf("%s: insert %d: %s", o, i, got)
			}
			if got := run(a, "sel", k); got != "z" {
				t.Fatalf("%s: row %d is %s", o, i, got)
			}
		}
		ask(t, a, "SET default_transaction_read_only = on")
		if got := run(a, "up", "3", "r"); got != "25006" {
			t.Errorf("%s: read only: %s", o, got)
		}
		ask(t, a, "RESET default_transaction_read_only")
	}
}

// A table that gets a constraint has it for those who prepared their statements before.
func TestCommitsAfterChanges(t *testing.T) {
	once(t)
	n := node.ForTest(t)
	for _, o := range orientations {
		c := connect(t, n.DSN)
		tab := smallTable(t, c, o)
		a := small(t, n.DSN, tab)
		run(a, "up", "1", "taken")
		if o != "column" { // these have none
			ask(t, c, "ALTER TABLE "+tab+" ADD UNIQUE (v)")
		}
		for _, x := range []struct{ name, k, v, want string }{
			{"up", "2", "taken", "23505"}, {"ins", "2", "taken", "23505"}, {"ins", "2", "free", "INSERT 0 1"}, {"up", "2", "other", "INSERT 0 1"},
		} {
			if o == "column" && x.v == "taken" {
				continue
			}
			if got := run(a, x.name, x.k, x.v); got != x.want {
				t.Errorf("%s: %s %s %s: %s, want %s", o, x.name, x.k, x.v, got, x.want)
			}
		}
		ask(t, c, "TRUNCATE "+tab)
		if got := run(a, "up", "5", "new"); got != "INSERT 0 1" {
			t.Errorf("%s: after TRUNCATE: %s", o, got)
		}
		ask(t, c, "ALTER TABLE "+tab+" ADD COLUMN w int DEFAULT 7")
		if got := run(a, "up", "6", "more"); got != "INSERT 0 1" {
			t.Errorf("%s: after ADD COLUMN: %s", o, got)
		}
		if got := ask(t, c, "SELECT k || v || w FROM "+tab+" ORDER BY k"); got != "5new7 6more7" {
			t.Errorf("%s: rows %s", o, got)
		}
		ask(t, c, "DROP TABLE "+tab)
		if got := run(a, "up", "7", "gone"); got != "42P01" {
			t.Errorf("%s: after DROP: %s", o, got)
		}
	}
}

// Rows that several sessions change by key, prepared and as text: each change counts once,
// and is told as it was.
func TestCommitsOfChanges(t *testing.T) {
	once(t)
	n := node.ForTest(t)
	for _, o := range orientations {
		c := connect(t, n.DSN)
		tab := smallTable(t, c, o)
		ask(t, c, "ALTER TABLE "+tab+" ADD COLUMN n int NOT NULL DEFAULT 0")
		ask(t, c, "INSERT INTO "+tab+" SELECT i, 'x', 0 FROM generate_series(0, 319) i")
		const clients, each = 5, 60
		changer := func() *pgconn.PgConn {
			c := small(t, n.DSN, tab)
			for name, sql := range map[string]string{
				"add": "UPDATE " + tab + " SET n = n + 1 WHERE k = $1",
				"div": "UPDATE " + tab + " SET n = n / $2 WHERE k = $1",
				"del": "DELETE FROM " + tab + " WHERE k = $1",
				"num": "SELECT n FROM " + tab + " WHERE k = $1",
			} {
				if _, err := c.Prepare(context.Background(), name, sql, nil); err != nil {
					t.Fatal(err)
				}
			}
			return c
		}
		var wg sync.WaitGroup
		for k := range clients {
			c := changer()
			wg.Go(func() {
				for i := range each {
					own, text := strconv.Itoa(10+k), "UPDATE "+tab+" SET n = n + 1 WHERE k = "+strconv.Itoa(i%2)
					for _, x := range [][2]string{
						{run(c, "add", strconv.Itoa(i%3)), "UPDATE 1"}, {run(c, "add", own), "UPDATE 1"}, {run(c, "num", own), strconv.Itoa(i + 1)},
						{run(c, "add", "1000"), "UPDATE 0"}, {run(c, "del", strconv.Itoa(20+k*each+i)), "DELETE 1"},
						{outcomes(c, text), "UPDATE 1"}, {outcomes(c, "DELETE FROM "+tab+" WHERE k = 5000"), "DELETE 0"},
					} {
						if x[0] != x[1] {
							t.Errorf("%s: client %d, round %d: %s, want %s", o, k, i, x[0], x[1])
						}
					}
				}
			})
		}
		wg.Wait()
		sum := 2 * clients * each
		if got := ask(t, c, "SELECT sum(n) FROM "+tab+" WHERE k < 3"); got != strconv.Itoa(sum) {
			t.Errorf("%s: sum %s, want %d", o, got, sum)
		}
		if got := ask(t, c, "SELECT count(*) FROM "+tab+" WHERE k >= 0"); got != "20" {
			t.Errorf("%s: %s rows are left", o, got)
		}
		a := changer()
		for range 20 {
			run(a, "add", "3")
		}
		// An error, a lock that another has, and a pipeline that goes on in the transaction.
		if got := run(a, "div", "3", "0"); got != "22012" {
			t.Errorf("%s: a division: %s", o, got)
		}
		for range 20 {
			run(a, "add", "3")
		}
		holder := connect(t, n.DSN)
		ask(t, holder, "BEGIN; UPDATE "+tab+" SET n = 100 WHERE k = 3")
		ended := make(chan string, 1)
		go func() { ended <- run(a, "add", "3") }()
		b := changer()
		for range 30 {
			if got := run(b, "add", "4"); got != "UPDATE 1" {
				t.Fatalf("%s: beside one that waits: %s", o, got)
			}
		}
		ask(t, holder, "COMMIT")
		if got := <-ended + " " + run(b, "num", "3"); got != "UPDATE 1 101" {
			t.Errorf("%s: after the lock: %s", o, got)
		}
		ask(t, holder, "BEGIN; UPDATE "+tab+" SET n = 0 WHERE k = 6")
		p := b.StartPipeline(context.Background())
		p.SendQueryPrepared("add", values([]string{"4"}), nil, nil)
		p.SendQueryPrepared("add", values([]string{"6"}), nil, nil)
		p.SendQueryPrepared("num", values([]string{"4"}), nil, nil)
		p.SendPipelineSync()
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, func() { ask(t, holder, "COMMIT") })
		for _, want := range []string{"UPDATE 1", "UPDATE 1", "31"} {
			r, err := p.GetResults()
			if err != nil {
				t.Fatal(err)
			}
			if got := outcome(r.(*pgconn.ResultReader).Read()); got != want {
				t.Errorf("%s: in a pipeline: %s, want %s", o, got, want)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if got := run(b, "num", "6"); got != "1" {
			t.Errorf("%s: row 6 has %s", o, got)
		}
	}
}

// outcomes is outcome of a query string.
func outcomes(c *pgconn.PgConn, sql string) string {
	ctx, cancel := contextTimeout(time.Minute)
	defer cancel()
	rs, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return code(err)
	}
	return outcome(rs[len(rs)-1])
}
