package agg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// testdata/aggs.txt holds aggregate calls over a column or two, and PostgreSQL's
// answers:
//
//	name(declared types) @ type,type [; direct: value] | row | row … => answer
//
// A row has its values separated by tabs; \N is NULL. With MILLRACE_REFERENCE set
// to a PostgreSQL's connection string the test writes the answers.

type aggCase struct {
	sig    string
	types  []string
	direct string
	rows   [][]string
	want   string
	line   int
}

func readAggs(t *testing.T) (lines []string, cases []aggCase) {
	f, err := os.Open(filepath.Join("testdata", "aggs.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		l := s.Text()
		lines = append(lines, l)
		if l == "" || l[0] == '#' {
			continue
		}
		call, want, _ := strings.Cut(l, " => ")
		parts := strings.Split(strings.TrimSuffix(call, " =>"), " | ")
		head, at, _ := strings.Cut(parts[0], " @ ")
		at, direct, _ := strings.Cut(at, "; direct: ")
		c := aggCase{sig: head, direct: direct, want: want, line: n}
		for _, n := range strings.Split(at, ",") {
			c.types = append(c.types, strings.TrimSpace(n))
		}
		for _, r := range parts[1:] {
			c.rows = append(c.rows, strings.Split(r, "\t"))
		}
		cases = append(cases, c)
	}
	return lines, cases
}

func TestAggregates(t *testing.T) {
	lines, cases := readAggs(t)
	if ref := os.Getenv("MILLRACE_REFERENCE"); ref != "" {
		answerAggs(t, ref, lines, cases)
		return
	}
	for i := range cases {
		c := &cases[i]
		for _, form := range []string{"one", "groups", "merged", "scaled"} {
			if got := runAgg(t, c, form); got != c.want && got != "skip" {
				t.Errorf("line %d: %s %v %s: got %s, want %s", c.line, c.sig, c.rows, form, got, c.want)
			}
		}
	}
}

func answerAggs(t *testing.T, ref string, lines []string, cases []aggCase) {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "set timezone = 'UTC'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	lit := func(s string) string {
		if s == `\N` {
			return "NULL"
		}
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	for _, c := range cases {
		name, _, _ := strings.Cut(c.sig, "(")
		var cols, args, rows []string
		for k, typ := range c.types {
			if e, ok := strings.CutSuffix(typ, "[]"); ok {
				typ = fmt.Sprintf("pg_catalog.%q[]", e)
			} else {
				typ = fmt.Sprintf("pg_catalog.%q", typ)
			}
			cols = append(cols, fmt.Sprintf("c%d", k))
			args = append(args, fmt.Sprintf("c%d::%s", k, typ))
		}
		for i, r := range c.rows {
			vs := []string{fmt.Sprint(i)}
			for k := range c.types {
				vs = append(vs, lit(r[k])+"::text")
			}
			rows = append(rows, "("+strings.Join(vs, ",")+")")
		}
		call := fmt.Sprintf("%q(%s order by o)", name, strings.Join(args, ", "))
		if c.direct != "" {
			call = fmt.Sprintf("%q('%s'::pg_catalog.%s) within group (order by %s)", name, c.direct, fn.TypeName(fn.BySignature(c.sig).Args[0]), args[0])
		} else if f := fn.BySignature(c.sig); f.Agg == fn.OrderedSet {
			call = fmt.Sprintf("%q() within group (order by %s)", name, args[0])
		}
		sql := fmt.Sprintf("select %s from (values %s) v(o,%s)", call, strings.Join(rows, ","), strings.Join(cols, ","))
		res, err := conn.Exec(ctx, sql).ReadAll()
		var pe *pgconn.PgError
		want := ""
		switch {
		case errors.As(err, &pe):
			want = "!" + pe.Code + " " + pe.Message
		case err != nil:
			t.Fatal(err)
		case res[0].Rows[0][0] == nil:
			want = `\N`
		default:
			want = strings.ReplaceAll(string(res[0].Rows[0][0]), "\n", `\n`)
		}
		call, _, _ = strings.Cut(lines[c.line-1], " => ")
		lines[c.line-1] = strings.TrimSuffix(call, " =>") + " => " + want
	}
	if err := os.WriteFile(filepath.Join("testdata", "aggs.txt"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func typeNamed(name string) types.T {
	if e, ok := strings.CutSuffix(name, "[]"); ok {
		return types.Of(fn.ArrayOf(typeNamed(e).OID), -1)
	}
	return types.Of(types.ByName(name).OID, -1)
}

// runAgg computes a case: all rows in the only group; in one group of three; in two
// states that are merged; with numerics in a scaled layout.
func runAgg(t *testing.T, c *aggCase, form string) string {
	f := fn.BySignature(c.sig)
	if f == nil {
		t.Fatalf("no aggregate %s", c.sig)
	}
	if form == "merged" && (f.Agg == fn.OrderedSet) {
		return "skip"
	}
	ts := make([]types.T, len(c.types))
	for i, n := range c.types {
		ts[i] = typeNamed(n)
	}
	if form == "scaled" {
		if ts[0].OID != types.NumericOID || f.Ret != types.NumericOID {
			return "skip"
		}
		scale := -1
		for _, r := range c.rows {
			s := 0
			if k := strings.IndexByte(r[0], '.'); k >= 0 {
				s = len(r[0]) - k - 1
			}
			if r[0] == `\N` {
				continue
			}
			if scale >= 0 && s != scale || strings.ContainsAny(r[0], "Ny") || len(r[0]) > 18 {
				return "skip"
			}
			scale = s
		}
		ts[0] = types.Decimal(18, max(scale, 0))
	}
	cols := make([]*vec.Vec, len(ts))
	for k, ty := range ts {
		cols[k] = vec.New(ty, len(c.rows))
		for _, r := range c.rows {
			if r[k] == `\N` {
				cols[k].AppendNull()
				continue
			}
			d, err := types.ParseText(ty, r[k], nil)
			if err != nil {
				t.Fatalf("line %d: %v", c.line, err)
			}
			cols[k].AppendDatum(d)
		}
	}
	argTypes := ts
	call := &Call{Fn: f, Args: ts}
	if c.direct != "" {
		d, err := types.ParseText(types.Of(f.Args[0], -1), c.direct, nil)
		if err != nil {
			t.Fatal(err)
		}
		call.Direct = []types.Datum{d}
		argTypes = append([]types.T{types.Of(f.Args[0], -1)}, ts...)
	}
	call.T = fn.ResultType(f, argTypes)
	n := len(c.rows)
	group := uint32(0)
	groups := make([]uint32, n)
	count := 1
	if form == "groups" {
		group, count = 1, 3
		for i := range groups {
			groups[i] = group
		}
	}
	s, err := New(call)
	if err != nil {
		return errText(err)
	}
	s.Grow(count)
	switch form {
	case "merged":
		half := n / 2
		var sel1, sel2 []uint16
		for i := 0; i < n; i++ {
			if i < half {
				sel1 = append(sel1, uint16(i))
			} else {
				sel2 = append(sel2, uint16(i))
			}
		}
		s2, _ := New(call)
		s2.Grow(2)
		if err := s.Update(cols, sel1, len(sel1), groups); err != nil {
			return errText(err)
		}
		for i := range groups {
			groups[i] = 1
		}
		if err := s2.Update(cols, sel2, len(sel2), groups); err != nil {
			return errText(err)
		}
		if err := s.Merge(s2, []uint32{1}, []uint32{0}); err != nil {
			return errText(err)
		}
	default:
		if err := s.Update(cols, nil, n, groups); err != nil {
			return errText(err)
		}
	}
	out := vec.New(call.T, 1)
	if err := s.Result([]uint32{group}, out); err != nil {
		return errText(err)
	}
	d := out.Datum(0)
	if !d.Valid {
		return `\N`
	}
	return strings.ReplaceAll(string(types.AppendText(nil, call.T, d, nil)), "\n", `\n`)
}

func errText(err error) string {
	e := sqlstate.From(err)
	return "!" + string(e.Code) + " " + e.Message
}
