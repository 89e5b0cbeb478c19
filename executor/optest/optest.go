// Package optest runs plans over small tables in memory in every way in which the
// answer must not differ: batch sizes, selections, vector forms, workers, spilling.
// It is for tests of executor/build and executor/op, and imports only contracts and
// the executor.
package optest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// Rows are rows of Go values: nil, bool, int, int64, float64, string, types.Datum.
type Rows [][]any

// Fixture is a set of tables and the ids of a plan over them.
type Fixture struct {
	tables map[uint32]*table
	id     int
}

// New makes an empty fixture.
func New() *Fixture { return &Fixture{tables: map[uint32]*table{}} }

type table struct {
	ts   []types.T
	rows [][]types.Datum
}

// ID hands out a fresh id.
func (f *Fixture) ID() int {
	f.id++
	return f.id
}

// Col makes a fresh column.
func (f *Fixture) Col(name string, t types.T) plan.Column {
	return plan.Column{ID: f.ID(), Name: name, T: t}
}

// Table makes a table with columns c0, c1, … and a scan of it.
func (f *Fixture) Table(ts []types.T, rows Rows) *plan.Scan {
	oid := uint32(f.ID() + 100000)
	t := &table{ts: ts}
	for _, r := range rows {
		d := make([]types.Datum, len(ts))
		for i := range ts {
			d[i] = Datum(ts[i], r[i])
		}
		t.rows = append(t.rows, d)
	}
	f.tables[oid] = t
	ct := &catalog.Table{OID: oid, Name: fmt.Sprint("t", oid)}
	s := &plan.Scan{Table: ct, Limit: -1}
	for i, k := range ts {
		name := fmt.Sprint("c", i)
		ct.Columns = append(ct.Columns, catalog.Column{ID: int32(i), Attr: int16(i + 1), Name: name, T: k})
		s.Cols = append(s.Cols, f.Col(name, k))
		s.Ords = append(s.Ords, i)
	}
	return s
}

// Datum makes a value of type t.
func Datum(t types.T, x any) types.Datum {
	switch x := x.(type) {
	case nil:
		return types.Null
	case types.Datum:
		return x
	case bool:
		return types.NewBool(x)
	case int:
		return integer(t, int64(x))
	case int64:
		return integer(t, x)
	case float64:
		return types.NewFloat(x)
	case string:
		if t.Layout != types.LayoutView || !types.PlainBytes(t.OID) {
			d, err := types.ParseText(t, x, nil)
			if err != nil {
				panic(err)
			}
			return d
		}
		return types.NewString(x)
	}
	panic(fmt.Sprintf("optest: value %T", x))
}

func integer(t types.T, x int64) types.Datum {
	switch t.Layout {
	case types.LayoutF32, types.LayoutF64:
		return types.NewFloat(float64(x))
	case types.LayoutI128:
		h := int64(0)
		if x < 0 {
			h = -1
		}
		return types.NewI128(types.Int128{Lo: uint64(x), Hi: h})
	}
	return types.NewInt(x)
}

// Snapshot gives the fixture's tables. It may vary the form of batches.
func (f *Fixture) Snapshot(v Variant) storage.Snapshot { return &snapshot{f, v} }

type snapshot struct {
	f *Fixture
	v Variant
}

func (s *snapshot) CSN() storage.CSN          { return 1 }
func (s *snapshot) Catalog() *catalog.Version { return catalog.NewVersion() }
func (s *snapshot) Close()                    {}
func (s *snapshot) Relation(t *catalog.Table) (storage.Relation, error) {
	return &relation{s.f.tables[t.OID], s.v}, nil
}

// splitRows is the size of a split: small, so that lanes share even small tables.
const splitRows = 37

type relation struct {
	t *table
	v Variant
}

func (r *relation) Splits(context.Context, *catalog.ScanSpec) ([]storage.Split, int, error) {
	size := splitRows
	if len(r.t.rows) > 10000 {
		size = 4096
	}
	var out []storage.Split
	for at := 0; at < len(r.t.rows); at += size {
		out = append(out, storage.Split{Block: at, Rows: min(size, len(r.t.rows)-at)})
	}
	return out, len(out), nil
}

func (r *relation) Reader(spec *catalog.ScanSpec) (storage.Reader, error) {
	ts := make([]types.T, len(spec.Cols))
	for i, c := range spec.Cols {
		ts[i] = r.t.ts[c]
	}
	return &reader{r: r, cols: spec.Cols, b: vec.NewBatch(ts), rng: rand.New(rand.NewPCG(uint64(r.v.Seed), 7))}, nil
}

