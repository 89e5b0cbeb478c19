package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	branches = 4
	tellers  = 40
	accounts = 20000
	pairs    = 200 // accounts of the second bank, with pairHas each
	pairHas  = 1000
)

const bankSchema = `
CREATE TABLE s_branches (bid int PRIMARY KEY, bbalance bigint NOT NULL) WITH (orientation = 'row');
CREATE TABLE s_tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance bigint NOT NULL) WITH (orientation = 'row,column');
CREATE TABLE s_accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance bigint NOT NULL, filler text) WITH (orientation = 'row,column');
CREATE TABLE s_history (tid int, bid int, aid int, delta bigint NOT NULL, mtime timestamptz NOT NULL) WITH (orientation = 'column');
CREATE TABLE s_pairs (id int PRIMARY KEY, has bigint NOT NULL) WITH (orientation = 'row,column');
INSERT INTO s_branches SELECT g, 0 FROM generate_series(1, 4) g;
INSERT INTO s_tellers SELECT g, 1 + g % 4, 0 FROM generate_series(1, 40) g;
INSERT INTO s_accounts SELECT g, 1 + g % 4, 0, 'filler of account ' || g FROM generate_series(1, 20000) g;
INSERT INTO s_pairs SELECT g, 1000 FROM generate_series(1, 200) g;`

// bank starts transactions like TPC-B's, others that move money between accounts in
// REPEATABLE READ, with savepoints and locks, and the auditor of both.
func (s *soak) bank(ctx context.Context) {
	tpcb, move := s.class("tpc-b"), s.class("transfer", "40001", "40P01")
	for i := range 4 {
		c := s.client(fmt.Sprint("tpcb-", i), uint64(100+i))
		s.work(ctx, 150*time.Millisecond, func() { c.tpcb(ctx, tpcb) }, c)
		t := s.client(fmt.Sprint("transfer-", i), uint64(110+i))
		s.work(ctx, 300*time.Millisecond, func() { t.transfer(ctx, move) }, t)
	}
	a := s.client("auditor", 120)
	s.work(ctx, 2*time.Second, func() { a.audit(ctx) }, a)
	h := s.client("historian", 121)
	past := s.class("history")
	s.work(ctx, 30*time.Second, func() { h.history(ctx, past) }, h)
}

func (c *client) tpcb(ctx context.Context, k *class) {
	aid, tid, bid, delta := 1+c.rnd.IntN(accounts), 1+c.rnd.IntN(tellers), 1+c.rnd.IntN(branches), c.rnd.IntN(10000)-5000
	_ = c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		var balance int64
		_, err = tx.Exec(ctx, "UPDATE s_accounts SET abalance = abalance + $1 WHERE aid = $2", delta, aid)
		if err == nil {
			err = tx.QueryRow(ctx, "SELECT abalance FROM s_accounts WHERE aid = $1", aid).Scan(&balance)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE s_tellers SET tbalance = tbalance + $1 WHERE tid = $2", delta, tid)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE s_branches SET bbalance = bbalance + $1 WHERE bid = $2", delta, bid)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "INSERT INTO s_history VALUES ($1, $2, $3, $4, now())", tid, bid, aid, delta)
		}
		if err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

func (c *client) transfer(ctx context.Context, k *class) {
	from, to, n := 1+c.rnd.IntN(pairs), 1+c.rnd.IntN(pairs), 1+c.rnd.IntN(50)
	if from == to {
		return
	}
	locks, back := c.rnd.IntN(2) == 0, c.rnd.IntN(4) == 0
	_ = c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		level := pgx.RepeatableRead
		if locks {
			level = pgx.ReadCommitted
		}
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: level})
		if err != nil {
			return err
		}
		read := "SELECT has FROM s_pairs WHERE id = $1"
		if locks {
			read += " FOR UPDATE"
		}
		var a, b int64
		if err := tx.QueryRow(ctx, read, from).Scan(&a); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, read, to).Scan(&b); err != nil {
			return err
		}
		if back {
			// What is rolled back to a savepoint is not to be seen in any sum.
			for _, q := range []string{"SAVEPOINT one", "UPDATE s_pairs SET has = has + 7 WHERE id <= 3", "ROLLBACK TO SAVEPOINT one"} {
				if _, err := tx.Exec(ctx, q); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(ctx, "UPDATE s_pairs SET has = $2 WHERE id = $1", from, a-int64(n)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE s_pairs SET has = $2 WHERE id = $1", to, b+int64(n)); err != nil {
			return err
		}
		if c.rnd.IntN(8) == 0 {
			return tx.Rollback(ctx)
		}
		return tx.Commit(ctx)
	})
}

// audit compares the sums.
func (c *client) audit(ctx context.Context) {
	k := c.s.class("audit")
	var a, t, b, h, p, n int64
	err := c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT (SELECT sum(abalance) FROM s_accounts), (SELECT sum(tbalance) FROM s_tellers), (SELECT sum(bbalance) FROM s_branches),
			(SELECT coalesce(sum(delta), 0) FROM s_history), (SELECT sum(has) FROM s_pairs), (SELECT count(*) FROM s_pairs)`).Scan(&a, &t, &b, &h, &p, &n)
	})
	if err != nil {
		return
	}
	if a != t || a != b || a != h {
		c.s.fail("sums of accounts %d, tellers %d, branches %d, history %d differ", a, t, b, h)
	}
	if p != pairs*pairHas || n != pairs {
		c.s.fail("the second bank has %d in %d accounts, not %d in %d", p, n, pairs*pairHas, pairs)
	}
}

// history makes one row of the old ones.
func (c *client) history(ctx context.Context, k *class) {
	err := c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		var until time.Time
		var sum, n int64
		if err := tx.QueryRow(ctx, "SELECT now() - interval '10 seconds'").Scan(&until); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT coalesce(sum(delta), 0), count(*) FROM s_history WHERE mtime < $1", until).Scan(&sum, &n); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "DELETE FROM s_history WHERE mtime < $1", until)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != n {
			c.s.fail("history: %d rows deleted of the %d that the same transaction counted", tag.RowsAffected(), n)
			return errors.Join(errWrong, tx.Rollback(ctx))
		}
		if _, err := tx.Exec(ctx, "INSERT INTO s_history VALUES (0, 0, 0, $1, $2)", sum, until.Add(-time.Hour)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
	_ = err
}
