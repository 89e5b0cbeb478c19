package diff

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

var (
	seed    = flag.Uint64("seed", 1, "first seed")
	seeds   = flag.Int("seeds", 3, "how many seeds, a schema each")
	perSeed = flag.Int("queries", 120, "queries of each seed")
	pgDSN   = flag.String("dsn", os.Getenv("MILLRACE_PG_DSN"), "a PostgreSQL to compare with")
	ourDSN  = flag.String("ours", "", "a running Millrace, instead of one inside the test")
	show    = flag.Int("show", 10, "differences to print")
	list    = flag.Bool("list", false, "print the queries, and do not ask")
	keep    = flag.Bool("keep", false, "leave the schemas")
	loose   = flag.Bool("errors-agree", false, "also show where only one side raised a data exception")
)

// answer is what came back: rows as values, nil for NULL, in the order of their text.
type answer struct {
	cols []string // name, type
	oids []uint32
	rows [][][]byte
	tag  string
	code string
	msg  string
}

// mode is how a statement is sent and its rows come back.
type mode int

const (
	simple mode = iota
	text
	binary
)

func ask(ctx context.Context, c *pgconn.PgConn, q string, m mode) (answer, error) {
	var r *pgconn.Result
	switch m {
	case simple:
		res, err := c.Exec(ctx, q).ReadAll()
		if len(res) > 0 {
			r = res[len(res)-1]
		} else {
			r = &pgconn.Result{Err: err}
		}
		if err != nil {
			r.Err = err
		}
	case text:
		r = c.ExecParams(ctx, q, nil, nil, nil, nil).Read()
	case binary:
		r = c.ExecParams(ctx, q, nil, nil, nil, []int16{1}).Read()
	}
	var pe *pgconn.PgError
	if errors.As(r.Err, &pe) {
		return answer{code: pe.Code, msg: pe.Message}, nil
	}
	if r.Err != nil {
		return answer{}, r.Err
	}
	a := answer{rows: r.Rows, tag: r.CommandTag.String()}
	for _, f := range r.FieldDescriptions {
		a.cols = append(a.cols, fmt.Sprintf("%s %d %d", f.Name, f.DataTypeOID, f.TypeModifier))
		a.oids = append(a.oids, f.DataTypeOID)
	}
	sort.Slice(a.rows, func(i, k int) bool { return lessRow(a.rows[i], a.rows[k]) })
	return a, nil
}

func lessRow(a, b [][]byte) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return a[i] == nil
		}
		if c := bytes.Compare(a[i], b[i]); c != 0 {
			return c < 0
		}
	}
	return false
}

func show1(row [][]byte) string {
	v := make([]string, len(row))
	for k, x := range row {
		v[k] = "\\N"
		if x != nil {
			v[k] = string(x)
		}
	}
	return fmt.Sprintf("%q", strings.Join(v, "\t"))
}

// differ says how two answers differ, "" when they agree. README.md has the reasons
// for what it lets pass.
func differ(q Query, a, b answer, m mode, equal intervals) string {
	if b.code == canceled {
		return "" // the other side never came to an answer
	}
	if a.code != b.code {
		// Which rows an expression is evaluated on is the plan's choice, in
		// PostgreSQL too.
		if !q.Strict && !*loose && raised(a) && raised(b) {
			return ""
		}
		return fmt.Sprintf("error %q (%s) against %q (%s)", a.code, a.msg, b.code, b.msg)
	}
	if a.tag != b.tag {
		return fmt.Sprintf("tag %q against %q", a.tag, b.tag)
	}
	if x, y := strings.Join(a.cols, ", "), strings.Join(b.cols, ", "); x != y && !lessTyped(q, a.cols, b.cols) {
		return fmt.Sprintf("columns %q against %q", x, y)
	}
	var left, right [][][]byte
	i, k := 0, 0
	for i < len(a.rows) || k < len(b.rows) {
		switch {
		case k == len(b.rows) || i < len(a.rows) && lessRow(a.rows[i], b.rows[k]):
			left = append(left, a.rows[i])
			i++
		case i == len(a.rows) || lessRow(b.rows[k], a.rows[i]):
			right = append(right, b.rows[k])
			k++
		default:
			i++
			k++
		}
	}
	if len(left) != len(right) {
		return fmt.Sprintf("%d rows against %d", len(a.rows), len(b.rows))
	}
	// What is left agrees when each row finds one that is equal but for the last
	// digits of floats and the spelling of equal values.
	for _, x := range left {
		found := -1
		for n, y := range right {
			if y != nil && same(q, a.oids, x, y, m, equal) {
				found = n
				break
			}
		}
		if found < 0 {
			for n := range right {
				if right[n] != nil {
					return fmt.Sprintf("row %s against %s", show1(x), show1(right[n]))
				}
			}
		}
		right[found] = nil
	}
	return ""
}

