package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"

	"github.com/millrace/millrace/binlog/format"
)

// Partition is a part of a source that keeps its messages in order.
type Partition struct {
	Topic string
	ID    int32
}

// Position is how far a partition was read.
type Position struct {
	// Next is the offset of the first message not applied.
	Next int64
	// Epoch is the source's number for who led the partition then, -1 for none.
	Epoch int32
	// Topic tells this topic from another of the same name.
	Topic [16]byte
}

// Fetched is some messages of one partition, in order.
type Fetched struct {
	Partition
	Messages []format.Message
	Offsets  []int64 // of the messages
	// After is the position when all of it is applied; there may be offsets without a
	// message before it.
	After Position
	// End is the offset after the last message that the partition has now.
	End   int64
	Bytes int
}

// Source is an open source of messages. Its methods are called by one goroutine.
type Source interface {
	// Partitions are those that it reads, with the positions they begin at. A source
	// finds them when it is opened.
	Partitions() map[Partition]Position
	// Fetch waits for messages. It returns those of any number of partitions, and may
	// return none. The messages' memory is not used again by the source. An error of
	// type *Lost is final; after another the source is closed and opened anew.
	Fetch(ctx context.Context) ([]Fetched, error)
	// Close lets go of it; a Fetch under way ends.
	Close()
}

// Lost says that what a subscription is to read next is not in the source any more,
// or never was.
type Lost struct {
	Partition
	Reason string
}

func (e *Lost) Error() string {
	if e.Topic == "" {
		return e.Reason
	}
	if e.ID < 0 {
		return fmt.Sprintf("topic %q: %s", e.Topic, e.Reason)
	}
	return fmt.Sprintf("topic %q partition %d: %s", e.Topic, e.ID, e.Reason)
}

// OpenConfig is what a source is opened with.
type OpenConfig struct {
	Conn         *url.URL // without secrets; hosts in Host, separated by commas
	Publications []string
	Options      *Options
	// Stored are the positions of partitions read before.
	Stored map[Partition]Position
	// Trouble is told when the source cannot be reached (and tries again by itself),
	// and with nil when it can. It may be called by any goroutine.
	Trouble func(error)
	Log     *slog.Logger
}

// Transport is a kind of source.
type Transport struct {
	Scheme string
	// Options are the names of its options; Secrets are further ones that are never
	// shown, the first of which is the password of a connection string.
	Options, Secrets []string
	// Check looks at options without connecting; nil for no check.
	Check func(conn *url.URL, publications []string, o *Options) error
	Open  func(ctx context.Context, c *OpenConfig) (Source, error)
}

var transports = map[string]*Transport{}

// RegisterTransport makes a transport known by its scheme; packages call it when
// they start.
func RegisterTransport(t *Transport) {
	if transports[t.Scheme] != nil {
		panic(fmt.Sprintf("transport %q registered twice", t.Scheme))
	}
	transports[t.Scheme] = t
}

func schemes() []string {
	var out []string
	for _, s := range slices.Sorted(maps.Keys(transports)) {
		out = append(out, s+"://")
	}
	return out
}

func transportOf(conn string) (*Transport, error) {
	_, tr, err := parseConn(conn)
	return tr, err
}

// ErrReopen says that a source is to be opened anew at once.
var ErrReopen = errors.New("the source has changed")
