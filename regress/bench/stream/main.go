// Command stream is a Kafka broker and a generator in one process, to load a server's
// subscriptions with: it prepares messages once, stamps new keys and times into them
// and produces them at a set rate. Half of the messages insert a new key, half update
// one of the keys so far (see -updates).
//
//	stream -listen 127.0.0.1:19092 -format debezium-json -rate 100000 -duration 60s
//
// The table is that of schema.sql. What was produced is printed each second.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	listen     = flag.String("listen", "127.0.0.1:19092", "address of the broker")
	topic      = flag.String("topic", "orders", "topic")
	partitions = flag.Int("partitions", 4, "partitions")
	kind       = flag.String("format", "debezium-json", "debezium-json or json")
	rate       = flag.Int("rate", 100000, "messages a second")
	duration   = flag.Duration("duration", time.Minute, "how long to produce; the broker stays until it is ended")
	updates    = flag.Float64("updates", 0.5, "share of messages for keys that exist")
	retain     = flag.Int64("retain", 256<<20, "bytes that the broker keeps for each partition")
	wait       = flag.Duration("wait", 0, "pause before producing")
	first      = flag.Int64("first", 1, "first key")
)

func main() {
	flag.Parse()
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		log.Fatal(err)
	}
	_ = host
	n, err := strconv.Atoi(port)
	if err != nil {
		log.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(n), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "500"}))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	if err := cluster.CreateTopic(*topic, int32(*partitions), map[string]string{"retention.bytes": strconv.FormatInt(*retain, 10)}); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	fmt.Printf("broker on %s, topic %s, %d partitions\n", *listen, *topic, *partitions)
	var sent atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := produce(ctx, &sent); err != nil && ctx.Err() == nil {
			log.Fatal(err)
		}
	})
	wg.Go(func() { report(ctx, &sent) })
	<-ctx.Done()
	wg.Wait()
}

func report(ctx context.Context, sent *atomic.Int64) {
	last := int64(0)
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		n := sent.Load()
		if n != last {
			fmt.Printf("%s produced %d (%d/s)\n", time.Now().Format("15:04:05"), n, n-last)
		}
		last = n
	}
}

// message is a prepared message: its bytes with places for the key and times.
type message struct {
	key, value []byte
	keyAt      int // of the digits in key
	idAt       int // in value
	timeAt     int
}

const digits = 12

// produce sends messages, at each tick as many as are due. Each partition has keys of
// its own, so that the changes of a key stay in order.
func produce(ctx context.Context, sent *atomic.Int64) error {
	select {
	case <-time.After(*wait):
	case <-ctx.Done():
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(*listen), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedRecords(200000), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableIdempotentWrite())
	if err != nil {
		return err
	}
	defer cl.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	templates := make([]message, 512)
	for i := range templates {
		templates[i] = template(rng)
	}
	next := make([]int64, *partitions)
	began := time.Now()
	var done int64
	var failed atomic.Pointer[error]
	for time.Since(began) < *duration && ctx.Err() == nil {
		due := int64(time.Since(began).Seconds() * float64(*rate))
		if due <= done {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		now := time.Now()
		for ; done < due; done++ {
			p := int(done % int64(*partitions))
			k := next[p]
			if k > 0 && rng.Float64() < *updates {
				k = rng.Int64N(k)
			} else {
				next[p]++
			}
			r := stamp(&templates[rng.IntN(len(templates))], *first+k*int64(*partitions)+int64(p), now)
			r.Topic, r.Partition = *topic, int32(p)
			cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
					return
				}
				sent.Add(1)
			})
		}
		if e := failed.Load(); e != nil {
			return *e
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	keys := int64(0)
	for _, n := range next {
		keys += n
	}
	fmt.Printf("done: %d messages, %d keys, %.1f s\n", sent.Load(), keys, time.Since(began).Seconds())
	return nil
}

func template(rng *rand.Rand) message {
	cities := []string{"Berlin", "Hangzhou", "Lagos", "Lima", "Montreal", "Nairobi", "Oslo", "Porto"}
	states := []string{"placed", "dispatched", "driving", "paid", "cancelled"}
	var m message
	put := func(b []byte, width int) ([]byte, int) {
		at := len(b)
		for range width {
			b = append(b, '1')
		}
		return b, at
	}
	row := func(b []byte) []byte {
		b = append(b, `{"id":`...)
		b, m.idAt = put(b, digits)
		return fmt.Appendf(b, `,"customer":%d,"city":%q,"status":%q,"amount":"%d.%02d","distance":%.2f,"note":"order number %d of a day"`,
			rng.IntN(100000), cities[rng.IntN(len(cities))], states[rng.IntN(len(states))], rng.IntN(500), rng.IntN(100), rng.Float64()*40, rng.IntN(1000))
	}
	if *kind == "json" {
		m.key, m.keyAt = put(append(m.key, `{"id":`...), digits)
		m.key = append(m.key, '}')
		m.value = append(row(nil), `,"changed":`...)
		m.value, m.timeAt = put(m.value, 13)
		m.value = append(m.value, '}')
		return m
	}
	m.key, m.keyAt = put(append(m.key, `{"id":`...), digits)
	m.key = append(m.key, '}')
	m.value = append(row([]byte(`{"before":null,"after":`)), `,"changed":`...)
	m.value, m.timeAt = put(m.value, 13)
	m.value = append(m.value, `},"source":{"version":"3.1.0.Final","connector":"postgresql","name":"shop","ts_ms":1764000000000,"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023128\"]","schema":"public","table":"orders","txId":571,"lsn":24023128,"xmin":null},"transaction":null,"op":"u","ts_ms":1764000000123}`...)
	return m
}

// stamp makes a record of a template.
func stamp(m *message, id int64, now time.Time) *kgo.Record {
	b := make([]byte, len(m.key)+len(m.value))
	key, value := b[:len(m.key):len(m.key)], b[len(m.key):]
	copy(key, m.key)
	copy(value, m.value)
	write(key[m.keyAt:], 1e11+id, digits)
	write(value[m.idAt:], 1e11+id, digits)
	write(value[m.timeAt:], now.UnixMilli(), 13)
	return &kgo.Record{Key: key, Value: value, Timestamp: now}
}

func write(b []byte, n int64, width int) {
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