const canceled = "57014"

// listed names the difference of README.md's second list that d is, "" when it is none.
// They are counted and not printed.
func listed(d, sql string) string {
	for _, l := range []struct{ name, diff, sql string }{
		{"NaN in numeric(p,s)", `^error .*"0A000" \(NaN in a value of type numeric\(`, ``},
		{"power of numerics in 15", `^row `, `^SELECT power\([^()]*::numeric, [^()]*::numeric\)$`},
		{"age and differences beyond the range", `^error "22008" \((timestamp|interval) out of range\) against "" `, `^SELECT (age\(CAST|\(CAST\([^()]*\) - CAST)`},
	} {
		if regexp.MustCompile(l.diff).MatchString(d) && regexp.MustCompile(l.sql).MatchString(sql) {
			return l.name
		}
	}
	return ""
}

// raised says whether a side gave rows, or an error that evaluating an expression
// raises: a data exception, or one of the few of class 0A.
func raised(a answer) bool {
	for _, p := range []string{"cannot convert ", "unit ", "removing elements", "searching for elements", "date/time value", "timestamps cannot be binned"} {
		if a.code == "0A000" && strings.HasPrefix(a.msg, p) {
			return true
		}
	}
	return a.code == "" || a.code == "54000" || strings.HasPrefix(a.code, "22")
}

// lessTyped: all the same, but that b knows a type modifier that a does not, or that
// they took theirs from different arms of a set operation. PostgreSQL's come from
// folded constants too.
func lessTyped(q Query, a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := strings.LastIndexByte(a[i], ' '), strings.LastIndexByte(b[i], ' ')
		if a[i][:x] != b[i][:y] || a[i][x:] != b[i][y:] && a[i][x:] != " -1" && !q.Merged {
			return false
		}
	}
	return true
}

func same(q Query, oids []uint32, a, b [][]byte, m mode, equal intervals) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if bytes.Equal(a[i], b[i]) {
			continue
		}
		if m == binary {
			if !closeBinary(q, oids[i], a[i], b[i]) {
				return false
			}
			continue
		}
		if !closeText(q, oids[i], string(a[i]), string(b[i]), equal) {
			return false
		}
	}
	return true
}

const (
	oidFloat4, oidFloat8, oidNumeric, oidInterval = 700, 701, 1700, 1186
	oidFloat8Array, oidIntervalArray              = 1022, 1187
)

// intervals says whether two texts are equal intervals, which only a server knows.
type intervals func(a, b string) bool

func intervalsOf(ctx context.Context, c *pgconn.PgConn) intervals {
	return func(a, b string) bool {
		x, err := ask(ctx, c, "SELECT '"+a+"'::interval = '"+b+"'::interval", simple)
		return err == nil && len(x.rows) == 1 && string(x.rows[0][0]) == "t"
	}
}

// between: values between intervals take the form of those, which are any of several
// equal ones.
func between(q Query) bool { return q.Merged && strings.Contains(q.SQL, "percentile_") }

