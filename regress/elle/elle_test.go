package elle

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

var (
	howLong  = flag.Duration("elle.time", 2*time.Second, "how long each level runs")
	seed     = flag.Uint64("elle.seed", 1, "of the random transactions")
	dsn      = flag.String("dsn", "", "run on this server instead of one of our own")
	sessions = flag.Int("elle.sessions", 6, "concurrent sessions")
)

// tables are those of the lists: list k is in table k%3.
var tables = []string{"l_column", "l_row", "l_hybrid"}

// TestElle runs random transactions over lists in tables of all orientations and
// checks what they saw. Rounds are checked one by one.
func TestElle(t *testing.T) {
	url := *dsn
	if url == "" {
		url = node.ForTest(t).DSN
	}
	for _, level := range []string{"REPEATABLE READ", "READ COMMITTED", "both"} {
		t.Run(strings.ReplaceAll(level, " ", "_"), func(t *testing.T) {
			s := *seed
			for end := time.Now().Add(*howLong); time.Now().Before(end) && !t.Failed(); s++ {
				t.Run(fmt.Sprint(s), func(t *testing.T) { round(t, url, level, s, min(*howLong, 3*time.Second)) })
			}
		})
	}
}

// clock orders events.
var clock atomic.Int64

type world struct {
	t     *testing.T
	level string
	value atomic.Int64
	base  atomic.Int64 // the lists from here on are in use
	used  sync.Map     // lists ever used
	mu    sync.Mutex
	txns  []*txn
}

// inUse is how many lists are in use at a time, perList how many appends, on average,
// before the next takes the place of the oldest.
const (
	inUse   = 9
	perList = 12
)

func round(t *testing.T, url, level string, seed uint64, d time.Duration) {
	ctx := context.Background()
	c := node.Connect(t, url)
	must := func(sql string) {
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	if *dsn == "" {
		must("CALL hg_create_table_group('elle', 4, 'ignore')")
	}
	for i, name := range tables {
		must("DROP TABLE IF EXISTS " + name)
		with := fmt.Sprintf(" WITH (orientation = '%s', table_group = 'elle')", []string{"column", "row", "row,column"}[i])
		if *dsn != "" {
			with = ""
		}
		must("CREATE TABLE " + name + " (k int PRIMARY KEY, v text NOT NULL)" + with)
	}
	w := &world{t: t, level: level}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range *sessions {
		conn := node.Connect(t, url)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !w.transaction(conn, r) {
					return
				}
			}
		}()
	}
	// Flushes and compactions go on meanwhile.
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
			sql := "CHECKPOINT"
			if i%4 == 3 {
				sql = "VACUUM " + tables[i/4%3]
			}
			if _, err := c.Exec(ctx, sql); err != nil {
				t.Error(sql, err)
			}
		}
	}()
	time.Sleep(d)
	close(stop)
	wg.Wait()
	final := map[int][]int{}
	w.used.Range(func(k, _ any) bool { final[k.(int)] = nil; return true })
	for _, name := range tables {
		rows, err := c.Query(ctx, "SELECT k, v FROM "+name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var k int
			var v string
			if err := rows.Scan(&k, &v); err != nil {
				t.Fatal(err)
			}
			final[k] = numbers(v)
		}
	}
	ok := 0
	for _, x := range w.txns {
		if x.end == committed {
			ok++
		}
	}
	t.Logf("seed %d: %d transactions, %d committed, %d lists", seed, len(w.txns), ok, len(final))
	if ok == 0 {
		t.Error("nothing was committed")
	}
	for _, a := range check(w.txns, final) {
		t.Errorf("seed %d: %s", seed, a)
	}
	if t.Failed() {
		dump(t, w.txns)
	}
}

