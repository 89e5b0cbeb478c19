// Package kafka reads topics of a Kafka cluster for subscriptions:
//
//	kafka://user:password@host:9092,host:9092?option=value
//
// Positions are the subscription's own; no consumer group is used. Only committed
// messages are read. A subscription owns all partitions of its topics.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/binlog/ingest"
	"github.com/millrace/millrace/catalog/sqlstate"
)

func init() {
	ingest.RegisterTransport(&ingest.Transport{
		Scheme: "kafka",
		Options: []string{"sasl_mechanism", "sasl_username", "ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_server_name",
			"ssl_insecure", "isolation_level", "client_id", "fetch_max_bytes"},
		Secrets: []string{"sasl_password"},
		Check:   check,
		Open:    open,
	})
}

// check looks at the topics and options without connecting.
func check(conn *url.URL, topics []string, o *ingest.Options) error {
	if len(topics) == 0 {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "subscription names no topic")
	}
	_, err := clientOptions(&ingest.OpenConfig{Conn: conn, Options: o})
	return err
}

// source implements ingest.Source on one client.
type source struct {
	cl    *kgo.Client
	parts map[ingest.Partition]ingest.Position
	cfg   *ingest.OpenConfig
	hooks *hooks

	counts  map[string]int // partitions of each topic
	checked time.Time
}

// recheckEvery is how often new partitions are looked for.
const recheckEvery = 15 * time.Second

// maxPoll bounds the messages of one Fetch.
const maxPoll = 16384

