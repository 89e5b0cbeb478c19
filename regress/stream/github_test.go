// Package stream tests streams from outside: messages in a broker, a server that
// subscribes to them, and what its tables answer.
package stream

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/regress/node"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the answers anew, from the PostgreSQL of -dsn")
	pgDSN   = flag.String("dsn", os.Getenv("MILLRACE_PG_DSN"), "a PostgreSQL for -rewrite")
)

var bg = context.Background()

// full is the whole file, where this machine has it (MILLRACE_DATA names another
// folder); the sample is in testdata.
func full() string {
	if dir := os.Getenv("MILLRACE_DATA"); dir != "" {
		return filepath.Join(dir, "github_events.json")
	}
	return "../../../shared/data/github_events.json"
}

func lines(b []byte) [][]byte { return bytes.Split(bytes.TrimSpace(b), []byte("\n")) }

func githubSample(t *testing.T) [][]byte {
	f, err := os.Open("testdata/github_sample.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return lines(b)
}

const githubTable = `CREATE TABLE %s (id bigint PRIMARY KEY, type text, public bool, created_at timestamptz,
	actor_id bigint, actor_login text, repo_id bigint, repo_name text, org_login text, payload jsonb, rest jsonb)`

// githubSubscription takes what has a column by name or path, and the rest into jsonb.
const githubSubscription = `CREATE SUBSCRIPTION %s CONNECTION 'kafka://%s' PUBLICATION "%s" WITH (format = 'json', target = 'public.%s', on_error = 'dead_letter',
	schema_evolution = 'rescue', rescued_column = 'rest',
	paths = 'actor_id = actor.id, actor_login = actor.login, repo_id = repo.id, repo_name = repo.name, org_login = org.login')`

// githubLoad is the same in PostgreSQL, from a table raw(j) of one document a row.
const githubLoad = `INSERT INTO github_events SELECT (j->>'id')::bigint, j->>'type', (j->>'public')::bool, (j->>'created_at')::timestamptz,
	(j->'actor'->>'id')::bigint, j->'actor'->>'login', (j->'repo'->>'id')::bigint, j->'repo'->>'name', j->'org'->>'login', j->'payload',
	(j - '{id,type,public,created_at,payload}'::text[]) || jsonb_build_object('actor', (j->'actor') - 'id' - 'login', 'repo', (j->'repo') - 'id' - 'name')
	|| CASE WHEN j ? 'org' THEN jsonb_build_object('org', (j->'org') - 'login') ELSE '{}' END FROM raw`

// broker is a Kafka broker of the test's own with a topic.
func broker(t *testing.T, topics ...string) (addr string, cl *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	addr = c.ListenAddrs()[0]
	if cl, err = kgo.NewClient(kgo.SeedBrokers(addr)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return addr, cl
}

func produce(t *testing.T, cl *kgo.Client, topic string, values [][]byte) {
	t.Helper()
	var rs []*kgo.Record
	for _, v := range values {
		rs = append(rs, &kgo.Record{Topic: topic, Value: v})
	}
	if err := cl.ProduceSync(bg, rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(bg, fmt.Sprintf(sql, args...)); err != nil {
		t.Fatalf("%v\n%s", err, fmt.Sprintf(sql, args...))
	}
}

// ask is the answer as lines of text.
func ask(t *testing.T, c *pgx.Conn, sql string) string {
	t.Helper()
	rs, err := c.PgConn().Exec(bg, sql).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	var b strings.Builder
	for _, r := range rs[len(rs)-1].Rows {
		for i, v := range r {
			if i > 0 {
				b.WriteByte('\t')
			}
			if v == nil {
				b.WriteString("NULL")
			} else {
				b.Write(v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// await polls until the answer is as wanted.
func await(t *testing.T, c *pgx.Conn, sql, want string) {
	t.Helper()
	var got string
	for until := time.Now().Add(3 * time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if got = ask(t, c, sql); got == want+"\n" {
			return
		}
	}
	t.Fatalf("%s\nis %s, want %s", sql, got, want)
}

// questions are the statements of a file, with the comment before each.
func questions(t *testing.T, name string) (titles, sqls []string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range strings.Split(string(b), "\n\n") {
		title, sql, ok := strings.Cut(strings.TrimSpace(q), "\n")
		if ok {
			titles, sqls = append(titles, strings.TrimPrefix(title, "-- ")), append(sqls, sql)
		}
	}
	return titles, sqls
}

// answers are PostgreSQL's, from a file.
func answers(t *testing.T, name string, docs [][]byte, titles, sqls []string) map[string]string {
	if *rewrite {
		writeAnswers(t, name, docs, titles, sqls)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, part := range strings.Split(string(b), "-- ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		out[title] = strings.TrimSuffix(text, "\n")
	}
	return out
}

func writeAnswers(t *testing.T, name string, docs [][]byte, titles, sqls []string) {
	if *pgDSN == "" {
		t.Fatal("-rewrite needs -dsn, or MILLRACE_PG_DSN")
	}
	c, err := pgx.Connect(bg, *pgDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(bg)
	exec(t, c, "SET timezone = 'UTC'; CREATE TEMP TABLE raw (j jsonb)")
	exec(t, c, strings.Replace(githubTable, "TABLE %s", "TEMP TABLE %s", 1), "github_events")
	for _, d := range docs {
		if _, err := c.Exec(bg, "INSERT INTO raw VALUES ($1)", string(d)); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, c, "%s", githubLoad)
	var b strings.Builder
	for i, q := range sqls {
		fmt.Fprintf(&b, "-- %s\n%s\n", titles[i], ask(t, c, q))
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGitHub(t *testing.T) {
	t.Run("sample", func(t *testing.T) { testGitHub(t, "testdata/github_sample.answers", githubSample(t)) })
	t.Run("full", func(t *testing.T) {
		b, err := os.ReadFile(full())
		if err != nil {
			t.Skipf("%s is not there", full())
		}
		testGitHub(t, "testdata/github_full.answers", lines(b))
	})
}

func testGitHub(t *testing.T, golden string, docs [][]byte) {
	titles, sqls := questions(t, "testdata/github.sql")
	want := answers(t, golden, docs, titles, sqls)
	addr, cl := broker(t, "events", "broken")
	produce(t, cl, "events", docs)
	n := node.ForTest(t)
	c := node.Connect(t, n.DSN)
	exec(t, c, "SET timezone = 'UTC'")
	exec(t, c, githubTable, "github_events")
	exec(t, c, githubTable, "github_broken")
	exec(t, c, githubSubscription, "events", addr, "events", "github_events")
	await(t, c, "SELECT count(*) FROM github_events", fmt.Sprint(len(docs)))
	for i, q := range sqls {
		if got := ask(t, c, q); got != want[titles[i]] {
			t.Errorf("%s\n%s\n%swant\n%s", titles[i], q, got, want[titles[i]])
		}
	}

	// Broken copies: all end in the error table, byte by byte as they came.
	broken, classes := damage(docs)
	produce(t, cl, "broken", broken)
	exec(t, c, githubSubscription, "broken", addr, "broken", "github_broken")
	await(t, c, "SELECT count(*) FROM millrace_errors.broken", fmt.Sprint(len(broken)))
	if got := ask(t, c, "SELECT count(*) FROM github_broken"); got != "0\n" {
		t.Errorf("%s broken rows came through", got)
	}
	got := ask(t, c, "SELECT class, column_name, count(*) FROM millrace_errors.broken GROUP BY 1, 2 ORDER BY 1, 2")
	if got != classes {
		t.Errorf("errors are\n%swant\n%s", got, classes)
	}
	if got := ask(t, c, "SELECT max(length(reason)) < 1000, min(length(reason)) > 20, count(DISTINCT (partition, message_offset)), count(DISTINCT topic) FROM millrace_errors.broken"); got != fmt.Sprintf("t\tt\t%d\t1\n", len(broken)) {
		t.Errorf("reasons and places: %s", got)
	}
	left := map[string]int{}
	for _, b := range broken {
		left[string(b)]++
	}
	rows, err := c.Query(bg, "SELECT raw FROM millrace_errors.broken")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			t.Fatal(err)
		}
		left[string(raw)]--
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for raw, k := range left {
		if k != 0 {
			t.Errorf("%d too few of %.100q", k, raw)
		}
	}
	// The rows that were right are all there still.
	await(t, c, "SELECT count(*) FROM github_events", fmt.Sprint(len(docs)))
}

// damage makes copies that cannot be read, and says how many errors of each kind.
func damage(docs [][]byte) (out [][]byte, classes string) {
	var n [5]int
	for i, d := range docs {
		k := i % 5
		n[k]++
		var b []byte
		switch k {
		case 0: // a line cut short
			b = bytes.Clone(d[:len(d)/2])
		case 1: // a type that does not fit
			b = bytes.Replace(d, []byte(`"public":true,"created_at"`), []byte(`"public":"perhaps","created_at"`), 1)
		case 2: // a number too large
			b = bytes.Replace(d, []byte(`{"id":"`), []byte(`{"id":"9`+strings.Repeat("0", 50_000)), 1)
		case 3: // bytes that are no text
			b = bytes.Replace(d, []byte(`"type":"`), []byte("\"type\":\"\xff\xfe"), 1)
		case 4: // a time that is none
			b = bytes.Replace(d, []byte(`"public":true,"created_at":"2021-07-21`), []byte(`"public":true,"created_at":"2021-17-21`), 1)
		}
		out = append(out, b)
	}
	return out, fmt.Sprintf("cast\tcreated_at\t%d\ncast\tid\t%d\ncast\tpublic\t%d\ndecode\tNULL\t%d\n", n[4], n[2], n[1], n[0]+n[3])
}
