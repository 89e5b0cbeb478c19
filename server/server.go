// Package server is the lifecycle of a Millrace process and its wiring: it reads
// the configuration, locks the data directory, opens the engine, and serves the
// PostgreSQL protocol and HTTP until it is told to stop. It and its sub-packages
// are the only room that knows all the others; what ties them together is in
// wire.go.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/millrace/millrace/server/auth"
	"github.com/millrace/millrace/server/httpapi"
	"github.com/millrace/millrace/server/pgwire"
)

// Config is what a process is told from outside.
type Config struct {
	DataDir string
	// Listen are addresses of the PostgreSQL protocol: host:port, or unix:path.
	Listen []string
	HTTP   string // address of HTTP; "" for none
	// MemoryBytes bounds what the process holds, mapped files aside; 0 means
	// DefaultMemoryBytes.
	MemoryBytes int64
	Workers     int // 0: one a core
	// MaxConnections bounds the sessions; 0 means 100.
	MaxConnections  int
	TLSCert, TLSKey string
	Version         string
	Log             *slog.Logger
	// Ready, if set, is called once the server accepts connections.
	Ready func(pg []net.Addr, http net.Addr)
}

// Engine is everything behind the protocol.
type Engine interface {
	pgwire.Sessions
	auth.Roles
	// Collectors are the engine's own metrics.
	Collectors() []prometheus.Collector
	// Close stops background work and makes everything durable. No session is
	// open any more.
	Close() error
}

// Options is what an engine is opened with.
type Options struct {
	DataDir     string
	MemoryBytes int64 // for the engine's accounts
	Workers     int
	Version     string
	Log         *slog.Logger
	Backends    *Backends
}

// OpenFunc opens the engine over a locked data directory, recovering what a crash
// left. It returns early with an error when ctx ends.
type OpenFunc func(ctx context.Context, o Options) (Engine, error)

// Backends reaches the sessions of the server by their number, for
// pg_cancel_backend and its like. It may be used once the server is ready.
type Backends struct{ srv atomic.Pointer[pgwire.Server] }

// Cancel cancels what a session runs; false if there is no such session.
func (b *Backends) Cancel(pid int32) bool {
	s := b.srv.Load()
	return s != nil && s.CancelBackend(pid)
}

// Terminate ends a session; false if there is none.
func (b *Backends) Terminate(pid int32) bool {
	s := b.srv.Load()
	return s != nil && s.TerminateBackend(pid)
}

// shutdownGrace is how long a stop waits for clients before it closes on them.
const shutdownGrace = 15 * time.Second

