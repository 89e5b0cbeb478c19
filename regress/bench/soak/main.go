// Command soak runs a server under everything at once for as long as one likes, and
// judges it: change events from Kafka, upserts, updates and deletes by key on row,
// hybrid and column tables, look-ups, transactions like TPC-B's and others with
// savepoints and locks, dashboards, readers of binlogs, COPY and large updates and
// deletes, changes of the catalog, cancelled queries, cursors, clients that come, go and
// die amid a message; with -kill, kill -9 every so often.
//
//	soak -millrace bin/millrace -duration 1h
//
// Writers know what their rows are to be and read them on other connections; each
// binlog must give each change once and in order; the sums of the banks must hold at
// each moment; the table of the stream must become what was produced. Every -every it
// notes memory, heap, goroutines, descriptors, files and the p99 of each class (-out);
// with -slow it notes what the server's goroutines wait for when a statement takes long.
// In the end all clients leave, the server comes to rest, is stopped, checked by
// `millrace check` and started again to compare all rows once more. It fails when
// anything was wrong: an answer, an SQLSTATE that a class does not allow, memory or
// disk that grew over the second half of the run (judge.go has the tolerances),
// goroutines, sockets, descriptors or deleted files that stayed.
//
// -fault does something wrong on purpose, so that one sees each check fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/regress/bench/waits"
)

var (
	millrace = flag.String("millrace", "bin/millrace", "server to start")
	port     = flag.Int("port", 5493, "its port")
	httpPort = flag.Int("http-port", 8093, "its port for metrics")
	memory   = flag.String("memory-limit", "1GB", "its memory limit")
	dataDir  = flag.String("data-dir", "", "where its data directory is made; a temporary directory by default")
	broker   = flag.String("broker", "127.0.0.1:19093", "address of the broker that it reads")
	duration = flag.Duration("duration", 5*time.Minute, "how long")
	rate     = flag.Float64("rate", 1, "how busy clients are: 1 is about 60% of a core for the server")
	messages = flag.Float64("messages", 200, "change events a second at -rate 1")
	kill     = flag.Duration("kill", 0, "kill -9 and restart the server every so often")
	every    = flag.Duration("every", 5*time.Second, "between samples")
	report   = flag.Duration("report", time.Minute, "between lines")
	out      = flag.String("out", "", "file for the samples, as CSV")
	profiles = flag.String("profiles", "", "folder for profiles of heap and goroutines from the middle, the end and rest")
	seedFlag = flag.Uint64("seed", 1, "seed of the clients' choices")
	fault    = flag.String("fault", "", "what to do wrong on purpose: "+strings.Join(faultNames(), ", "))
	settle   = flag.Duration("settle", 5*time.Minute, "how long a run must be for memory and disk to be judged: caches fill first")
	slow     = flag.Duration("slow", 0, "look at the server's goroutines when a statement of a single row takes longer (-stacks)")
	stacks   = flag.String("stacks", "soak-waits", "folder for what -slow sees")
	shards   = flag.Int("shards", 2, "shards of the tables")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(*dataDir, "soak-")
	if err != nil {
		return err
	}
	srv := &process{dir: filepath.Join(dir, "data"), addr: fmt.Sprint("127.0.0.1:", *port), web: fmt.Sprint("127.0.0.1:", *httpPort)}
	if srv.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return err
	}
	defer srv.log.Close()
	s := &soak{srv: srv, began: time.Now(), wrong: map[string]int{}}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			fmt.Println("data and the server's log are in", dir)
		}
	}()
	if err := srv.start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil && len(srv.ended) == 0 {
			_ = srv.stop()
		}
	}()
	t, err := s.stream()
	if err != nil {
		return err
	}
	defer t.close()
	if err := s.create(ctx); err != nil {
		return err
	}
	var before sample
	for range 2 { // the first look leaves a connection of HTTP
		time.Sleep(time.Second)
		if before, err = srv.look(); err != nil {
			return err
		}
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	if s.watch, err = waits.New("http://"+srv.web, *stacks, *slow); err != nil {
		return err
	}
	defer s.watch.Close()
	samples, writers, followers, err := s.load(ctx, t)
	if err != nil {
		return err
	}
	rest, err := s.leave(t, writers, followers, before)
	if err != nil {
		return err
	}
	s.table(samples, before, rest)
	for _, b := range judge(samples, before, rest) {
		s.fail("%s", b)
	}
	if err := s.again(writers, t); err != nil {
		return err
	}
	if len(s.order) > 0 {
		fmt.Println("\nwrong:")
		for _, w := range s.order {
			fmt.Printf("%6d times  %s\n", s.wrong[w], w)
		}
		return errors.New("failed")
	}
	fmt.Println("nothing was wrong")
	return ctx.Err()
}