func open(ctx context.Context, c *ingest.OpenConfig) (ingest.Source, error) {
	opts, err := clientOptions(c)
	if err != nil {
		return nil, err
	}
	s := &source{cfg: c, hooks: &hooks{trouble: c.Trouble}, parts: map[ingest.Partition]ingest.Position{}, counts: map[string]int{}, checked: time.Now()}
	find, err := kgo.NewClient(append(opts, kgo.WithHooks(s.hooks))...)
	if err != nil {
		return nil, err
	}
	defer find.Close()
	assign, err := s.locate(ctx, kadm.NewClient(find))
	if err != nil {
		return nil, err
	}
	s.cl, err = kgo.NewClient(append(opts, kgo.WithHooks(s.hooks), kgo.ConsumePartitions(assign))...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// locate finds the partitions of the topics and where each begins.
func (s *source) locate(ctx context.Context, adm *kadm.Client) (map[string]map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	topics := s.cfg.Publications
	meta, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("could not reach the brokers %s: %w", s.cfg.Conn.Host, err)
	}
	first, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	last, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var timed kadm.ListedOffsets
	start := s.cfg.Options.Start
	if start.Kind == ingest.AtTime {
		if timed, err = adm.ListOffsetsAfterMilli(ctx, start.Time.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	assign := map[string]map[int32]kgo.Offset{}
	for _, topic := range topics {
		t, ok := meta.Topics[topic]
		if !ok || t.Err != nil {
			if !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				return nil, fmt.Errorf("topic %q does not exist", topic)
			}
			return nil, fmt.Errorf("topic %q: %w", topic, t.Err)
		}
		known := false
		for p := range s.cfg.Stored {
			known = known || p.Topic == topic
		}
		assign[topic] = map[int32]kgo.Offset{}
		s.counts[topic] = len(t.Partitions)
		for id := range t.Partitions {
			part := ingest.Partition{Topic: topic, ID: id}
			lo, ok1 := first.Lookup(topic, id)
			hi, ok2 := last.Lookup(topic, id)
			if !ok1 || !ok2 || lo.Err != nil || hi.Err != nil {
				return nil, fmt.Errorf("topic %q partition %d: %w", topic, id, cmpErr(lo.Err, hi.Err))
			}
			pos, stored := s.cfg.Stored[part]
			switch {
			case !stored:
				pos = ingest.Position{Next: lo.Offset, Epoch: -1}
				switch {
				case known: // a new partition of a topic that is read: nothing of it is old
				case start.Kind == ingest.Latest:
					pos.Next = hi.Offset
				case start.Kind == ingest.AtTime:
					if at, ok := timed.Lookup(topic, id); ok && at.Err == nil && at.Offset >= 0 {
						pos.Next = min(at.Offset, hi.Offset)
					}
				case start.Kind == ingest.AtOffsets:
					if at, ok := start.Offsets[id]; ok {
						if at < lo.Offset || at > hi.Offset {
							return nil, &ingest.Lost{Partition: part, Reason: fmt.Sprintf("the start offset %d is not between %d, the oldest, and %d, the next", at, lo.Offset, hi.Offset)}
						}
						pos.Next = at
					}
				}
			default:
				why := ""
				switch {
				case pos.Topic != [16]byte{} && pos.Topic != t.ID && t.ID != kadm.TopicID{}:
					why = "the topic was deleted and created again since it was last read"
				case pos.Next < lo.Offset:
					why = fmt.Sprintf("offset %d is next, but the oldest message left is %d: retention has removed messages that were not read", pos.Next, lo.Offset)
				case pos.Next > hi.Offset && pos.Next > endOf(ctx, adm, topic, id):
					why = fmt.Sprintf("offset %d is next, but the topic ends at %d: it was truncated or replaced", pos.Next, hi.Offset)
				}
				if why != "" {
					if !s.cfg.Options.ResetEarliest {
						return nil, &ingest.Lost{Partition: part, Reason: why}
					}
					s.cfg.Log.Warn("subscription goes on with the oldest message", "topic", topic, "partition", id, "reason", why)
					pos = ingest.Position{Next: lo.Offset, Epoch: -1}
				}
			}
			pos.Topic = t.ID
			s.parts[part] = pos
			assign[topic][id] = kgo.NewOffset().At(pos.Next)
		}
	}
	return assign, nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	if b != nil {
		return b
	}
	return errors.New("offsets are not known")
}

// endOf is the partition's end with messages of open transactions; -1 if unknown.
func endOf(ctx context.Context, adm *kadm.Client, topic string, id int32) int64 {
	l, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 1 << 62
	}
	if o, ok := l.Lookup(topic, id); ok && o.Err == nil {
		return o.Offset
	}
	return 1 << 62
}

// Partitions implements ingest.Source.
func (s *source) Partitions() map[ingest.Partition]ingest.Position { return s.parts }

// Close implements ingest.Source.
func (s *source) Close() { s.cl.Close() }

// postgresEpoch is 2000-01-01 in Unix milliseconds.
const postgresEpoch = 946684800_000

// Fetch implements ingest.Source.
func (s *source) Fetch(ctx context.Context) ([]ingest.Fetched, error) {
	if err := s.recheck(ctx); err != nil {
		return nil, err
	}
	poll, cancel := context.WithTimeout(ctx, recheckEvery)
	fs := s.cl.PollRecords(poll, maxPoll)
	cancel()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var out []ingest.Fetched
	for i := range fs {
		for k := range fs[i].Topics {
			t := &fs[i].Topics[k]
			for n := range t.Partitions {
				p := &t.Partitions[n]
				if p.Err != nil {
					if err := s.fault(t.Topic, p.Partition, p.Err); err != nil {
						return nil, err
					}
				}
				if len(p.Records) > 0 {
					out = append(out, s.take(t.Topic, p))
				}
			}
		}
	}
	if len(out) > 0 {
		s.hooks.well()
	}
	return out, nil
}

// take turns a partition's records into messages. Control records only move the
// position.
func (s *source) take(topic string, p *kgo.FetchPartition) ingest.Fetched {
	part := ingest.Partition{Topic: topic, ID: p.Partition}
	f := ingest.Fetched{Partition: part, End: p.LastStableOffset,
		Messages: make([]format.Message, 0, len(p.Records)), Offsets: make([]int64, 0, len(p.Records))}
	if f.End < 0 {
		f.End = p.HighWatermark
	}
	last := p.Records[len(p.Records)-1]
	for _, r := range p.Records {
		if r.Attrs.IsControl() {
			continue
		}
		m := format.Message{Key: r.Key, Value: r.Value}
		if ms := r.Timestamp.UnixMilli(); ms > 0 {
			m.Time = (ms - postgresEpoch) * 1000
		}
		if len(r.Headers) > 0 {
			m.Headers = make([]format.Header, len(r.Headers))
			for i, h := range r.Headers {
				m.Headers[i] = format.Header{Name: h.Key, Value: h.Value}
			}
		}
		f.Messages = append(f.Messages, m)
		f.Offsets = append(f.Offsets, r.Offset)
		f.Bytes += len(r.Key) + len(r.Value)
	}
	f.After = ingest.Position{Next: last.Offset + 1, Epoch: last.LeaderEpoch, Topic: s.parts[part].Topic}
	return f
}

// fault judges an error of a fetch: nil means that the client goes on by itself.
func (s *source) fault(topic string, id int32, err error) error {
	var loss *kgo.ErrDataLoss
	part := ingest.Partition{Topic: topic, ID: id}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return err
	case errors.As(err, &loss):
		if s.cfg.Options.ResetEarliest {
			return err
		}
		return &ingest.Lost{Partition: part, Reason: fmt.Sprintf("the source lost messages: it was read to %d, and has only those before %d", loss.ConsumedTo, loss.ResetTo)}
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID),
		errors.Is(err, kerr.InconsistentTopicID):
		return fmt.Errorf("topic %q partition %d: %w", topic, id, err) // opening anew finds out more
	case kerr.IsRetriable(err), isNet(err):
		s.hooks.ill(err)
		return nil
	}
	if topic == "" {
		return err
	}
	return fmt.Errorf("topic %q partition %d: %w", topic, id, err)
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// recheck looks now and then for partitions that were added, and for topics that
// were made anew.
func (s *source) recheck(ctx context.Context) error {
	if time.Since(s.checked) < recheckEvery {
		return nil
	}
	s.checked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	meta, err := kadm.NewClient(s.cl).Metadata(ctx, s.cfg.Publications...)
	if err != nil {
		return nil // the fetches tell
	}
	for _, topic := range s.cfg.Publications {
		t, ok := meta.Topics[topic]
		if !ok || t.Err != nil {
			continue
		}
		if len(t.Partitions) > s.counts[topic] {
			return fmt.Errorf("topic %q has %d partitions now: %w", topic, len(t.Partitions), ingest.ErrReopen)
		}
		for p, pos := range s.parts {
			if p.Topic == topic && pos.Topic != t.ID {
				return fmt.Errorf("topic %q was created anew: %w", topic, ingest.ErrReopen)
			}
		}
	}
	return nil
}

// hooks watch the connections.
type hooks struct {
	trouble func(error)
	bad     atomic.Bool
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h *hooks) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.ill(fmt.Errorf("broker %s:%d: %w", meta.Host, meta.Port, err))
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h *hooks) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	if e.Err() == nil {
		h.well()
	}
}

func (h *hooks) ill(err error) {
	h.bad.Store(true)
	h.trouble(err)
}

func (h *hooks) well() {
	if h.bad.CompareAndSwap(true, false) {
		h.trouble(nil)
	}
}

func brokers(hosts string) ([]string, error) {
	var out []string
	for _, h := range strings.Split(hosts, ",") {
		if h = strings.TrimSpace(h); h == "" {
			continue
		}
		_, port, err := net.SplitHostPort(h)
		if err != nil {
			h, port = net.JoinHostPort(strings.Trim(h, "[]"), "9092"), "9092"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid port number: \"%s\"", port).
				WithHint("Brokers are host:port, several with commas; without a port it is 9092.")
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out, nil
}
