package stream

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/regress/node"
)

// TestKafka runs against a real broker, where MILLRACE_KAFKA names one
// (scripts/integration does): aborted transactions are not seen, compressed batches
// are read, a start by time finds its offset, a topic made anew is noticed.
func TestKafka(t *testing.T) {
	addr := os.Getenv("MILLRACE_KAFKA")
	if addr == "" {
		t.Skip("MILLRACE_KAFKA names no broker")
	}
	topic := fmt.Sprintf("t%d", time.Now().UnixNano())
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(topic), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	make := func() {
		t.Helper()
		for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
			_, err := adm.CreateTopic(bg, 3, 1, nil, topic)
			if err == nil {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatal(err)
			}
		}
	}
	make()
	n := node.ForTest(t)
	conn := node.Connect(t, n.DSN)
	must(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (binlog_level = 'replica')")
	must(t, conn, "CREATE TABLE late (id int PRIMARY KEY, v text)")
	must(t, conn, fmt.Sprintf(`CREATE SUBSCRIPTION s CONNECTION 'kafka://%s' PUBLICATION "%s" WITH (format = 'json', target = 't')`, addr, topic))
	batch := func(from, to int, v string, end kgo.TransactionEndTry) {
		t.Helper()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			key := fmt.Appendf(nil, `{"id":%d}`, i)
			cl.Produce(bg, &kgo.Record{Topic: topic, Key: key, Value: fmt.Appendf(nil, `{"id":%d,"v":%q}`, i, v)}, nil)
		}
		if err := cl.Flush(bg); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(bg, end); err != nil {
			t.Fatal(err)
		}
	}
	batch(0, 5000, "first", kgo.TryCommit)
	batch(0, 6000, "aborted", kgo.TryAbort)
	time.Sleep(50 * time.Millisecond)
	between := time.Now().UTC()
	time.Sleep(50 * time.Millisecond)
	batch(4000, 7000, "second", kgo.TryCommit)
	batch(0, 10, "aborted", kgo.TryAbort)
	becomes(t, conn, "SELECT count(*) || ' ' || count(*) FILTER (WHERE v = 'first') || ' ' || count(*) FILTER (WHERE v = 'second') FROM t", "7000 4000 3000")
	becomes(t, conn, "SELECT lag_messages || ' ' || errors || ' ' || state FROM pg_stat_subscription WHERE subname = 's'", "0 0 streaming")
	must(t, conn, fmt.Sprintf(`CREATE SUBSCRIPTION late CONNECTION 'kafka://%s' PUBLICATION "%s" WITH (format = 'json', target = 'late', start = '%s')`,
		addr, topic, between.Format(time.RFC3339Nano)))
	becomes(t, conn, "SELECT count(*) || ' ' || coalesce(min(v), '') FROM late", "3000 second")

	if _, err := adm.DeleteTopic(bg, topic); err != nil {
		t.Fatal(err)
	}
	make()
	must(t, conn, "ALTER SUBSCRIPTION s DISABLE")
	must(t, conn, "ALTER SUBSCRIPTION s ENABLE")
	becomes(t, conn, stateOf, "the topic was deleted and created again")
	if got := ask(t, conn, "SELECT count(*)::text FROM t"); !strings.Contains(got, "7000") {
		t.Fatal(got)
	}
}
