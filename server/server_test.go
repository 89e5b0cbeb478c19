package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/regress/wire"
	"github.com/millrace/millrace/server"
)

// engine is the fake sessions as an engine.
type engine struct {
	*wire.Fake
	closed chan struct{}
}

func (engine) Role(name string) (string, bool, bool) { return "", true, name == "postgres" }
func (engine) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGauge(prometheus.GaugeOpts{Name: "engine_gauge"})}
}
func (e engine) Close() error { close(e.closed); return nil }

// run starts a process's server and returns its addresses and a stop that waits.
func run(t *testing.T, dir string) (pg []net.Addr, web string, opts server.Options, e engine, stop func() error) {
	t.Helper()
	e = engine{wire.NewFake(), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	cfg := server.Config{
		DataDir: dir, Listen: []string{"127.0.0.1:0", "unix:" + filepath.Join(dir, "sock", ".s.PGSQL.5432")}, HTTP: "127.0.0.1:0",
		MemoryBytes: 256 << 20, Version: "test", Log: slog.New(slog.DiscardHandler),
		Ready: func(p []net.Addr, h net.Addr) { pg, web = p, "http://"+h.String(); close(ready) },
	}
	go func() {
		done <- server.Run(ctx, cfg, func(_ context.Context, o server.Options) (server.Engine, error) { opts = o; return e, nil })
	}()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	return pg, web, opts, e, func() error { cancel(); return <-done }
}

func TestLifecycle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	pg, web, opts, e, stop := run(t, dir)
	ctx := context.Background()
	for _, url := range []string{"postgres://postgres@" + pg[0].String() + "/", "user=postgres port=5432 host=" + filepath.Dir(pg[1].String())} {
		c, err := pgconn.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		// No codec stands behind the fake: the error of a type is the query's.
		if _, err := c.Exec(ctx, "begin").ReadAll(); err != nil {
			t.Error(err)
		}
		defer c.Close(ctx)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": "millrace_sessions 2"} {
		r, err := http.Get(web + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != 200 || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d %.200s", path, r.StatusCode, b)
		}
	}
	if opts.MemoryBytes <= 0 || opts.MemoryBytes > 256<<20 || opts.Workers < 1 {
		t.Errorf("options %+v", opts)
	}
	if !opts.Backends.Cancel(1) || opts.Backends.Cancel(99) {
		t.Error("Backends does not know the sessions")
	}

	// A second server on the same directory is refused, and does no harm.
	err := server.Run(ctx, server.Config{DataDir: dir, Log: slog.New(slog.DiscardHandler)}, nil)
	if err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("second server: %v", err)
	}

	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 10*time.Second { // of the 15 that it gives to those who do not go
		t.Errorf("the stop took %v", d)
	}
	select {
	case <-e.closed:
	default:
		t.Error("the engine was not closed")
	}
	if n := e.Sessions.Load(); n != 0 {
		t.Errorf("%d sessions outlive the server", n)
	}
	_, _, _, _, stop = run(t, dir) // the directory is free again
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	opened := func(context.Context, server.Options) (server.Engine, error) {
		return nil, sqlstate.Errorf(sqlstate.DataCorrupted, "told to fail")
	}
	dirWith := func(name, text string) string {
		d := t.TempDir()
		if err := os.WriteFile(filepath.Join(d, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return d
	}
	cases := []struct {
		name string
		cfg  server.Config
		has  string
	}{
		{"no directory", server.Config{}, "no data directory"},
		{"someone else's directory", server.Config{DataDir: dirWith("PG_VERSION", "15")}, "not a Millrace data directory"},
		{"newer format", server.Config{DataDir: dirWith("FORMAT", "millrace data format 9\n")}, "use a newer server"},
		{"broken format", server.Config{DataDir: dirWith("FORMAT", "x")}, "not a Millrace format file"},
		{"half a TLS pair", server.Config{DataDir: t.TempDir(), TLSCert: "x"}, "given together"},
		{"missing TLS files", server.Config{DataDir: t.TempDir(), TLSCert: "x", TLSKey: "y"}, "TLS files"},
		{"engine fails", server.Config{DataDir: t.TempDir()}, "told to fail"},
	}
	for _, c := range cases {
		c.cfg.Log = log
		if err := server.Run(context.Background(), c.cfg, opened); err == nil || !strings.Contains(err.Error(), c.has) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A port in use.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e := engine{wire.NewFake(), make(chan struct{})}
	err = server.Run(context.Background(), server.Config{DataDir: t.TempDir(), Listen: []string{ln.Addr().String()}, Log: log},
		func(context.Context, server.Options) (server.Engine, error) { return e, nil })
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
	<-e.closed
}
