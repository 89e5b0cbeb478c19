package eval

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// The files testdata/*.txt hold calls and PostgreSQL's answers:
//
//	signature [@ type,type …] | argument | … => answer
//
// \N is NULL, \E the empty string, !code an error. With MILLRACE_REFERENCE set to a PostgreSQL's
// connection string, TestFunctions writes the answers instead of checking them.

type funcCase struct {
	file, sig string
	at        []string // actual types, when some are polymorphic
	args      []string
	want      string
	line      int
}

func readCases(t *testing.T, path string) (lines []string, cases []funcCase) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		l := s.Text()
		lines = append(lines, l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		call, want, _ := strings.Cut(l, " => ")
		parts := strings.Split(strings.TrimSuffix(call, " =>"), " | ")
		sig, at, _ := strings.Cut(parts[0], " @ ")
		for i := range parts {
			if parts[i] == `\E` {
				parts[i] = ""
			}
		}
		c := funcCase{file: filepath.Base(path), sig: sig, args: parts[1:], want: want, line: n}
		if at != "" {
			c.at = strings.Split(at, ",")
		} else if _, rest, ok := strings.Cut(strings.TrimSuffix(sig, ")"), "("); ok && rest != "" {
			c.at = strings.Split(rest, ",")
		}
		if len(c.at) == 0 && len(c.args) > 0 {
			for _, a := range lookup(sig).Args {
				c.at = append(c.at, fn.TypeName(a))
			}
		}
		cases = append(cases, c)
	}
	return lines, cases
}

func typeByName(t *testing.T, name string) types.T {
	if e, ok := strings.CutSuffix(name, "[]"); ok {
		return types.Of(fn.ArrayOf(typeByName(t, e).OID), -1)
	}
	i := types.ByName(name)
	if i == nil {
		t.Fatalf("no type %q", name)
	}
	return types.Of(i.OID, -1)
}

func TestFunctions(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	sort.Strings(files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			lines, cases := readCases(t, f)
			if ref := os.Getenv("MILLRACE_REFERENCE"); ref != "" {
				answer(t, ref, f, lines, cases)
				return
			}
			for i := range cases {
				runCase(t, &cases[i])
			}
		})
	}
}