// Bounds are those of integer columns; narrower than the truth in a Variant with
// BadBounds, which costs speed only.
func (r *relation) Bounds(col int) (lo, hi types.Datum) {
	switch r.t.ts[col].Layout {
	case types.LayoutI16, types.LayoutI32, types.LayoutI64:
	default:
		return
	}
	for _, row := range r.t.rows {
		d := row[col]
		if !d.Valid {
			continue
		}
		if !lo.Valid || d.I < lo.I {
			lo = d
		}
		if !hi.Valid || d.I > hi.I {
			hi = d
		}
	}
	if r.v.BadBounds {
		hi = lo
	}
	return lo, hi
}
func (r *relation) RowCount() (int64, bool) { return int64(len(r.t.rows)), true }
func (r *relation) Get(context.Context, *vec.Batch, []int, *vec.Batch, []uint16) ([]uint16, error) {
	panic("optest: no Get")
}

type reader struct {
	r    *relation
	cols []int
	s    storage.Split
	at   int
	b    *vec.Batch
	rng  *rand.Rand
}

func (d *reader) Open(s storage.Split) error        { d.s, d.at = s, 0; return nil }
func (d *reader) Prune(i int, min, max types.Datum) {}
func (d *reader) Close() error                      { return nil }
func (d *reader) junk(t types.T) types.Datum        { return types.Null }
func (d *reader) value(row, c int) types.Datum      { return d.r.t.rows[d.s.Block+row][d.cols[c]] }

// Next makes batches; with Sel it puts rows of junk between the real ones and
// selects around them; with Dict it makes dictionaries.
func (d *reader) Next() (*vec.Batch, error) {
	if d.at >= d.s.Rows {
		return nil, nil
	}
	n := min(d.s.Rows-d.at, vec.Size/2)
	from := d.at
	d.at += n
	for i, c := range d.b.Cols {
		// The memory of the last batch is written over: nobody may still need it.
		c.Recycle(d.r.t.ts[d.cols[i]])
	}
	var at []int // physical row to real row, -1 for junk
	d.b.Sel = nil
	if d.r.v.Sel {
		d.b.Sel = []uint16{}
	}
	for k := 0; k < n; k++ {
		for d.r.v.Sel && len(at) < vec.Size-n && d.rng.IntN(3) == 0 {
			at = append(at, -1)
		}
		if d.r.v.Sel {
			d.b.Sel = append(d.b.Sel, uint16(len(at)))
		}
		at = append(at, from+k)
	}
	for i, c := range d.b.Cols {
		get := func(p int) types.Datum {
			if at[p] < 0 {
				return d.junk(c.T)
			}
			return d.value(at[p], i)
		}
		if d.r.v.Dict {
			d.dictionary(c, len(at), get)
			continue
		}
		for p := range at {
			c.AppendDatum(get(p))
		}
	}
	d.b.N = len(at)
	return d.b, nil
}

var dictID atomic.Uint64

func (d *reader) dictionary(c *vec.Vec, n int, get func(int) types.Datum) {
	t := c.T
	values := vec.New(t, 8)
	codes := map[types.Datum]uint32{}
	var nulls []int
	out := make([]uint32, n)
	for p := range n {
		x := get(p)
		if !x.Valid {
			nulls = append(nulls, p)
			continue
		}
		k, ok := codes[x]
		if !ok {
			k = uint32(values.N)
			codes[x] = k
			values.AppendDatum(x)
		}
		out[p] = k
	}
	c.Reset(t)
	c.Form, c.N, c.Codes = vec.Dict, n, out
	c.Dict = &vec.Dictionary{Values: values, ID: 1<<40 + dictID.Add(1)}
	if len(nulls) > 0 {
		c.TakeValid(n)
		for _, p := range nulls {
			vec.ClearBit(c.Valid, p)
		}
	}
}

// Variant is one way to run a plan.
type Variant struct {
	Batch   int
	Workers int // 0: on the caller's goroutine
	Sel     bool
	Dict    bool
	Spill   bool
	// Memory is a limit under which the plan runs, with files when it is short; 0: none.
	Memory int64
	Seed   int
	// BadBounds makes relations tell wrong bounds of their columns.
	BadBounds bool
}

// Variants are the ways in which Check runs each plan.
var Variants = []Variant{
	{},
	{Batch: 1},
	{Batch: 3, Sel: true},
	{Dict: true},
	{Dict: true, Sel: true, Batch: 64},
	{Workers: 4},
	{Workers: 4, Sel: true, Batch: 3},
	{Workers: 3, Dict: true},
	{BadBounds: true},
	{BadBounds: true, Workers: 4},
	{BadBounds: true, Workers: 4, Spill: true},
	{Spill: true},
	{Spill: true, Workers: 4, Dict: true},
}

