package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// message is a prepared message: its bytes with places for the key and times.
type message struct {
	key, value []byte
	keyAt      int // of the digits in key
	idAt       int // in value
	timeAt     int
}

const digits = 12

// keyBase is added to keys, so that all have as many digits.
const keyBase = 1e11

// produce sends messages, at each tick as many as are due. Each partition has keys of
// its own, so that the changes of a key stay in order.
func (g *generator) produce(ctx context.Context) error {
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
	var probed time.Time
	var failed atomic.Pointer[error]
	for time.Since(began) < *duration && ctx.Err() == nil {
		due := int64(time.Since(began).Seconds() * float64(*rate))
		if *ahead > 0 {
			due = min(due, g.applied.Load()+*ahead)
		}
		if *messages > 0 {
			if done >= *messages {
				break
			}
			due = min(due, *messages)
		}
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
				g.keys.Add(1)
			}
			id := *first + k*int64(*partitions) + int64(p)
			r := stamp(&templates[rng.IntN(len(templates))], id, now)
			r.Topic, r.Partition = *topic, int32(p)
			if g.probe != nil && now.Sub(probed) >= time.Second {
				probed = now
				select {
				case g.probe <- mark{keyBase + id, now}:
				default:
				}
			}
			cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
					return
				}
				g.sent.Add(1)
			})
		}
		if e := failed.Load(); e != nil {
			return *e
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	fmt.Printf("done: %d messages, %d keys, %.1f s\n", g.sent.Load(), g.keys.Load(), time.Since(began).Seconds())
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
	write(key[m.keyAt:], keyBase+id, digits)
	write(value[m.idAt:], keyBase+id, digits)
	write(value[m.timeAt:], now.UnixMilli(), 13)
	return &kgo.Record{Key: key, Value: value, Timestamp: now}
}

func write(b []byte, n int64, width int) {
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
