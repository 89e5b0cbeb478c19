package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// check compares the tables with the model.
func check(t *testing.T, addr string, want Totals) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ask := func(sql string) string {
		rows, err := c.query(sql)
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
		var b strings.Builder
		for _, r := range rows {
			b.WriteString(strings.Join(r, " ") + "\n")
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	var statuses []string
	for _, s := range []int{Cancelled, Dispatched, Driving, Paid, Placed} {
		if n := want.ByStatus[s]; n > 0 {
			statuses = append(statuses, fmt.Sprintf("%s %d", StatusNames[s], n))
		}
	}
	for _, q := range []struct{ sql, want string }{
		{"SELECT count(*), sum(fare) * 100 = " + fmt.Sprint(want.FareCents) + " FROM orders", fmt.Sprintf("%d t", want.Orders)},
		{"SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 1", strings.Join(statuses, "\n")},
		{"SELECT count(*), count(DISTINCT driver_id), min(driver_id), max(driver_id) FROM drivers", fmt.Sprintf("%d %d 1 %d", want.Drivers, want.Drivers, want.Drivers)},
		{"SELECT count(*), count(DISTINCT name) FROM cities", fmt.Sprintf("%d %d", want.Cities, want.Cities)},
		{"SELECT count(*), sum(amount + tip) * 100 = " + fmt.Sprint(want.PaidCents) + " FROM payments", fmt.Sprintf("%d t", want.Payments)},
		{"SELECT count(*), count(lat), count(device) FROM positions", fmt.Sprintf("%d %d %d", want.Positions, want.Positions, want.Positions)},
		{"SELECT count(*) FROM millrace_errors.positions", fmt.Sprint(want.Bad)},
		{"SELECT count(*) FROM millrace_errors.orders", "0"},
		{"SELECT count(*) FROM orders WHERE updated_at < created_at OR created_at > now() + interval '1 minute'", "0"},
		// The binlog has every change: what was inserted and not deleted is there.
		{"SELECT count(*) FILTER (WHERE hg_binlog_event_type = 5) - count(*) FILTER (WHERE hg_binlog_event_type = 2), count(*) FILTER (WHERE hg_binlog_event_type = 2), count(*) FILTER (WHERE hg_binlog_event_type = 3) = count(*) FILTER (WHERE hg_binlog_event_type = 7) FROM orders",
			fmt.Sprintf("%d %d t", want.Orders, want.Deleted)},
		{"SELECT n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname = 'payments'", fmt.Sprint(want.Payments)},
	} {
		if got := ask(q.sql); got != q.want {
			t.Errorf("%s\nis %s\nwant %s", q.sql, got, q.want)
		}
	}
}

// childEnv makes the test binary a demo that runs in the directory it names, until it is
// killed.
const childEnv = "MILLRACE_TEST_DEMO"

func TestChild(t *testing.T) {
	dir, port, ok := strings.Cut(os.Getenv(childEnv), "|")
	if !ok {
		t.Skip("only for TestKill")
	}
	kafka, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), config(dir, kafka, io.Discard)); err != nil {
		t.Fatal(err)
	}
}

func config(dir string, kafka int, out io.Writer) Config {
	return Config{Dir: dir, Host: "127.0.0.1", KafkaPort: kafka, Rate: 3000, MemoryBytes: 1 << 30,
		Out: out, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
}

// A demo that is killed goes on without a gap or an event twice.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir, kafka := t.TempDir(), freePort(t)
	done := int64(0)
	for range 2 {
		child := exec.Command(os.Args[0], "-test.run", "^TestChild$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", childEnv, dir, kafka))
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Until this run has come further than the last, and then in the midst of it.
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			p, err := loadProgress(dir)
			if err != nil {
				t.Fatal(err)
			}
			if p.Done > done {
				done = p.Done
				break
			}
			if time.Now().After(end) {
				t.Fatalf("no progress in two minutes: at tick %d", p.Done)
			}
		}
		time.Sleep(time.Second)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cfg := config(dir, kafka, io.Discard)
	cfg.Duration, cfg.CatchUp = time.Second, true
	cfg.Done = func(rep Report) {
		if rep.Ticks <= done || float64(rep.Ticks) <= float64(rep.Events)/eventsPerTick {
			t.Errorf("%d ticks, %d before: the demo began anew", rep.Ticks, done)
		}
		check(t, rep.Addr, Model(rep.Ticks))
	}
	if _, err := Run(ctx, cfg); err != nil {
		t.Fatal(err)
	}
}

// The demo runs, stops, and goes on where it stopped; the tables are what the model
// says.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := t.TempDir()
	kafka := freePort(t)
	last := int64(0)
	for round, length := range []time.Duration{3 * time.Second, 2 * time.Second} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		checked := false
		cfg := config(dir, kafka, &out)
		cfg.Duration, cfg.CatchUp = length, true
		cfg.Done = func(rep Report) {
			checked = true
			check(t, rep.Addr, Model(rep.Ticks))
		}
		rep, err := Run(ctx, cfg)
		cancel()
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, out.String())
		}
		if !checked || rep.Ticks <= last {
			t.Fatalf("round %d: %d ticks, before %d", round, rep.Ticks, last)
		}
		last = rep.Ticks
		if s := out.String(); !strings.Contains(s, "psql -h 127.0.0.1 -p ") || strings.Contains(s, "\x1b") {
			t.Errorf("the view: %s", s)
		}
	}
}
