package demo

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// view shows what goes on: in place on a terminal, else a line now and then.
type view struct {
	cfg         *Config
	c           *client
	gen         *generator
	addr, kafka string
	began       time.Time
	lines       int // drawn before
	lastEvents  int64
	lastAt      time.Time
}

// plainEvery is how often a line is written where there is no terminal.
const plainEvery = 5 * time.Second

func (v *view) begin() {
	host, port, _ := net.SplitHostPort(v.addr)
	fmt.Fprintf(v.cfg.Out, "Millrace demo: a ride-hailing business, %.0f events a second from Kafka at %s.\n", v.cfg.Rate, v.kafka)
	fmt.Fprintf(v.cfg.Out, "Ask it anything:\n\n    psql -h %s -p %s -U postgres\n\n", host, port)
	fmt.Fprintf(v.cfg.Out, "Tables, subscriptions and questions to try: cmd/millrace/demo/demo.sql (or: millrace demo --sql). Ctrl-C stops; the next start goes on from there.\n\n")
	v.began, v.lastAt = time.Now(), time.Now()
	v.lastEvents = v.gen.sent.n.Load()
}

func (v *view) run(ctx context.Context) {
	every := plainEvery
	if v.cfg.Terminal {
		every = time.Second
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			v.draw()
		}
	}
}

// number writes 1234567 as 1,234,567.
func number(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return s
	}
	s = strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ask runs a question and says how long it took.
func (v *view) ask(sql string) (rows [][]string, took time.Duration, err error) {
	began := time.Now()
	rows, err = v.c.query(sql)
	return rows, time.Since(began), err
}

// Questions of the view.
const (
	askTables = `SELECT relname, n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname`
	askLag    = `SELECT coalesce(sum(lag_messages), 0), coalesce(round(max(freshness_p99_ms)), 0), coalesce(sum(errors), 0), string_agg(CASE WHEN state <> 'streaming' THEN subname || ' ' || state END, ', ') FROM pg_stat_subscription`
	askStatus = `SELECT status, count(*), sum(fare) FROM orders GROUP BY status ORDER BY 2 DESC, 1`
	askCities = `SELECT c.name, count(*), sum(o.fare) FROM orders o JOIN cities c USING (city_id) WHERE o.created_at > now() - interval '1 minute' GROUP BY c.name ORDER BY 2 DESC, 1 LIMIT 4`
)

// lag is how many messages the subscriptions are behind.
func lag(c *client) (int64, error) {
	rows, err := c.query(askLag)
	if err != nil || len(rows) == 0 {
		return -1, err
	}
	return strconv.ParseInt(rows[0][0], 10, 64)
}

func (v *view) draw() {
	now := time.Now()
	events := v.gen.sent.n.Load()
	rate := float64(events-v.lastEvents) / now.Sub(v.lastAt).Seconds()
	v.lastEvents, v.lastAt = events, now
	up := now.Sub(v.began).Round(time.Second)

	tables, _, err := v.ask(askTables)
	var subs, status, cities [][]string
	var tookStatus, tookCities time.Duration
	if err == nil {
		subs, _, err = v.ask(askLag)
	}
	if err == nil {
		status, tookStatus, err = v.ask(askStatus)
	}
	if err == nil {
		cities, tookCities, err = v.ask(askCities)
	}
	if err != nil {
		v.print([]string{fmt.Sprintf("%s  a question failed: %v", up, err)})
		return
	}
	var rows []string
	for _, r := range tables {
		rows = append(rows, fmt.Sprintf("%s %s", r[0], number(r[1])))
	}
	behind, fresh, errs, trouble := "?", "?", "?", ""
	if len(subs) > 0 {
		behind, fresh, errs, trouble = number(subs[0][0]), subs[0][1], number(subs[0][2]), subs[0][3]
	}
	state := fmt.Sprintf("lag %s messages, p99 %s ms from event to answer, %s in the error tables", behind, fresh, errs)
	if trouble != "" {
		state += "; " + trouble
	}
	var byStatus, byCity []string
	for _, r := range status {
		byStatus = append(byStatus, fmt.Sprintf("%s %s", r[0], number(r[1])))
	}
	for _, r := range cities {
		byCity = append(byCity, fmt.Sprintf("%s %s (%s)", r[0], number(r[1]), r[2]))
	}
	if !v.cfg.Terminal {
		v.print([]string{fmt.Sprintf("%6s  %.0f events/s in | rows: %s | %s | orders: %s | last minute: %s",
			up, rate, strings.Join(rows, ", "), state, strings.Join(byStatus, ", "), strings.Join(byCity, ", "))})
		return
	}
	v.print([]string{
		fmt.Sprintf("running %s   in %s events/s", up, number(strconv.Itoa(int(rate)))),
		"rows        " + strings.Join(rows, "   "),
		"stream      " + state,
		fmt.Sprintf("orders      %s   [%.1f ms]", strings.Join(byStatus, "   "), ms(tookStatus)),
		fmt.Sprintf("last minute %s   [%.1f ms]", strings.Join(byCity, "   "), ms(tookCities)),
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print writes lines; on a terminal over those drawn before.
func (v *view) print(lines []string) {
	var b strings.Builder
	if v.cfg.Terminal && v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.lines)
	}
	for _, l := range lines {
		if v.cfg.Terminal {
			// One row each, however narrow the window: no wrapping while it is drawn.
			b.WriteString("\x1b[2K\x1b[?7l" + l + "\x1b[?7h\n")
		} else {
			b.WriteString(l + "\n")
		}
	}
	if v.cfg.Terminal {
		for k := len(lines); k < v.lines; k++ {
			b.WriteString("\x1b[2K\n")
		}
		v.lines = max(v.lines, len(lines))
	}
	fmt.Fprint(v.cfg.Out, b.String())
}

func (v *view) end(rep Report) {
	fmt.Fprintf(v.cfg.Out, "Stopped after %s: %s events in this run, %s orders since the first. Data: %s\n",
		time.Since(v.began).Round(time.Second), number(strconv.FormatInt(rep.Events, 10)), number(strconv.FormatInt(rep.Ticks, 10)), v.cfg.Dir)
}
