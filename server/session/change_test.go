package session_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server/pgwire"
)

// prepared runs a statement with parameters in text, outside a block.
func prepared(s pgwire.Session, sql string, params []string, out *sink) (err error) {
	if err = prepare(s, sql); sqlstate.CodeOf(err) == sqlstate.DuplicatePreparedStatement {
		err = nil
	}
	if err == nil {
		err = bound(s, sql, params, out)
	}
	return err
}

// prepare prepares a statement for bound.
func prepare(s pgwire.Session, sql string) error {
	err := s.Parse(context.Background(), nameOf(sql), sql, nil)
	if e := s.Sync(context.Background()); err == nil {
		err = e
	}
	return err
}

// nameOf is the name that a statement is prepared under: the same for the same one.
func nameOf(sql string) string { return strings.ReplaceAll(sql, " ", "") }

// bound runs a statement that was prepared.
func bound(s pgwire.Session, sql string, params []string, out *sink) error {
	ctx := context.Background()
	var ps [][]byte
	for _, p := range params {
		ps = append(ps, []byte(p))
	}
	err := s.Bind(ctx, "", nameOf(sql), nil, ps, nil)
	if err == nil {
		_, err = s.Execute(ctx, "", 0, out)
	}
	if e := s.Sync(ctx); err == nil {
		err = e
	}
	return err
}

