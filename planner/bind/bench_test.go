package bind

import (
	"testing"

	"github.com/millrace/millrace/parser"
)

func BenchmarkBind(b *testing.B) {
	c := newTestCatalog()
	if _, err := c.run("create table t (a int primary key, b text, c numeric(10,2), d date)"); err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct{ name, sql string }{
		{"point", "select a, b from t where a = 5"},
		{"group", "select b, sum(c * 2) filter (where a > 1), count(*) from t where d between '2020-01-01' and '2020-12-31' and b like 'x%' group by b having count(*) > 1 order by 2 desc limit 10"},
	} {
		stmts, err := parser.Parse(x.sql)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Bind(stmts[0], c.env(x.sql)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
