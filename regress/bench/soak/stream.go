package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic      = "s_orders"
	partitions = 4
	orders     = 20000 // keys
	firstOrder = 24000 // dashboards join them with the rows of s_row_column
	retained   = 8 << 20
)

const streamSchema = `
CREATE TABLE s_orders (id bigint PRIMARY KEY, v bigint, customer int, city text, amount numeric(10, 2), note text, changed timestamp(3))
	WITH (orientation = 'column', binlog_level = 'replica', binlog_ttl = '60');
CREATE SUBSCRIPTION s_orders_in CONNECTION 'kafka://%s' PUBLICATION "s_orders"
	WITH (format = 'debezium-json', decimal_handling_mode = 'string', target = 's_orders', on_error = 'stop');`

// stream produces change events and knows what they add up to.
type stream struct {
	s       *soak
	c       *client
	cluster *kfake.Cluster
	cl      *kgo.Client
	look    *class
	fresh   *class
	rnd     *rand.Rand
	have    map[int64]int64
	sent    int64
}

var cities = []string{"Berlin", "Hangzhou", "Lagos", "Lima", "Montreal", "Nairobi", "Oslo", "Porto"}

func (s *soak) stream() (*stream, error) {
	_, p, err := net.SplitHostPort(*broker)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return nil, err
	}
	t := &stream{s: s, c: s.client("stream", 200), have: map[int64]int64{}, rnd: rand.New(rand.NewPCG(*seedFlag, 201)), look: s.class("stream check"), fresh: s.class("stream fresh")}
	t.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "500"}))
	if err != nil {
		return nil, err
	}
	if err := t.cluster.CreateTopic(topic, partitions, map[string]string{"retention.bytes": strconv.Itoa(retained), "segment.bytes": strconv.Itoa(1 << 20)}); err != nil {
		t.close()
		return nil, err
	}
	t.cl, err = kgo.NewClient(kgo.SeedBrokers(*broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *stream) close() {
	if t.cl != nil {
		t.cl.Close()
	}
	t.cluster.Close()
}

// produce sends changes of n keys.
func (t *stream) produce(ctx context.Context, n int) {
	var recs []*kgo.Record
	for range n {
		id := firstOrder + t.rnd.Int64N(orders)
		t.sent++
		v, op := t.sent, "u"
		key := fmt.Sprintf(`{"id":%d}`, id)
		now := time.Now()
		image := fmt.Sprintf(`{"id":%d,"v":%d,"customer":%d,"city":%q,"amount":"%d.%02d","note":"order number %d of a day","changed":%d}`,
			id, v, t.rnd.IntN(1000), cities[t.rnd.IntN(len(cities))], t.rnd.IntN(500), t.rnd.IntN(100), t.rnd.IntN(1000), now.UnixMilli())
		value := `{"before":null,"after":` + image
		switch {
		case t.have[id] == 0:
			op = "c"
		case t.rnd.IntN(20) == 0:
			op, value = "d", `{"before":`+key+`,"after":null`
		}
		value += fmt.Sprintf(`,"source":{"connector":"postgresql","name":"shop","db":"shop","schema":"public","table":"orders"},"op":%q,"ts_ms":%d}`, op, now.UnixMilli())
		if op == "d" {
			delete(t.have, id)
		} else {
			t.have[id] = v
		}
		recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(id % partitions), Key: []byte(key), Value: []byte(value)})
	}
	// The broker is this process: what it was sent, it has.
	if err := t.cl.ProduceSync(context.WithoutCancel(ctx), recs...).FirstErr(); err != nil {
		t.s.fail("produce: %v", err)
	}
}

// settled waits until the table is what was produced.
func (t *stream) settled(ctx context.Context) bool {
	var want int64
	for _, v := range t.have {
		want += v
	}
	began := time.Now()
	var n, sum int64
	var state, fault string
	for time.Since(began) < 30*time.Second || t.s.srv.turn.Load()%2 == 1 {
		turn := t.s.srv.turn.Load()
		err := t.c.do(ctx, t.look, func(ctx context.Context, c *pgx.Conn) error {
			if err := c.QueryRow(ctx, "SELECT state, coalesce(last_error, '') FROM pg_stat_subscription").Scan(&state, &fault); err != nil {
				return err
			}
			return c.QueryRow(ctx, "SELECT count(*), coalesce(sum(v), 0) FROM s_orders").Scan(&n, &sum)
		})
		switch {
		case ctx.Err() != nil:
			return true
		case err == nil && n == int64(len(t.have)) && sum == want:
			t.fresh.took(time.Since(began))
			return true
		case turn != t.s.srv.turn.Load():
			began = time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.s.fail("stream: %d rows with sum %d, not %d with %d after half a minute; %s: %s", n, sum, len(t.have), want, state, fault)
	return false
}

// run produces, and waits every few seconds until all is there.
func (t *stream) run(ctx context.Context) {
	const tick = 50 * time.Millisecond
	last, credit := time.Now(), 0.0
	t.s.clients.Go(func() {
		defer t.c.close()
		for ctx.Err() == nil {
			time.Sleep(tick)
			credit += *messages * *rate * tick.Seconds()
			if n := int(credit); n > 0 {
				credit -= float64(n)
				t.produce(ctx, n)
			}
			if time.Since(last) > 5*time.Second {
				t.settled(ctx)
				last = time.Now()
			}
		}
	})
}