// transaction runs a random transaction; false ends the session.
func (w *world) transaction(c *pgx.Conn, r *rand.Rand) bool {
	ctx := context.Background()
	x := &txn{snapshot: w.level == "REPEATABLE READ" || w.level == "both" && r.IntN(2) == 0}
	level := "READ COMMITTED"
	if x.snapshot {
		level = "REPEATABLE READ"
	}
	s := &script{w: w, c: c, r: r, x: x}
	x.begun = clock.Add(1)
	var err error
	if r.IntN(5) == 0 { // by itself
		if x.snapshot {
			_, err = c.Exec(ctx, "SET default_transaction_isolation = 'repeatable read'")
		} else {
			_, err = c.Exec(ctx, "SET default_transaction_isolation = 'read committed'")
		}
		if err == nil {
			err = s.step()
		}
	} else {
		_, err = c.Exec(ctx, "BEGIN ISOLATION LEVEL "+level)
		for n := 1 + r.IntN(5); n > 0 && err == nil; n-- {
			err = s.step()
		}
		if err == nil && r.IntN(12) == 0 {
			x.end = aborted
			_, err = c.Exec(ctx, "ROLLBACK")
		} else if err == nil {
			_, err = c.Exec(ctx, "COMMIT")
		}
	}
	if err != nil {
		x.end = aborted
		var e *pgconn.PgError
		if !errors.As(err, &e) || !strings.Contains("40001 40P01 23505", e.Code) {
			w.t.Errorf("T: %v; %s", err, strings.Join(x.text, "; "))
			return false
		}
		if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
			w.t.Error(err)
			return false
		}
	}
	x.fin = clock.Add(1)
	w.mu.Lock()
	x.id = len(w.txns) + 1
	w.txns = append(w.txns, x)
	w.mu.Unlock()
	return true
}

// script is a transaction while it runs.
type script struct {
	w    *world
	c    *pgx.Conn
	r    *rand.Rand
	x    *txn
	stmt int
}

func (s *script) list() int {
	k := int(s.w.base.Load()) + s.r.IntN(inUse)
	s.w.used.Store(k, true)
	return k
}

func tableOf(k int) string { return tables[k%len(tables)] }

func (s *script) step() error {
	s.stmt++
	switch s.r.IntN(10) {
	case 0, 1, 2:
		return s.readOne(s.list(), s.r.IntN(4) == 0)
	case 3:
		return s.readMany()
	case 4:
		if s.c.PgConn().TxStatus() == 'T' {
			return s.savepoint()
		}
	}
	return s.append()
}

func (s *script) exec(sql string, args ...any) (int64, error) {
	s.x.text = append(s.x.text, fmt.Sprint(sql, args))
	tag, err := s.c.Exec(context.Background(), sql, args...)
	return tag.RowsAffected(), err
}

// readOne reads a list, or locks and reads it.
func (s *script) readOne(k int, lock bool) error {
	sql := "SELECT v FROM " + tableOf(k) + " WHERE k = $1"
	if lock {
		sql += []string{" FOR UPDATE", " FOR SHARE", " FOR NO KEY UPDATE"}[s.r.IntN(3)]
	}
	s.x.text = append(s.x.text, fmt.Sprint(sql, k))
	var v string
	err := s.c.QueryRow(context.Background(), sql, k).Scan(&v)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return err
	}
	s.x.ops = append(s.x.ops, op{kind: read, key: k, list: numbers(v), stmt: s.stmt, newest: lock && !s.x.snapshot})
	return nil
}

// readMany reads several lists in one statement: some by key, or all that are in use.
func (s *script) readMany() error {
	keys := map[int]bool{}
	var parts []string
	if s.r.IntN(3) == 0 {
		lo := int(s.w.base.Load())
		for k := lo; k < lo+inUse; k++ {
			keys[k] = true
			s.w.used.Store(k, true)
		}
		for _, t := range tables {
			parts = append(parts, fmt.Sprintf("SELECT k, v FROM %s WHERE k BETWEEN %d AND %d", t, lo, lo+inUse-1))
		}
	} else {
		in := map[string][]string{}
		for range 2 + s.r.IntN(3) {
			k := s.list()
			if !keys[k] {
				keys[k] = true
				in[tableOf(k)] = append(in[tableOf(k)], strconv.Itoa(k))
			}
		}
		for t, ks := range in {
			parts = append(parts, fmt.Sprintf("SELECT k, v FROM %s WHERE k IN (%s)", t, strings.Join(ks, ", ")))
		}
	}
	sql := strings.Join(parts, " UNION ALL ")
	s.x.text = append(s.x.text, sql)
	rows, err := s.c.Query(context.Background(), sql)
	if err != nil {
		return err
	}
	got := map[int][]int{}
	var k int
	var v string
	_, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { got[k] = numbers(v); return nil })
	if err != nil {
		return err
	}
	for k := range keys {
		s.x.ops = append(s.x.ops, op{kind: read, key: k, list: got[k], stmt: s.stmt})
	}
	return nil
}

