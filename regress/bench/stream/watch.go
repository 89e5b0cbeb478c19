package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

// server is a server under measurement.
type server struct {
	cmd   *exec.Cmd
	ended chan error
	http  string
	conn  *pgx.Conn
}

func start(ctx context.Context, dir string) (*server, error) {
	addr, web := fmt.Sprintf("127.0.0.1:%d", *port), fmt.Sprintf("127.0.0.1:%d", *httpPort)
	args := []string{"serve", "--data-dir", dir, "--listen", addr, "--http", web, "--log-level", "warn"}
	if *memory != "" {
		args = append(args, "--memory-limit", *memory)
	}
	s := &server{cmd: exec.Command(*millrace, args...), http: web}
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	var err error
	for range 100 {
		select {
		case err := <-s.ended: // somebody else may have the port: that server is not to be loaded
			s.ended <- err
			return nil, fmt.Errorf("the server ended: %w", err)
		default:
		}
		if s.conn, err = pgx.Connect(ctx, "postgres://postgres@"+addr+"/postgres?sslmode=disable"); err == nil {
			time.Sleep(200 * time.Millisecond)
			if len(s.ended) == 0 {
				return s, nil
			}
			_ = s.conn.Close(ctx)
			s.conn = nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.close()
	return nil, fmt.Errorf("the server does not answer: %w", err)
}

func (s *server) close() {
	if s.conn != nil {
		_ = s.conn.Close(context.Background())
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
}

// create makes the table and its subscription.
func (s *server) create(ctx context.Context) error {
	sql := strings.ReplaceAll(schema, "127.0.0.1:19092", *listen)
	sql = strings.ReplaceAll(sql, `PUBLICATION "orders"`, fmt.Sprintf("PUBLICATION %q", *topic))
	if *kind == "json" {
		sql = strings.ReplaceAll(sql, "format = 'debezium-json', decimal_handling_mode = 'string'", "format = 'json'")
	}
	_, err := s.conn.Exec(ctx, sql)
	return err
}

// sample is what there is to see at one moment. CPU is the processor time so far, of
// user and system; RSS is anonymous, in bytes.
type sample struct {
	at            time.Time
	cpu           time.Duration
	rss           int64
	sent, applied int64
	lag, errors   int64
	commits       int64
	p50, p99      float64
	state, fault  string
}

// clockTick is USER_HZ.
const clockTick = 10 * time.Millisecond

func (s *server) look(ctx context.Context, sent int64) (sample, error) {
	o := sample{at: time.Now(), sent: sent}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return o, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return o, err
		}
		o.cpu += time.Duration(n) * clockTick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return o, err
	}
	if _, rest, ok := bytes.Cut(status, []byte("RssAnon:")); ok {
		kb, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
		if err != nil {
			return o, err
		}
		o.rss = kb << 10
	}
	err = s.conn.QueryRow(ctx, `SELECT messages, lag_messages, errors, commits, coalesce(freshness_p50_ms, 0)::float8, coalesce(freshness_p99_ms, 0)::float8,
		state, coalesce(last_error, '') FROM pg_stat_subscription`).Scan(&o.applied, &o.lag, &o.errors, &o.commits, &o.p50, &o.p99, &o.state, &o.fault)
	return o, err
}

func (o sample) perMessage(from sample) float64 {
	return float64((o.cpu - from.cpu).Microseconds()) / float64(max(o.applied-from.applied, 1))
}

func (o sample) rate(from sample) float64 {
	return float64(o.applied-from.applied) / o.at.Sub(from.at).Seconds()
}

// measure runs a server under the load and reports.
func measure(ctx context.Context, g *generator) error {
	dir, err := os.MkdirTemp(*dataDir, "stream-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := start(ctx, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.create(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	g.probe = make(chan mark, 1)
	seen := &probes{}
	done := make(chan error, 1)
	wg.Go(func() { done <- g.produce(ctx) })
	if *ahead > 0 {
		wg.Go(func() { g.follow(ctx, s.conn.Config().ConnString()) })
	}
	wg.Go(func() { seen.follow(ctx, s.conn.Config().ConnString(), g.probe) })
	if *profile != "" {
		wg.Go(func() {
			if err := s.profile(ctx, g); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		})
	}
	fmt.Printf("%8s %10s %10s %10s %9s %9s %9s %9s %9s\n", "s", "produced", "applied/s", "µs/message", "p50 ms", "p99 ms", "lag", "RSS MB", "disk MB")
	began := time.Now()
	zero, err := s.look(ctx, 0)
	if err != nil {
		return err
	}
	time.Sleep(*warm)
	from, err := s.look(ctx, g.sent.Load())
	if err != nil {
		return err
	}
	t := time.NewTicker(*every)
	defer t.Stop()
	all := []sample{from}
	for producing := true; producing; {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			producing = false
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		o, err := s.look(ctx, g.sent.Load())
		if err != nil {
			return err
		}
		last := all[len(all)-1]
		if o.at.Sub(last.at) < *every/2 && !producing && len(all) > 1 {
			last = all[len(all)-2]
			all = all[:len(all)-1]
		}
		all = append(all, o)
		fmt.Printf("%8.0f %10d %10.0f %10.2f %9.0f %9.0f %9d %9d %9d\n", o.at.Sub(began).Seconds(), o.sent, o.rate(last), o.perMessage(last), o.p50, o.p99, o.lag,
			o.rss>>20, usage(dir)>>20)
		if o.state != "streaming" {
			return fmt.Errorf("the subscription is %s: %s", o.state, o.fault)
		}
	}
	return s.report(ctx, g, zero, all, seen, time.Since(began))
}

// report sums a run up, and checks that everything arrived.
func (s *server) report(ctx context.Context, g *generator, zero sample, all []sample, seen *probes, ran time.Duration) error {
	from, to := all[0], all[len(all)-1]
	var p50, p99 []float64
	var rss int64
	for _, o := range all[1:] {
		p50, p99, rss = append(p50, o.p50), append(p99, o.p99), max(rss, o.rss)
	}
	slices.Sort(p50)
	slices.Sort(p99)
	fmt.Printf("\n%s, %.0f s: produced %d/s, applied %.0f/s, %.2f µs of server CPU a message, %d commits\n", *kind, ran.Seconds(),
		int64(float64(to.sent)/ran.Seconds()), to.rate(from), to.perMessage(from), to.commits-from.commits)
	fmt.Printf("freshness by the server: p50 %.0f ms, p99 %.0f ms (medians of samples), worst p99 %.0f ms\n", p50[len(p50)/2], p99[len(p99)/2], p99[len(p99)-1])
	fmt.Printf("freshness by queries: %s\n", seen)
	fmt.Printf("anonymous memory: at most %d MB, at the end %d MB\n", rss>>20, to.rss>>20)
	behind := to.sent - to.applied
	deadline := time.Now().Add(time.Minute)
	for to.applied < g.sent.Load() && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		var err error
		if to, err = s.look(ctx, g.sent.Load()); err != nil {
			return err
		}
	}
	var rows int64
	if err := s.conn.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&rows); err != nil {
		return err
	}
	fmt.Printf("from the first message to the last one: %.2f µs of server CPU a message\n", to.perMessage(zero))
	fmt.Printf("at the end %d messages behind; then %d messages of %d, %d rows of %d, %d errors\n", behind, to.applied, g.sent.Load(), rows, g.keys.Load(), to.errors)
	switch {
	case to.applied != g.sent.Load() || rows != g.keys.Load() || to.errors > 0:
		return errors.New("not everything that was produced is in the table")
	case float64(behind) > 2*float64(*rate):
		return errors.New("the server did not keep up")
	}
	return nil
}

