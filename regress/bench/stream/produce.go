package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// generator is what was produced so far.
type generator struct {
	sent, keys atomic.Int64
	applied    atomic.Int64 // by the server, for -ahead
	// probe, when there is one, is told of a message each second: its key and its time.
	probe chan mark
}

type mark struct {
	id   int64
	sent time.Time
}

const (
	digits = 12
	// keyBase is added to keys, so that all have as many digits.
	keyBase = 1e11
	// batchMax records make a batch at most; of prints there are so many.
	batchMax = 256
	prints   = 32
)

// print is a batch prepared in Kafka's format, with places for the keys and times.
type print struct {
	bytes []byte
	recs  [batchMax]place
}

// place says where a record ends and where its digits are.
type place struct{ end, key, id, time int }

// The header of a record batch.
const (
	batchHeader = 61
	atLength    = 8
	atCRC       = 17
	atAttrs     = 21
	atLastDelta = 23
	atFirstTime = 27
	atMaxTime   = 35
	atCount     = 57
)

func newPrint(rng *rand.Rand) *print {
	p := &print{bytes: make([]byte, batchHeader)}
	b := p.bytes
	binary.BigEndian.PutUint32(b[12:], ^uint32(0)) // no leader epoch
	b[16] = 2
	for i := 43; i < 57; i++ { // no producer
		b[i] = 0xff
	}
	for i := range p.recs {
		m := template(rng)
		var r []byte
		r = append(r, 0)              // attributes
		r = binary.AppendVarint(r, 0) // timestamp, from the first
		r = binary.AppendVarint(r, int64(i))
		r = binary.AppendVarint(r, int64(len(m.key)))
		key := len(r)
		r = append(r, m.key...)
		r = binary.AppendVarint(r, int64(len(m.value)))
		value := len(r)
		r = append(r, m.value...)
		r = binary.AppendVarint(r, 0) // headers
		p.bytes = binary.AppendVarint(p.bytes, int64(len(r)))
		at := len(p.bytes)
		p.bytes = append(p.bytes, r...)
		p.recs[i] = place{len(p.bytes), at + key + m.keyAt, at + value + m.idAt, at + value + m.timeAt}
	}
	return p
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp makes a batch of the first n records, for the given keys and one time.
func (p *print) stamp(ids []int64, now time.Time) []byte {
	n := len(ids)
	b := append([]byte(nil), p.bytes[:p.recs[n-1].end]...)
	ms := now.UnixMilli()
	for i, id := range ids {
		at := &p.recs[i]
		write(b[at.key:], keyBase+id, digits)
		copy(b[at.id:at.id+digits], b[at.key:])
		write(b[at.time:], ms, 13)
	}
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(n-1))
	binary.BigEndian.PutUint64(b[atFirstTime:], uint64(ms))
	binary.BigEndian.PutUint64(b[atMaxTime:], uint64(ms))
	binary.BigEndian.PutUint32(b[atCount:], uint32(n))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttrs:], castagnoli))
	return b
}

// produce sends messages, at each tick as many as are due. Each partition has keys of
// its own, so that the changes of a key stay in order.
func (g *generator) produce(ctx context.Context) error {
	select {
	case <-time.After(*wait):
	case <-ctx.Done():
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(*listen), kgo.DisableIdempotentWrite())
	if err != nil {
		return err
	}
	defer cl.Close()
	meta, err := kadm.NewClient(cl).Metadata(ctx, *topic)
	if err != nil {
		return err
	}
	id := meta.Topics[*topic].ID
	rng := rand.New(rand.NewPCG(1, 2))
	batches := make([]*print, prints)
	for i := range batches {
		batches[i] = newPrint(rng)
	}
	next := make([]int64, *partitions)
	ids := make([]int64, 0, batchMax)
	began := time.Now()
	var done int64
	var probed time.Time
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
		if due < done+min(int64(*rate)/500+1, batchMax) && (*messages == 0 || due < *messages) {
			time.Sleep(time.Millisecond)
			continue
		}
		now := time.Now()
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 10_000
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.TopicID = *topic, id
		n := int64(0)
		for p := range next {
			// What is due is shared out; a batch has at most batchMax of it.
			k := min((due-done-n)/int64(*partitions-p), batchMax)
			if k == 0 {
				continue
			}
			for ids = ids[:0]; int64(len(ids)) < k; {
				k := next[p]
				if k > 0 && rng.Float64() < *updates {
					k = rng.Int64N(k)
				} else {
					next[p]++
					g.keys.Add(1)
				}
				ids = append(ids, *first+k*int64(*partitions)+int64(p))
			}
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition, part.Records = int32(p), batches[rng.IntN(prints)].stamp(ids, now)
			t.Partitions = append(t.Partitions, part)
			n += k
		}
		req.Topics = append(req.Topics, t)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("partition %d: %w", p.Partition, err)
				}
			}
		}
		done += n
		g.sent.Store(done)
		if g.probe != nil && now.Sub(probed) >= time.Second {
			probed = now
			select {
			case g.probe <- mark{keyBase + ids[len(ids)-1], now}:
			default:
			}
		}
	}
	fmt.Printf("done: %d messages, %d keys, %.1f s\n", done, g.keys.Load(), time.Since(began).Seconds())
	return nil
}

// message is a prepared message: its bytes with places for the key and times.
type message struct {
	key, value []byte
	keyAt      int // of the digits in key
	idAt       int // in value
	timeAt     int
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

func write(b []byte, n int64, width int) {
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
