package demo

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// retentionBytes bounds what the broker keeps of a partition.
const retentionBytes = 256 << 20

// startBroker runs a Kafka broker in this process. Its log is on disk, so that offsets go
// on over restarts.
func startBroker(dir string, port int) (*kfake.Cluster, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.DataDir(filepath.Join(dir, "broker")), kfake.ClusterID("millrace-demo"),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "15000"}),
	}
	if port != 0 {
		opts = append(opts, kfake.Ports(port))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the Kafka broker: %w", err)
	}
	return c, nil
}

// generator writes what happens into the broker.
type generator struct {
	dir   string
	cl    *kgo.Client
	adm   *kadm.Client
	p     progress
	clock *clock
	world *World
	w     *writer

	sent counter
	// seen is how far each partition came in earlier runs.
	seen  map[topicPartition]place
	start int64
	began time.Time
	tps   float64
}

type topicPartition struct {
	topic string
	part  int32
}

func newGenerator(dir, addr string) (*generator, error) {
	g := &generator{dir: dir, seen: map[topicPartition]place{}}
	var err error
	if g.p, err = loadProgress(dir); err != nil {
		return nil, err
	}
	g.cl, err = kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	g.adm = kadm.NewClient(g.cl)
	return g, nil
}

// topics makes the topics that are not there.
func (g *generator) topics(ctx context.Context) error {
	have, err := g.adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	retention := strconv.Itoa(retentionBytes)
	segment := strconv.Itoa(retentionBytes / 8)
	for _, t := range slices.Sorted(maps.Keys(partitions)) {
		if have.Has(t) {
			continue
		}
		if _, err := g.adm.CreateTopic(ctx, partitions[t], 1, map[string]*string{"retention.bytes": &retention, "segment.bytes": &segment}, t); err != nil {
			return fmt.Errorf("topic %s: %w", t, err)
		}
	}
	return nil
}

// resume finds the last message of each partition: how far the generator came.
func (g *generator) resume(ctx context.Context, addr string) error {
	names := slices.Collect(maps.Keys(partitions))
	ends, err := g.adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	from := map[string]map[int32]kgo.Offset{}
	wait := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			if from[o.Topic] == nil {
				from[o.Topic] = map[int32]kgo.Offset{}
			}
			from[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset - 1)
			wait++
		}
	})
	if wait == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(from))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for len(g.seen) < wait {
		f := cl.PollFetches(ctx)
		if err := f.Err0(); err != nil {
			return fmt.Errorf("reading where the last run stopped: %w", err)
		}
		f.EachRecord(func(r *kgo.Record) {
			for _, h := range r.Headers {
				if p, ok := readPlace(h.Value); ok && h.Key == placeHeader {
					g.seen[topicPartition{r.Topic, r.Partition}] = p
				}
			}
		})
	}
	return nil
}

// prepare readies the generator to go on from where it stopped, at so many events a
// second.
func (g *generator) prepare(ctx context.Context, addr string, rate float64) error {
	if err := g.topics(ctx); err != nil {
		return err
	}
	if err := g.resume(ctx, addr); err != nil {
		return err
	}
	g.start = g.p.Done
	for _, p := range g.seen {
		g.start = max(g.start, p.tick+1)
	}
	g.clock = &clock{stretches: g.p.Clock}
	g.tps = rate / eventsPerTick
	g.began = time.Now()
	g.clock.begin(g.start, g.began, g.tps)
	g.p.Clock = g.clock.stretches
	if err := g.p.save(g.dir); err != nil {
		return err
	}
	g.world = NewWorld(g.p.Done)
	g.w = &writer{clock: g.clock, emit: func(r *kgo.Record) { g.produce(ctx, r) }}
	// What an earlier run did not finish.
	for g.world.tick < g.start && ctx.Err() == nil {
		g.w.tick(g.world)
	}
	return g.save(ctx)
}

// produce sends a message unless an earlier run did.
func (g *generator) produce(ctx context.Context, r *kgo.Record) {
	if p, ok := g.seen[topicPartition{r.Topic, r.Partition}]; ok && !g.w.place().after(p) {
		return
	}
	g.cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) { g.sent.add(err) })
}

// place is where the message that is being emitted stands.
func (w *writer) place() place { return place{w.at.tick, w.at.n - 1} }

// save waits until the broker has everything, and notes it.
func (g *generator) save(ctx context.Context) error {
	if err := g.cl.Flush(ctx); err != nil {
		return err
	}
	if err := g.sent.failed(); err != nil {
		return fmt.Errorf("sending events: %w", err)
	}
	g.p.Done = g.world.tick
	return g.p.save(g.dir)
}

// run makes events at the rate until ctx ends.
func (g *generator) run(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return g.save(last)
		case <-tick.C:
		}
		due := g.start + int64(time.Since(g.began).Seconds()*g.tps)
		for g.world.tick < due && ctx.Err() == nil {
			g.w.tick(g.world)
		}
		if time.Since(saved) > time.Second {
			saved = time.Now()
			if err := g.save(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (g *generator) close() { g.cl.Close() }
