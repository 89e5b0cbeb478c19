package build_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// TestQuickRange compares narrow ranges of a key and several keys, read without a pipeline, with what the
// same plan gives by one, in a transaction with rows of its own as well.
func TestQuickRange(t *testing.T) {
	ctx := context.Background()
	d := newDatabase(t)
	for _, sql := range []string{
		"create table q (a int, b int, c text, d int, primary key (a, b)) with (orientation = 'row', distribution_key = 'a')",
		"insert into q select x % 30, x, case when x % 5 = 0 then null else 'c' || x % 7 end, x % 4 from generate_series(1, 600) x",
		"insert into q select 99, x, repeat('long', 10), x from generate_series(1, 400) x",
	} {
		if s := d.run(t, "", sql); strings.Contains(s, "ERROR") {
			t.Fatal(s)
		}
	}
	x := d.store.Begin(storage.TxnOptions{Explicit: true})
	defer x.Rollback()
	for _, sql := range []string{"delete from q where b = 33", "insert into q values (3, -1, 'own', 1)", "update q set c = 'changed' where a = 4 and b = 4"} {
		if _, err := d.statement(ctx, t, x, sql); err != nil {
			t.Fatal(err)
		}
	}
	pick := func(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		k := r.IntN(600)
		where := pick(r, fmt.Sprintf("b in (%d, %d, null, 33, %[1]d) and a in (3, %d)", k, k+30, k%30),
			fmt.Sprintf("(a = %d and b = %d or b = 33 and a = 3 or a = %[1]d and b = %[2]d or a = 3 and b = -1)", k%30, k),
			fmt.Sprintf("a = 99 and b = any ('{%d,7,8,null,9,%[1]d}')", k%400),
			fmt.Sprintf("a = 99 and b = any (array(select generate_series(1, %d)))", k))
		if strings.Contains(where, "array(") || r.IntN(2) == 0 {
			where = ""
		}
		sql := "select " + pick(r, "*", "b, d", "b + d, c", "c || 'x', a") + " from q where a = " + pick(r, fmt.Sprint(r.IntN(32)), fmt.Sprint(r.IntN(32)), "99") +
			pick(r, "", "", " and b > 200", " and b between 50 and 450", " and b < -5") +
			pick(r, "", "", " and c like 'c%'", " and d in (1, 3)", " and b % 3 = d", " and c is null") +
			" order by " + pick(r, "b", "b desc", "c, b desc", "c desc nulls last, d, b", "d desc, c nulls first, b") +
			pick(r, "", "", " limit 3", " limit 5 offset 2", " offset 4", " limit 0", " limit null offset 1000")
		if where != "" {
			tail := sql[strings.Index(sql, " order by"):]
			sql = "select b, a, c, d from q where " + where + pick(r, "", " and d > 1") + pick(r, tail, " order by b, a")
		}
		stmts, err := parser.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		txn, snap := pick(r, "", "own"), storage.Snapshot(nil)
		if txn == "" {
			snap = d.store.Snapshot()
		} else if snap, err = x.Snapshot(); err != nil {
			t.Fatal(err)
		}
		st, err := planned(snap.Catalog(), stmts[0], sql)
		if err != nil {
			t.Fatal(err)
		}
		q := build.NewQuick(st.Root)
		if q == nil {
			t.Fatalf("%s: not quick", sql)
		}
		var want []string
		p, err := build.Start(ctx, st.Root, &build.Env{Snapshot: snap, Txn: x, Eval: &eval.Env{}, Account: mem.NewRoot(0)})
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := p.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			want = append(want, lines(b)...)
		}
		p.Close()
		for range 2 { // its memory is used again
			b, err := q.Run(ctx, snap, nil)
			switch {
			case errors.Is(err, build.ErrLarge):
				if !strings.Contains(sql, "a = 99") {
					t.Errorf("%s: said to be large", sql)
				}
			case err != nil:
				t.Fatalf("%s: %v", sql, err)
			default:
				if got := lines(b); strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s (%s):\n%s\nwant\n%s", sql, txn, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			q.Shed()
		}
		snap.Close()
	}
}

// lines are the rows of a batch as text.
func lines(b *vec.Batch) (out []string) {
	for k := range b.Rows() {
		var s []string
		for _, c := range b.Cols {
			if v := c.Datum(b.Row(k)); v.Valid {
				s = append(s, string(types.AppendText(nil, c.T, v, nil)))
			} else {
				s = append(s, "null")
			}
		}
		out = append(out, strings.Join(s, "|"))
	}
	return out
}
