package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

var dashboards = []string{
	"SELECT city, count(*), sum(amount), avg(amount), max(changed) FROM s_orders GROUP BY city ORDER BY 2 DESC",
	"SELECT city, customer % 10 AS part, count(*), sum(amount) FROM s_orders GROUP BY ROLLUP (city, customer % 10) ORDER BY 1, 2",
	"SELECT customer, count(*), sum(amount) FROM s_orders GROUP BY customer ORDER BY 3 DESC, 1 LIMIT 20",
	"SELECT o.city, count(*), sum(r.v) FROM s_orders o JOIN s_row_column r ON r.k = o.id GROUP BY o.city ORDER BY 1",
	"SELECT count(DISTINCT customer), count(DISTINCT note) FROM s_orders WHERE changed > now()::timestamp - interval '1 minute'",
	"SELECT id, amount, row_number() OVER (PARTITION BY city ORDER BY amount DESC, id) FROM s_orders ORDER BY 3, 1 LIMIT 50",
	"SELECT owner, count(*), min(v), max(v), sum(length(note)) FROM s_column GROUP BY owner ORDER BY 1",
	"SELECT a.bid, count(*), sum(a.abalance), max(b.bbalance) FROM s_accounts a JOIN s_branches b USING (bid) GROUP BY a.bid ORDER BY 1",
	"SELECT k / 100, max(note) FROM s_row WHERE k < 20000 GROUP BY 1 ORDER BY 1 LIMIT 100",
	"SELECT date_trunc('second', mtime), count(*), sum(delta) FROM s_history GROUP BY 1 ORDER BY 1 DESC LIMIT 60",
	"WITH t AS (SELECT owner, v % 7 AS d, n FROM s_row_column) SELECT d, sum(n), percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM t GROUP BY d ORDER BY d",
	"SELECT count(*) FROM s_row r WHERE EXISTS (SELECT FROM s_column c WHERE c.k = r.k + 32000 AND c.v > r.v)",
}

// queries starts dashboards, queries that are cancelled, cursors, and clients that come,
// go and die.
func (s *soak) queries(ctx context.Context) {
	k := s.class("dashboard")
	for i := range 2 {
		c := s.client(fmt.Sprint("dashboard-", i), uint64(500+i))
		turn := i * 5
		s.work(ctx, 700*time.Millisecond, func() {
			turn++
			_ = c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
				rows, err := conn.Query(ctx, dashboards[turn%len(dashboards)])
				if err != nil {
					return err
				}
				for rows.Next() {
				}
				return rows.Err()
			})
		}, c)
	}
	c := s.client("cancelled", 510)
	s.work(ctx, 3*time.Second, func() { c.cancelled(ctx, s.class("long query", "57014"), s.class("cancel")) }, c)
	d := s.client("cursor", 511)
	s.work(ctx, 5*time.Second, func() { d.cursor(ctx, s.class("cursor")) }, d)
	f := s.client("fleeting", 512)
	s.work(ctx, 500*time.Millisecond, func() {
		f.close()
		start := time.Now()
		if f.exec(ctx, s.class("select 1"), "SELECT 1") == nil {
			s.class("connect").took(time.Since(start))
		}
	}, f)
	x := s.client("dying", 513)
	s.work(ctx, time.Second, func() { x.die(ctx) }, x)
	n := s.client("listener", 514)
	s.work(ctx, 2*time.Second, func() { n.locks(ctx, s.class("locks and notices")) }, n)
}

// cancelled ends a query by a request, its own timeout or its connection.
func (c *client) cancelled(ctx context.Context, k, took *class) {
	sqls := []string{
		"SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a + b = 7",
		"SELECT count(*) FROM s_accounts a JOIN s_accounts b ON a.bid = b.bid JOIN s_accounts c ON b.bid = c.bid",
		"SELECT pg_sleep(60)",
		"SELECT sum(x) FROM (SELECT row_number() OVER (ORDER BY md5(g::text)) AS x FROM generate_series(1, 30000000) g) t",
	}
	sql := sqls[c.rnd.IntN(len(sqls))]
	after := time.Duration(c.rnd.IntN(60)) * time.Millisecond
	how := c.rnd.IntN(3)
	if c.connect(ctx) != nil {
		return
	}
	switch how {
	case 0:
		pg := c.conn.PgConn()
		var asked time.Time
		ended, over := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			// A request that comes before its query is without effect: it is made again.
			for wait := after; ; wait = 300 * time.Millisecond {
				select {
				case <-ended:
					return
				case <-time.After(wait):
				}
				one, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				asked = time.Now()
				_ = pg.CancelRequest(one) // a server that is killed takes none
				cancel()
			}
		}()
		err := c.exec(ctx, k, sql)
		end := time.Now()
		close(ended)
		<-over
		if err == errRefused && asked.Before(end) {
			took.took(end.Sub(asked))
		}
	case 1:
		after += time.Millisecond
		if c.exec(ctx, k, fmt.Sprintf("SET statement_timeout = %d", after.Milliseconds())) != nil {
			return
		}
		start := time.Now()
		if c.exec(ctx, k, sql) == errRefused {
			took.took(time.Since(start) - after)
		}
		_ = c.exec(ctx, k, "RESET statement_timeout")
	case 2:
		// The client goes while its query runs.
		one, cancel := context.WithTimeout(ctx, after+time.Millisecond)
		_, _ = c.conn.Exec(one, sql)
		cancel()
		c.close()
	}
}

