package session_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// TestLockJoined: rows that FOR UPDATE finds through joins, views and subqueries are
// locked, and looked for again when others changed them; so are those of changes that
// look at other tables, in blocks.
func TestLockJoined(t *testing.T) {
	e := open(t)
	s, x := session(t, e), session(t, e)
	ctx := context.Background()
	for _, o := range []string{"row", "column", "row,column"} {
		t.Run(o, func(t *testing.T) {
			exec(t, s, "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS a, b")
			exec(t, s, "CREATE TABLE a (id int PRIMARY KEY, b int, n int8 NOT NULL) WITH (orientation = '"+o+"')")
			exec(t, s, "CREATE TABLE b (id int PRIMARY KEY, s text) WITH (orientation = '"+o+"')")
			exec(t, s, "INSERT INTO a VALUES (1, 1, 0), (2, 2, 0); INSERT INTO b VALUES (1, 'x'), (2, 'y'); CREATE VIEW v AS SELECT id, n FROM a")
			refused := func(sql string) {
				t.Helper()
				if err := x.Simple(ctx, sql, &sink{}); sqlstate.CodeOf(err) != sqlstate.LockNotAvailable {
					t.Errorf("%s: %v, want 55P03", sql, err)
				}
			}
			exec(t, s, "BEGIN")
			exec(t, s, "SELECT * FROM a JOIN b ON a.b = b.id WHERE s = 'x' FOR UPDATE OF a")
			refused("SELECT * FROM v WHERE id = 1 FOR SHARE NOWAIT")
			refused("SELECT * FROM (SELECT id FROM a) q FOR UPDATE NOWAIT")
			if n := exec(t, x, "SELECT id FROM a JOIN b USING (id) FOR UPDATE SKIP LOCKED").count(); n != 1 {
				t.Errorf("%d rows beside a locked one, want 1", n)
			}
			exec(t, x, "SELECT * FROM b FOR UPDATE NOWAIT")
			exec(t, s, "ROLLBACK")

			// Those that wait see what was changed.
			for _, sql := range []string{"SELECT n FROM a JOIN b ON a.b = b.id WHERE s = 'x' FOR UPDATE", "SELECT n FROM v WHERE id = 1 AND id IN (SELECT id FROM b) FOR UPDATE"} {
				exec(t, s, "BEGIN; UPDATE a SET n = n + 1 WHERE id = 1")
				want := exec(t, s, "SELECT n FROM a WHERE id = 1").value()
				done := make(chan *sink)
				go func() {
					out := &sink{}
					if err := x.Simple(ctx, "BEGIN; "+sql+"; COMMIT", out); err != nil {
						t.Error(err)
						_ = x.Simple(ctx, "ROLLBACK", &sink{})
					}
					done <- out
				}()
				time.Sleep(20 * time.Millisecond)
				exec(t, s, "COMMIT")
				if got := (<-done).value(); got != want {
					t.Errorf("%s: %d, want %d", sql, got, want)
				}
			}

			var ok atomic.Int64
			before := exec(t, s, "SELECT sum(n)::int8 FROM a").value()
			var wg sync.WaitGroup
			for w := range 4 {
				y := session(t, e)
				wg.Add(1)
				go func() {
					defer wg.Done()
					rng := rand.New(rand.NewPCG(uint64(w), 9))
					for range 30 {
						sql := fmt.Sprintf("UPDATE a SET n = n + 1 FROM b WHERE a.b = b.id AND b.id = %d", 1+rng.IntN(2))
						switch rng.IntN(3) {
						case 0:
							sql = fmt.Sprintf("MERGE INTO a USING (SELECT id FROM b WHERE id = %d) q ON a.b = q.id WHEN MATCHED THEN UPDATE SET n = n + 1", 1+rng.IntN(2))
						case 1:
							sql = fmt.Sprintf("UPDATE a SET n = n + 1 WHERE b IN (SELECT id FROM b WHERE id = %d)", 1+rng.IntN(2))
						}
						for _, sql := range []string{"BEGIN", sql, "COMMIT"} {
							if err := y.Simple(ctx, sql, &sink{}); err != nil {
								t.Errorf("%s: %v", sql, err)
								return
							}
						}
						ok.Add(1)
					}
				}()
			}
			wg.Wait()
			if n := exec(t, s, "SELECT sum(n)::int8 FROM a").value() - before; n != ok.Load() {
				t.Errorf("%d changes, want %d", n, ok.Load())
			}
		})
	}
}