// TestChangeByKey: an UPDATE or DELETE by key does without pipelines what it does with
// them, in blocks and by itself, errors and counts among it.
func TestChangeByKey(t *testing.T) {
	e := open(t)
	quick, slow := session(t, e), session(t, e)
	exec(t, slow, "SET millrace.batch_size = 512")
	for _, orientation := range []string{"row", "column", "row,column"} {
		t.Run(orientation, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, uint64(len(orientation))))
			with := strings.ReplaceAll(orientation, ",", "_")
			for _, p := range []string{"q_", "s_"} {
				exec(t, quick, fmt.Sprintf("CREATE TABLE %s%s (k int PRIMARY KEY, m int NOT NULL, n int8, s text) WITH (orientation = '%s')", p, with, orientation))
				exec(t, quick, fmt.Sprintf("INSERT INTO %s%s SELECT g, g, g * 2, 's' || g FROM generate_series(1, 40) g", p, with))
			}
			digest := "SELECT (count(*) * 1000003 + coalesce(sum(k * 7919 + m * 31 + coalesce(n, -5) * 17 + length(coalesce(s, 'null'))), 0))::int8 FROM T"
			shapes := []struct {
				sql string
				n   int
			}{
				{"UPDATE T SET n = n + $2 WHERE k = $1", 2},
				{"UPDATE T SET n = $2 , s = s || 'x' WHERE k = $1 AND n < 60", 2},
				{"UPDATE T SET s = NULL , n = k + $2 WHERE k = $1", 2},
				{"UPDATE T SET k = $2 WHERE k = $1", 2},
				{"UPDATE T SET m = 100 / ( m - $2 ) WHERE k = $1", 2},
				{"UPDATE T SET n = NULL WHERE k = $1 AND m > 3", 1},
				{"UPDATE T SET m = n WHERE k = $1", 1},
				{"DELETE FROM T WHERE k = $1", 1},
				{"DELETE FROM T WHERE k = $1 AND n > 30", 1},
				{"INSERT INTO T VALUES ( $1 , $2::int , $2::int , 'new' ) ON CONFLICT (k) DO UPDATE SET m = excluded.m , n = excluded.n , s = excluded.s", 2},
				{"INSERT INTO T VALUES ( $1 , $2 , 7 , 'new' )", 2},
				{"SELECT n FROM T WHERE k = $1", 1}, {"SELECT length(s), m FROM T WHERE k = $1 AND m > 2", 1},
				{"BEGIN", 0}, {"COMMIT", 0}, {"ROLLBACK", 0}, {"SAVEPOINT a", 0}, {"ROLLBACK TO a", 0},
				{digest, 0},
			}
			named := func(sql string, j int) string {
				return strings.TrimSpace(strings.ReplaceAll(sql+" ", " T ", " "+[]string{"q_", "s_"}[j]+with+" "))
			}
			for _, x := range shapes { // not in blocks, which a second time would end
				for j, s := range []pgwire.Session{quick, slow} {
					if x.n > 0 {
						if err := prepare(s, named(x.sql, j)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			for i := range 1500 {
				x := shapes[rng.IntN(len(shapes))]
				params := []string{strconv.Itoa(1 + rng.IntN(45)), strconv.Itoa(rng.IntN(45))}[:x.n]
				asParams := rng.IntN(2) == 0
				var outs [2]sink
				var errs [2]error
				for j, s := range []pgwire.Session{quick, slow} {
					sql := named(x.sql, j)
					if asParams && x.n > 0 {
						errs[j] = bound(s, sql, params, &outs[j])
						continue
					}
					for k, p := range params {
						sql = strings.ReplaceAll(sql, "$"+strconv.Itoa(k+1), p)
					}
					errs[j] = s.Simple(context.Background(), sql, &outs[j])
				}
				if sqlstate.CodeOf(errs[0]) != sqlstate.CodeOf(errs[1]) || (errs[0] == nil) != (errs[1] == nil) {
					t.Fatalf("%d: %s %v: %v, with pipelines %v", i, x.sql, params, errs[0], errs[1])
				}
				if errs[0] == nil && outs[0] != outs[1] {
					t.Fatalf("%d: %s %v: %+v, with pipelines %+v", i, x.sql, params, outs[0], outs[1])
				}
			}
			for _, s := range []pgwire.Session{quick, slow} {
				_ = s.Simple(context.Background(), "ROLLBACK", &sink{})
			}
		})
	}
}

// TestTextBySettings: the text of floats and bytea is that of the session's settings where
// programs are kept from one execution to the next.
func TestTextBySettings(t *testing.T) {
	s := session(t, open(t))
	exec(t, s, "CREATE TABLE txt (k int PRIMARY KEY, s text) WITH (orientation = 'row')")
	const number, octets = "0.30000000000000004", `\x41ff`
	key := 0
	for _, x := range []struct{ set, number, octets string }{
		{"SET extra_float_digits = 1", number, octets},
		{"SET extra_float_digits = 0", "0.3", octets},
		{"SET bytea_output = 'escape'", "0.3", `A\377`},
	} {
		exec(t, s, x.set)
		for _, p := range []struct{ typ, param, want string }{{"float8", number, x.number}, {"bytea", octets, x.octets}} {
			value := "($2::" + p.typ + ")::text"
			for range 2 { // also with what the first has compiled
				key++
				k := strconv.Itoa(key)
				for _, sql := range []string{
					"INSERT INTO txt VALUES ($1, " + value + ")",
					"UPDATE txt SET s = " + value + " WHERE k = $1",
					"UPDATE txt SET s = s WHERE k = $1 AND s = " + value,
				} {
					out := &sink{}
					if err := prepared(s, sql, []string{k, p.param}, out); err != nil {
						t.Fatalf("%s: %v", sql, err)
					}
					if n := exec(t, s, "SELECT count(*) FROM txt WHERE k = "+k+" AND s = '"+p.want+"'").value(); n != 1 || !strings.HasSuffix(out.tag, " 1") {
						t.Errorf("%s: %s: %s, the text is not %s", x.set, sql, out.tag, p.want)
					}
				}
				out := &sink{}
				sql := "SELECT k FROM txt WHERE k = $1 AND s = " + value
				if err := prepared(s, sql, []string{k, p.param}, out); err != nil || out.rows != 1 {
					t.Errorf("%s: %s: %d rows, %v", x.set, sql, out.rows, err)
				}
			}
		}
	}
}

// TestInsertTime: a prepared INSERT has the time of its transaction, in the session's zone.
func TestInsertTime(t *testing.T) {
	s := session(t, open(t))
	exec(t, s, "CREATE TABLE clk (k int PRIMARY KEY, a timestamptz, b timestamp) WITH (orientation = 'row')")
	const sql = "INSERT INTO clk VALUES ($1, CURRENT_TIMESTAMP, LOCALTIMESTAMP)"
	if err := prepare(s, sql); err != nil {
		t.Fatal(err)
	}
	insert := func(k int) {
		if err := bound(s, sql, []string{strconv.Itoa(k)}, &sink{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York"} {
		exec(t, s, "SET TIME ZONE '"+zone+"'")
		exec(t, s, "BEGIN")
		insert(3 * i)
		exec(t, s, "SELECT pg_sleep(0.002)")
		insert(3*i + 1)
		if n := exec(t, s, "SELECT count(*) FROM clk WHERE a = now()").value(); n != 2 {
			t.Errorf("%s: %d rows of a block have its time", zone, n)
		}
		exec(t, s, "COMMIT")
		insert(3*i + 2)
		if n := exec(t, s, "SELECT count(DISTINCT a) FROM clk").value(); n != int64(2*i+2) {
			t.Errorf("%s: %d times", zone, n)
		}
		if n := exec(t, s, fmt.Sprintf("SELECT count(*) FROM clk WHERE k >= %d AND b = a AT TIME ZONE '%s'", 3*i, zone)).value(); n != 3 {
			t.Errorf("%s: %d rows have the zone's time", zone, n)
		}
	}
}

// TestChangeByUniqueKey: changes by a UNIQUE key of rows whose keys others move about
// change those that have the key when it is their turn, and no others.
func TestChangeByUniqueKey(t *testing.T) {
	const workers, rounds = 4, 60
	e := open(t)
	s := session(t, e)
	exec(t, s, "CREATE TABLE un (k int PRIMARY KEY, u int UNIQUE, n int8 NOT NULL) WITH (orientation = 'row')")
	exec(t, s, "INSERT INTO un SELECT g, g, 0 FROM generate_series(1, 4) g")
	var done atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		x := session(t, e)
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for range rounds {
				out := &sink{}
				var err error
				u := strconv.Itoa(1 + rng.IntN(8))
				if rng.IntN(3) == 0 { // to a key of nobody, or not
					v := strconv.Itoa(1 + rng.IntN(8))
					err = prepared(x, "UPDATE un SET u = $1 WHERE u = $2", []string{v, u}, out)
					if sqlstate.CodeOf(err) == sqlstate.UniqueViolation {
						err = nil
					}
				} else if err = prepared(x, "UPDATE un SET n = n + 1 WHERE u = $1 AND u = u", []string{u}, out); err == nil {
					done.Add(out.count())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	if n := exec(t, s, "SELECT sum(n)::int8 FROM un").value(); n != done.Load() || n == 0 {
		t.Errorf("rows say %d, statements %d", n, done.Load())
	}
	for i := range 9 {
		u := strconv.Itoa(i)
		a, b := exec(t, s, "SELECT count(*) FROM un WHERE u = "+u).value(), exec(t, s, "SELECT count(*) FROM un WHERE u + 0 = "+u).value()
		if a != b {
			t.Errorf("key %d: %d rows by the key, %d by a scan", i, a, b)
		}
	}
}

// TestChangeByKeyBeside: changes of the same rows by many at once, in blocks and by
// themselves, with keys and without, add up, and rows that upserts replace meanwhile
// stay whole.
func TestChangeByKeyBeside(t *testing.T) {
	const workers, rounds = 6, 60
	e := open(t)
	s := session(t, e)
	for _, orientation := range []string{"row", "column", "row,column"} {
		with := strings.ReplaceAll(orientation, ",", "_")
		exec(t, s, fmt.Sprintf("CREATE TABLE sum_%s (k int PRIMARY KEY, n int8 NOT NULL) WITH (orientation = '%s')", with, orientation))
		exec(t, s, fmt.Sprintf("INSERT INTO sum_%s SELECT g, 0 FROM generate_series(1, 4) g", with))
		exec(t, s, fmt.Sprintf("CREATE TABLE two_%s (k int PRIMARY KEY, a int8, b int8) WITH (orientation = '%s')", with, orientation))
		exec(t, s, fmt.Sprintf("INSERT INTO two_%s SELECT g, 0, 0 FROM generate_series(1, 2) g", with))
		exec(t, s, "VACUUM")
		var done atomic.Int64
		var wg sync.WaitGroup
		for w := range workers {
			x := session(t, e)
			wg.Add(1)
			go func() {
				defer wg.Done()
				rng := rand.New(rand.NewPCG(uint64(w), 5))
				run := func(sql string) bool {
					sql = strings.ReplaceAll(sql, "@", with)
					if err := x.Simple(context.Background(), sql, &sink{}); err != nil {
						t.Errorf("%s: %v", sql, err)
						return false
					}
					return true
				}
				for i := range rounds {
					k := 1 + rng.IntN(4)
					switch rng.IntN(5) {
					case 0, 1:
						end := []string{"COMMIT", "COMMIT", "ROLLBACK"}[rng.IntN(3)]
						if !run("BEGIN") || !run(fmt.Sprintf("UPDATE sum_@ SET n = n + 1 WHERE k = %d", k)) ||
							!run(fmt.Sprintf("UPDATE sum_@ SET n = n + 2 WHERE k = %d", k)) ||
							!run(fmt.Sprintf("UPDATE two_@ SET a = a + 1, b = b + 1 WHERE k = %d", 1+i%2)) || !run(end) {
							return
						}
						if end == "COMMIT" {
							done.Add(3)
						}
					case 2:
						if !run(fmt.Sprintf("UPDATE sum_@ SET n = n + 1 WHERE k = %d", k)) {
							return
						}
						done.Add(1)
					case 3:
						if !run("UPDATE sum_@ SET n = n + 1 WHERE k <= 2") {
							return
						}
						done.Add(2)
					case 4:
						v := rng.IntN(1000)
						if !run(fmt.Sprintf("INSERT INTO two_@ VALUES (%d, %d, %d) ON CONFLICT (k) DO UPDATE SET a = excluded.a, b = excluded.b", 1+i%2, v, v)) ||
							!run(fmt.Sprintf("UPDATE two_@ SET a = a + 1, b = b + 1 WHERE k = %d", 1+i%2)) {
							return
						}
					}
				}
			}()
		}
		wg.Wait()
		if n := exec(t, s, "SELECT sum(n)::int8 FROM sum_"+with).value(); n != done.Load() {
			t.Errorf("%s: rows say %d, statements %d", orientation, n, done.Load())
		}
		if n := exec(t, s, "SELECT count(*) FROM two_"+with+" WHERE a <> b").value(); n != 0 {
			t.Errorf("%s: %d rows are torn", orientation, n)
		}
	}
}