// append appends a new value to a list, in one of several ways.
func (s *script) append() error {
	k, v := s.list(), int(s.w.value.Add(1))
	if v%perList == 0 {
		s.w.base.Add(1)
	}
	t, text := tableOf(k), strconv.Itoa(v)
	done := op{kind: appended, key: k, value: v, stmt: s.stmt}
	var n int64
	var err error
	switch way := s.r.IntN(6); {
	case way == 0:
		n, err = s.exec("UPDATE "+t+" SET v = v || ',' || $2::text WHERE k = $1", k, text)
		if err == nil && n == 0 { // as good as a read
			done = op{kind: read, key: k, stmt: s.stmt}
		}
	case way == 1:
		_, err = s.exec("MERGE INTO "+t+" USING (SELECT $1::int AS k, $2::text AS v) AS s ON "+t+".k = s.k WHEN MATCHED THEN UPDATE SET v = "+t+".v || ',' || s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)", k, text)
	case way == 2 && s.c.PgConn().TxStatus() == 'T' && (s.x.snapshot || s.r.IntN(2) == 0):
		// The client appends; where nothing else keeps others away, under a lock.
		if err = s.readOne(k, !s.x.snapshot); err != nil {
			return err
		}
		was := s.x.ops[len(s.x.ops)-1].list
		s.stmt++
		done.stmt = s.stmt
		if len(was) == 0 {
			_, err = s.exec("INSERT INTO "+t+" VALUES ($1, $2)", k, text)
			break
		}
		var b strings.Builder
		for _, x := range was {
			fmt.Fprintf(&b, "%d,", x)
		}
		if n, err = s.exec("UPDATE "+t+" SET v = $2 WHERE k = $1", k, b.String()+text); err == nil && n != 1 {
			return fmt.Errorf("list %d was there and is not", k)
		}
	default:
		_, err = s.exec("INSERT INTO "+t+" AS old (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = old.v || ',' || excluded.v", k, text)
	}
	if err != nil {
		done.undone = true
	}
	s.x.ops = append(s.x.ops, done)
	return err
}

// savepoint does a few steps and takes them back, or not.
func (s *script) savepoint() error {
	if _, err := s.exec("SAVEPOINT s"); err != nil {
		return err
	}
	from := len(s.x.ops)
	for range 1 + s.r.IntN(2) {
		s.stmt++
		var err error
		if s.r.IntN(3) == 0 {
			err = s.readMany()
		} else {
			err = s.append()
		}
		if err != nil {
			return err
		}
	}
	if s.r.IntN(2) == 0 {
		_, err := s.exec("RELEASE s")
		return err
	}
	for i := range s.x.ops[from:] {
		if o := &s.x.ops[from+i]; o.kind == appended {
			o.undone = true
		}
	}
	_, err := s.exec("ROLLBACK TO s")
	return err
}

// dump shows the first transactions of a history that went wrong.
func dump(t *testing.T, txns []*txn) {
	if !testing.Verbose() {
		return
	}
	for _, x := range txns[:min(len(txns), 3000)] {
		t.Logf("T%d end %d snapshot %t %d-%d: %+v\n\t%s", x.id, x.end, x.snapshot, x.begun, x.fin, x.ops, strings.Join(x.text, "\n\t"))
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// numbers are the values of a list as it is stored.
func numbers(s string) []int {
	var out []int
	for _, x := range strings.Split(s, ",") {
		if x != "" {
			out = append(out, int(number(x)))
		}
	}
	return out
}
