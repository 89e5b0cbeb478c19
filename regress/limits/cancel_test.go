package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// heavy are statements besides those of the kit that a cancel must end, whatever
// the size of the data: each would run for long.
var heavy = []statement{
	{name: "sleep", sql: "select pg_sleep(30)"},
	{name: "recursion", sql: "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r"},
	{name: "recursion of a join", sql: "with recursive r(n) as (select 1 union select (r.n * 3 + g.x) % 1000000 from r, generate_series(1, 3) g(x)) select count(*) from r"},
	{name: "series", sql: "select count(*), sum(x) from generate_series(1, 100000000000) x"},
	{name: "sort", sql: "select * from (select x::bigint * 7919 % 1000003 as k, x, 'a string that is not short ' || x as s from generate_series(1, 20000000) x) q order by s desc, k offset 19999990"},
	{name: "sort of a join", sql: "select a.l_orderkey, b.l_comment from lineitem a, lineitem b where a.l_linenumber = b.l_linenumber order by 2, 1 offset 100000000000"},
	{name: "cross join", sql: "select count(*) from lineitem a, lineitem b where a.l_extendedprice + b.l_discount = 1"},
	{name: "join of few keys", sql: "select count(*) from lineitem a join lineitem b on a.l_linenumber = b.l_linenumber join lineitem c on c.l_linenumber = b.l_linenumber where a.l_comment || b.l_comment || c.l_comment = 'x'"},
	{name: "groups", sql: "select count(*) from (select x % 9000001 as k, count(*), max(x) from generate_series(1, 30000000) x group by 1) q"},
	{name: "distinct", sql: "select count(distinct x % 9000001), count(distinct x % 8000001), sum(x) from generate_series(1, 30000000) x"},
	{name: "arrays", sql: "select length(string_agg(x::text, ',')) + array_length(array_agg(x), 1) from generate_series(1, 3000000) x"},
	{name: "window", sql: "select max(r) from (select sum(x) over (partition by x % 1000 order by x::bigint * 7919 % 100003 rows between 100 preceding and 100 following) r from generate_series(1, 5000000) x) q"},
	{name: "one partition", sql: "select max(r) from (select row_number() over (order by x::bigint * 7919 % 1000003) r, x from generate_series(1, 20000000) x) q"},
	{name: "whole partition", sql: "select max(r) from (select x - percent_rank() over (order by x::bigint * 7919 % 1000003) r from generate_series(1, 3000000) x) q", memory: true},
	{name: "excluded rows", sql: "select max(v) from (select nth_value(x, 1000000) over (order by x rows between unbounded preceding and unbounded following exclude current row) v from generate_series(1, 300000) x) q"},
	{name: "except", sql: "select count(*) from (select x from generate_series(1, 20000000) x except select x * 3 from generate_series(1, 10000000) x) q"},
	{name: "shared CTE", sql: "with c as materialized (select x, x * 7 % 1000003 as k from generate_series(1, 10000000) x) select count(*) from c a join c b on a.k = b.x"},
	{name: "regex", sql: "select count(*) from lineitem, generate_series(1, 1000) g where l_comment ~ ('(a|b)+.*' || g || '$')"},
	{name: "one row", sql: "select length(regexp_replace(repeat('abcdefghij', 100000), '(.)(.)', '\\2\\1', 'g'))"},
	{name: "numbers", sql: "select length((10::numeric ^ 30000 / 7 * (3::numeric ^ 20000))::text)  from generate_series(1, 10000)"},
	{name: "result", sql: "select a.*, b.* from lineitem a, lineitem b"},
	{name: "create table as", sql: "create table made as select x, x * 2 as y, 'string ' || x as s from generate_series(1, 100000000) x"},
	{name: "insert", sql: "insert into filled select x, 'string ' || x from generate_series(1, 100000000) x"},
	{name: "update", sql: "update filled set b = b || 'x' from generate_series(1, 100000000) g where a = g"},
	{name: "delete", sql: "delete from filled where a in (select x from generate_series(1, 100000000) x)"},
	{name: "explain", sql: "explain analyze select count(*) from lineitem a, lineitem b where a.l_extendedprice + b.l_discount = 1"},
}

// canceled is one cancelled statement.
type canceled struct {
	name  string
	after time.Duration // from its begin to the cancel
	took  time.Duration // from the cancel to the error
}

