// Command stream loads a server's subscription and measures what comes of it. It is a
// Kafka broker and a generator in one process, apart from the server's: it prepares
// messages once, stamps new keys and times into them and produces them at a set rate.
// Half of the messages insert a new key, half update one of the keys so far (see
// -updates). The broker keeps so many bytes of each partition (-retain), so that a run
// may last as long as it likes.
//
//	stream -millrace ./millrace -memory-limit 2GB -format json -rate 150000 -duration 5m
//
// With -millrace it starts that server itself, on a data directory that it removes,
// makes the table of schema.sql and its subscription, and reports every -every, and in
// the end over the whole run after -warm: rate, processor time of the server a
// message, freshness, resident memory, lag. It fails when the server fell behind, a
// message was lost or the subscription stopped. Without it, it only produces.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

var (
	listen     = flag.String("listen", "127.0.0.1:19092", "address of the broker")
	topic      = flag.String("topic", "orders", "topic")
	partitions = flag.Int("partitions", 4, "partitions")
	kind       = flag.String("format", "debezium-json", "debezium-json or json")
	rate       = flag.Int("rate", 100000, "messages a second")
	duration   = flag.Duration("duration", time.Minute, "how long to produce; without -millrace the broker stays until it is ended")
	updates    = flag.Float64("updates", 0.5, "share of messages for keys that exist")
	retain     = flag.Int64("retain", 128<<20, "bytes that the broker keeps for each partition")
	wait       = flag.Duration("wait", 0, "pause before producing")
	messages   = flag.Int64("messages", 0, "how many messages to produce at most; 0 for no bound")
	ahead      = flag.Int64("ahead", 0, "with -millrace, how many messages to be ahead of the server at most: on a machine that is too busy for the rate, the\n"+
		"processor time a message can still be measured; 0 for no bound")
	first = flag.Int64("first", 1, "first key")

	millrace = flag.String("millrace", "", "server to start and measure")
	port     = flag.Int("port", 5492, "its port")
	httpPort = flag.Int("http-port", 8092, "its port for metrics and profiles")
	memory   = flag.String("memory-limit", "", "its memory limit")
	dataDir  = flag.String("data-dir", "", "where its data directory is made; a temporary directory by default")
	every    = flag.Duration("every", 10*time.Second, "how often to report")
	warm     = flag.Duration("warm", 5*time.Second, "what is left out of the report at the beginning")
	profile  = flag.String("profile", "", "file for a profile of the server, of 20 s from the middle of the run")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	_, p, err := net.SplitHostPort(*listen)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(n), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "500"}))
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := cluster.CreateTopic(*topic, int32(*partitions), map[string]string{"retention.bytes": strconv.FormatInt(*retain, 10)}); err != nil {
		return err
	}
	fmt.Printf("broker on %s, topic %s, %d partitions\n", *listen, *topic, *partitions)
	g := &generator{}
	if *millrace != "" {
		return measure(ctx, g)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		if err := g.produce(ctx); err != nil {
			failed <- err
		}
	}()
	last := int64(0)
	for {
		select {
		case <-time.After(time.Second):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		n := g.sent.Load()
		if n != last {
			fmt.Fprintf(os.Stdout, "%s produced %d (%d/s)\n", time.Now().Format("15:04:05"), n, n-last)
		}
		last = n
	}
}
