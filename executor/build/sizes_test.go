package build_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/parser"
)

// TestSizes: plans that were chosen by the sizes of tables say so, so that they are made anew
// where these have changed; those of a few rows by key do not look at sizes.
func TestSizes(t *testing.T) {
	d := newDatabase(t)
	for _, sql := range []string{
		"create table sr (a int, b int, primary key (a, b)) with (orientation = 'row')",
		"create table sc (a int, b int, primary key (a, b))",
	} {
		if s := d.run(t, "", sql); strings.Contains(s, "ERROR") {
			t.Fatal(s)
		}
	}
	snap := d.store.Snapshot()
	defer snap.Close()
	for sql, want := range map[string]int{
		"select count(*) from sr": 1, "select * from sr where b = 5": 1, "select * from sr x, sc y where x.b = y.b": 2,
		"select count(*) from sc": 0, "select * from sr where a = 5": 0, "select * from sr where a = 5 and b = 5": 0, "select * from sr where a in (5, 6) and b = 5": 0,
		"select max(a) from sr": 0,
	} {
		stmts, err := parser.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		st, err := planned(snap.Catalog(), stmts[0], sql)
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Sizes) != want {
			t.Errorf("%s: sizes of %d tables, want %d", sql, len(st.Sizes), want)
		}
	}
}
