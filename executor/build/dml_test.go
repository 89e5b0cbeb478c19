package build_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
)

// TestDML runs the statements of testdata/dml on a real store: "run" each in a
// transaction of its own, or in the transaction txn=name that "begin" opened. With
// MILLRACE_PG a PostgreSQL is asked too, except about "run ours". A second statement
// after a line "-- meanwhile" is run and committed when the first begins to write.
func TestDML(t *testing.T) {
	datadriven.Walk(t, "testdata/dml", func(t *testing.T, path string) {
		d := newDatabase(t)
		pg := newReference(t)
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			name := ""
			c.MaybeScanArgs(t, "txn", &name)
			var got string
			switch c.Cmd {
			case "begin":
				o := storage.TxnOptions{Explicit: true}
				sql := "begin"
				if c.HasArg("rr") {
					o.Isolation = storage.RepeatableRead
					sql = "begin isolation level repeatable read"
				}
				d.txns[name] = d.store.Begin(o)
				pg.run(name, sql)
				return ""
			case "commit":
				_, err := d.txns[name].Commit(context.Background())
				if err != nil {
					got = errText(err)
				}
				pg.run(name, "commit")
				return got
			case "rollback":
				d.txns[name].Rollback()
				pg.run(name, "rollback")
				return ""
			case "run":
				got = d.run(t, name, c.Input)
			default:
				t.Fatalf("%s: unknown command %s", c.Pos, c.Cmd)
			}
			if pg != nil && !c.HasArg("ours") {
				if want := pg.run(name, c.Input); want != got {
					t.Errorf("%s: PostgreSQL says\n%s\nnot\n%s", c.Pos, want, got)
				}
			}
			return got
		})
	})
}

type database struct {
	store storage.Store
	txns  map[string]storage.Txn
}

