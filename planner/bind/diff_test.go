package bind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
)

// TestAgainstPostgres describes the statements of diff.sql.txt both here and
// on a PostgreSQL (MILLRACE_PG is its connection string) and compares the columns'
// names, types and modifiers, the parameters' types and the errors.
func TestAgainstPostgres(t *testing.T) {
	dsn := os.Getenv("MILLRACE_PG")
	if dsn == "" {
		t.Skip("MILLRACE_PG is not set")
	}
	file := os.Getenv("MILLRACE_DIFF")
	if file == "" {
		file = "diff.sql.txt"
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	setup, rest, _ := strings.Cut(string(text), "\n--\n")
	c := newTestCatalog()
	if _, err := c.run(setup); err != nil {
		t.Fatal(errText(err))
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "create schema binddiff; set search_path = binddiff; set lc_messages='C';"+setup); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, q := range strings.Split(rest, ";\n") {
		q = strings.TrimSpace(q)
		if q == "" || strings.HasPrefix(q, "--") && !strings.Contains(q, "\n") {
			continue
		}
		want, ours := describePG(ctx, tx, q), describe(c, q)
		if want != ours {
			bad++
			t.Errorf("%s\n  want %s\n  have %s", q, strings.ReplaceAll(want, "\n", "\n       "), strings.ReplaceAll(ours, "\n", "\n       "))
		}
	}
	t.Logf("%d differ", bad)
}

func describePG(ctx context.Context, tx pgx.Tx, q string) string {
	if _, err := tx.Exec(ctx, "savepoint s"); err != nil {
		return err.Error()
	}
	defer tx.Exec(ctx, "rollback to s")
	sd, err := tx.Conn().PgConn().Prepare(ctx, "", q, nil)
	if err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			return errText(&sqlstate.Error{Code: sqlstate.Code(pe.Code), Message: pe.Message, Detail: pe.Detail, Hint: pe.Hint, Position: int(pe.Position)})
		}
		return err.Error()
	}
	var out []string
	for _, f := range sd.Fields {
		out = append(out, fmt.Sprintf("%s %d/%d", f.Name, f.DataTypeOID, f.TypeModifier))
	}
	for i, p := range sd.ParamOIDs {
		out = append(out, fmt.Sprintf("$%d %d", i+1, p))
	}
	return strings.Join(out, ", ")
}

func describe(c *testCatalog, q string) string {
	stmts, err := parser.Parse(q)
	if err != nil {
		return errText(err)
	}
	if len(stmts) != 1 {
		return "no statement"
	}
	s, err := Bind(stmts[0], c.env(q))
	if err != nil {
		return errText(err)
	}
	var out []string
	for _, col := range s.Columns {
		out = append(out, fmt.Sprintf("%s %d/%d", col.Name, col.T.OID, col.T.Mod))
	}
	for i, p := range s.Params {
		out = append(out, fmt.Sprintf("$%d %d", i+1, p.OID))
	}
	if s.Root != nil {
		if err := wellFormed(s.Root); err != nil {
			out = append(out, "BAD PLAN "+err.Error())
		}
	}
	return strings.Join(out, ", ")
}