// near: equal but for the last digits, which depend on the order of a sum.
func near(x, y float64) bool {
	if x == y || math.IsNaN(x) && math.IsNaN(y) {
		return true
	}
	return math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y), 1e-300)
}

func closeText(q Query, oid uint32, a, b string, equal intervals) bool {
	switch oid {
	case oidFloat4, oidFloat8:
		x, err1 := strconv.ParseFloat(a, 64)
		y, err2 := strconv.ParseFloat(b, 64)
		return err1 == nil && err2 == nil && near(x, y)
	case oidFloat8Array:
		x, y := strings.Split(strings.Trim(a, "{}"), ","), strings.Split(strings.Trim(b, "{}"), ",")
		for i := range x {
			if len(x) != len(y) || !closeText(q, oidFloat8, x[i], y[i], equal) {
				return false
			}
		}
		return true
	case oidNumeric:
		// 1.5 and 1.50 are one group.
		return q.Merged && trimZeros(a) == trimZeros(b)
	case oidInterval:
		return q.Merged && equal(a, b)
	case oidIntervalArray:
		if between(q) {
			x, y := strings.Split(strings.Trim(a, "{}"), ","), strings.Split(strings.Trim(b, "{}"), ",")
			return slices.EqualFunc(x, y, func(v, w string) bool { return v == w || equal(strings.Trim(v, `"`), strings.Trim(w, `"`)) })
		}
		// Equal ones stand in any order.
		x, y := strings.Split(strings.Trim(a, "{}"), ","), strings.Split(strings.Trim(b, "{}"), ",")
		sort.Strings(x)
		sort.Strings(y)
		return q.Merged && slices.Equal(x, y)
	}
	return false
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// arrays are the array types that are generated.
var arrays = map[uint32]bool{199: true, 1000: true, 1001: true, 1002: true, 1003: true, 1005: true, 1007: true, 1009: true, 1014: true, 1015: true, 1016: true,
	1021: true, 1022: true, 1028: true, 1115: true, 1182: true, 1183: true, 1185: true, 1187: true, 1231: true, 1270: true, 2951: true, 3807: true}

func closeBinary(q Query, oid uint32, a, b []byte) bool {
	if arrays[oid] && len(a) == len(b) && len(a) >= 8 && bytes.Equal(a[:4], b[:4]) && bytes.Equal(a[8:], b[8:]) {
		return true // whether there may be nulls, where there are none
	}
	switch {
	case oid == oidNumeric && len(a) == len(b) && len(a) >= 8:
		// All but the scale for display.
		return q.Merged && bytes.Equal(a[:6], b[:6]) && bytes.Equal(a[8:], b[8:])
	case oid == oidInterval && len(a) == 16 && len(b) == 16:
		return q.Merged && intervalLength(a).Cmp(intervalLength(b)) == 0
	case oid == oidIntervalArray:
		x, y := elements(a), elements(b)
		if between(q) {
			return slices.EqualFunc(x, y, func(v, w string) bool {
				return v == w || len(v) == 20 && len(w) == 20 && closeBinary(q, oidInterval, []byte(v[4:]), []byte(w[4:]))
			})
		}
		// Equal ones stand in any order.
		sort.Strings(x[1:])
		sort.Strings(y[1:])
		return q.Merged && slices.Equal(x, y)
	case oid == oidFloat8Array:
		x, y := elements(a), elements(b)
		for i := range x {
			if len(x) != len(y) || x[i] != y[i] && (i == 0 || len(x[i]) != 12 || len(y[i]) != 12 || !closeBinary(q, oidFloat8, []byte(x[i][4:]), []byte(y[i][4:]))) {
				return false
			}
		}
		return len(x) == len(y)
	case oid == oidFloat8 && len(a) == 8 && len(b) == 8:
		return near(math.Float64frombits(be64(a)), math.Float64frombits(be64(b)))
	case oid == oidFloat4 && len(a) == 4 && len(b) == 4:
		x, y := math.Float32frombits(uint32(be64(a))), math.Float32frombits(uint32(be64(b)))
		return near(float64(x), float64(y)) || math.Abs(float64(x-y)) <= 1e-6*math.Abs(float64(x))
	}
	return false
}

// intervalLength is what intervals are compared by: a month is 30 days of 24 hours.
func intervalLength(b []byte) *big.Int {
	days := int64(int32(be64(b[8:12]))) + 30*int64(int32(be64(b[12:16])))
	v := new(big.Int).Mul(big.NewInt(days), big.NewInt(86_400_000_000))
	return v.Add(v, big.NewInt(int64(be64(b[:8]))))
}

// elements are the header of an array, and its elements with their lengths.
func elements(b []byte) []string {
	if len(b) < 12 {
		return []string{string(b)}
	}
	at := min(12+8*int(be64(b[:4])), len(b))
	out := []string{string(b[:at])}
	for at+4 <= len(b) {
		end := at + 4 + max(int(int32(be64(b[at:at+4]))), 0)
		out = append(out, string(b[at:min(end, len(b))]))
		at = end
	}
	return out
}

func be64(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func connect(t *testing.T, dsn string, schema string, ddl []string) *pgconn.PgConn {
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(ctx) })
	setup := append([]string{"SET client_min_messages = error", "DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema,
		"SET search_path = " + schema, "SET statement_timeout = '60s'"}, ddl...)
	for _, q := range setup {
		if _, err := c.Exec(ctx, q).ReadAll(); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return c
}

func oursOrNode(t *testing.T) string {
	if *ourDSN != "" {
		return *ourDSN
	}
	return node.ForTest(t).DSN
}

// TestPostgres compares with a PostgreSQL, by the simple protocol and the extended
// one with text and binary results in turns.
func TestPostgres(t *testing.T) {
	if *pgDSN == "" {
		t.Skip("no PostgreSQL to compare with: give -dsn or MILLRACE_PG_DSN")
	}
	ours := oursOrNode(t)
	run(t, func(schema string, ddl []string) (a, b *pgconn.PgConn) {
		return connect(t, ours, schema, ddl), connect(t, *pgDSN, schema, ddl)
	}, nil)
}

// Variants are settings that must not change an answer.
var variants = []string{
	"SET millrace.batch_size = 3", "SET millrace.force_spill = on", "SET millrace.workers = 1", "SET millrace.workers = 8",
	"SET millrace.passes_off = 'push_filter,push_filter_again,push_filter_to_scan'", "SET millrace.passes_off = 'order_joins,runtime_filters'",
	"SET millrace.passes_off = 'simplify_outer_joins,factor_or,fold_constants,prune_columns,top_n'",
	"SET millrace.batch_size = 3; SET millrace.force_spill = on; SET millrace.workers = 8",
}

// TestSettings compares answers under settings that must not change them.
func TestSettings(t *testing.T) {
	ours := oursOrNode(t)
	run(t, func(schema string, ddl []string) (a, b *pgconn.PgConn) {
		a = connect(t, ours, schema, ddl)
		b = connect(t, ours, schema+"_v", ddl[:3])
		if _, err := b.Exec(context.Background(), "SET search_path = "+schema).ReadAll(); err != nil {
			t.Fatal(err)
		}
		return a, b
	}, func(r *rand.Rand) string {
		return "RESET millrace.batch_size; RESET millrace.force_spill; RESET millrace.workers; RESET millrace.passes_off; " + variants[r.IntN(len(variants))]
	})
}

// pairOf asks one thing of both sides.
func pairOf(ctx context.Context, a, b *pgconn.PgConn, q string, m mode) (x, y answer, err error) {
	if x, err = ask(ctx, a, q, m); err != nil {
		return x, y, fmt.Errorf("connection: %w", err)
	}
	if y, err = ask(ctx, b, q, m); err != nil {
		return x, y, fmt.Errorf("other connection: %w", err)
	}
	return x, y, nil
}

func run(t *testing.T, pair func(string, []string) (a, b *pgconn.PgConn), variant func(*rand.Rand) string) {
	ctx := context.Background()
	bad, total, failed := 0, 0, 0
	known := map[string]int{} // differences that README.md lists
	for i := 0; i < *seeds; i++ {
		sd := *seed + uint64(i)
		g := NewGen(sd)
		if *list {
			fmt.Println(strings.Join(g.Schema(), ";\n") + ";")
			for k := range *perSeed {
				fmt.Printf("-- %d\n%s;\n", k, g.Query().SQL)
			}
			continue
		}
		schema := fmt.Sprintf("diff%d", sd)
		a, b := pair(schema, g.Schema())
		r := rand.New(rand.NewPCG(sd, 2))
		for k := 0; k < *perSeed; k++ {
			q := g.Query()
			set := ""
			if variant != nil {
				set = variant(r)
				if _, err := b.Exec(ctx, set).ReadAll(); err != nil {
					t.Fatal(err)
				}
				// A variant's plan is evaluated on other rows.
			}
			m := mode(k % 3)
			var d string
			var err error
			if q.Table == "" {
				var x, y answer
				if x, y, err = pairOf(ctx, a, b, q.SQL, m); err == nil {
					d = differ(q, x, y, m, intervalsOf(ctx, b))
					if x.code != "" || y.code != "" {
						failed++
					}
				}
			} else {
				d, err = writes(ctx, a, b, q, m, variant != nil)
			}
			if err != nil {
				t.Fatalf("seed %d query %d: %v\n%s", sd, k, err, q.SQL)
			}
			total++
			if why := listed(d, q.SQL); why != "" {
				known[why]++
				continue
			}
			if d != "" {
				if bad++; bad <= *show {
					if set != "" {
						set = set[strings.LastIndex(set, "RESET"):]
					}
					t.Errorf("seed %d query %d: %s %s\n%s", sd, k, d, set, q.SQL)
				}
			}
		}
		for _, c := range []*pgconn.PgConn{a, b} {
			if !*keep {
				_, _ = c.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE").ReadAll()
			}
		}
		_ = a.Close(ctx)
		_ = b.Close(ctx)
	}
	t.Logf("%d queries, %d differ, %d raise an error", total, bad, failed)
	for why, n := range known {
		t.Logf("%d more differ by what README.md lists: %s", n, why)
	}
}

// writes runs a statement that changes a table on both sides, then compares the
// table; it is kept when both sides agree, so that they stay equal. On one store
// the statement is rolled back on the first side before the second runs it.
func writes(ctx context.Context, a, b *pgconn.PgConn, q Query, m mode, one bool) (string, error) {
	side := func(c *pgconn.PgConn) (x, after answer, err error) {
		if _, err = c.Exec(ctx, "BEGIN").ReadAll(); err != nil {
			return
		}
		if x, err = ask(ctx, c, q.SQL, m); err != nil {
			return
		}
		if x.code == "" {
			after, err = ask(ctx, c, "SELECT * FROM "+q.Table, m)
		}
		return
	}
	end := func(c *pgconn.PgConn, how string) error {
		_, err := c.Exec(ctx, how).ReadAll()
		return err
	}
	x, xa, err := side(a)
	if err != nil {
		return "", fmt.Errorf("connection: %w", err)
	}
	if one {
		if err := end(a, "ROLLBACK"); err != nil {
			return "", err
		}
	}
	y, ya, err := side(b)
	if err != nil {
		return "", fmt.Errorf("other connection: %w", err)
	}
	equal := intervalsOf(ctx, b)
	d := differ(q, x, y, m, equal)
	if d == "" && x.code == "" && y.code == "" {
		if d = differ(q, xa, ya, m, equal); d != "" {
			d = "table after: " + d
		}
	}
	how := "ROLLBACK"
	if d == "" && x.code == "" && y.code == "" && len(xa.rows) < 500 {
		how = "COMMIT"
	}
	if !one {
		if err := end(a, how); err != nil {
			return "", err
		}
	}
	return d, end(b, how)
}