func newDatabase(t *testing.T) *database {
	s, err := tablet.Open(blob.NewMem().Root(), tablet.Options{Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &database{store: s, txns: map[string]storage.Txn{}}
}

// run runs a statement, in a transaction of its own or in a named one.
func (d *database) run(t *testing.T, txn, sql string) string {
	ctx := context.Background()
	x := d.txns[txn]
	if x == nil {
		x = d.store.Begin(storage.TxnOptions{})
		defer x.Rollback()
	}
	out, err := d.statement(ctx, t, x, sql)
	if err == nil && d.txns[txn] == nil {
		_, err = x.Commit(ctx)
	}
	if err != nil {
		e := sqlstate.From(err)
		s := errText(err)
		for _, f := range [][2]string{{"DETAIL", e.Detail}, {"HINT", e.Hint}, {"COLUMN", e.Column}, {"CONSTRAINT", e.Constraint}} {
			if f[1] != "" {
				s += "\n" + f[0] + ": " + f[1]
			}
		}
		return s
	}
	return out
}

func (d *database) statement(ctx context.Context, t *testing.T, x storage.Txn, sql string) (string, error) {
	sql, meanwhile, _ := strings.Cut(sql, "\n-- meanwhile\n")
	stmts, err := parser.Parse(sql)
	if err != nil {
		return "", err
	}
	snap, err := x.Snapshot()
	if err != nil {
		return "", err
	}
	defer snap.Close()
	s, err := planned(snap.Catalog(), stmts[0], sql)
	if err != nil {
		return "", err
	}
	if s.Utility != nil {
		_, err := ddl.Run(ctx, &ddl.Env{Txn: x, User: x.Catalog().RoleNamed("postgres"), Database: "postgres"}, s.Utility)
		return s.Tag, err
	}
	env := &executor.Env{Snapshot: snap, Txn: x, Eval: &eval.Env{}, Account: mem.NewRoot(0)}
	env.BatchSize = 3
	if meanwhile != "" {
		env.Txn = &interrupted{x, func() { t.Log(d.run(t, "", meanwhile)) }}
	}
	q, err := executor.Start(ctx, s.Root, env)
	if err != nil {
		return "", err
	}
	defer func() {
		q.Close()
		if n := env.Account.Used(); n != 0 {
			t.Errorf("%d bytes are left in the account", n)
		}
	}()
	var rows []string
	for {
		b, err := q.Next(ctx)
		if err != nil {
			return "", err
		}
		if b == nil {
			break
		}
		for k := range b.Rows() {
			var r []string
			for _, c := range b.Cols {
				v := c.Datum(b.Row(k))
				if !v.Valid {
					r = append(r, "null")
					continue
				}
				r = append(r, string(types.AppendText(nil, c.T, v, nil)))
			}
			rows = append(rows, strings.Join(r, "|"))
		}
	}
	tag := fmt.Sprintf("%s %d", s.Tag, q.RowsAffected())
	return joinLines(answer(rows, false), tag), nil
}

// planned is the plan of a statement.
func planned(cat *catalog.Version, n parser.Stmt, sql string) (*plan.Statement, error) {
	fold := func(e expr.Expr) (expr.Expr, error) { return eval.Fold(e, &eval.Env{}) }
	s, err := bind.Bind(n, &bind.Env{Catalog: cat, SearchPath: []string{"public"}, Database: "postgres", User: "postgres",
		Text: sql, Types: types.DefaultEnv, Fold: fold})
	if err != nil {
		return nil, err
	}
	return s, planner.Optimize(s, &planner.Env{Stats: func(t *catalog.Table) *stats.Table {
		return &stats.Table{Rows: 1000, Columns: make([]stats.Column, len(t.Columns))}
	}, Fold: func(e expr.Expr) expr.Expr {
		if x, err := fold(e); err == nil && x != nil {
			return x
		}
		return e
	}})
}

// interrupted does something before the first write.
type interrupted struct {
	storage.Txn
	first func()
}

func (x *interrupted) Write(ctx context.Context, m *storage.Mutation) (int64, error) {
	if f := x.first; f != nil {
		x.first = nil
		f()
	}
	return x.Txn.Write(ctx, m)
}

func joinLines(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

// reference is a PostgreSQL, a connection for each transaction; nil: there is none.
type reference struct {
	dsn   string
	conns map[string]*pgconn.PgConn
}

func newReference(t *testing.T) *reference {
	dsn := os.Getenv("MILLRACE_PG")
	if dsn == "" {
		return nil
	}
	r := &reference{dsn: dsn, conns: map[string]*pgconn.PgConn{}}
	r.run("", "drop schema if exists dml cascade")
	r.run("", "create schema dml")
	t.Cleanup(func() {
		for n, c := range r.conns {
			if n != "" {
				c.Close(context.Background())
			}
		}
		r.run("", "drop schema dml cascade")
		r.conns[""].Close(context.Background())
	})
	return r
}

func (r *reference) run(name, sql string) string {
	if r == nil {
		return ""
	}
	ctx := context.Background()
	c := r.conns[name]
	if c == nil {
		var err error
		if c, err = pgconn.Connect(ctx, r.dsn); err != nil {
			return err.Error()
		}
		c.Exec(ctx, "set lc_messages = 'C'; set timezone = 'UTC'; set search_path = dml; set lock_timeout = 1000; set client_min_messages = error").ReadAll()
		r.conns[name] = c
	}
	rs, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			return err.Error()
		}
		s := "ERROR " + e.Code + ": " + e.Message
		for _, f := range [][2]string{{"DETAIL", e.Detail}, {"HINT", e.Hint}, {"COLUMN", e.ColumnName}, {"CONSTRAINT", e.ConstraintName}} {
			if f[1] != "" {
				s += "\n" + f[0] + ": " + f[1]
			}
		}
		return s
	}
	var rows []string
	for _, row := range rs[0].Rows {
		for i := range row {
			if row[i] == nil {
				row[i] = []byte("null")
			}
		}
		rows = append(rows, string(bytes.Join(row, []byte("|"))))
	}
	return joinLines(answer(rows, false), rs[0].CommandTag.String())
}
