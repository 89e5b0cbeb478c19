package clients

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

func rowsOf(t *testing.T, c *pgx.Conn, sql string) string {
	t.Helper()
	rows, err := c.Query(context.Background(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		vs, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Trim(fmt.Sprint(vs), "[]"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "; ")
}

func run(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestCopyOnConflict has COPY with the options that Hologres adds.
func TestCopyOnConflict(t *testing.T) {
	n := node.ForTest(t)
	for i, o := range orientations {
		t.Run(o, func(t *testing.T) {
			c := node.Connect(t, n.DSN)
			run(t, c, fmt.Sprintf("create schema s%d; set search_path = s%[1]d", i))
			copyOnConflict(t, c, o)
		})
	}
}

var orientations = []string{"column", "row", "row,column"}

func copyOnConflict(t *testing.T, c *pgx.Conn, orientation string) {
	ctx := context.Background()
	with := " with (orientation = '" + orientation + "')"
	run(t, c, "create table t (id int primary key, a text, b int default 7)"+with)
	in := func(sql, data string) (int64, error) {
		tag, err := c.PgConn().CopyFrom(ctx, strings.NewReader(data), sql)
		return tag.RowsAffected(), err
	}
	for _, s := range []struct {
		sql, data string
		n         int64
		code      string
		want      string
	}{
		{"copy t from stdin", "1\tone\t1\n2\ttwo\t2\n", 2, "", "1 one 1; 2 two 2"},
		{"copy t from stdin with (on_conflict none)", "1\tx\t1\n", 0, "23505", "1 one 1; 2 two 2"},
		{"copy t from stdin with (on_conflict update)", "2\tTWO\t22\n3\tthree\t3\n", 2, "", "1 one 1; 2 TWO 22; 3 three 3"},
		{"copy t from stdin with (stream_mode true, format csv, delimiter ',', escape '\\', quote '\"', null 'N', on_conflict ignore)",
			"3,x,1\n4,N,4\n4,y,5\n", 1, "", "1 one 1; 2 TWO 22; 3 three 3; 4 <nil> 4"},
		{"copy t(id,a) from stdin with (format csv, on_conflict update)", "4,four\n5,five\n5,FIVE\n", 2, "",
			"1 one 1; 2 TWO 22; 3 three 3; 4 four 4; 5 FIVE 7"},
		{"COPY t FROM STDIN WITH (STREAM_MODE true, ON_CONFLICT 'UPDATE')", "5\tlast\t5\n5\tlater\t6\n", 2, "",
			"1 one 1; 2 TWO 22; 3 three 3; 4 four 4; 5 later 6"},
		{"copy t from stdin with (on_conflict maybe)", "", 0, "22023", "1 one 1; 2 TWO 22; 3 three 3; 4 four 4; 5 later 6"},
	} {
		n, err := in(s.sql, s.data)
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == s.code {
			err = nil
		}
		if err != nil || n != s.n {
			t.Errorf("%s: %d rows, %v; want %d", s.sql, n, err, s.n)
		}
		if got := rowsOf(t, c, "select * from t order by id"); got != s.want {
			t.Errorf("%s: %s; want %s", s.sql, got, s.want)
		}
	}
	// holo-client ends the binary form without its trailer.
	var b bytes.Buffer
	b.WriteString("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, id := range []uint32{5, 6} {
		binary.Write(&b, binary.BigEndian, uint16(2))
		binary.Write(&b, binary.BigEndian, []uint32{4, id, 3})
		b.WriteString("bin")
	}
	if _, err := c.PgConn().CopyFrom(ctx, &b, "copy t(id,a) from stdin with(stream_mode true, format binary, on_conflict update)"); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, c, "select * from t where id > 4 order by id"); got != "5 bin 6; 6 bin 7" {
		t.Error(got)
	}
	// Keys that come again runs of rows later.
	var data strings.Builder
	for i := range 150_000 {
		fmt.Fprintf(&data, "%d\tr%d\n", i%100_000, i)
	}
	if n, err := in("copy t(id,a) from stdin with (on_conflict update)", data.String()); err != nil {
		t.Fatal(n, err)
	}
	if got := rowsOf(t, c, "select count(*), count(distinct id), min(a), max(a) from t"); got != "100000 100000 r100000 r99999" {
		t.Error(got)
	}
	if got := rowsOf(t, c, "select a from t where id in (49999, 50000) order by id"); got != "r149999; r50000" {
		t.Error(got)
	}
	run(t, c, "create table w (id int primary key, a text)"+with)
	if n, err := in("copy w from stdin with (on_conflict update)", data.String()); err != nil || n != 150_000 {
		t.Fatal(n, err)
	}
	if got := rowsOf(t, c, "select count(*), count(distinct id) from w"); got != "100000 100000" {
		t.Error(got)
	}
	if got := rowsOf(t, c, "select a from w where id in (49999, 50000) order by id"); got != "r149999; r50000" {
		t.Error(got)
	}
	if n, err := in("copy w from stdin with (on_conflict ignore)", "1\tx\n1000000\tx\n1000000\ty\n"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}

// TestKeepLast has Hologres' settings for a key that one statement has twice.
func TestKeepLast(t *testing.T) {
	c := node.Connect(t, node.ForTest(t).DSN)
	run(t, c, "create table t (id int primary key, a text, b int default 7)")
	full := "insert into t values (1,'a',1),(2,'b',2),(1,'c',3) on conflict (id) do update set a=excluded.a, b=excluded.b"
	part := "insert into t (id, a) values (1,'d'),(3,'e'),(3,'f') on conflict (id) do update set a=excluded.a"
	for _, sql := range []string{full, part} {
		_, err := c.Exec(context.Background(), sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "21000" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	run(t, c, "set hg_experimental_affect_row_multiple_times_keep_last = on")
	run(t, c, full)
	if got := rowsOf(t, c, "select * from t order by id"); got != "1 c 3; 2 b 2" {
		t.Error(got)
	}
	run(t, c, part)
	if got := rowsOf(t, c, "select * from t order by id"); got != "1 d 3; 2 b 2; 3 f 7" {
		t.Error(got)
	}
	run(t, c, "set hg_experimental_affect_row_multiple_times_keep_last = off")
	run(t, c, "set hg_experimental_affect_row_multiple_times_keep_first = on")
	run(t, c, full)
	run(t, c, part)
	if got := rowsOf(t, c, "select * from t order by id"); got != "1 d 1; 2 b 2; 3 e 7" {
		t.Error(got)
	}
}

// TestPipelinedUpserts runs statements without a Sync between them: each sees what
// those before it did.
func TestPipelinedUpserts(t *testing.T) {
	c := node.Connect(t, node.ForTest(t).DSN)
	ctx := context.Background()
	run(t, c, "create table t (id int primary key, a text, b int default 7)")
	for range 3 {
		b := &pgx.Batch{}
		b.Queue("delete from t where (id=$1 and a=$2) or (id=$3 and a=$4)", 1, "last", 9, "x")
		b.Queue("insert into t (id, a) values ($1, $2), ($3, $4)", 1, "first", 2, "first")
		b.Queue("insert into t (id, a) values ($1, $2) on conflict (id) do nothing", 1, "no")
		b.Queue("insert into t (id, a) values ($1, $2) on conflict (id) do update set a = t.a || excluded.a", 1, "+")
		b.Queue("update t set b = b + 1 where id = $1", 1)
		b.Queue("select a, b from t where id = $1", 1)
		b.Queue("insert into t (id, a, b) values ($1, $2, $3) on conflict (id) do update set a = excluded.a, b = excluded.b", 1, "last", 1)
		b.Queue("delete from t where id = $1", 2)
		r := c.SendBatch(ctx, b)
		for i := range 5 {
			tag, err := r.Exec()
			if want := []int64{-1, 2, 0, 1, 1}[i]; err != nil || want >= 0 && tag.RowsAffected() != want {
				t.Fatalf("statement %d: %v %v", i, tag, err)
			}
		}
		var a string
		var n int
		if err := r.QueryRow().Scan(&a, &n); err != nil || a != "first+" || n != 8 {
			t.Fatal(a, n, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := rowsOf(t, c, "select * from t order by id"); got != "1 last 1" {
			t.Fatal(got)
		}
	}
	// An error takes the whole pipeline back.
	b := &pgx.Batch{}
	b.Queue("insert into t (id, a) values ($1, $2)", 5, "five")
	b.Queue("insert into t (id, a) values ($1, $2)", 1, "dup")
	if err := c.SendBatch(ctx, b).Close(); err == nil {
		t.Fatal("no error")
	}
	if got := rowsOf(t, c, "select * from t order by id"); got != "1 last 1" {
		t.Fatal(got)
	}
}

// TestConcurrentUpserts has sessions write the same keys in single statements: none
// fails, and the counts that they were told add up.
func TestConcurrentUpserts(t *testing.T) {
	dsn := node.ForTest(t).DSN
	c := node.Connect(t, dsn)
	run(t, c, "create table t (id int primary key, n int default 0, who int)")
	const sessions, rounds, keys = 6, 30, 40
	var inserted atomic.Int64
	var wg sync.WaitGroup
	for s := range sessions {
		x := node.Connect(t, dsn)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range rounds {
				// Keys in an order of its own.
				var ids []int32
				for i := range keys {
					ids = append(ids, int32((i*(2*s+1)+r)%keys+r*keys/2))
				}
				tag, err := x.Exec(context.Background(), "insert into t (id) select distinct unnest($1::int4[]) on conflict (id) do nothing", ids)
				if err != nil {
					t.Error(err)
					return
				}
				inserted.Add(tag.RowsAffected())
				_, err = x.Exec(context.Background(), "insert into t (id, n) values ($1, 1), ($2, 1) on conflict (id) do update set n = t.n + excluded.n", ids[0], ids[1])
				if err != nil {
					t.Error(err)
					return
				}
				_, err = x.Exec(context.Background(), "insert into t (id, n, who) values ($1, 0, $2) on conflict (id) do update set n = excluded.n, who = excluded.who", -1-r%3, s)
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	want := fmt.Sprintf("%d %d", inserted.Load(), 2*sessions*rounds)
	if got := rowsOf(t, c, "select count(*)::int, sum(n)::int from t where id >= 0"); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// TestCopyAgain has COPY replace the same rows of a file many times in one commit: the
// binlog's before images are what was there, for each of them.
func TestCopyAgain(t *testing.T) {
	n := node.ForTest(t)
	for _, o := range orientations {
		t.Run(o, func(t *testing.T) {
			c := node.Connect(t, n.DSN)
			run(t, c, "drop table if exists again")
			run(t, c, fmt.Sprintf("create table again (id int primary key, n int, s text) with (orientation = '%s', binlog_level = 'replica')", o))
			run(t, c, "insert into again select g, g, case when g % 3 > 0 then 'row ' || g end from generate_series(1, 9000) g")
			run(t, c, "vacuum")
			for _, step := range []int{1, 3} {
				var b strings.Builder
				for r := range 9 {
					for id := 1 + r%step; id < 2400*step; id += step {
						fmt.Fprintf(&b, "%d\t%d\tcopy %d of %d\n", id, r*10000+id, r, id)
					}
				}
				if _, err := c.PgConn().CopyFrom(context.Background(), strings.NewReader(b.String()), "copy again from stdin with (on_conflict update)"); err != nil {
					t.Fatal(err)
				}
			}
			got := rowsOf(t, c, `with x as (select *, lag(row(n, s)::text) over w as was, lag(t) over w as of
				from (select hg_binlog_lsn as l, hg_binlog_event_type as t, id, n, s from again) b window w as (partition by id order by l, t))
				select count(*) > 9000, count(*) filter (where coalesce(of not in (5, 7), true) or was is distinct from row(n, s)::text) from x where t in (2, 3)`)
			if got != "true 0" {
				t.Error("before images, and wrong ones: ", got)
			}
		})
	}
}
