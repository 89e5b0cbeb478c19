// Command writes measures a running Millrace under upserts:
//
//	writes keys     upsert rate into an empty table and into one that holds -rows keys
//	writes amp      write amplification of random upserts over -rows keys for -duration,
//	                then space and scan time before and after VACUUM
//	writes commits  latency of single-row commits, alone and beside a COPY of -rows rows
//	                or a stream of upserts
//	writes q1       a query like TPC-H Q1 over a table of -rows rows, idle, beside half the
//	                sustained rate of upserts into it, and beside all of it
//	writes copy     COPY of the same rows: plain, and with on_conflict into itself
//	writes steady   upserts for -duration into a table of -rows rows and -orientation: stalls, space
//	                and scan time beside those of the compacted table
//	writes mixed    analytic queries alone, upserts alone and both, each at -cores of processor time
//	writes visible  a commit and its read on another connection, for -duration
//	writes cursor   a REPEATABLE READ cursor over -rows rows, read for -duration under full
//	                load: whether it keeps its answer, and how much the disk grows
//
// It makes tables of its own and drops them. CPU is that of the server process, from
// /metrics of -http.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	dsn      = flag.String("dsn", "postgres://postgres@127.0.0.1:5432/postgres", "server")
	web      = flag.String("http", "http://127.0.0.1:8080", "the server's HTTP address")
	rows     = flag.Int64("rows", 1_000_000, "rows of the table")
	duration = flag.Duration("duration", 15*time.Second, "of each measurement")
	clients  = flag.Int("clients", 8, "clients that upsert")
	batch    = flag.Int("batch", 1000, "rows of a statement")
	keep     = flag.Bool("keep", false, "keep the tables")
	atMost   = flag.Float64("rate", 0, "amp, cursor, steady: rows a second at most; 0: as many as go")
	cores    = flag.Float64("cores", 1, "mixed: processor time that queries and upserts take, each, of the server and of this client")
	width    = flag.Int("workers", 0, "mixed: of a query; 0: as many as the server gives it")
	apart    = flag.Bool("apart", false, "mixed: upsert into a table other than the one that is queried")

	orientation = flag.String("orientation", "column", "steady, mixed: of the table: row, column or row,column")

	slow   = flag.Duration("slow", 0, "steady, mixed: look at the server's goroutines when an upsert takes longer (-stacks)")
	stacks = flag.String("stacks", "writes-waits", "folder for what -slow sees")

	loaded = flag.Bool("loaded", false, "keys: only upsert into the table that -keep left")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	modes := map[string]func(context.Context) error{"keys": keys, "amp": amp, "commits": commits, "q1": q1, "copy": copies, "cursor": cursor, "visible": visible, "steady": steady, "mixed": mixed}
	run := modes[flag.Arg(0)]
	if run == nil {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// metrics are the server's, by name with labels.
func metrics() (map[string]float64, error) {
	r, err := http.Get(*web + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	m := map[string]float64{}
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), " "); ok && name != "#" {
			m[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return m, nil
}

func cpu() (float64, error) {
	m, err := metrics()
	return m["process_cpu_seconds_total"], err
}

// session is a connection that runs statements.
type session struct{ c *pgx.Conn }

func connect(ctx context.Context) (session, error) {
	c, err := pgx.Connect(ctx, *dsn)
	return session{c}, err
}

func (s session) exec(ctx context.Context, sql ...string) error {
	for _, q := range sql {
		if _, err := s.c.Exec(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// create makes the table and drops it at the end.
func (s session) create(ctx context.Context, name, columns, with string) (drop func(), err error) {
	drop = func() {
		if !*keep {
			_, _ = s.c.Exec(context.Background(), "DROP TABLE IF EXISTS "+name)
		}
	}
	drop()
	return drop, s.exec(ctx, "CREATE TABLE "+name+" ("+columns+") WITH ("+with+")")
}

// writer upserts batches.
type writer struct {
	s    session
	sql  string
	args func(r *rand.Rand) []any
	rnd  *rand.Rand
}

// upserts has n writers work until the duration is over or ctx ends, at most at rate
// rows a second when that is not 0, and gives the rows a second.
func upserts(ctx context.Context, n int, d time.Duration, rate float64, sql string, args func(*rand.Rand) []any) (float64, error) {
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, n)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	start := time.Now()
	for i := range n {
		s, err := connect(ctx)
		if err != nil {
			return 0, err
		}
		w := &writer{s, sql, args, rand.New(rand.NewPCG(uint64(start.UnixNano()), uint64(i)))}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer w.s.c.Close(context.Background())
			// The last statement goes on to its end: one that is left would be in the next measurement.
			whole := context.WithoutCancel(ctx)
			for ctx.Err() == nil {
				if _, err := w.s.c.Exec(whole, w.sql, w.args(w.rnd)...); err != nil {
					if ctx.Err() == nil {
						errs <- err
						cancel()
					}
					return
				}
				written := done.Add(int64(*batch))
				if rate > 0 {
					if ahead := float64(written)/rate - time.Since(start).Seconds(); ahead > 0 {
						time.Sleep(time.Duration(ahead * float64(time.Second)))
					}
				}
			}
		}()
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

const keyedUpsert = "INSERT INTO w_keys SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT (k) DO UPDATE SET n = excluded.n"

// keyedArgs are batches of keys of up to space, scattered.
func keyedArgs(space int64) func(*rand.Rand) []any {
	return func(r *rand.Rand) []any {
		ks, ns := make([]int64, *batch), make([]int64, *batch)
		seen := make(map[int64]bool, *batch)
		for i := range ks {
			for {
				ks[i] = scatter(r.Int64N(space))
				if !seen[ks[i]] {
					break
				}
			}
			seen[ks[i]], ns[i] = true, r.Int64N(1000)
		}
		return []any{ks, ns}
	}
}

// scatter is a bijection of the integers below 2^40, in SQL: scattered.
func scatter(k int64) int64 { return k * 668265263 & (1<<40 - 1) }

const scattered = "g * 668265263 & 1099511627775"

// keys compares upserts into an empty table with those into a large one; half of the
// keys are new.
func keys(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	if *loaded {
		_, _, err := measureKeys(ctx, "as it stands")
		return err
	}
	drop, err := s.create(ctx, "w_keys", "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL", "orientation = 'column'")
	if err != nil {
		return err
	}
	defer drop()
	r0, c0, err := measureKeys(ctx, "empty table")
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "TRUNCATE w_keys"); err != nil {
		return err
	}
	const part = 1_000_000
	start := time.Now()
	for at := int64(0); at < *rows; at += part {
		q := fmt.Sprintf("INSERT INTO w_keys SELECT %s, g FROM generate_series(%d::bigint, %d) g", scattered, at, min(at+part, *rows)-1)
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	fmt.Printf("%d keys loaded in %.1f s\n", *rows, time.Since(start).Seconds())
	time.Sleep(*duration) // compaction
	r1, c1, err := measureKeys(ctx, fmt.Sprintf("%d keys", *rows))
	if err != nil {
		return err
	}
	fmt.Printf("rate %.2f of the empty table's, CPU a row %.2f of it\n", r1/r0, c1/c0)
	m, err := metrics()
	fmt.Printf("key filters in memory: %.0f MB\n", m["millrace_key_filter_bytes"]/1e6)
	return err
}

func measureKeys(ctx context.Context, what string) (float64, float64, error) {
	before, err := cpu()
	if err != nil {
		return 0, 0, err
	}
	rate, err := upserts(ctx, *clients, *duration, 0, keyedUpsert, keyedArgs(2**rows))
	if err != nil {
		return 0, 0, err
	}
	after, err := cpu()
	each := (after - before) / (rate * duration.Seconds()) * 1e6
	fmt.Printf("%-28s %10.0f rows/s %8.2f µs of CPU a row\n", what, rate, each)
	return rate, each, err
}

// amp upserts at random and relates what was written to what was logged.
func amp(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	drop, err := s.create(ctx, "w_amp", "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL, ts timestamptz NOT NULL, s text NOT NULL", "orientation = 'column'")
	if err != nil {
		return err
	}
	defer drop()
	q := fmt.Sprintf("INSERT INTO w_amp SELECT %s, g, now(), 'payload of row ' || md5(g::text) FROM generate_series(0::bigint, %d) g", scattered, *rows-1)
	if err := s.exec(ctx, q, "VACUUM w_amp"); err != nil {
		return err
	}
	scan := func() (time.Duration, error) {
		best := time.Hour
		for range 5 {
			start := time.Now()
			if err := s.exec(ctx, "SELECT count(*), sum(n), max(ts), sum(length(s)) FROM w_amp"); err != nil {
				return 0, err
			}
			best = min(best, time.Since(start))
		}
		return best, nil
	}
	size := func() (n int64, err error) {
		err = s.c.QueryRow(ctx, "SELECT pg_total_relation_size('w_amp')").Scan(&n)
		return n, err
	}
	before, err := metrics()
	if err != nil {
		return err
	}
	rate, err := upserts(ctx, *clients, *duration, *atMost,
		"INSERT INTO w_amp SELECT k, n, now(), 'payload of row ' || md5(n::text) FROM unnest($1::bigint[], $2::bigint[]) u(k, n) ON CONFLICT (k) DO UPDATE SET n = excluded.n, ts = excluded.ts, s = excluded.s",
		keyedArgs(*rows))
	if err != nil {
		return err
	}
	after, err := metrics()
	if err != nil {
		return err
	}
	sum, logged := 0.0, 0.0
	for _, what := range []string{"log", "flush", "compaction", "side", "deletes"} {
		name := `millrace_written_bytes_total{what="` + what + `"}`
		n := after[name] - before[name]
		fmt.Printf("%-12s %8.1f MB\n", what, n/1e6)
		if sum += n; what == "log" {
			logged = n
		}
	}
	fmt.Printf("%.0f rows/s, %.1f bytes logged a row, write amplification %.2f\n", rate, logged/(rate*duration.Seconds()), sum/logged)
	under, err := scan()
	if err != nil {
		return err
	}
	big, err := size()
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "VACUUM w_amp"); err != nil {
		return err
	}
	time.Sleep(time.Second)
	least, err := scan()
	if err != nil {
		return err
	}
	small, err := size()
	if err != nil {
		return err
	}
	fmt.Printf("scan %.1f ms, compacted %.1f ms: %.2f\n", ms(under), ms(least), float64(under)/float64(least))
	fmt.Printf("size %.1f MB, compacted %.1f MB: %.2f\n", float64(big)/1e6, float64(small)/1e6, float64(big)/float64(small))
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// line is a table like lineitem.
const (
	lineColumns = `l_orderkey bigint NOT NULL, l_linenumber int NOT NULL, l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL,
		l_discount decimal(15,2) NOT NULL, l_tax decimal(15,2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL,
		l_shipdate date NOT NULL, l_comment text NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber)`
	lineValues = `g / 4, (g %% 4)::int, 1 + g * 7 %% 50, 900 + g * 31 %% 100000, (g %% 11) / 100.0, (g %% 9) / 100.0,
		substr('ANR', 1 + (g * 5 %% 3)::int, 1), substr('OF', 1 + (g %% 2)::int, 1), date '1992-01-01' + (g * 2654435761 %% 2526)::int, 'carefully final deposits ' || g`
	lineQuery = `SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)),
		sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
		FROM w_line WHERE l_shipdate <= date '1998-12-01' - interval '90 days' GROUP BY 1, 2 ORDER BY 1, 2`
)

func lineRows(from, to int64, step string) string {
	return fmt.Sprintf("SELECT "+lineValues+" FROM generate_series(%d::bigint, %d, %s) g", from, to, step)
}

// lineUpsert updates rows at random.
var lineUpsert = "INSERT INTO w_line SELECT " + strings.ReplaceAll(lineValues, "%%", "%") + ` FROM unnest($1::bigint[]) g ON CONFLICT (l_orderkey, l_linenumber) DO UPDATE SET
	l_quantity = excluded.l_quantity, l_extendedprice = excluded.l_extendedprice, l_discount = excluded.l_discount, l_tax = excluded.l_tax, l_returnflag = excluded.l_returnflag,
	l_linestatus = excluded.l_linestatus, l_shipdate = excluded.l_shipdate, l_comment = excluded.l_comment`

func lineArgs(r *rand.Rand) []any {
	seen := make(map[int64]bool, *batch)
	gs := make([]int64, 0, *batch)
	for len(gs) < *batch {
		if g := r.Int64N(*rows); !seen[g] {
			seen[g] = true
			gs = append(gs, g)
		}
	}
	return []any{gs}
}

func (s session) lines(ctx context.Context) (func(), error) {
	drop, err := s.create(ctx, "w_line", lineColumns, "orientation = 'column', distribution_key = 'l_orderkey', clustering_key = 'l_shipdate'")
	if err != nil {
		return nil, err
	}
	return drop, s.exec(ctx, "INSERT INTO w_line "+lineRows(0, *rows-1, "1"), "VACUUM w_line")
}

// q1 times the query alone and beside upserts.
func q1(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	drop, err := s.lines(ctx)
	if err != nil {
		return err
	}
	defer drop()
	// run repeats the query: the median time, and how many ran.
	run := func(ctx context.Context) (time.Duration, int, error) {
		var took []time.Duration
		for ctx.Err() == nil || len(took) < 5 {
			start := time.Now()
			if err := s.exec(context.WithoutCancel(ctx), lineQuery); err != nil {
				return 0, 0, err
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[len(took)/2], len(took), nil
	}
	timed := func(rate float64) (time.Duration, float64, float64, error) {
		ctx, cancel := context.WithTimeout(ctx, *duration)
		defer cancel()
		before, err := cpu()
		if err != nil {
			return 0, 0, 0, err
		}
		var got float64
		var uerr error
		var wg sync.WaitGroup
		if rate != 0 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				got, uerr = upserts(ctx, *clients, *duration, max(rate, 0), lineUpsert, lineArgs)
			}()
		}
		d, n, err := run(ctx)
		wg.Wait()
		if err == nil {
			err = uerr
		}
		if err != nil {
			return 0, 0, 0, err
		}
		after, err := cpu()
		return d, (after - before) / float64(n), got, err
	}
	idle, idleCPU, _, err := timed(0)
	if err != nil {
		return err
	}
	fmt.Printf("idle                 %8.1f ms %8.1f ms of CPU\n", ms(idle), idleCPU*1e3)
	c0, err := cpu()
	if err != nil {
		return err
	}
	full, err := upserts(ctx, *clients, *duration, 0, lineUpsert, lineArgs)
	if err != nil {
		return err
	}
	c1, err := cpu()
	if err != nil {
		return err
	}
	perRow := (c1 - c0) / (full * duration.Seconds())
	fmt.Printf("sustained            %8.0f rows/s %6.2f µs of CPU a row\n", full, perRow*1e6)
	half, _, got, err := timed(full / 2)
	if err != nil {
		return err
	}
	fmt.Printf("beside %7.0f/s     %8.1f ms: %.2f\n", got, ms(half), float64(half)/float64(idle))
	busy, _, got, err := timed(-1)
	if err != nil {
		return err
	}
	fmt.Printf("beside %7.0f/s     %8.1f ms: %.2f\n", got, ms(busy), float64(busy)/float64(idle))
	// Right after the upserts, with nothing beside: what masks and memtables cost.
	after, afterCPU, err := quick(ctx, s)
	if err != nil {
		return err
	}
	fmt.Printf("right after          %8.1f ms %8.1f ms of CPU: %.2f of the idle CPU\n", ms(after), afterCPU*1e3, afterCPU/idleCPU)
	return nil
}

// quick runs the query a few times.
func quick(ctx context.Context, s session) (time.Duration, float64, error) {
	const n = 12
	before, err := cpu()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	for range n {
		if err := s.exec(ctx, lineQuery); err != nil {
			return 0, 0, err
		}
	}
	took := time.Since(start) / n
	after, err := cpu()
	return took, (after - before) / n, err
}

// commits times single-row upserts, alone and beside other work.
func commits(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	for name, columns := range map[string]string{"w_small": "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL", "w_keys": "k bigint NOT NULL PRIMARY KEY, n bigint NOT NULL"} {
		drop, err := s.create(ctx, name, columns, "orientation = 'column'")
		if err != nil {
			return err
		}
		defer drop()
	}
	drop, err := s.create(ctx, "w_line", lineColumns, "orientation = 'column', distribution_key = 'l_orderkey', clustering_key = 'l_shipdate'")
	if err != nil {
		return err
	}
	defer drop()
	if err := s.exec(ctx, "INSERT INTO w_small SELECT g, g FROM generate_series(1, 100000) g"); err != nil {
		return err
	}
	measure := func(what string, d time.Duration, beside func(context.Context) error) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		over := make(chan error, 1)
		if beside != nil {
			go func() { over <- beside(ctx) }()
		} else {
			time.AfterFunc(d, func() { over <- nil })
		}
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 4 {
			c, err := connect(ctx)
			if err != nil {
				return err
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.c.Close(context.Background())
				r := rand.New(rand.NewPCG(9, uint64(i)))
				var took []time.Duration
				for {
					select {
					case <-stop:
						mu.Lock()
						all = append(all, took...)
						mu.Unlock()
						return
					default:
					}
					start := time.Now()
					if err := c.exec(ctx, fmt.Sprintf("INSERT INTO w_small VALUES (%d, 1) ON CONFLICT (k) DO UPDATE SET n = excluded.n", r.IntN(200000))); err != nil {
						log.Print(err)
						return
					}
					took = append(took, time.Since(start))
				}
			}()
		}
		start := time.Now()
		err := <-over
		close(stop)
		wg.Wait()
		if err != nil {
			return err
		}
		slices.Sort(all)
		at := func(p float64) float64 { return ms(all[min(len(all)-1, int(p*float64(len(all))))]) }
		fmt.Printf("%-16s %8d commits in %5.1f s  p50 %7.2f  p90 %7.2f  p99 %7.2f  p99.9 %7.2f  max %7.2f ms\n", what, len(all), time.Since(start).Seconds(), at(.5), at(.9), at(.99), at(.999), at(1))
		return nil
	}
	if err := measure("alone", *duration, nil); err != nil {
		return err
	}
	if err := measure("upserts", 0, func(ctx context.Context) error {
		_, err := upserts(ctx, 2, *duration, 0, keyedUpsert, keyedArgs(*rows))
		return err
	}); err != nil {
		return err
	}
	f, err := s.lineFile(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(f)
	return measure("COPY", 0, func(ctx context.Context) error { return s.copyFile(ctx, f, "") })
}

// lineFile has the server write the rows of w_line as text to a temporary file.
func (s session) lineFile(ctx context.Context) (string, error) {
	f, err := os.CreateTemp("", "writes-*.copy")
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = s.c.PgConn().CopyTo(ctx, w, "COPY ("+lineRows(0, *rows-1, "1")+") TO STDOUT")
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync() // its writeback is not what is measured
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), err
}

// copyFile copies a file into w_line over a connection of its own.
func (s session) copyFile(ctx context.Context, name, with string) error {
	c, err := connect(ctx)
	if err != nil {
		return err
	}
	defer c.c.Close(context.Background())
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = c.c.PgConn().CopyFrom(ctx, io.Reader(f), "COPY w_line FROM STDIN "+with)
	return err
}

// copies compares a plain COPY into an empty keyed table with one that replaces all
// of its rows.
func copies(ctx context.Context) error {
	s, err := connect(ctx)
	if err != nil {
		return err
	}
	drop, err := s.create(ctx, "w_line", lineColumns, "orientation = 'column', distribution_key = 'l_orderkey', clustering_key = 'l_shipdate'")
	if err != nil {
		return err
	}
	defer drop()
	f, err := s.lineFile(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(f)
	for _, run := range []struct{ what, before, with string }{
		{"plain, empty", "TRUNCATE w_line", ""},
		{"on_conflict, empty", "TRUNCATE w_line", "WITH (on_conflict 'update')"},
		{"on_conflict, the same keys", "SELECT 1", "WITH (on_conflict 'update')"},
	} {
		if err := s.exec(ctx, run.before); err != nil {
			return err
		}
		before, err := cpu()
		if err != nil {
			return err
		}
		start := time.Now()
		if err := s.copyFile(ctx, f, run.with); err != nil {
			return err
		}
		d := time.Since(start).Seconds()
		after, err := cpu()
		if err != nil {
			return err
		}
		fmt.Printf("%-28s %8.1f s %10.0f rows/s %6.2f µs of CPU a row\n", run.what, d, float64(*rows)/d, (after-before)/float64(*rows)*1e6)
	}
	return nil
}
