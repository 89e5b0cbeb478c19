package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/binlog/ingest"
)

type broker struct {
	*kfake.Cluster
	t  *testing.T
	cl *kgo.Client
}

func newBroker(t *testing.T, parts int32, opts ...kfake.Opt) *broker {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(parts, "a")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &broker{c, t, cl}
}

func (b *broker) send(part int32, values ...string) {
	b.t.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: "a", Partition: part, Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}}
		if err := b.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *broker) open(o *ingest.Options, stored map[ingest.Partition]ingest.Position) (ingest.Source, error) {
	if o.Source == nil {
		o.Source = map[string]string{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return open(ctx, &ingest.OpenConfig{Conn: &url.URL{Scheme: "kafka", Host: strings.Join(b.ListenAddrs(), ",")}, Publications: []string{"a"},
		Options: o, Stored: stored, Trouble: func(error) {}, Log: slog.New(slog.DiscardHandler)})
}

// read takes messages until there are n, as "partition:offset=value".
func (b *broker) read(s ingest.Source, n int) (got []string, after map[ingest.Partition]ingest.Position) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	after = map[ingest.Partition]ingest.Position{}
	for len(got) < n {
		fs, err := s.Fetch(ctx)
		if err != nil {
			b.t.Fatalf("%v after %v", err, got)
		}
		for _, f := range fs {
			for i, m := range f.Messages {
				if m.Time == 0 || len(m.Headers) != 1 {
					b.t.Fatalf("message %+v", m)
				}
				got = append(got, fmt.Sprintf("%d:%d=%s", f.ID, f.Offsets[i], m.Value))
			}
			after[f.Partition] = f.After
		}
	}
	return got, after
}

func TestStart(t *testing.T) {
	b := newBroker(t, 1)
	b.send(0, "x", "y")
	time.Sleep(20 * time.Millisecond)
	between := time.Now()
	time.Sleep(20 * time.Millisecond)
	b.send(0, "z")
	for _, c := range []struct {
		start ingest.Start
		want  string
	}{
		{ingest.Start{}, "[0:0=x 0:1=y 0:2=z 0:3=new]"},
		{ingest.Start{Kind: ingest.Latest}, "[0:3=new]"},
		{ingest.Start{Kind: ingest.AtTime, Time: between}, "[0:2=z 0:3=new]"},
		{ingest.Start{Kind: ingest.AtOffsets, Offsets: map[int32]int64{0: 1}}, "[0:1=y 0:2=z 0:3=new]"},
	} {
		s, err := b.open(&ingest.Options{Start: c.start}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.start.Kind == ingest.Earliest {
			b.send(0, "new")
		} else if c.start.Kind == ingest.Latest {
			s.Close()
			s, err = b.open(&ingest.Options{}, map[ingest.Partition]ingest.Position{{Topic: "a"}: {Next: 3}})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, after := b.read(s, len(strings.Fields(c.want)))
		if fmt.Sprint(got) != c.want || after[ingest.Partition{Topic: "a"}].Next != 4 {
			t.Errorf("start %+v: got %v, want %s, after %v", c.start, got, c.want, after)
		}
		s.Close()
	}
	_, err := b.open(&ingest.Options{Start: ingest.Start{Kind: ingest.AtOffsets, Offsets: map[int32]int64{0: 17}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "the start offset 17 is not between 0, the oldest, and 4, the next") {
		t.Fatal(err)
	}
}

// TestLost: messages that retention removed, and a topic made anew, are not passed
// over in silence.
func TestLost(t *testing.T) {
	b := newBroker(t, 1)
	b.send(0, "1", "2", "3", "4")
	part := ingest.Partition{Topic: "a"}
	s, err := b.open(&ingest.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	topic := s.Partitions()[part].Topic
	s.Close()
	at := map[ingest.Partition]ingest.Position{part: {Next: 1, Topic: topic}}
	if err := b.DeleteRecords("a", 0, 3); err != nil {
		t.Fatal(err)
	}
	lost := func(what string) {
		t.Helper()
		_, err := b.open(&ingest.Options{}, at)
		var l *ingest.Lost
		if !errors.As(err, &l) || !strings.Contains(err.Error(), what) {
			t.Fatalf("%v, want %s", err, what)
		}
	}
	lost("offset 1 is next, but the oldest message left is 3")
	s, err = b.open(&ingest.Options{ResetEarliest: true}, at)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := b.read(s, 1); got[0] != "0:3=4" {
		t.Fatal(got)
	}
	s.Close()
	at[part] = ingest.Position{Next: 99, Topic: topic}
	lost("offset 99 is next, but the topic ends at 4")
	at[part] = ingest.Position{Next: 3, Topic: topic}
	if err := b.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(&ingest.Options{}, at); err == nil || !strings.Contains(err.Error(), `topic "a" does not exist`) {
		t.Fatal(err)
	}
	if err := b.CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	lost("the topic was deleted and created again")
}

// TestCommitted: messages of aborted transactions are not seen, and positions pass
// over them.
func TestCommitted(t *testing.T) {
	b := newBroker(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.ListenAddrs()...), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := context.Background()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: "a", Value: fmt.Appendf(nil, "%v", commit), Headers: []kgo.RecordHeader{{Key: "h"}}}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	s, err := b.open(&ingest.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []string
	for next := int64(0); next < 6; {
		fctx, cancel := context.WithTimeout(ctx, time.Minute)
		fs, err := s.Fetch(fctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			for i, m := range f.Messages {
				got = append(got, fmt.Sprintf("%d=%s", f.Offsets[i], m.Value))
			}
			next = f.After.Next
			if f.End != 6 {
				t.Fatal(f.End)
			}
		}
	}
	if want := fmt.Sprintf("[2=%v]", kgo.TryCommit); fmt.Sprint(got) != want {
		t.Fatal(got, want)
	}
}

func TestSASL(t *testing.T) {
	b := newBroker(t, 1)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "joe", "pw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.Cluster = c
	s, err := b.open(&ingest.Options{Source: map[string]string{"sasl_mechanism": "scram-sha-256", "sasl_username": "joe", "sasl_password": "pw"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOptions(t *testing.T) {
	for conn, want := range map[string]string{
		"h?nonsense=1": "unrecognized subscription parameter: \"nonsense\"", "h?ssl=maybe": "invalid value for subscription parameter \"ssl\": \"maybe\"",
		"h?sasl_mechanism=gssapi": "invalid value for subscription parameter \"sasl_mechanism\": \"gssapi\"", "": "connection string names no broker",
		"h?isolation_level=x": "invalid value for subscription parameter \"isolation_level\": \"x\"", "h?ssl_ca=/nowhere": "invalid value for subscription parameter \"ssl_ca\": \"/nowhere\"",
	} {
		u, err := url.Parse("kafka://" + conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(u, []string{"a"}, &ingest.Options{Source: map[string]string{}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", conn, err)
		}
	}
	if got, err := brokers("a, b:1,[::1]:2,a"); err != nil || fmt.Sprint(got) != "[a:9092 b:1 [::1]:2]" {
		t.Error(got, err)
	}
}
