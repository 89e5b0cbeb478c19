package limits

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// hungry are statements over n rows that need memory for all of them, and their
// answers; those that may not spill have none, and may end in 53200.
func hungry(n int) []statement {
	sql := func(name, s string, a ...any) statement { return statement{name: name, sql: fmt.Sprintf(s, a...)} }
	const long = "'a string that is not short ' || "
	return []statement{
		sql("sort", "select count(*), min(s), max(s) from (select x, "+long+"x as s from generate_series(1, %d) x order by s desc, x offset 10) q", n),
		sql("join", "select count(*), sum(length(b.s)) from generate_series(1, %d) a join (select x * 2 as y, "+long+"x as s from generate_series(1, %[1]d) x) b on a = b.y", n),
		sql("outer join", "select count(*), count(b.y) from generate_series(1, %d) a full join (select x * 3 as y, "+long+"x as s from generate_series(1, %[1]d) x) b on a = b.y", n),
		sql("groups", "select count(*), sum(c), min(m) from (select x %% %d as k, count(*) c, max("+long+"x) m from generate_series(1, %d) x group by 1) q", n/3, n),
		sql("distinct", "select count(distinct x %% %d), count(distinct "+long+"x), sum(x) from generate_series(1, %d) x", n/3, n),
		sql("distinct rows", "select count(*) from (select distinct x %% %d, "+long+"x from generate_series(1, %d) x) q", n/3, n),
		sql("distinct on", "select count(*), sum(x) from (select distinct on (k) x, k from (select x, "+long+"x %% %d as k from generate_series(1, %d) x) p order by k, x) q", n/3, n),
		sql("window", "select max(r), count(*) from (select sum(x) over (partition by x %% 1000 order by x::bigint * 7919 %% 100003, x rows between 100 preceding and 100 following) r from generate_series(1, %d) x) q", n),
		sql("one partition", "select max(r), sum(x) from (select row_number() over (order by x::bigint * 7919 %% 1000003, x) r, x from generate_series(1, %d) x) q", n),
		sql("except", "select count(*) from (select x from generate_series(1, %d) x except select x * 3 from generate_series(1, %[1]d) x) q", n),
		sql("shared CTE", "with c as materialized (select x, x * 7 %% 1000003 as k from generate_series(1, %d) x) select count(*) from c a join c b on a.k = b.x", n),
		sql("recursion", "with recursive r(n) as (select 1 union select (r.n * 3 + g.x) %% %d from r, generate_series(1, 3) g(x)) select count(*) from r", n/5),
		sql("arrays", "select length(string_agg(x::text, ',')), array_length(array_agg(x), 1) from generate_series(1, %d) x", n),
		sql("percentile", "select percentile_cont(0.5) within group (order by x), count(distinct x) from generate_series(1, %d) x", n),
		sql("long strings", "select sum(length(repeat('abcdefghij', 1000 + x))) from generate_series(1, %d) x", n/1000),
		sql("one long string", "select length(upper(repeat('abcdefghij', %d)))", n),
	}
}

// checked are the queries of the kit, in the form with a total order where there is one.
func checked(t *testing.T) []statement {
	qs := queries(t)
	for i, q := range qs {
		f := strings.Replace(q.name, "hits ", "hits-check/", 1) + ".sql"
		if b, err := os.ReadFile(filepath.Join("../bench/queries", f)); err == nil {
			qs[i].sql = string(b)
		}
	}
	return qs
}

// answer runs a query and digests its rows; floats to 9 digits, since lanes add up in
// any order.
func answer(ctx context.Context, c *pgx.Conn, sql string) (string, error) {
	h := fnv.New64a()
	n := 0
	r := c.PgConn().Exec(ctx, sql)
	for r.NextResult() {
		rr := r.ResultReader()
		for rr.NextRow() {
			n++
			for i, v := range rr.Values() {
				switch rr.FieldDescriptions()[i].DataTypeOID {
				case pgtype.Float4OID, pgtype.Float8OID:
					if f, err := strconv.ParseFloat(string(v), 64); err == nil {
						v = strconv.AppendFloat(nil, f, 'e', 8, 64)
					}
				}
				_, _ = fmt.Fprintf(h, "%d ", len(v))
				_, _ = h.Write(v)
			}
		}
	}
	return fmt.Sprintf("%d rows, %x", n, h.Sum64()), r.Close()
}

