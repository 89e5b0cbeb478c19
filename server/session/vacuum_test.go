package session_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	sessions "github.com/millrace/millrace/server/session"
	"github.com/millrace/millrace/storage"
)

// TestVacuumUnique: VACUUM of a table with unique keys packs the tables behind them too,
// and rows and entries agree as before, with what changed since a snapshot was taken.
func TestVacuumUnique(t *testing.T) {
	for _, orientation := range []string{"row", "row,column"} {
		t.Run(orientation, func(t *testing.T) {
			e := open(t)
			s, old := session(t, e), session(t, e)
			want, refused := expect(t, s)
			exec(t, s, "CREATE TABLE u (k int PRIMARY KEY, a int UNIQUE, b text, c int, UNIQUE (b, c)) WITH (orientation = '"+orientation+"')")
			exec(t, s, "INSERT INTO u SELECT g, g * 10, 'b' || g % 50, g FROM generate_series(1, 2000) g")
			check := func(what string) {
				t.Helper()
				want(1500, "SELECT count(*) FROM u")
				for _, k := range []int{1, 700, 1500} { // by each key, what was there is not
					want(int64(k), fmt.Sprintf("SELECT k::int8 FROM u WHERE a = %d", -10*k-9))
					want(int64(k), fmt.Sprintf("SELECT k::int8 FROM u WHERE b = 'n%d' AND c = %d", k%50, k))
					want(0, fmt.Sprintf("SELECT count(*) FROM u WHERE a = %d", 10*k))
					want(0, fmt.Sprintf("SELECT count(*) FROM u WHERE b = 'b%d' AND c = %d", k%50, k))
				}
				refused(sqlstate.UniqueViolation, "INSERT INTO u VALUES (5000, -7009, 'x', 1)")
				refused(sqlstate.UniqueViolation, "INSERT INTO u VALUES (5000, 1, 'n0', 700)")
				refused(sqlstate.UniqueViolation, "UPDATE u SET a = -7009 WHERE k = 1")
				if t.Failed() {
					t.Fatal(what)
				}
			}
			for i := range 10 {
				exec(t, s, fmt.Sprintf("UPDATE u SET a = -k * 10 - %d, b = 'n' || k %% 50", i))
			}
			exec(t, old, "BEGIN ISOLATION LEVEL REPEATABLE READ")
			wantOld, _ := expect(t, old)
			wantOld(2000, "SELECT count(*) FROM u")
			exec(t, s, "DELETE FROM u WHERE k > 1500")
			check("before")
			refused(sqlstate.ActiveSQLTransaction, "BEGIN; VACUUM u")
			exec(t, s, "ROLLBACK")
			exec(t, s, "VACUUM u")
			check("after VACUUM")
			// The older transaction sees the rows that have gone, by every key.
			wantOld(1800, "SELECT k::int8 FROM u WHERE k = 1800")
			wantOld(1800, "SELECT k::int8 FROM u WHERE a = -18009")
			wantOld(1800, "SELECT k::int8 FROM u WHERE b = 'n0' AND c = 1800")
			exec(t, old, "ROLLBACK")
			exec(t, s, "VACUUM u; VACUUM")
			check("after all have gone")
			// Keys of rows that have gone are free, once.
			exec(t, s, "INSERT INTO u VALUES (1800, -18009, 'n0', 1800)")
			refused(sqlstate.UniqueViolation, "INSERT INTO u VALUES (1801, -18009, 'y', 0)")
			exec(t, s, "DELETE FROM u WHERE k = 1800; VACUUM u")
			check("in the end")
		})
	}
}

// packed notes the tables that were packed.
type packed struct {
	storage.Store
	tables []uint32
}

// Compact implements storage.Store.
func (p *packed) Compact(ctx context.Context, table uint32) error {
	p.tables = append(p.tables, table)
	return p.Store.Compact(ctx, table)
}

// TestVacuumUniqueTables: the tables behind unique keys are packed with theirs, and no
// others. Answers do not tell, nor does the size: small tables share files.
func TestVacuumUniqueTables(t *testing.T) {
	s := session(t, open(t))
	p := &packed{}
	sessions.Wrap(s, func(store storage.Store) storage.Store { p.Store = store; return p })
	exec(t, s, "CREATE TABLE u (k int PRIMARY KEY, a int UNIQUE, b text, UNIQUE (b, a)) WITH (orientation = 'row')")
	exec(t, s, "CREATE TABLE v (k int PRIMARY KEY, a int UNIQUE) WITH (orientation = 'row')")
	exec(t, s, "VACUUM u")
	var want []uint32
	for _, name := range []string{"u", "u_a_key", "u_b_a_key"} {
		want = append(want, uint32(exec(t, s, "SELECT '"+name+"'::regclass::oid::int8").value()))
	}
	if !slices.Equal(p.tables, want) {
		t.Errorf("VACUUM packed %d, want %d", p.tables, want)
	}
}

// TestVacuumUniqueWhile: changes of unique keys beside VACUUM keep them unique.
func TestVacuumUniqueWhile(t *testing.T) {
	e := open(t)
	s, x := session(t, e), session(t, e)
	exec(t, s, "CREATE TABLE w (k int PRIMARY KEY, a int UNIQUE) WITH (orientation = 'row')")
	exec(t, s, "INSERT INTO w SELECT g, g FROM generate_series(1, 500) g")
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for i := range 60 {
				if err := x.Simple(context.Background(), fmt.Sprintf("UPDATE w SET a = a + 500 WHERE k %% 7 = %d", i%7), &sink{}); err != nil {
					return err
				}
				err := x.Simple(context.Background(), fmt.Sprintf("INSERT INTO w VALUES (%d, (SELECT max(a) FROM w WHERE k <= 500))", 1000+i), &sink{})
				if sqlstate.CodeOf(err) != sqlstate.UniqueViolation {
					return fmt.Errorf("a duplicate beside VACUUM: %w", err)
				}
			}
			return nil
		}()
	}()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if out := exec(t, s, "SELECT count(DISTINCT a) FROM w").value(); out != 500 {
				t.Errorf("%d keys, want 500", out)
			}
			return
		default:
			exec(t, s, strings.Repeat("VACUUM w;", 1+n%2))
		}
	}
}