// TestCancel cancels every statement at random moments.
func TestCancel(t *testing.T) {
	x := server(t)
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("MILLRACE_LIMITS_ROUNDS")); err == nil {
		rounds = n
	}
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	admin := connect(t, x.dsn)
	must(t, admin, "drop table if exists filled, made")
	must(t, admin, "create table filled (a bigint, b text)")
	must(t, admin, "insert into filled select x, 'a string of some length ' || x from generate_series(1, 200000) x")
	_, _ = x.metric("go_goroutines") // the connection for metrics
	base, err := x.metric("go_goroutines")
	if err != nil {
		t.Fatal(err)
	}
	late := watchLate()
	defer late.stop()
	var all []canceled
	before := 0
	one := func(s statement, run func(context.Context, *pgx.Conn) error, most time.Duration) {
		after := time.Duration(rng.Int64N(int64(most)))
		took, ok := cancelAfter(t, x, s, run, after)
		if !ok {
			before++
			return
		}
		// A statement that does not look is late at the same moment again, a machine that
		// was busy is not.
		for range 3 {
			if took.took < time.Second {
				break
			}
			t.Logf("%s after %v: %v", s.name, after, took.took)
			if again, ok := cancelAfter(t, x, s, run, after); ok && again.took < took.took {
				took = again
			}
		}
		all = append(all, took)
	}
	only := os.Getenv("MILLRACE_LIMITS_ONLY")
	for range rounds {
		for _, s := range queries(t) {
			if only != "" && !strings.Contains(s.name, only) {
				continue
			}
			began := time.Now()
			if rounds > 1 || x.long {
				if err := query(s.sql)(context.Background(), admin); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
			one(s, query(s.sql), max(time.Since(began), 5*time.Millisecond))
		}
		most := 500 * time.Millisecond
		if x.long {
			most = 3 * time.Second
		}
		for _, s := range heavy {
			if only != "" && !strings.Contains(s.name, only) && only != "heavy" {
				continue
			}
			one(s, query(s.sql), most)
			one(statement{name: s.name + " (portal)", memory: s.memory}, portal(s.sql), most)
		}
		for _, s := range others {
			if only != "" && !strings.Contains(s.name, only) && only != "heavy" {
				continue
			}
			one(statement{name: s.name}, s.run, most)
		}
	}
	x.settles(t, base)
	slices.SortFunc(all, func(a, b canceled) int { return int(a.took - b.took) })
	if len(all) == 0 {
		t.Fatal("nothing was cancelled in time")
	}
	at := func(f float64) time.Duration {
		return all[int(f*float64(len(all)-1))].took.Round(100 * time.Microsecond)
	}
	t.Logf("%d cancelled, %d had ended before: median %v, 90%% %v, 99%% %v, most %v", len(all), before, at(.5), at(.9), at(.99), at(1))
	for _, c := range all[max(0, len(all)-12):] {
		t.Logf("  %-24s after %v: %v", c.name, c.after.Round(time.Millisecond), c.took.Round(100*time.Microsecond))
	}
	// What a busy machine adds is not the server's: how late a goroutine is that does
	// nothing. A statement that does not look is far above this.
	slack := late.most()
	t.Logf("a goroutine was %v late at most", slack)
	if bound := 2*time.Second + 4*slack; at(1) > bound || at(.9) > bound/2 {
		t.Errorf("some took too long: more than %v", bound)
	}
	must(t, admin, "drop table if exists filled, made")
}

// lateness is the most that a goroutine was late which sleeps for a moment again and
// again: what the machine adds to every time.
type lateness struct {
	end, done chan struct{}
	max       time.Duration
}

func watchLate() *lateness {
	l := &lateness{end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		const nap = 10 * time.Millisecond
		for {
			began := time.Now()
			select {
			case <-l.end:
				return
			case <-time.After(nap):
				l.max = max(l.max, time.Since(began)-nap)
			}
		}
	}()
	return l
}

func (l *lateness) stop() {
	select {
	case <-l.done:
	default:
		close(l.end)
		<-l.done
	}
}

// most ends it.
func (l *lateness) most() time.Duration {
	l.stop()
	return l.max
}