// once runs statements on a connection of their own.
func (s *soak) once(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, s.srv.dsn())
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	_, err = c.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// create makes the tables.
func (s *soak) create(ctx context.Context) error {
	sql := fmt.Sprintf("CALL hg_create_table_group('soak', %d);", *shards)
	for _, o := range orientations {
		sql += fmt.Sprintf("CREATE TABLE %s (k bigint PRIMARY KEY, owner int NOT NULL, v bigint NOT NULL, n bigint NOT NULL DEFAULT 0, note text)\n"+
			"\tWITH (orientation = '%s', table_group = 'soak', binlog_level = 'replica', binlog_ttl = '60');", tableOf(o), o)
	}
	return s.once(ctx, sql+bankSchema)
}

func (s *soak) subscribe(ctx context.Context) error {
	return s.once(ctx, fmt.Sprintf(streamSchema, *broker))
}

// load runs the clients and takes samples until the time is over.
func (s *soak) load(ctx context.Context, t *stream) ([]sample, []*keyed, []*follower, error) {
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	defer s.clients.Wait()
	s.began = time.Now()
	followers := s.follow(ctx)
	writers := s.rows(ctx)
	s.bank(ctx)
	s.bulk(ctx)
	s.changes(ctx)
	s.queries(ctx)
	t.run(ctx)
	s.sabotage(ctx)
	var killer sync.WaitGroup
	defer killer.Wait()
	if *kill > 0 {
		killer.Go(func() { s.kills(ctx) })
	}
	w := io.Discard
	if *out != "" {
		f, err := os.Create(*out)
		if err != nil {
			return nil, nil, nil, err
		}
		defer f.Close()
		w = f
	}
	fmt.Fprint(w, "s,cpu s,rss,live,goroutines,sockets,others,held,files,bytes,log")
	for _, k := range s.classes {
		fmt.Fprintf(w, ",%s p99 ms", k.name)
	}
	fmt.Fprintln(w)
	fmt.Printf("%6s %6s %8s %8s %6s %6s %6s %8s %8s   p99 ms: %s\n", "s", "CPU %", "RSS MB", "heap MB", "gorout", "fds", "files", "data MB", "log MB", "one row, look-up, tpc-b, dashboard, cancel")
	tick := time.NewTicker(*every)
	defer tick.Stop()
	var all []sample
	var last sample
	lastLine := time.Now()
	middle := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return all, writers, followers, nil
		}
		turn := s.srv.turn.Load()
		o, err := s.srv.look()
		if err != nil || turn != s.srv.turn.Load() {
			if turn%2 == 0 && turn == s.srv.turn.Load() {
				return nil, nil, nil, fmt.Errorf("sample: %w", err)
			}
			continue
		}
		o.at = time.Since(s.began)
		for _, k := range s.classes {
			o.p99 = append(o.p99, k.turn())
		}
		all = append(all, o)
		fmt.Fprintf(w, "%.1f,%.2f,%d,%d,%d,%d,%d,%d,%d,%d,%d", o.at.Seconds(), o.cpu.Seconds(), o.rss, o.live, o.goroutines, o.sockets, o.others, o.held, o.files, o.bytes, o.log)
		for _, p := range o.p99 {
			fmt.Fprintf(w, ",%.2f", float64(p.Microseconds())/1000)
		}
		fmt.Fprintln(w)
		if time.Since(lastLine) >= *report-*every/2 {
			fmt.Printf("%6.0f %6.1f %8d %8d %6d %6d %6d %8d %8d  ", o.at.Seconds(), 100*(o.cpu-last.cpu).Seconds()/(o.at-last.at).Seconds(), o.rss>>20, o.live>>20, o.goroutines,
				o.sockets+o.others, o.files, o.bytes>>20, o.log>>20)
			for _, name := range []string{"s_row one", "s_row look-up", "tpc-b", "dashboard", "cancel"} {
				k := s.class(name)
				k.mu.Lock()
				fmt.Printf(" %7.1f", float64(k.all.at(0.99).Microseconds())/1000)
				k.mu.Unlock()
			}
			fmt.Println()
			last, lastLine = o, time.Now()
		}
		if !middle && o.at > *duration/2 {
			middle = true
			s.profile("middle")
		}
		if o.at > *duration-*every {
			s.profile("end")
		}
	}
}