// Run runs a plan and gives its rows as text; an error is the error's text alone.
func (f *Fixture) Run(t testing.TB, root plan.Node, v Variant) ([]string, error) {
	t.Helper()
	env := &executor.Env{Snapshot: f.Snapshot(v), Eval: &eval.Env{}, Simple: func(expr.Expr) bool { return false }, Account: mem.NewRoot(v.Memory)}
	env.BatchSize = v.Batch
	if v.Spill || v.Memory > 0 {
		files := &readers{Dir: blob.NewMem().Root()}
		s, err := mem.NewSpill(files, 0)
		if err != nil {
			t.Fatal(err)
		}
		env.Spill, env.ForceSpill = s, v.Spill
		defer func() {
			if n := files.open.Load(); n != 0 {
				t.Errorf("%d spill files are still open", n)
			}
			if s.Used() != 0 {
				t.Errorf("%d bytes of spill files are left", s.Used())
			}
		}()
	}
	if v.Workers > 0 {
		env.Pool = sched.NewPool(v.Workers)
		env.ForcePool = true
		defer env.Pool.Close()
	}
	q, err := executor.Start(context.Background(), root, env)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if n := env.Account.Used(); n != 0 {
			t.Errorf("%d bytes are left in the account", n)
		}
	}()
	var out []string
	for {
		b, err := q.Next(context.Background())
		if err != nil {
			return nil, err
		}
		if b == nil {
			break
		}
		for k := range b.Rows() {
			out = append(out, rowText(b, b.Row(k)))
		}
		for k := range b.Sel { // the selection is the consumer's
			b.Sel[k] = 0
		}
	}
	return out, nil
}

// readers is a directory that counts the files which are open for reading.
type readers struct {
	blob.Dir
	open atomic.Int64
}

// Open implements blob.Dir.
func (d *readers) Open(name string) (blob.File, error) {
	f, err := d.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return &counted{File: f, d: d}, nil
}

type counted struct {
	blob.File
	d *readers
}

// Close implements blob.File.
func (f *counted) Close() error {
	f.d.open.Add(-1)
	return f.File.Close()
}

func rowText(b *vec.Batch, i int) string {
	var s []string
	for _, c := range b.Cols {
		d := c.Datum(i)
		if !d.Valid {
			s = append(s, "null")
			continue
		}
		s = append(s, string(types.AppendText(nil, c.T, d, nil)))
	}
	return strings.Join(s, "|")
}

// Check runs the plan in all Variants and compares its rows with want, texts of
// rows with | between values; the order counts when ordered is set. A want of one
// row "error: …" expects an error.
func (f *Fixture) Check(t *testing.T, root plan.Node, ordered bool, want ...string) {
	t.Helper()
	for _, v := range Variants {
		got, err := f.Run(t, root, v)
		if err != nil {
			got = []string{"error: " + err.Error()}
		}
		w := append([]string(nil), want...)
		if !ordered {
			sort.Strings(got)
			sort.Strings(w)
		}
		if strings.Join(got, "\n") != strings.Join(w, "\n") {
			t.Errorf("%+v:\ngot\n  %s\nwant\n  %s", v, strings.Join(clip(got), "\n  "), strings.Join(clip(w), "\n  "))
		}
	}
}

func clip(s []string) []string {
	if len(s) > 40 {
		return append(append([]string(nil), s[:40]...), fmt.Sprintf("… %d rows", len(s)))
	}
	return s
}

// Op is a call of a binary operator on operands of its left type.
func Op(name string, l, r expr.Expr) expr.Expr {
	for _, o := range fn.Operators(name) {
		if o.Left == l.Type().OID && o.Right == r.Type().OID {
			return &expr.Call{Fn: o.Func, Args: []expr.Expr{l, r}, T: types.Of(o.Result, -1), Pos: -1, Op: name}
		}
	}
	panic("optest: no operator " + name)
}

// Eq is l = r.
func Eq(l, r expr.Expr) *fn.Func { return Op("=", l, r).(*expr.Call).Fn }

// Const is a constant.
func Const(t types.T, x any) expr.Expr { return &expr.Const{T: t, D: Datum(t, x)} }

// Agg finds an aggregate by name and argument types.
func Agg(name string, args ...types.T) *fn.Func {
	for _, f := range fn.ByName(name) {
		if f.Kind != fn.Aggregate || len(f.Args) != len(args) {
			continue
		}
		ok := true
		for i, a := range args {
			ok = ok && (f.Args[i] == a.OID || fn.IsPoly(f.Args[i]) || f.Args[i] == types.AnyOID)
		}
		if ok {
			return f
		}
	}
	panic("optest: no aggregate " + name)
}