// TestLockPrivileges: who locks rows may update their tables, and all that is on the way
// to them, each as its owner.
func TestLockPrivileges(t *testing.T) {
	e := open(t)
	s, x := session(t, e), session(t, e)
	exec(t, s, "CREATE ROLE clerk; CREATE ROLE keeper; CREATE TABLE pa (id int PRIMARY KEY, n int); CREATE TABLE pb (id int PRIMARY KEY)")
	exec(t, s, "INSERT INTO pa VALUES (1, 1), (2, 2); INSERT INTO pb VALUES (1)")
	exec(t, s, "GRANT SELECT, UPDATE ON pa TO keeper; GRANT CREATE ON SCHEMA public TO keeper; GRANT SELECT ON pa, pb TO clerk")
	exec(t, s, "SET ROLE keeper; CREATE VIEW inner_v AS SELECT * FROM pa; CREATE VIEW outer_v AS SELECT id FROM inner_v; GRANT SELECT ON outer_v TO clerk; RESET ROLE")
	exec(t, x, "SET ROLE clerk")
	_, refused := expect(t, x)
	may := func(sql string) {
		t.Helper()
		if n := exec(t, x, sql).count(); n != 1 {
			t.Errorf("%s: %d rows", sql, n)
		}
	}
	denied := func(sql string) {
		t.Helper()
		refused(sqlstate.InsufficientPrivilege, sql)
	}
	of, all := "SELECT pa.id FROM pa JOIN pb USING (id) FOR UPDATE OF pa", "SELECT id FROM pa JOIN pb USING (id) FOR SHARE"
	view, sub := "SELECT id FROM outer_v WHERE id = 1 FOR UPDATE", "SELECT id FROM (SELECT v.id FROM outer_v v JOIN pb USING (id)) q FOR KEY SHARE"
	may("SELECT id FROM outer_v WHERE id = 1")
	denied(of)
	denied(all)
	denied(view)
	denied(sub)
	exec(t, s, "GRANT UPDATE ON outer_v TO clerk")
	may(view)
	denied(sub)
	denied(of)
	exec(t, s, "GRANT UPDATE ON pb TO clerk")
	may(sub)
	denied(of)
	denied(all)
	exec(t, s, "GRANT UPDATE ON pa TO clerk")
	may(of)
	may(all)
	exec(t, s, "REVOKE UPDATE ON pa FROM keeper")
	denied(view)
	may(of)
}

// TestLockOwnChange: a row that the statement itself has changed is left out, rather than
// waited for.
func TestLockOwnChange(t *testing.T) {
	e := open(t)
	s := session(t, e)
	want, _ := expect(t, s)
	for _, o := range []string{"row", "column", "row,column"} {
		exec(t, s, "DROP TABLE IF EXISTS own; CREATE TABLE own (id int PRIMARY KEY, v int8) WITH (orientation = '"+o+"'); INSERT INTO own VALUES (1, 10), (2, 20)")
		exec(t, s, "BEGIN")
		sql := "WITH u AS (UPDATE own SET v = v + 1 WHERE id = 1 RETURNING id) SELECT own.v FROM own, u WHERE own.id IN (1, 2) ORDER BY own.id DESC FOR UPDATE OF own"
		if out := exec(t, s, sql); out.rows != 1 || out.value() != 20 {
			t.Errorf("%s: %d rows, the last with %d", o, out.rows, out.value())
		}
		want(11, "SELECT v FROM own WHERE id = 1 FOR UPDATE")
		exec(t, s, "COMMIT")
	}
}