func must(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// cancelAfter runs a statement and cancels it after some time; false if it ended
// before.
func cancelAfter(t *testing.T, x target, s statement, run func(context.Context, *pgx.Conn) error, after time.Duration) (canceled, bool) {
	t.Helper()
	name := s.name
	ctx, stop := background(time.Minute)
	defer stop()
	c, err := pgx.Connect(ctx, x.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	done := make(chan error, 1)
	var ended time.Time
	go func() {
		err := run(ctx, c)
		ended = time.Now()
		done <- err
	}()
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case err = <-done:
		if err != nil && !s.mayEnd(x, err) {
			t.Errorf("%s: %v", name, err)
		}
		return canceled{}, false
	case <-timer.C:
	}
	// As often as it takes: one that comes between two messages of a run that has several
	// finds nothing to do, and does not count. It is taken for one only after a second.
	sent := time.Now()
	again := 300 * time.Millisecond
	several := strings.HasSuffix(name, ")") || name == "vacuum" || name == "statement_timeout"
	if several {
		again = time.Second
	}
	for err = errNone; err == errNone; {
		if several {
			sent = time.Now()
		}
		if e := c.PgConn().CancelRequest(ctx); e != nil {
			t.Fatalf("cancel: %v", e)
		}
		if dir := os.Getenv("MILLRACE_LIMITS_STACKS"); dir != "" {
			select {
			case err = <-done:
			case <-time.After(40 * time.Millisecond):
				x.stacks(t, filepath.Join(dir, name))
			}
			if err != errNone {
				break
			}
		}
		select {
		case err = <-done:
		case <-time.After(again):
		case <-ctx.Done():
			t.Fatalf("%s does not end when it is cancelled", name)
		}
	}
	if err == nil || s.mayEnd(x, err) {
		return canceled{}, false
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "57014" {
		t.Errorf("%s: cancelled after %v it gives %v", name, after, err)
	}
	var one int
	if err := c.QueryRow(ctx, "select 1").Scan(&one); err != nil || one != 1 {
		t.Errorf("%s: the session after it: %v", name, err)
	}
	return canceled{name, after, ended.Sub(sent)}, true
}

// mayEnd says whether the statement may end so before it is cancelled.
func (s statement) mayEnd(x target, err error) bool {
	var pe *pgconn.PgError
	return s.memory && !x.long && errors.As(err, &pe) && pe.Code == "53200"
}

var errNone = errors.New("none yet")

// query runs a statement in a simple query.
func query(sql string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		r := c.PgConn().Exec(ctx, sql)
		for r.NextResult() {
			for rr := r.ResultReader(); rr.NextRow(); {
			}
		}
		return r.Close()
	}
}

// portal runs a statement by a portal that is suspended again and again.
func portal(sql string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		f := c.PgConn()
		sd, err := f.Prepare(ctx, "", sql, nil)
		if err != nil {
			return err
		}
		if len(sd.Fields) == 0 || strings.HasPrefix(sql, "explain") {
			return query(sql)(ctx, c)
		}
		if _, err := f.Exec(ctx, "begin; declare c cursor for "+sql).ReadAll(); err != nil {
			return err
		}
		for {
			rs, err := f.Exec(ctx, "fetch 100 from c").ReadAll()
			if err != nil {
				_, e := f.Exec(ctx, "rollback").ReadAll()
				return errors.Join(err, e)
			}
			if len(rs[0].Rows) < 100 {
				_, err := f.Exec(ctx, "commit").ReadAll()
				return err
			}
		}
	}
}

// others are what is no single query.
var others = []struct {
	name string
	run  func(context.Context, *pgx.Conn) error
}{
	{"copy out", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().CopyTo(ctx, io.Discard, "copy (select a.*, g from lineitem a, generate_series(1, 100000) g) to stdout")
		return err
	}},
	{"copy in", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().CopyFrom(ctx, &endless{}, "copy filled from stdin")
		return err
	}},
	{"copy in, slowly", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().CopyFrom(ctx, &endless{pause: 20 * time.Millisecond}, "copy filled from stdin")
		return err
	}},
	{"vacuum", func(ctx context.Context, c *pgx.Conn) error {
		for {
			if _, err := c.PgConn().Exec(ctx, "insert into filled select x, 'string ' || x from generate_series(1, 100000) x").ReadAll(); err != nil {
				return err
			}
			if _, err := c.PgConn().Exec(ctx, "vacuum filled").ReadAll(); err != nil {
				return err
			}
		}
	}},
	{"statement_timeout", func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.PgConn().Exec(ctx, "set statement_timeout = 60").ReadAll(); err != nil {
			return err
		}
		for i := 0; ; i++ {
			s := heavy[i%4]
			began := time.Now()
			err := query(s.sql)(ctx, c)
			var pe *pgconn.PgError
			if !errors.As(err, &pe) || pe.Code != "57014" {
				return fmt.Errorf("%s under a timeout: %v", s.name, err)
			}
			if !strings.Contains(pe.Message, "timeout") {
				_, e := c.PgConn().Exec(ctx, "set statement_timeout = 0").ReadAll()
				return errors.Join(err, e)
			}
			if d := time.Since(began); d > 15*time.Second { // each goes on for longer
				return fmt.Errorf("%s ends %v after it began, with a timeout of 60 ms", s.name, d)
			}
		}
	}},
}

// endless are rows without end.
type endless struct {
	n     int
	pause time.Duration
}

func (e *endless) Read(b []byte) (int, error) {
	if e.pause > 0 {
		time.Sleep(e.pause)
		b = b[:min(len(b), 200)]
	}
	at := 0
	for at+64 < len(b) {
		e.n++
		at += copy(b[at:], fmt.Sprintf("%d\ta string of row %d\n", e.n, e.n))
	}
	return at, nil
}