// resident is the memory of a process that no file backs, in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "RssAnon:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no RssAnon")
}

// TestSessions runs 16 sessions of large queries at once: each query ends with the
// answer that it has alone, or in 53200, memory stays within the limit, and nothing
// is left in the accounts. MILLRACE_LIMITS_PID and _BYTES are the process of a running
// server and its limit, MILLRACE_LIMITS_TIME is how long to go on.
func TestSessions(t *testing.T) {
	x := server(t)
	const sessions = 16
	size, pid, limit, rounds, most := 60000, os.Getpid(), int64(256<<20), 8, 5*time.Minute
	var until time.Time
	var during time.Duration
	if x.long {
		size, rounds = 3_000_000, 1<<30
		pid, _ = strconv.Atoi(os.Getenv("MILLRACE_LIMITS_PID"))
		limit, _ = strconv.ParseInt(os.Getenv("MILLRACE_LIMITS_BYTES"), 10, 64)
		d, err := time.ParseDuration(os.Getenv("MILLRACE_LIMITS_TIME"))
		if err != nil {
			d = time.Minute
		}
		during = d
		most += d + 5*time.Minute
	}
	all := append(checked(t), hungry(size)...)
	if only := os.Getenv("MILLRACE_LIMITS_ONLY"); only != "" {
		all = slices.DeleteFunc(all, func(s statement) bool { return !strings.Contains(s.name, only) })
	}
	ctx, stop := background(most)
	defer stop()
	_, _ = x.metric("go_goroutines")
	base, err := x.metric("go_goroutines")
	if err != nil {
		t.Fatal(err)
	}

	// What each gives alone.
	alone := map[string]string{}
	admin := connect(t, x.dsn)
	for _, s := range all {
		a, err := answer(ctx, admin, s.sql)
		if err != nil && !outOfMemory(err) {
			t.Fatalf("%s: %v", s.name, err)
		}
		if alone[s.name] = a; err != nil {
			alone[s.name] = "" // one that has no room alone has none among others
			t.Logf("%s has no room alone", s.name)
		}
	}

	if x.long {
		until = time.Now().Add(during)
	}
	watched, peak := make(chan struct{}), int64(0)
	go func() {
		defer close(watched)
		for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			n, err := resident(pid)
			if err != nil {
				return
			}
			peak = max(peak, n)
		}
	}()
	var mu sync.Mutex
	done, refused := 0, map[string]int{}
	var wg sync.WaitGroup
	for k := range sessions {
		wg.Go(func() {
			c, err := pgx.Connect(ctx, x.dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close(context.Background()) }()
			rng := rand.New(rand.NewPCG(uint64(k), uint64(time.Now().UnixNano())))
			for i := 0; i < rounds && (until.IsZero() || time.Now().Before(until)); i++ {
				s := all[rng.IntN(len(all))]
				if i%2 == 0 { // the heavier ones are fewer
					s = all[len(all)-1-rng.IntN(min(16, len(all)))]
				}
				a, err := answer(ctx, c, s.sql)
				mu.Lock()
				switch {
				case outOfMemory(err):
					refused[s.name]++
				case err != nil:
					t.Errorf("%s: %v", s.name, err)
				case alone[s.name] != "" && a != alone[s.name]:
					t.Errorf("%s: %s, alone %s", s.name, a, alone[s.name])
				default:
					done++
				}
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatal("some did not end")
	}
	stop()
	<-watched
	_ = admin.Close(context.Background())
	x.settles(t, base)
	t.Logf("%d right, in 53200 %v, %d MB resident at most", done, refused, peak>>20)
	if done == 0 {
		t.Error("none succeeded")
	}
	// The race detector's shadow is several times what it watches.
	if !raceEnabled && limit > 0 && peak > limit/10*12 {
		t.Errorf("%d MB resident with a limit of %d MB", peak>>20, limit>>20)
	}
}

func outOfMemory(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "53200"
}
