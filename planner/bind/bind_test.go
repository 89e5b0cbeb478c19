package bind

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// testCatalog is a catalog that DDL is applied to as executor/ddl would.
type testCatalog struct {
	v *catalog.Version
}

func newTestCatalog() *testCatalog {
	return &testCatalog{v: catalog.NewVersion().Apply(catalog.Bootstrap(1))}
}

func (c *testCatalog) env(sql string) *Env {
	return &Env{Catalog: c.v, SearchPath: []string{"$user", "public"}, Database: "postgres", User: "postgres", Text: sql,
		Types: &types.Env{ExtraFloatDigits: 1}}
}

// run binds every statement of sql and applies those that define relations.
func (c *testCatalog) run(sql string) ([]*plan.Statement, error) {
	stmts, err := parser.Parse(sql)
	if err != nil {
		return nil, err
	}
	var out []*plan.Statement
	for _, st := range stmts {
		s, err := Bind(st, c.env(sql))
		if err != nil {
			return out, err
		}
		out = append(out, s)
		switch u := s.Utility.(type) {
		case *plan.CreateTable:
			c.add(u.Table)
		case *plan.CreateView:
			c.add(u.Table)
		}
	}
	return out, nil
}

func (c *testCatalog) add(t *catalog.Table) {
	n := *t
	n.OID = c.v.NextOID
	c.v = c.v.Apply(&catalog.Delta{Tables: map[uint32]*catalog.Table{n.OID: &n}, NextOID: n.OID + 1})
}

func errText(err error) string {
	e := sqlstate.From(err)
	s := fmt.Sprintf("ERROR %s: %s", e.Code, e.Message)
	if e.Position > 0 {
		s += fmt.Sprintf(" (at %d)", e.Position)
	}
	if e.Detail != "" {
		s += "\nDETAIL: " + e.Detail
	}
	if e.Hint != "" {
		s += "\nHINT: " + e.Hint
	}
	return s
}

// TestGolden runs scripts: "ddl" defines relations, "plan" shows plans, "types"
// the row description, "error" what a statement is refused with.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		c := newTestCatalog()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "ddl":
				if _, err := c.run(d.Input); err != nil {
					return errText(err)
				}
				return ""
			case "plan":
				out, err := c.run(d.Input)
				if err != nil {
					return errText(err)
				}
				var lines []string
				for _, s := range out {
					if s.Root == nil {
						lines = append(lines, fmt.Sprintf("%s %T", s.Tag, s.Utility))
						continue
					}
					lines = append(lines, plan.Format(s.Root, plan.FormatOptions{})...)
				}
				return strings.Join(lines, "\n")
			case "types":
				out, err := c.run(d.Input)
				if err != nil {
					return errText(err)
				}
				var cols []string
				for _, s := range out {
					for _, col := range s.Columns {
						cols = append(cols, col.Name+" "+types.FormatType(col.T.OID, col.T.Mod))
					}
					for i, p := range s.Params {
						cols = append(cols, fmt.Sprintf("$%d %s", i+1, types.FormatType(p.OID, p.Mod)))
					}
				}
				return strings.Join(cols, "\n")
			case "error":
				if _, err := c.run(d.Input); err != nil {
					return errText(err)
				}
				return "no error"
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

// TestBenchQueries binds every query of the benchmarks and checks that each plan
// refers to columns that its inputs produce.
func TestBenchQueries(t *testing.T) {
	root := os.Getenv("MILLRACE_BENCH")
	if root == "" {
		root = "../../regress/bench"
	}
	for _, set := range []string{"tpch", "hits"} {
		c := newTestCatalog()
		ddl, err := os.ReadFile(filepath.Join(root, "schema", set+".holo.sql"))
		if err != nil {
			t.Skip("no bench kit")
		}
		var keep []string
		for _, line := range strings.Split(string(ddl), "\n") {
			if !strings.HasPrefix(line, "DROP TABLE") {
				keep = append(keep, line)
			}
		}
		if _, err := c.run(strings.Join(keep, "\n")); err != nil {
			t.Fatal(set, errText(err))
		}
		files, _ := filepath.Glob(filepath.Join(root, "queries", set, "*.sql"))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			out, err := c.run(string(text))
			if err != nil {
				t.Errorf("%s: %s", filepath.Base(f), errText(err))
				continue
			}
			viewed(t, c, filepath.Base(f), string(text), out)
			for _, s := range out {
				if s.Root != nil {
					if err := wellFormed(s.Root); err != nil {
						t.Errorf("%s: %v\n%s", filepath.Base(f), err, strings.Join(plan.Format(s.Root, plan.FormatOptions{IDs: true}), "\n"))
					}
				}
			}
		}
		if len(files) == 0 {
			t.Error("no queries of", set)
		}
	}
}

// viewed makes a view of a query and checks that its text, written anew, means the
// same.
func viewed(t *testing.T, c *testCatalog, name, text string, out []*plan.Statement) {
	if len(out) != 1 || out[0].Root == nil {
		return
	}
	var alias []string
	for i := range out[0].Columns {
		alias = append(alias, fmt.Sprintf("c%d", i))
	}
	view := strings.ReplaceAll(strings.TrimSuffix(name, ".sql"), "-", "_")
	made, err := c.run("create view v_" + view + "(" + strings.Join(alias, ", ") + ") as " + strings.TrimRight(strings.TrimSpace(text), ";"))
	if err != nil {
		t.Errorf("%s as a view: %s", name, errText(err))
		return
	}
	again, err := c.run("select * from v_" + view)
	if err != nil {
		t.Errorf("%s read back: %s\n%s", name, errText(err), made[0].Utility.(*plan.CreateView).Table.ViewText)
		return
	}
	for i, col := range again[0].Columns {
		if w := out[0].Columns[i].T; col.T.OID != w.OID || col.T.Mod != w.Mod {
			t.Errorf("%s: column %d is %v, was %v", name, i, col.T, w)
		}
	}
	if err := wellFormed(again[0].Root); err != nil {
		t.Errorf("%s read back: %v", name, err)
	}
}

// TestViews makes views of the queries of diff.sql.txt and reads them back.
func TestViews(t *testing.T) {
	text, err := os.ReadFile("diff.sql.txt")
	if err != nil {
		t.Fatal(err)
	}
	setup, rest, _ := strings.Cut(string(text), "\n--\n")
	c := newTestCatalog()
	if _, err := c.run(setup); err != nil {
		t.Fatal(errText(err))
	}
	n := 0
	for _, q := range strings.Split(rest, ";\n") {
		q = strings.TrimSpace(q)
		if strings.Contains(q, "$") || !(strings.HasPrefix(q, "select") || strings.HasPrefix(q, "with") || strings.HasPrefix(q, "values")) {
			continue
		}
		out, err := c.run(q)
		if err != nil || len(out) != 1 || len(out[0].Columns) == 0 {
			continue
		}
		record := false
		for _, col := range out[0].Columns {
			record = record || col.T.OID == types.RecordOID
		}
		if record {
			continue
		}
		n++
		viewed(t, c, fmt.Sprint(n), q, out)
	}
	if n < 80 {
		t.Errorf("only %d views", n)
	}
}