// answer asks PostgreSQL.
func answer(t *testing.T, ref, path string, lines []string, cases []funcCase) {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "set timezone = 'America/New_York'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		name, _, _ := strings.Cut(c.sig, "(")
		var args []string
		for i, a := range c.args {
			lit := "NULL"
			if a != `\N` {
				lit = "'" + strings.ReplaceAll(unescape(a), "'", "''") + "'"
			}
			typ := c.at[min(i, len(c.at)-1)]
			if e, ok := strings.CutSuffix(typ, "[]"); ok {
				typ = fmt.Sprintf("pg_catalog.%q[]", e)
			} else {
				typ = fmt.Sprintf("pg_catalog.%q", typ)
			}
			if f := lookup(c.sig); f.Variadic != 0 && f.Variadic != types.AnyOID && i == len(f.Args)-1 && strings.HasSuffix(typ, "[]") {
				lit = "VARIADIC " + lit
			}
			args = append(args, lit+"::"+typ)
		}
		sql := fmt.Sprintf("select %q(%s)", name, strings.Join(args, ", "))
		res, err := conn.Exec(ctx, sql).ReadAll()
		want := ""
		var pe *pgconn.PgError
		switch {
		case errors.As(err, &pe):
			want = "!" + pe.Code + " " + pe.Message
		case err != nil:
			t.Fatal(err)
		case len(res) == 0 || len(res[0].Rows) != 1:
			want = "!rows"
		case res[0].Rows[0][0] == nil:
			want = `\N`
		default:
			want = escape(string(res[0].Rows[0][0]))
		}
		call, _, _ := strings.Cut(lines[c.line-1], " => ")
		lines[c.line-1] = strings.TrimSuffix(call, " =>") + " => " + want
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func escape(s string) string   { return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "\n", `\n`) }
func unescape(s string) string { return strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(s) }

var testSession = func() *Session {
	loc, err := types.LoadZone("America/New_York")
	if err != nil {
		panic(err)
	}
	return &Session{Types: &types.Env{TimeZone: loc, ExtraFloatDigits: 1}, Now: 9e17, Clock: func() int64 { return time.Now().UnixMicro() }}
}()

// forms of the arguments a case is run in.
const (
	asConst = iota
	asFlat
	asDict
	asScaled64
	asScaled128
	forms
)

func runCase(t *testing.T, c *funcCase) {
	f := lookup(c.sig)
	ts := make([]types.T, len(c.args))
	ds := make([]types.Datum, len(c.args))
	for i, a := range c.args {
		ts[i] = typeByName(t, c.at[min(i, len(c.at)-1)])
		if a == `\N` {
			continue
		}
		d, err := types.ParseText(ts[i], unescape(a), testSession.Types)
		if err != nil {
			t.Errorf("%s:%d: argument %d: %v", c.file, c.line, i+1, err)
			return
		}
		ds[i] = d
	}
	seen := map[string]bool{}
	for form := 0; form < forms; form++ {
		fts, fds := ts, ds
		if form >= asScaled64 {
			var ok bool
			if fts, fds, ok = scaledArgs(ts, ds, form == asScaled128); !ok {
				continue
			}
		}
		for _, got := range runForm(t, f, form, fts, fds) {
			if got != c.want && !seen[got] {
				seen[got] = true
				t.Errorf("%s:%d: %s(%s) form %d\n got %s\nwant %s", c.file, c.line, f.Name, strings.Join(c.args, ", "), form, got, c.want)
			}
		}
	}
}

// scaledArgs gives finite numerics a scaled layout.
func scaledArgs(ts []types.T, ds []types.Datum, wide bool) ([]types.T, []types.Datum, bool) {
	ts, ds = append([]types.T(nil), ts...), append([]types.Datum(nil), ds...)
	some := false
	for i := range ts {
		if ts[i].OID != types.NumericOID || !ds[i].Valid {
			continue
		}
		b := []byte(ds[i].S)
		if types.NumericIsNaN(b) || types.NumericIsInf(b) {
			return nil, nil, false
		}
		scale := types.NumericDScale(b)
		v, ok := types.NumericToI128(b, scale)
		if !ok {
			return nil, nil, false
		}
		text := string(types.AppendInt128(nil, v))
		digits := max(len(strings.TrimLeft(text, "-0")), scale)
		t := types.DecimalResult(max(digits, 1), scale)
		if wide {
			t = types.DecimalResult(max(digits, 19), scale)
		} else if digits > 18 {
			return nil, nil, false
		}
		if !t.Scaled() {
			return nil, nil, false
		}
		ts[i] = t
		ds[i] = types.NewInt(int64(v.Lo))
		if wide || t.Layout == types.LayoutI128 {
			ds[i] = types.NewI128(v)
		}
		some = true
	}
	return ts, ds, some
}

// runForm evaluates the call with its arguments in one form; every answer given
// must be the expected one.
func runForm(t *testing.T, f *fn.Func, form int, ts []types.T, ds []types.Datum) []string {
	args := make([]expr.Expr, len(ts))
	const rows = 130
	b := &vec.Batch{N: rows}
	sel := []uint16{3, 64, 65, 129}
	for i := range ts {
		if form == asConst {
			args[i] = &expr.Const{T: ts[i], D: ds[i]}
			continue
		}
		args[i] = &expr.Column{ID: i, T: ts[i], Name: fmt.Sprint("c", i)}
		b.Cols = append(b.Cols, column(ts[i], ds[i], rows, sel, form == asDict, uint64(len(b.Cols)+1)))
	}
	rt := fn.ResultType(f, ts)
	e := &expr.Call{Fn: f, Args: args, T: rt, Pos: -1}
	var out []string
	p, err := Compile(e, &Env{Session: testSession})
	if err != nil {
		return []string{errText(err)}
	}
	selections := [][]uint16{sel}
	if form == asConst {
		selections = append(selections, nil)
	}
	dense := make([]uint16, 0, rows)
	for i := 0; i < rows; i++ {
		if i%3 == 0 || i == 64 || i == 65 {
			dense = append(dense, uint16(i))
		}
	}
	for round := 0; round < 2; round++ {
		for _, s := range selections {
			b.Sel = s
			v, err := p.Eval(b)
			if err != nil {
				out = append(out, errText(err))
				continue
			}
			for _, i := range sel {
				out = append(out, valueText(v, int(i)))
			}
		}
	}
	if form != asConst && !f.MayFail {
		// The other rows are null.
		b.Sel = dense
		v, err := p.Eval(b)
		if err != nil {
			return append(out, errText(err))
		}
		for _, i := range sel {
			out = append(out, valueText(v, int(i)))
		}
		if f.Strict && len(ts) > 0 && !v.IsNull(0) {
			out = append(out, "not null for a null")
		}
	}
	return out
}

// column has d in the rows of sel and NULL elsewhere.
func column(t types.T, d types.Datum, rows int, sel []uint16, dict bool, id uint64) *vec.Vec {
	in := map[int]bool{}
	for _, i := range sel {
		in[int(i)] = true
	}
	v := vec.New(t, rows)
	for i := 0; i < rows; i++ {
		if in[i] {
			v.AppendDatum(d)
		} else {
			v.AppendNull()
		}
	}
	if !dict || !d.Valid || t.Layout == types.LayoutBool {
		return v
	}
	values := vec.New(t, 2)
	values.AppendDatum(d)
	values.AppendDatum(d)
	w := &vec.Vec{T: t, Form: vec.Dict, N: rows, Valid: v.Valid, Dict: &vec.Dictionary{Values: values, ID: id}}
	for i := 0; i < rows; i++ {
		code := uint32(0)
		if in[i] {
			code = uint32(i & 1)
		}
		w.Codes = append(w.Codes, code)
	}
	return w
}

func valueText(v *vec.Vec, i int) string {
	d := v.Datum(i)
	if !d.Valid {
		return `\N`
	}
	return escape(string(types.AppendText(nil, v.T, d, testSession.Types)))
}

func errText(err error) string {
	e := sqlstate.From(err)
	return "!" + string(e.Code) + " " + e.Message
}
