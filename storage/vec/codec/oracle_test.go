package codec

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// The answers in testdata come from a PostgreSQL server; to take them anew see
// catalog/types. (Files named *.v16: what version 16 does differently.)
var (
	pgDSN     = flag.String("pg", "", "take the expected answers from this PostgreSQL server")
	oracleDir = flag.String("oracle", "testdata", "folder of the oracle tests")
)

// optionsOf reads "format=csv delimiter=; force_null=(a,b)". Values are Go-quoted
// where they hold special characters.
func optionsOf(t *testing.T, d *datadriven.TestData) (opts []CopyOption, sql string) {
	for _, a := range d.CmdArgs {
		o := CopyOption{Name: a.Key}
		text := ""
		switch {
		case strings.HasPrefix(a.Key, "force_"):
			if len(a.Vals) == 1 && a.Vals[0] == "*" {
				o.Star, text = true, "*"
			} else {
				o.IsList, o.List, text = true, a.Vals, "("+strings.Join(a.Vals, ",")+")"
			}
		case len(a.Vals) > 0:
			o.HasValue = true
			o.Value = a.Vals[0]
			if strings.HasPrefix(o.Value, "%") { // %09: a byte that the script cannot hold
				n, err := strconv.ParseUint(o.Value[1:], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				o.Value = string(rune(n))
			}
			if o.Value == "empty" {
				o.Value = ""
			}
			text = "E'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(o.Value) + "'"
		}
		opts = append(opts, o)
		sql += ", " + a.Key + " " + text
	}
	if sql == "" {
		return nil, ""
	}
	return opts, " WITH (" + sql[2:] + ")"
}

func oneLine(s string) string {
	return strings.ReplaceAll(strconv.Quote(s), `\"`, `"`)
}

func errText(code, msg, detail, hint, where string) string {
	s := "ERROR " + code + ": " + msg
	for _, x := range []struct{ k, v string }{{"detail", detail}, {"hint", hint}, {"where", where}} {
		if x.v != "" {
			s += " | " + x.k + ": " + x.v
		}
	}
	return oneLine(s)
}

func TestOracle(t *testing.T) {
	ctx := context.Background()
	var conn *pgconn.PgConn
	if *pgDSN != "" {
		var err error
		if conn, err = pgconn.Connect(ctx, *pgDSN); err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "CREATE TEMP TABLE t (a int, b text, c date); CREATE TEMP TABLE s (a text)").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	pgErr := func(err error) string {
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		return errText(e.Code, e.Message, e.Detail, e.Hint, e.Where)
	}
	datadriven.Walk(t, *oracleDir, func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") || conn != nil && strings.HasSuffix(path, ".v16") {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			table, cols := "t", testCols
			if len(d.CmdArgs) > 0 && d.CmdArgs[0].Key == "s" {
				table, cols = "s", []CopyColumn{{Name: "a", T: types.Text}}
				d.CmdArgs = d.CmdArgs[1:]
			}
			opts, sql := optionsOf(t, d)
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				in, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
				if err != nil && d.Cmd == "from" {
					t.Fatalf("%s: %v", line, err)
				}
				switch {
				case d.Cmd == "from" && conn != nil:
					if _, err := conn.Exec(ctx, "TRUNCATE "+table).ReadAll(); err != nil {
						t.Fatal(err)
					}
					if _, err := conn.CopyFrom(ctx, strings.NewReader(in), "COPY "+table+" FROM STDIN"+sql); err != nil {
						fmt.Fprintln(&out, pgErr(err))
						break
					}
					res, err := conn.Exec(ctx, "SELECT * FROM "+table+" ORDER BY ctid").ReadAll()
					if err != nil {
						t.Fatal(err)
					}
					var rows strings.Builder
					for _, r := range res[0].Rows {
						for c, v := range r {
							if c > 0 {
								rows.WriteByte('|')
							}
							if v == nil {
								rows.WriteString("NULL")
							} else {
								rows.Write(v)
							}
						}
						rows.WriteByte('\n')
					}
					fmt.Fprintln(&out, oneLine(rows.String()))
				case d.Cmd == "from":
					o, err := ParseCopyOptions(opts, true)
					var r *CopyReader
					if err == nil {
						r, err = NewCopyReader(table, cols, o, nil)
					}
					if err != nil {
						e := sqlstate.From(err)
						fmt.Fprintln(&out, errText(string(e.Code), e.Message, e.Detail, e.Hint, e.Where))
						break
					}
					fmt.Fprintln(&out, readerText(t, r, cols, in))
				case d.Cmd == "to" && conn != nil:
					var sb strings.Builder
					q := "COPY (SELECT a::" + map[string]string{"t": "int, b::text, c::date", "s": "text"}[table] + " FROM (VALUES " + line + ") x(" +
						map[string]string{"t": "a, b, c", "s": "a"}[table] + ")) TO STDOUT" + sql
					if _, err := conn.CopyTo(ctx, &sb, q); err != nil {
						fmt.Fprintln(&out, pgErr(err))
						break
					}
					fmt.Fprintln(&out, oneLine(sb.String()))
				case d.Cmd == "to":
					fmt.Fprintln(&out, writerText(t, cols, opts, line))
				}
			}
			return out.String()
		})
	})
}

func readerText(t *testing.T, r *CopyReader, cols []CopyColumn, in string) string {
	ts := make([]types.T, len(cols))
	for i, c := range cols {
		ts[i] = c.T
	}
	b := vec.NewBatch(ts)
	r.Feed([]byte(in))
	r.Finish()
	if _, err := r.Next(b, vec.Size); err != nil {
		e := sqlstate.From(err)
		return errText(string(e.Code), e.Message, e.Detail, e.Hint, e.Where)
	}
	var out strings.Builder
	for i := 0; i < b.N; i++ {
		for c, v := range b.Cols {
			if c > 0 {
				out.WriteByte('|')
			}
			if v.IsNull(i) {
				out.WriteString("NULL")
			} else {
				out.Write(types.AppendText(nil, ts[c], v.Datum(i), nil))
			}
		}
		out.WriteByte('\n')
	}
	return oneLine(out.String())
}

// writerText writes one row given as SQL: ('1', E'a\tb', NULL).
func writerText(t *testing.T, cols []CopyColumn, opts []CopyOption, row string) string {
	o, err := ParseCopyOptions(opts, false)
	var w *CopyWriter
	if err == nil {
		w, err = NewCopyWriter(cols, o, nil)
	}
	if err != nil {
		e := sqlstate.From(err)
		return errText(string(e.Code), e.Message, e.Detail, e.Hint, e.Where)
	}
	var vs []*vec.Vec
	for i, v := range strings.Split(strings.Trim(row, "()"), ", ") {
		x := vec.New(cols[i].T, 1)
		if v == "NULL" {
			x.AppendNull()
		} else {
			if s, ok := strings.CutPrefix(v, "E'"); ok {
				s, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimSuffix(s, "'"), `"`, `\"`) + `"`)
				if err != nil {
					t.Fatal(err)
				}
				v = s
			}
			if err := TextAppender(cols[i].T, nil)(x, []byte(strings.Trim(v, "'"))); err != nil {
				t.Fatal(err)
			}
		}
		vs = append(vs, x)
	}
	out := w.AppendTrailer(w.AppendRow(w.AppendHeader(nil), vs, 0))
	return oneLine(string(out))
}
