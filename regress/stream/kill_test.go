package stream

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/regress/node"
)

var killRounds = flag.Int("kills", 3, "how often the server is killed under ingest")

func TestMain(m *testing.M) { node.Main(m) }

const stored = "__debezium_unavailable_value"

// order is a row of the table under ingest.
type order struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	N    int32  `json:"n"`
	Doc  string `json:"doc"`
}

type event struct {
	Op     string `json:"op"`
	Before *order `json:"before"`
	After  *order `json:"after"`
}

// generate produces random changes until it is told to stop: of few keys, so that
// they meet in batches, and of ever new ones.
func generate(ctx context.Context, cl *kgo.Client, rng *rand.Rand, stop *atomic.Bool) error {
	next, there := int64(100), map[int64]bool{}
	for n := int64(0); !stop.Load(); n++ {
		id := rng.Int64N(100)
		if rng.IntN(3) == 0 {
			next++
			id = next
		}
		key := fmt.Appendf(nil, `{"id":%d}`, id)
		send := func(topic string, key, value []byte) {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(id % 3), Key: key, Value: value}, nil)
		}
		e := event{Op: "u", After: &order{id, fmt.Sprint("name ", rng.IntN(50)), rng.Int32N(1000), strings.Repeat("d", rng.IntN(60))}}
		switch k := rng.IntN(10); {
		case k == 0:
			e = event{Op: "d", Before: &order{ID: id}}
			delete(there, id)
		case k < 3 && there[id]:
			e.After.Doc = stored
		default:
			there[id] = true
		}
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		send("orders", key, b)
		if e.Op == "d" {
			send("orders", key, nil)
		}
		send("events", nil, fmt.Appendf(nil, `{"seq":%d,"text":"event"}`, n))
		if n%20 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return cl.Flush(ctx)
}

// rebuild reads a topic from its beginning: the rows that the orders end as, and how
// many events there are.
func rebuild(t *testing.T, addrs []string, c *kfake.Cluster) (map[int64]order, int64) {
	t.Helper()
	total := int64(0)
	for _, topic := range []string{"orders", "events"} {
		for _, p := range c.PartitionInfos(topic) {
			total += p.HighWatermark
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics("orders", "events"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	rows, events := map[int64]order{}, int64(0)
	for n := int64(0); n < total; {
		fs := cl.PollFetches(bg)
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			n++
			if r.Topic == "events" {
				events++
				return
			}
			if r.Value == nil {
				return
			}
			var e event
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Error(err)
				return
			}
			if e.Op == "d" {
				delete(rows, e.Before.ID)
				return
			}
			if e.After.Doc == stored {
				e.After.Doc = rows[e.After.ID].Doc
			}
			rows[e.After.ID] = *e.After
		})
	}
	return rows, events
}