// Run serves until ctx is done, then stops in order: no new connections, running
// queries cancelled, clients told, engine closed, directory unlocked. A stop that
// went well returns nil.
func Run(ctx context.Context, cfg Config, open OpenFunc) (err error) {
	log := cfg.Log
	tlsConf, err := loadTLS(cfg)
	if err != nil {
		return err
	}
	for _, a := range cfg.Listen {
		if _, _, err := net.SplitHostPort(a); err != nil && !strings.HasPrefix(a, "unix:") {
			return fmt.Errorf("--listen: %q is neither host:port nor unix:PATH", a)
		}
	}
	dir, err := lockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.unlock()) }()

	plan := planMemory(cfg.MemoryBytes)
	plan.apply()
	addProcessors()
	governing, stopGovern := context.WithCancel(ctx)
	var governor sync.WaitGroup
	governor.Go(func() { plan.govern(governing) })
	defer governor.Wait()
	defer stopGovern()
	opts := Options{
		DataDir: cfg.DataDir, MemoryBytes: plan.account, Workers: workers(cfg.Workers),
		Version: cfg.Version, Log: log, Backends: &Backends{},
	}
	began := time.Now()
	eng, err := open(ctx, opts)
	if err != nil {
		return fmt.Errorf("open %s: %w", cfg.DataDir, err)
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	log.Info("data opened", "dir", cfg.DataDir, "took", time.Since(began).Round(time.Millisecond),
		"memory_limit_mb", plan.limit>>20, "workers", opts.Workers)

	pg := pgwire.NewServer(pgwire.Config{
		Loops:    cores,
		Sessions: eng, Auth: auth.NewPolicy(eng), TLS: tlsConf,
		MaxConnections: cfg.MaxConnections, Log: log,
	})
	opts.Backends.srv.Store(pg)
	reg, err := registry(cfg.Version, pg, eng)
	if err != nil {
		return errors.Join(err, pg.Shutdown(ctx))
	}
	failed := make(chan error, len(cfg.Listen)+1)
	pgAddrs, listenErr := listenPG(pg, cfg.Listen, failed)
	var stopHTTP func(context.Context) error
	var httpAddr net.Addr
	if listenErr == nil && cfg.HTTP != "" {
		stopHTTP, httpAddr, listenErr = listenHTTP(cfg.HTTP, httpapi.New(reg, log), failed)
	}
	if listenErr == nil {
		log.Info("ready", "listen", pgAddrs, "http", addrText(httpAddr), "version", cfg.Version)
		if cfg.Ready != nil {
			cfg.Ready(pgAddrs, httpAddr)
		}
		select {
		case <-ctx.Done():
			log.Info("stopping")
		case listenErr = <-failed:
			log.Error("listener failed", "err", listenErr)
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if e := pg.Shutdown(grace); e != nil {
		log.Warn("some clients did not leave in time", "err", e)
	}
	if stopHTTP != nil {
		_ = stopHTTP(grace)
	}
	log.Info("stopped", "sessions_left", pg.Sessions())
	return listenErr
}

func addrText(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

func loadTLS(cfg Config) (*tls.Config, error) {
	if cfg.TLSCert == "" && cfg.TLSKey == "" {
		return nil, nil
	}
	if cfg.TLSCert == "" || cfg.TLSKey == "" {
		return nil, errors.New("--tls-cert and --tls-key are given together")
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("TLS files: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// listenPG opens every address and serves it. On an error Shutdown closes those
// that are open.
func listenPG(pg *pgwire.Server, addrs []string, failed chan<- error) ([]net.Addr, error) {
	var got []net.Addr
	var lns []net.Listener
	for _, a := range addrs {
		network, address := "tcp", a
		if p, ok := strings.CutPrefix(a, "unix:"); ok {
			network, address = "unix", p
			if err := removeStaleSocket(p); err != nil {
				return nil, errors.Join(err, closeAll(lns))
			}
		}
		ln, err := net.Listen(network, address)
		if err != nil {
			return nil, errors.Join(err, closeAll(lns))
		}
		lns = append(lns, ln)
		got = append(got, ln.Addr())
	}
	for _, ln := range lns {
		go func() {
			if err := pg.Serve(ln); err != nil {
				failed <- err
			}
		}()
	}
	return got, nil
}

func closeAll(lns []net.Listener) error {
	var errs []error
	for _, ln := range lns {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// removeStaleSocket removes a socket file that nobody listens on any more.
func removeStaleSocket(p string) error {
	st, err := os.Stat(p)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(filepath.Dir(p), 0o755)
	}
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", p)
	}
	if c, err := net.Dial("unix", p); err == nil {
		_ = c.Close()
		return fmt.Errorf("another server listens on %s", p)
	}
	return os.Remove(p)
}

func listenHTTP(addr string, h http.Handler, failed chan<- error) (stop func(context.Context) error, at net.Addr, err error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			return srv.Close() // a profile may be running
		}
		return nil
	}, ln.Addr(), nil
}

// registry holds the metrics of this process; nothing is registered globally.
func registry(version string, pg *pgwire.Server, eng Engine) (*prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	count := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	c := pg.Counters()
	all := append([]prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "millrace_info", Help: "1, labelled with the version.",
			ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "millrace_sessions", Help: "Clients logged in."},
			func() float64 { return float64(pg.Sessions()) }),
		count("millrace_connections_accepted_total", "Connections accepted.", &c.Accepted),
		count("millrace_connections_rejected_total", "Connections refused because there were too many.", &c.Rejected),
		count("millrace_session_panics_total", "Sessions ended by a panic.", &c.Panics),
	}, eng.Collectors()...)
	for _, x := range all {
		if err := reg.Register(x); err != nil {
			return nil, err
		}
	}
	return reg, nil
}
