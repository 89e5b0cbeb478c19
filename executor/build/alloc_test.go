package build_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// allocCases are queries over %[1]d rows that use each operator and sink.
var allocCases = []struct {
	name, sql string
	// rate is how many allocations a batch may cost, for what gathers rows: memory grows
	// by doubling, in pieces of bounded size, or with what a lane keeps for each chunk.
	// Moving windows make a state for each batch of results.
	rate float64
}{
	{"scan", "select x from generate_series(1, %[1]d) x", 0},
	{"filter", "select x from generate_series(1, %[1]d) x where x %% 3 = 1 and x > 7", 0},
	{"project", "select x + 1, x * 2.5::float8, x::text from generate_series(1, %[1]d) x", 0},
	{"limit", "select x from generate_series(1, %[1]d) x offset 10 limit 10000000", 0},
	{"union all", "select x from generate_series(1, %[1]d) x union all select -x from generate_series(1, %[1]d) x", 0},
	{"count", "select count(*), sum(x), avg(x), min(x), max(x), count(*) filter (where x %% 2 = 0) from generate_series(1, %[1]d) x", 0},
	{"aggregates", "select bool_and(x > 0), bit_and(x), stddev(x), corr(x, x + 1), max(x::text), sum(x::numeric / 3) from generate_series(1, %[1]d) x", 0},
	{"group by integer", "select x %% 100, count(*), sum(x) from generate_series(1, %[1]d) x group by 1", 0},
	{"group by text", "select 'a group of some length ' || x %% 100, count(*), max(x) from generate_series(1, %[1]d) x group by 1", 0},
	{"group by two", "select x %% 10, 'group ' || x %% 10, count(*) from generate_series(1, %[1]d) x group by 1, 2", 0},
	{"grouping sets", "select x %% 10, x %% 7, count(*) from generate_series(1, %[1]d) x group by rollup (1, 2)", 0},
	{"distinct", "select distinct x %% 50 from generate_series(1, %[1]d) x", 0},
	{"distinct on", "select distinct on (x / 100000) x from generate_series(1, %[1]d) x order by x / 100000, x", 0.1},
	{"distinct aggregate", "select x %% 3, count(distinct x %% 50), sum(distinct x %% 60) from generate_series(1, %[1]d) x group by 1", 0},
	{"ordered aggregate", "select x %% 3, length(string_agg('s', '' order by x desc)) from generate_series(1, %[1]d) x group by 1", 0.3},
	{"percentile", "select percentile_cont(0.5) within group (order by x) from generate_series(1, %[1]d) x", 0.3},
	{"sort", "select x from generate_series(1, %[1]d) x order by -x", 0.1},
	{"sort by text", "select x from generate_series(1, %[1]d) x order by x::text desc", 0.1},
	{"top", "select x from generate_series(1, %[1]d) x order by x %% 1000, x desc limit 10", 0.1},
	{"inner join", "select a, b from generate_series(1, %[1]d) a join generate_series(1, 300) b on a %% 1000 = b", 0},
	{"join by text", "select a, b from generate_series(1, %[1]d) a join generate_series(1, 20) b on (a %% 1000)::text = b::text", 0},
	{"join with a condition", "select a, b from generate_series(1, %[1]d) a left join generate_series(1, 300) b on a %% 2000 = b and a + b > 1100", 0},
	{"left join", "select a, b from generate_series(1, %[1]d) a left join generate_series(1, 300) b on a %% 2000 = b", 0},
	{"full join", "select a, b from generate_series(1, %[1]d) a full join generate_series(1, 300) b on a %% 2000 = b", 0},
	{"join of many", "select count(*) from generate_series(1, %[1]d) a join generate_series(1, 300) b on a %% 10 = b %% 100", 0},
	{"build", "select count(*) from generate_series(1, 1000) a join generate_series(1, %[1]d) b on a = b", 0.1},
	{"semi join", "select a from generate_series(1, %[1]d) a where a %% 2000 in (select b from generate_series(1, 300) b)", 0},
	{"anti join", "select a from generate_series(1, %[1]d) a where not exists (select from generate_series(1, 300) b where a %% 2000 = b)", 0},
	{"mark", "select a, a %% 2000 in (select b from generate_series(1, 300) b) from generate_series(1, %[1]d) a", 0},
	{"nested loop", "select count(*) from generate_series(1, %[1]d) a join generate_series(1, 3) b on a %% 7 < b", 0},
	{"except", "select x %% 100 from generate_series(1, %[1]d) x except select 5", 0},
	{"intersect all", "select x %% 100 from generate_series(1, %[1]d) x intersect all select x %% 200 from generate_series(1, %[1]d) x", 0},
	{"window", "select sum(x) over (partition by x %% 10 order by x) from generate_series(1, %[1]d) x", 1},
	{"window functions", "select row_number() over w, rank() over w, lag(x) over w from generate_series(1, %[1]d) x window w as (partition by x %% 10 order by x)", 1},
	{"moving window", "select sum(x) over (partition by x %% 10 order by x rows between 3 preceding and 3 following) from generate_series(1, %[1]d) x", 4},
	{"shared CTE", "with c as materialized (select x from generate_series(1, %[1]d) x) select count(*) from c union all select sum(x) from c", 0.1},
	{"set-returning", "select x, generate_series(1, 2) from generate_series(1, %[1]d) x", 0},
	{"recursion", "with recursive r(n) as (select x from generate_series(1, %[1]d) x union all select -n from r where n > 0) select count(*) from r", 0.1},
}

// runQuery runs a plan on this goroutine and reads all of it.
func runQuery(t *testing.T, env *build.Env, sql string) func() {
	root, err := planSQL(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return func() {
		q, err := build.Start(context.Background(), root, env)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for {
			b, err := q.Next(context.Background())
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			if b == nil {
				return
			}
		}
	}
}

// TestNoAllocationPerBatch runs every operator over some batches and over twice as
// many: the second may cost no more allocations.
func TestNoAllocationPerBatch(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool forgets some of what it is given")
	}
	const batches = 16
	env := &build.Env{Eval: &eval.Env{}, Account: mem.NewRoot(0), Settings: build.Settings{ForceInline: true}}
	for _, c := range allocCases {
		t.Run(c.name, func(t *testing.T) {
			n := testing.AllocsPerRun(1, runQuery(t, env, fmt.Sprintf(c.sql, batches*vec.Size)))
			m := testing.AllocsPerRun(1, runQuery(t, env, fmt.Sprintf(c.sql, 2*batches*vec.Size)))
			// Some for what doubles.
			if rate := (m - n - 12) / batches; rate > c.rate {
				t.Errorf("%v allocations for %d batches, %v for twice as many: %.2f for each", n, batches, m, (m-n)/batches)
			}
		})
	}
	if env.Account.Used() != 0 {
		t.Errorf("%d bytes still charged", env.Account.Used())
	}
}
