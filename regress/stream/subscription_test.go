package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/regress/node"
)

// fails runs a statement that must fail with a code and message.
func fails(t *testing.T, conn *pgx.Conn, sql, code, message string) {
	t.Helper()
	_, err := conn.Exec(bg, sql)
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("%s:\n got %v\nwant %s %s", sql, err, code, message)
	}
}

func must(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(bg, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// becomes waits until a query answers with a text.
func becomes(t *testing.T, conn *pgx.Conn, sql, want string) {
	t.Helper()
	got := ""
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(20 * time.Millisecond) {
		if err := conn.QueryRow(bg, sql).Scan(&got); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if strings.Contains(got, want) {
			return
		}
	}
	t.Fatalf("%s:\n got %s\nwant %s", sql, got, want)
}

func put(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(bg, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

const stateOf = "SELECT state || ' ' || coalesce(last_error, '') FROM pg_stat_subscription WHERE subname = 's'"

// TestStatements goes through the life of a subscription by SQL.
func TestStatements(t *testing.T) {
	n := node.ForTest(t)
	conn := node.Connect(t, n.DSN)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addr := c.ListenAddrs()[0]
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	must(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'none', n int)")
	must(t, conn, "CREATE TABLE nokey (id int)")
	must(t, conn, "CREATE ROLE joe LOGIN")
	create := "CREATE SUBSCRIPTION s CONNECTION 'kafka://" + addr + "' PUBLICATION \"a\" WITH "
	for sql, want := range map[string][2]string{
		create + "(target = 't')":                                                                               {"22023", "subscription needs the parameter \"format\""},
		create + "(format = 'json')":                                                                            {"22023", "subscription needs the parameter \"target\""},
		create + "(format = 'xml', target = 't')":                                                               {"22023", "invalid value for subscription parameter \"format\": \"xml\""},
		create + "(format = 'json', target = 'gone')":                                                           {"42P01", "relation \"gone\" does not exist"},
		create + "(format = 'json', target = 'nokey')":                                                          {"42P16", "table \"nokey\" has no primary key"},
		create + "(format = 'json', target = 't', slot_name = 'x')":                                             {"42601", "unrecognized subscription parameter: \"slot_name\""},
		create + "(format = 'json', target = 't', start = 'monday')":                                            {"22023", "invalid value for subscription parameter \"start\": \"monday\""},
		create + "(format = 'json', format = 'json', target = 't')":                                             {"42601", "conflicting or redundant options"},
		create + "(format = 'json', target = 't', on_error = 'ignore')":                                         {"22023", "invalid value for subscription parameter \"on_error\""},
		create + "(format = 'json', target = 't', start = '0:1,0:2')":                                           {"22023", "invalid value for subscription parameter \"start\": \"0:1,0:2\""},
		create + "(format = 'json', target = 't', paths = 'v = a..b')":                                          {"22023", "invalid path \"a..b\": a name is missing"},
		create + "(format = 'json', target = 't', paths = 'gone = a')":                                          {"42703", "gone"},
		create + "(format = 'json', target = 't', timestamp_unit = 'fortnight')":                                {"22023", "fortnight"},
		create + "(format = 'debezium-json', target = 't', decimal_handling_mode = 'x')":                        {"22023", "decimal_handling_mode"},
		create + "(format = 'json', target = 't', sasl_mechanism = 'plain')":                                    {"22023", "subscription needs the parameter \"sasl_username\""},
		"CREATE SUBSCRIPTION s CONNECTION 'kafka://x:99999' PUBLICATION a WITH (format = 'json', target = 't')": {"22023", "invalid port number: \"99999\""},
		"CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION a":                                               {"42601", "invalid connection string syntax"},
		"CREATE SUBSCRIPTION s CONNECTION 'pulsar://x' PUBLICATION a":                                           {"0A000", "a subscription to \"pulsar://\" is not supported"},
		"CREATE SUBSCRIPTION s CONNECTION 'kafka://x' PUBLICATION a, a":                                         {"42710", "publication name \"a\" used more than once"},
		"ALTER SUBSCRIPTION gone DISABLE":                                                                       {"42704", "subscription \"gone\" does not exist"},
		"DROP SUBSCRIPTION gone":                                                                                {"42704", "subscription \"gone\" does not exist"},
		"SET ROLE joe; " + create + "(format = 'json', target = 'public.t')":                                    {"42501", "permission denied to create subscription"},
	} {
		if strings.HasPrefix(sql, "SET ROLE") {
			other := node.Connect(t, strings.Replace(n.DSN, "postgres@", "joe@", 1))
			fails(t, other, strings.TrimPrefix(sql, "SET ROLE joe; "), want[0], want[1])
			continue
		}
		fails(t, conn, sql, want[0], want[1])
	}
	must(t, conn, create+"(format = 'json', target = 't')")
	fails(t, conn, create+"(format = 'json', target = 't')", "42710", "subscription \"s\" already exists")
	put(t, cl, "a", `{"id":1,"v":"x","n":1}`, `{"id":2}`)
	becomes(t, conn, "SELECT coalesce(string_agg(id || v, ',' ORDER BY id), '') FROM t", "1x,2none")

	// One that is disabled takes no wrong options either.
	must(t, conn, "ALTER SUBSCRIPTION s DISABLE")
	fails(t, conn, "ALTER SUBSCRIPTION s SET (on_error = 'ignore')", "22023", "invalid value for subscription parameter \"on_error\"")
	must(t, conn, "ALTER SUBSCRIPTION s ENABLE")

	// It stops at a message that cannot be applied, and goes on when told what to do.
	put(t, cl, "a", `{"id":"three"}`, `{"id":4}`)
	becomes(t, conn, stateOf, "stopped topic a partition 0 offset 2: ")
	becomes(t, conn, "SELECT subenabled::text FROM pg_subscription", "false")
	for sql, want := range map[string][2]string{
		"ALTER SUBSCRIPTION s SKIP (offset = 3)":                {"22023", "offset 3 is not the next message of the subscription"},
		"ALTER SUBSCRIPTION s SKIP (offset = 2, topic = 'b')":   {"22023", "offset 2 is not the next message of the subscription"},
		"ALTER SUBSCRIPTION s SKIP (offset = 2, partition = 1)": {"22023", "offset 2 is not the next message of the subscription"},
		"ALTER SUBSCRIPTION s SKIP (offset = 'two')":            {"22023", "invalid value for subscription parameter \"offset\": \"two\""},
		"ALTER SUBSCRIPTION s SKIP (xid = 2)":                   {"42601", "unrecognized subscription parameter: \"xid\""},
		"ALTER SUBSCRIPTION s SKIP (lsn = '0/2', offset = 2)":   {"42601", "conflicting or redundant options"},
		"ALTER SUBSCRIPTION s SKIP (topic = 'a')":               {"42601", "SKIP needs the offset of the message"},
	} {
		fails(t, conn, sql, want[0], want[1])
	}
	must(t, conn, "ALTER SUBSCRIPTION s SKIP (lsn = NONE)")
	must(t, conn, "ALTER SUBSCRIPTION s SET (on_error = 'dead_letter')")
	must(t, conn, "ALTER SUBSCRIPTION s ENABLE")
	fails(t, conn, "ALTER SUBSCRIPTION s SKIP (offset = 2)", "55000", "cannot skip a message of an enabled subscription")
	becomes(t, conn, "SELECT count(*)::text FROM t", "3")
	becomes(t, conn, "SELECT class || ' ' || topic || partition || message_offset || convert_from(raw, 'UTF8') FROM millrace_errors.s", `cast a02{"id":"three"}`)

	// Or when told to leave the message out, in PostgreSQL's way or by its offset.
	must(t, conn, "ALTER SUBSCRIPTION s SET (on_error = 'stop')")
	put(t, cl, "a", `{"id":"five"}`, `{"id":"six"}`, `{"id":7}`)
	becomes(t, conn, stateOf, "stopped topic a partition 0 offset 4: ")
	must(t, conn, "ALTER SUBSCRIPTION s SKIP (lsn = '0/4')")
	must(t, conn, "ALTER SUBSCRIPTION s ENABLE")
	becomes(t, conn, stateOf, "stopped topic a partition 0 offset 5: ")
	must(t, conn, "ALTER SUBSCRIPTION s SKIP (topic = 'a', partition = 0, offset = 5)")
	must(t, conn, "ALTER SUBSCRIPTION s ENABLE")
	becomes(t, conn, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t", "1,2,4,7")
	must(t, conn, "DELETE FROM t WHERE id = 7")

	// A change of the table is taken up.
	must(t, conn, "ALTER TABLE t ADD COLUMN w int DEFAULT 7")
	put(t, cl, "a", `{"id":5,"w":8}`)
	becomes(t, conn, "SELECT string_agg(w::text, ',' ORDER BY id) FROM t", "7,7,7,8")

	// Disabled, nothing comes; a new start reads again.
	must(t, conn, "ALTER SUBSCRIPTION s DISABLE")
	put(t, cl, "a", `{"id":6}`)
	must(t, conn, "TRUNCATE t")
	time.Sleep(50 * time.Millisecond)
	becomes(t, conn, "SELECT count(*)::text FROM t", "0")
	must(t, conn, "ALTER SUBSCRIPTION s SET (start = '0:7')")
	must(t, conn, "ALTER SUBSCRIPTION s RENAME TO r")
	must(t, conn, "ALTER SUBSCRIPTION r ENABLE")
	becomes(t, conn, "SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM t", "5,6")
	fails(t, conn, "DROP TABLE t", "2BP01", "cannot drop table t because other objects depend on it")

	// A topic made anew is not taken for the old one.
	if err := c.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	must(t, conn, "ALTER SUBSCRIPTION r DISABLE")
	must(t, conn, "ALTER SUBSCRIPTION r ENABLE")
	becomes(t, conn, "SELECT state || ' ' || coalesce(last_error, '') FROM pg_stat_subscription", "stopped topic \"a\" partition 0: the topic was deleted and created again")
	must(t, conn, "DROP SUBSCRIPTION r")
	must(t, conn, "DROP SUBSCRIPTION IF EXISTS r")
	must(t, conn, "DROP TABLE t")
	becomes(t, conn, "SELECT count(*)::text FROM pg_subscription", "0")
}

// TestBrokerLoss: a broker that goes away and comes back is seen in the state, and
// costs nothing else.
func TestBrokerLoss(t *testing.T) {
	n := node.ForTest(t)
	conn := node.Connect(t, n.DSN)
	dir := t.TempDir()
	start := func(port int) *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, "a"), kfake.DataDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := start(0)
	addr := c.ListenAddrs()[0]
	send := func(v string) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		put(t, cl, "a", v)
	}
	must(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	must(t, conn, "CREATE SUBSCRIPTION s CONNECTION 'kafka://"+addr+"' PUBLICATION a WITH (format = 'json', target = 't')")
	send(`{"id":1}`)
	becomes(t, conn, "SELECT count(*)::text FROM t", "1")
	c.Close()
	becomes(t, conn, stateOf, "retrying ")
	var port int
	if _, err := fmt.Sscanf(addr[strings.LastIndexByte(addr, ':')+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	c = start(port)
	defer c.Close()
	send(`{"id":2}`)
	becomes(t, conn, "SELECT count(*)::text FROM t", "2")
	becomes(t, conn, stateOf, "streaming")
}

// TestSecrets: passwords are in no catalog and in no file in clear.
func TestSecrets(t *testing.T) {
	n := node.ForTest(t)
	conn := node.Connect(t, n.DSN)
	must(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	must(t, conn, `CREATE SUBSCRIPTION s CONNECTION 'kafka://joe:hunter2secret@localhost:1?ssl=off' PUBLICATION a WITH (format = 'json', target = 't', enabled = false)`)
	must(t, conn, `ALTER SUBSCRIPTION s SET (sasl_password = 'otherhunter3', sasl_mechanism = 'plain')`)
	becomes(t, conn, "SELECT subconninfo || array_to_string(suboptions, ',') FROM pg_subscription", "kafka://joe@localhost:1?ssl=offformat=json,sasl_mechanism=plain,target=public.t")
	err := filepath.WalkDir(n.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, secret := range []string{"hunter2secret", "otherhunter3"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s has a secret in clear", p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLag holds up a subscription by a lock of its target: what it says of how far it is
// behind grows meanwhile, and what was late is in the freshness.
func TestLag(t *testing.T) {
	n := node.ForTest(t)
	conn, holder := node.Connect(t, n.DSN), node.Connect(t, n.DSN)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	must(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	must(t, conn, "CREATE SUBSCRIPTION s CONNECTION 'kafka://"+c.ListenAddrs()[0]+"' PUBLICATION a WITH (format = 'json', target = 't')")
	put(t, cl, "a", `{"id":1}`)
	const lag = "SELECT messages || ' ' || lag_messages || ' ' || (lag_ms > 200)::text FROM pg_stat_subscription"
	becomes(t, conn, lag, "1 0 false")
	must(t, holder, "BEGIN")
	must(t, holder, "LOCK TABLE t")
	put(t, cl, "a", `{"id":2}`, `{"id":3}`, `{"id":4}`)
	becomes(t, conn, lag, "1 3 true")
	must(t, holder, "COMMIT")
	becomes(t, conn, lag, "4 0 false")
	becomes(t, conn, "SELECT (freshness_p99_ms > 200)::text FROM pg_stat_subscription", "true")
	becomes(t, conn, "SELECT count(*)::text FROM t", "4")
}