func (s *soak) profile(when string) {
	if *profiles == "" {
		return
	}
	for _, p := range []string{"heap?gc=1", "goroutine?debug=1"} {
		name, _, _ := strings.Cut(p, "?")
		if err := s.srv.save(p, filepath.Join(*profiles, name+"-"+when)); err != nil {
			fmt.Println("profile:", err)
		}
	}
}

// kills ends the server every so often and starts it again.
func (s *soak) kills(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(*kill):
		}
		s.srv.kill()
		start := time.Now()
		if err := s.srv.start(context.WithoutCancel(ctx)); err != nil {
			log.Fatal(err)
		}
		s.class("restart").took(time.Since(start))
	}
}

// leave checks everything once more when all clients but its own have left, has those
// leave too, and waits for the server to come to rest.
func (s *soak) leave(t *stream, writers []*keyed, followers []*follower, before sample) (sample, error) {
	ctx := context.Background()
	t.settled(ctx)
	t.c.close()
	a := s.client("auditor", 900)
	a.audit(ctx)
	a.close()
	for _, w := range writers {
		_ = w.verify(ctx)
		w.w.close()
		w.r.close()
	}
	for _, f := range followers {
		for f.read(ctx) > 0 {
		}
		f.same(writers)
		f.c.close()
	}
	if err := s.once(ctx, "DROP SUBSCRIPTION s_orders_in"); err != nil {
		return sample{}, err
	}
	var o sample
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Second) {
		if err := s.srv.collect(); err != nil {
			return o, err
		}
		if o, err = s.srv.look(); err != nil {
			return o, err
		}
		// Readers' views of deleted files go with a collection; connections of the
		// broker's client and of HTTP close by and by.
		if time.Since(began) > 5*time.Second && o.goroutines <= before.goroutines+spareGoroutines && o.sockets <= before.sockets && o.held == 0 {
			break
		}
	}
	s.profile("rest")
	return o, nil
}

// again stops the server, has every byte checked, and compares everything after a start.
func (s *soak) again(writers []*keyed, t *stream) error {
	ctx := context.Background()
	if err := s.srv.stop(); err != nil {
		s.fail("stop: %v", err)
	}
	if err := s.srv.check(ctx); err != nil {
		s.fail("%v", err)
	}
	if err := s.srv.start(ctx); err != nil {
		return err
	}
	for _, w := range writers {
		_ = w.verify(ctx)
		w.r.close()
	}
	a := s.client("auditor", 901)
	a.audit(ctx)
	a.close()
	return s.srv.stop()
}

// table prints what came of it.
func (s *soak) table(all []sample, before, rest sample) {
	fmt.Printf("\n%-22s %9s %9s %9s %9s  %s\n", "class", "done", "p50 ms", "p99 ms", "longest", "refused")
	for _, k := range s.classes {
		var codes []string
		for c, n := range k.codes {
			codes = append(codes, fmt.Sprint(c, ": ", n))
		}
		sort.Strings(codes)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Printf("%-22s %9d %9.1f %9.1f %9.1f  %s\n", k.name, k.all.n, ms(k.all.at(0.5)), ms(k.all.at(0.99)), ms(k.all.longest), strings.Join(codes, ", "))
	}
	if len(all) < 2 {
		return
	}
	first, last := all[0], all[len(all)-1]
	fmt.Printf("\nserver: %.1f%% of a core\n", 100*(last.cpu-first.cpu).Seconds()/(last.at-first.at).Seconds())
	half := secondHalf(all)
	line := func(what string, unit float64, of func(sample) int64) {
		m1, g1 := fit(all[:len(all)-len(half)], of)
		m2, g2 := fit(half, of)
		most := int64(0)
		for _, o := range all {
			most = max(most, of(o))
		}
		fmt.Printf("%-20s first half %8.1f %+8.1f, second half %8.1f %+8.1f, most %8.1f, before %8.1f, at rest %8.1f\n",
			what, m1/unit, g1/unit, m2/unit, g2/unit, float64(most)/unit, float64(of(before))/unit, float64(of(rest))/unit)
	}
	fmt.Println("mean, and growth by a fitted line:")
	line("anonymous memory MB", 1<<20, func(o sample) int64 { return o.rss })
	line("live heap MB", 1<<20, func(o sample) int64 { return o.live })
	line("goroutines", 1, func(o sample) int64 { return o.goroutines })
	line("sockets", 1, func(o sample) int64 { return o.sockets })
	line("other descriptors", 1, func(o sample) int64 { return o.others })
	line("deleted files held", 1, func(o sample) int64 { return o.held })
	line("files", 1, func(o sample) int64 { return o.files })
	line("data MB", 1<<20, func(o sample) int64 { return o.bytes })
	line("log MB", 1<<20, func(o sample) int64 { return o.log })
}