// TestKill kills the server under ingest, again and again. In the end the table equals
// a model rebuilt from the topic, its binlog replayed from nothing gives the table,
// and each event was appended exactly once.
func TestKill(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders", "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addrs := c.ListenAddrs()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	srv, dsn := node.Process(t, dir)
	conn := node.Connect(t, dsn)
	for _, q := range []string{
		"CREATE TABLE orders (id bigint PRIMARY KEY, name text, n int NOT NULL, doc text) WITH (binlog_level = 'replica')",
		"CREATE TABLE events (seq bigint, text text)",
		fmt.Sprintf("CREATE SUBSCRIPTION s CONNECTION 'kafka://%s' PUBLICATION \"orders\" WITH (format = 'debezium-json', target = 'orders', batch_time = '10ms')", addrs[0]),
		fmt.Sprintf("CREATE SUBSCRIPTION e CONNECTION 'kafka://%s' PUBLICATION \"events\" WITH (format = 'json', mode = 'append', target = 'events', batch_time = '7ms')", addrs[0]),
	} {
		if _, err := conn.Exec(bg, q); err != nil {
			t.Fatal(err)
		}
	}
	var stop atomic.Bool
	made := make(chan error, 1)
	go func() { made <- generate(bg, cl, rand.New(rand.NewPCG(seed, 2)), &stop) }()
	for range *killRounds {
		time.Sleep(time.Duration(300+rng.IntN(1200)) * time.Millisecond)
		if rng.IntN(3) == 0 {
			if _, err := conn.Exec(bg, "VACUUM"); err != nil {
				t.Fatal(err)
			}
		}
		_ = srv.Process.Kill()
		_ = srv.Wait()
		srv, dsn = node.Process(t, dir)
		conn = node.Connect(t, dsn)
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	want, events := rebuild(t, addrs, c)
	settle(t, conn, want, events)
	replay(t, conn, want)
	t.Logf("%d kills, %d rows, %d events", *killRounds, len(want), events)
}

// settle waits until the tables have what they should.
func settle(t *testing.T, conn *pgx.Conn, want map[int64]order, events int64) {
	t.Helper()
	why, last := "", int64(-1)
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(100 * time.Millisecond) {
		var applied int64
		if err := conn.QueryRow(bg, "SELECT sum(messages)::int8 FROM pg_stat_subscription").Scan(&applied); err != nil {
			t.Fatal(err)
		}
		if applied > last { // a loaded machine may have much to catch up with
			last, began = applied, time.Now()
		}
		rows, err := conn.Query(bg, "SELECT id, name, n, doc FROM orders")
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[order])
		if err != nil {
			t.Fatal(err)
		}
		why = ""
		if len(got) != len(want) {
			why = fmt.Sprintf("%d rows, want %d", len(got), len(want))
		}
		for _, o := range got {
			if want[o.ID] != o {
				why = fmt.Sprintf("row %+v, want %+v", o, want[o.ID])
				break
			}
		}
		var n, distinct int64
		if err := conn.QueryRow(bg, "SELECT count(*), count(DISTINCT seq) FROM events").Scan(&n, &distinct); err != nil {
			t.Fatal(err)
		}
		if n > events || n != distinct {
			t.Fatalf("%d events, %d different, of %d: some were applied twice", n, distinct, events)
		}
		if n < events {
			why = fmt.Sprintf("%d events of %d", n, events)
		}
		if why == "" {
			return
		}
	}
	state := ""
	_ = conn.QueryRow(bg, "SELECT string_agg(subname || ' ' || state || ' lag ' || lag_messages || ' ' || coalesce(last_error, ''), ', ') FROM pg_stat_subscription").Scan(&state)
	t.Fatalf("a minute after the last message was applied: %s; subscriptions: %s", why, state)
}

// replay plays the binlog from nothing: its images agree with what was before, and it
// ends as the table.
func replay(t *testing.T, conn *pgx.Conn, want map[int64]order) {
	t.Helper()
	rows, err := conn.Query(bg, "SELECT hg_binlog_event_type, id, name, n, doc FROM orders ORDER BY hg_shard_id, hg_binlog_lsn, hg_binlog_event_type")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	state := map[int64]order{}
	for rows.Next() {
		var kind int64
		var o order
		if err := rows.Scan(&kind, &o.ID, &o.Name, &o.N, &o.Doc); err != nil {
			t.Fatal(err)
		}
		old, there := state[o.ID]
		switch kind {
		case 5:
			if there {
				t.Fatalf("the binlog inserts %+v over %+v", o, old)
			}
			state[o.ID] = o
		case 7:
			state[o.ID] = o
		case 2, 3:
			if !there || old != o {
				t.Fatalf("the binlog's image before a change (%d) is %+v, but was %+v", kind, o, old)
			}
			if kind == 2 {
				delete(state, o.ID)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(state) != len(want) {
		t.Fatalf("the binlog gives %d rows, want %d", len(state), len(want))
	}
	for id, o := range want {
		if state[id] != o {
			t.Fatalf("the binlog gives %+v, want %+v", state[id], o)
		}
	}
}