// follow keeps what the server has applied up to date.
func (g *generator) follow(ctx context.Context, dsn string) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT messages FROM pg_stat_subscription").Scan(&n); err == nil {
			g.applied.Store(n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// probes are how long it took single messages to be seen by a query.
type probes struct {
	mu   sync.Mutex
	took []time.Duration
}

// follow asks for each probed row until it is as new as the message.
func (p *probes) follow(ctx context.Context, dsn string, marks <-chan mark) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	for {
		select {
		case m := <-marks:
			for ctx.Err() == nil {
				var there bool
				err := conn.QueryRow(ctx, "SELECT changed >= $2 FROM orders WHERE id = $1", m.id, m.sent.UTC().Truncate(time.Millisecond)).Scan(&there)
				if err != nil && !errors.Is(err, pgx.ErrNoRows) {
					if ctx.Err() == nil {
						fmt.Fprintln(os.Stderr, "probe:", err)
					}
					return
				}
				if there {
					p.mu.Lock()
					p.took = append(p.took, time.Since(m.sent))
					p.mu.Unlock()
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		case <-ctx.Done():
			return
		}
	}
}

// String is the quantiles.
func (p *probes) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.took) == 0 {
		return "none seen"
	}
	t := slices.Clone(p.took)
	slices.Sort(t)
	at := func(q float64) int64 { return t[min(int(q*float64(len(t))), len(t)-1)].Milliseconds() }
	return fmt.Sprintf("p50 %d ms, p99 %d ms, longest %d ms of %d messages", at(0.5), at(0.99), t[len(t)-1].Milliseconds(), len(t))
}

// profile takes a profile from the middle of the run on.
func (s *server) profile(ctx context.Context, g *generator) error {
	for began := time.Now(); time.Since(began) < *duration/2 && (*messages == 0 || g.sent.Load() < *messages/2); {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.http, min(20, max(1, int(duration.Seconds()/2-1)))), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(*profile)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// usage is what a directory's files hold.
func usage(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if i, err := e.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}
