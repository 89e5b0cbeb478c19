// Package demo is `millrace demo`: a server, a Kafka broker and a generator of events in
// one process, so that a newcomer sees live data arrive and can ask questions of it.
//
// The broker's log is on disk and the generator's history is a function of its tick
// (world.go), so a run goes on where the one before it stopped, with offsets that go on
// and no event twice, however it ended. What the tables must hold after so many ticks is
// known too (Model), and tested.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/server"
)

// SQL is the demo's schema, as users read it.
//
//go:embed demo.sql
var SQL string

// sqlBroker is the broker's address in SQL.
const sqlBroker = "127.0.0.1:19092"

// Config is what a demo is told.
type Config struct {
	Dir  string
	Host string
	// Ports; 0 for any that is free, and for no HTTP.
	Port, KafkaPort, HTTPPort int
	// Rate is in events a second.
	Rate        float64
	Duration    time.Duration // 0: until stopped
	MemoryBytes int64
	Version     string
	Out         io.Writer
	Terminal    bool // Out is a terminal: the view is redrawn in place
	Log         *slog.Logger
	// Ready, if set, is called with the server's address once everything runs.
	Ready func(addr string)
	// CatchUp makes the end wait until the subscriptions have read all that was sent;
	// Done is called then, before the server stops.
	CatchUp bool
	Done    func(Report)
}

// Report is what a run came to.
type Report struct {
	Addr   string
	Ticks  int64 // since the first start
	Events int64 // sent in this run
}

// counter counts what was sent.
type counter struct {
	n   atomic.Int64
	mu  sync.Mutex
	err error
}

func (c *counter) add(err error) {
	if err == nil {
		c.n.Add(1)
		return
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
}

func (c *counter) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Run runs the demo until ctx ends, its time is over, or something fails.
func Run(ctx context.Context, cfg Config) (rep Report, err error) {
	if cfg.Rate <= 0 {
		return rep, errors.New("the rate must be above 0 events a second")
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return rep, err
	}
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// The server comes first: it locks the directory.
	srv, err := startServer(ctx, cfg, cancel)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	rep.Addr = srv.addr

	broker, err := startBroker(cfg.Dir, cfg.KafkaPort)
	if err != nil {
		return rep, err
	}
	defer broker.Close()
	kafka := broker.ListenAddrs()[0]

	gen, err := newGenerator(cfg.Dir, kafka)
	if err != nil {
		return rep, err
	}
	defer gen.close()
	if err := gen.prepare(ctx, kafka, cfg.Rate); err != nil {
		return rep, err
	}
	c, err := dial(srv.addr)
	if err != nil {
		return rep, err
	}
	defer c.close()
	if err := schema(c, kafka); err != nil {
		return rep, err
	}
	var made error
	var work sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	defer stop()
	work.Go(func() {
		if made = gen.run(running); made != nil {
			cancel(made)
		}
	})
	v := &view{cfg: &cfg, c: c, gen: gen, addr: srv.addr, kafka: kafka}
	v.begin()
	if cfg.Ready != nil {
		cfg.Ready(srv.addr)
	}
	shown := running
	if cfg.Duration > 0 {
		var done context.CancelFunc
		shown, done = context.WithTimeout(running, cfg.Duration)
		defer done()
	}
	v.run(shown)
	stop()
	work.Wait()
	rep.Ticks, rep.Events = gen.world.tick, gen.sent.n.Load()
	if made == nil && outer.Err() == nil {
		if cause := context.Cause(ctx); cause != nil {
			return rep, cause
		}
	}
	if made == nil && cfg.CatchUp {
		made = catchUp(c, gen, 60*time.Second)
	}
	if made == nil && cfg.Done != nil {
		cfg.Done(rep)
	}
	v.end(rep)
	return rep, made
}

// running is a server in this process.
type serving struct {
	addr   string
	cancel context.CancelFunc
	done   chan error
}

func (s *serving) stop() error {
	s.cancel()
	return <-s.done
}

// startServer starts the server; failed is called when it ends by itself.
func startServer(ctx context.Context, cfg Config, failed context.CancelCauseFunc) (*serving, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &serving{cancel: cancel, done: make(chan error, 1)}
	ready := make(chan net.Addr, 1)
	http := ""
	if cfg.HTTPPort > 0 {
		http = net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.HTTPPort))
	}
	ended := make(chan error, 1)
	go func() {
		err := server.Run(own, server.Config{
			DataDir: filepath.Join(cfg.Dir, "data"), Listen: []string{net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))}, HTTP: http,
			MemoryBytes: cfg.MemoryBytes, Version: cfg.Version, Log: cfg.Log,
			Ready: func(pg []net.Addr, _ net.Addr) { ready <- pg[0] },
		}, server.Open)
		if own.Err() == nil {
			if err == nil {
				err = errors.New("the server stopped")
			}
			failed(err)
		}
		ended <- err
		s.done <- err
	}()
	select {
	case a := <-ready:
		s.addr = a.String()
		return s, nil
	case err := <-ended:
		cancel()
		return nil, err
	case <-ctx.Done(): // told to stop, or the server failed
		if err := s.stop(); err != nil {
			return nil, err
		}
		return nil, ctx.Err()
	}
}

// schema makes the tables and subscriptions at the first start; at a later one it tells
// the subscriptions where the broker is, if that changed.
func schema(c *client, kafka string) error {
	have, err := c.query("SELECT subname, subconninfo FROM pg_subscription ORDER BY 1")
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, r := range have {
		there[r[0]] = r[1]
	}
	tables, err := c.query("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'")
	if err != nil {
		return err
	}
	for _, r := range tables {
		there["table "+r[0]] = r[0]
	}
	for _, s := range statements(strings.ReplaceAll(SQL, sqlBroker, kafka)) {
		kind, name := named(s)
		conn, ok := there[name]
		if kind == "TABLE" {
			_, ok = there["table "+name]
		}
		switch {
		case !ok:
			_, err = c.query(s)
		case kind == "SUBSCRIPTION" && conn != "kafka://"+kafka:
			_, err = c.query(fmt.Sprintf("ALTER SUBSCRIPTION %s CONNECTION 'kafka://%s'", name, kafka))
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(kind), name, err)
		}
	}
	return nil
}

// statements cuts the file at its semicolons; no string in it has one.
func statements(sql string) []string {
	var b strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			b.WriteString(line)
		}
	}
	var out []string
	for _, s := range strings.Split(b.String(), ";") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// named is what a CREATE makes: TABLE or SUBSCRIPTION, and its name.
func named(s string) (kind, name string) {
	f := strings.Fields(s)
	if len(f) < 3 {
		return "", ""
	}
	return f[1], f[2]
}

// catchUp waits until all that was sent has been read.
func catchUp(c *client, g *generator, limit time.Duration) error {
	until := time.Now().Add(limit)
	ends, err := g.adm.ListEndOffsets(context.Background())
	if err != nil {
		return err
	}
	want := int64(0)
	for _, parts := range ends {
		for _, o := range parts {
			want += o.Offset
		}
	}
	for {
		lag, err := lag(c)
		if err == nil && lag == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the subscriptions are %d messages of %d behind after %s: %w", lag, want, limit, errors.Join(err))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
