package cache

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
)

// version is a catalog with table t.
func version(t testing.TB) *catalog.Version {
	v := catalog.NewVersion().Apply(catalog.Bootstrap(1))
	sql := "create table t (a int primary key, b text, d date, n numeric(10,2))"
	stmts, err := parser.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	st, err := bind.Bind(stmts[0], &bind.Env{Catalog: v, SearchPath: []string{"public"}, Text: sql})
	if err != nil {
		t.Fatal(err)
	}
	tab := *st.Utility.(*plan.CreateTable).Table
	tab.OID = 20000
	return v.Apply(&catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &tab}})
}

// get plans through the cache, as a session would.
func get(t testing.TB, c *Cache, v *catalog.Version, sql string) (st *plan.Statement, params []types.Datum, hit bool) {
	k := Key{Text: sql, Database: "d", Version: v.Number}
	if st, params, ok := c.Get(k, nil); ok {
		return st, params, true
	}
	stmts, err := parser.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	slots := Slots(sql)
	st, err = bind.Bind(stmts[0], &bind.Env{Catalog: v, SearchPath: []string{"public"}, Text: sql, Slots: slots})
	if err != nil {
		t.Fatal(err)
	}
	c.Put(k, st, slots, nil)
	st, params, ok := c.Get(k, nil)
	if !ok {
		return nil, nil, false
	}
	return st, params, false
}

func TestShared(t *testing.T) {
	v := version(t)
	for _, x := range []struct {
		first, second string
		shared        bool
	}{
		{"select a from t where a = 5", "select a from t where  a = 77", true},
		{"select a from t where b = 'x'", "select a from t where b = 'yy'", true},
		{"select a from t where d >= '2020-01-01'", "select a from t where d >= '2021-02-03'", true},
		{"select a from t where a in (1, 2, 3)", "select a from t where a in (4, 5, 6)", true},
		{"insert into t values (1, 'x', '2020-01-01', 5)", "insert into t values (2, 'y', '2020-01-02', 5)", true},
		{"update t set a = a + 5 where a = 1", "update t set a = a + 17 where a = 2", true},
		{"update t set a = a + -5 where a = 1", "update t set a = a + -17 where a = 2", true},
		{"select a from t where a = -5", "select a from t where a = -7", true},
		{"select a from t where a = -5", "select a from t where a = 7", false},
		{"update t set a = a - -5", "update t set a = a - 5", false},
		{"select a + -5 from t", "select a + -2147483648 from t", false},
		{"select a + 5 from t", "select a + 2147483648 from t", false},
		{"select n + 5 from t", "select n + 6 from t", false},
		{"select a * 5 from t", "select a * 6 from t", false},
		// Not shared: other lengths, literals that decide types, names or order.
		{"select a from t where a in (1, 2, 3)", "select a from t where a in (4, 5)", false},
		{"select a from t where n = 5", "select a from t where n = 500", false},
		{"select a, b from t order by 1", "select a, b from t order by 2", false},
		{"select a, count(*) from t group by 1", "select a, count(*) from t group by 2", false},
		{"select 'x'::varchar(2)", "select 'x'::varchar(3)", false},
		{"select 1 as x", "select 2 as x", false},
		{"select a from t where b like 'a%'", "select a from t where b like '%b'", false},
		{"select a from t limit 1", "select a from t limit 2", false},
		{"select a from t where a = 5", "select a from t where a = 5000000000", false},
		// A wrong literal is for the planner to refuse.
		{"select a from t where d = '2020-01-01'", "select a from t where d = '2020-13-01'", false},
		{"select a from t where d = '2020-01-01'", "select a from t where d = 'today'", false},
	} {
		c := New(1 << 20)
		st, _, _ := get(t, c, v, x.first)
		if st == nil {
			t.Errorf("%s: not kept", x.first)
			continue
		}
		got, params, ok := c.Get(Key{Text: x.second, Database: "d", Version: v.Number}, nil)
		if ok != x.shared || ok && got != st {
			t.Errorf("%s | %s: shared %t", x.first, x.second, ok)
		}
		if !ok {
			continue
		}
		if strings.Contains(x.second, "-") && strings.Contains(x.second, "17") && params[0].I != -17 {
			t.Errorf("%s: %d", x.second, params[0].I)
		}
		// Every parameter has a value of the type that the plan gives it.
		plan.RewriteExprs(got.Root, func(e expr.Expr) (expr.Expr, bool) {
			if p, ok := e.(*expr.Param); ok && (p.N > len(params) || !params[p.N-1].Valid) {
				t.Errorf("%s: no value for $%d", x.second, p.N)
			}
			return e, false
		})
	}
}

func TestMomentary(t *testing.T) {
	v := version(t)
	c := New(1 << 20)
	if st, _, _ := get(t, c, v, "select a from t where d = 'today'"); st != nil {
		t.Error("a plan with 'today' in it was kept")
	}
}

func TestKeyAndBound(t *testing.T) {
	v := version(t)
	c := New(200_000)
	get(t, c, v, "select a from t where a = 5")
	for _, k := range []Key{
		{Text: "select a from t where a = 5", Database: "other", Version: v.Number},
		{Text: "select a from t where a = 5", Database: "d", Version: v.Number + 1},
		{Text: "select a from t where a = 5", Database: "d", Role: "r", Version: v.Number},
	} {
		if _, _, ok := c.Get(k, nil); ok {
			t.Errorf("%+v: found", k)
		}
	}
	for i := 0; i < 1000; i++ {
		get(t, c, v, fmt.Sprintf("select a as c%d from t where a = %d", i, i))
	}
	s := c.Stats()
	if s.Bytes > 200_000 || s.Entries == 0 {
		t.Errorf("%+v", s)
	}
	if _, _, hit := get(t, c, v, "select a as c999 from t where a = 999"); !hit {
		t.Error("the latest plan is gone")
	}
}

func TestConcurrent(t *testing.T) {
	v := version(t)
	c := New(100_000)
	var wg sync.WaitGroup
	for g := 0; g < 4; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 300; i++ {
				get(t, c, v, fmt.Sprintf("select a as c%d from t where a = %d", i%50, i))
			}
		}()
	}
	wg.Wait()
}

func BenchmarkNormalizedHit(b *testing.B) {
	v := version(b)
	c := New(1 << 20)
	get(b, c, v, "select a, b from t where a = 5")
	k := Key{Text: "select a, b from t where a = 77", Database: "d", Version: v.Number}
	for b.Loop() {
		if _, _, ok := c.Get(k, nil); !ok {
			b.Fatal("miss")
		}
	}
}