// cursor reads a cursor in steps beside writers: it is of one moment.
func (c *client) cursor(ctx context.Context, k *class) {
	_ = c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		var count, sum, n, total int64
		if err := tx.QueryRow(ctx, "SELECT count(*), coalesce(sum(v), 0)::bigint FROM s_row_column").Scan(&count, &sum); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DECLARE cur CURSOR FOR SELECT v FROM s_row_column"); err != nil {
			return err
		}
		for {
			rows, err := tx.Query(ctx, "FETCH 3000 FROM cur")
			if err != nil {
				return err
			}
			var v int64
			before := n
			if _, err := pgx.ForEachRow(rows, []any{&v}, func() error { n++; total += v; return nil }); err != nil {
				return err
			}
			if n == before {
				break
			}
			time.Sleep(time.Duration(c.rnd.IntN(200)) * time.Millisecond)
		}
		if n != count || total != sum {
			c.s.fail("a cursor read %d rows with sum %d, the aggregate before it %d with %d", n, total, count, sum)
		}
		return tx.Rollback(ctx)
	})
}

// locks takes advisory locks and hears what it is told.
func (c *client) locks(ctx context.Context, k *class) {
	_ = c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		word := fmt.Sprint(c.rnd.IntN(1000000))
		for _, q := range []string{"LISTEN s_words", "BEGIN", "SELECT pg_advisory_xact_lock(42)", "SELECT pg_notify('s_words', '" + word + "')", "COMMIT"} {
			if _, err := conn.Exec(ctx, q); err != nil {
				return err
			}
		}
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		n, err := conn.WaitForNotification(one)
		if err != nil {
			return err
		}
		if n.Payload != word {
			c.s.fail("heard %q, not %q", n.Payload, word)
		}
		_, err = conn.Exec(ctx, "UNLISTEN *")
		return err
	})
}

// die opens a connection by hand and leaves in the middle of a message.
func (c *client) die(ctx context.Context) {
	d := net.Dialer{Timeout: 5 * time.Second}
	nc, err := d.DialContext(ctx, "tcp", c.s.srv.addr)
	if err != nil {
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	msg := func(kind byte, body string) []byte {
		b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
		return append(b, body...)
	}
	hello := binary.BigEndian.AppendUint32(nil, 196608)
	hello = append(hello, "user\x00postgres\x00database\x00postgres\x00\x00"...)
	hello = append(binary.BigEndian.AppendUint32(nil, uint32(len(hello)+4)), hello...)
	var b []byte
	how := c.rnd.IntN(7)
	switch how {
	case 0: // amid the first message
		b = hello[:1+c.rnd.IntN(len(hello)-1)]
	case 1: // amid a query
		b = append(hello, msg('Q', "SELECT count(*) FROM s_orders, s_accounts\x00")[:20]...)
	case 2: // without waiting for the answer
		b = append(hello, msg('Q', "SELECT * FROM s_accounts a, s_accounts b\x00")...)
	case 3: // with locks and changes of an open transaction
		b = append(hello, msg('Q', "BEGIN; UPDATE s_pairs SET has = has + 1000 WHERE id = 1; SELECT pg_advisory_lock(42)\x00")...)
	case 4: // amid a COPY
		b = append(hello, msg('Q', "COPY s_column (k, owner, v) FROM STDIN\x00")...)
		b = append(b, msg('d', "999999999\t0\t1\n999999998\t0")...)
	case 5: // amid the extended protocol
		b = append(hello, msg('P', "one\x00SELECT k FROM s_row WHERE k = $1\x00\x00\x00")...)
		b = append(b, msg('B', "\x00one\x00\x00\x00\x00\x01\x00\x00\x00\x0412")[:9]...)
	case 6: // a length and nothing more
		b = append(hello, 'Q', 0x3f, 0xff, 0xff, 0xff)
	}
	if _, err := nc.Write(b); err != nil {
		return
	}
	time.Sleep(time.Duration(c.rnd.IntN(100)) * time.Millisecond)
	if c.rnd.IntN(2) == 0 {
		_ = nc.(*net.TCPConn).SetLinger(0) // a reset instead of an end
	}
}
