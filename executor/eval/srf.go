package eval

import (
	"math"
	"time"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// SRF yields the rows of a set-returning call, for one input row after another:
//
//	Begin(batch)
//	for each selected row: Row(i), then Next until it gives less than was asked for
//
// A call of a function that does not return a set yields one row.
type SRF struct {
	prog  *Program
	f     *fn.Func
	cols  []types.T
	args  []*vec.Vec
	ds    []types.Datum
	start func(s *SRF, args []types.Datum) (generator, error)
	gen   generator
	ints  *intSeries // the generator of integers, used again for each row
	one   bool
	row   int
}

// generator appends up to max rows to out and says how many; fewer than max end it.
type generator interface {
	next(out []*vec.Vec, max int) (int, error)
}

// srfs are the set-returning functions by OID.
var srfs = map[uint32]func(s *SRF, args []types.Datum) (generator, error){}

func regSRF(sig string, f func(s *SRF, args []types.Datum) (generator, error)) {
	srfs[lookup(sig).OID] = f
}

// CompileSRF compiles a call for a ProjectSet or a table function.
func CompileSRF(call *expr.Call, env *Env) (*SRF, error) {
	s := &SRF{f: call.Fn}
	if !call.Fn.RetSet {
		p, err := Compile(call, env)
		if err != nil {
			return nil, err
		}
		s.prog, s.one, s.cols = p, true, []types.T{call.T}
		return s, nil
	}
	args := append([]expr.Expr(nil), call.Args...)
	for i, a := range args {
		if t := a.Type(); t.Scaled() {
			args[i] = &expr.Cast{Arg: a, T: types.Numeric, Kind: expr.CastNumeric}
		}
	}
	p, err := CompileList(args, env)
	if err != nil {
		return nil, err
	}
	s.prog = p
	s.cols = []types.T{call.T}
	if len(call.Fn.OutTypes) > 0 {
		s.cols = nil
		for _, o := range call.Fn.OutTypes {
			if fn.IsPoly(o) && len(call.Args) > 0 {
				o = fn.ElemOf(call.Args[0].Type().OID)
			}
			s.cols = append(s.cols, types.Of(o, -1))
		}
	}
	s.start = srfs[call.Fn.OID]
	if s.start == nil {
		rp, ok := env.session().Provider.(RowProvider)
		if !ok || !rp.Has(call.Fn.OID) {
			return nil, unsupported(call.Fn)
		}
		s.start = func(s *SRF, args []types.Datum) (generator, error) {
			rows, err := rp.Rows(s.f, args)
			return &listGen{rows: rows}, err
		}
	}
	s.ds = make([]types.Datum, len(args))
	return s, nil
}

// Columns are the types of the output columns.
func (s *SRF) Columns() []types.T { return s.cols }

// Begin evaluates the arguments for the selected rows of b.
func (s *SRF) Begin(b *vec.Batch) error {
	var err error
	s.args, err = s.prog.EvalAll(b)
	return err
}

// Row turns to row i of the batch.
func (s *SRF) Row(i int) error {
	if s.one {
		s.row = i
		return nil
	}
	null := false
	for k, v := range s.args {
		s.ds[k] = v.Datum(i)
		null = null || !s.ds[k].Valid
	}
	if null && s.f.Strict {
		s.gen = nil
		return nil
	}
	var err error
	s.gen, err = s.start(s, s.ds)
	return err
}

// Next appends up to max rows to out, flat vectors of Columns, and returns how
// many. Fewer than max mean that the set is at its end.
func (s *SRF) Next(out []*vec.Vec, max int) (int, error) {
	if s.one {
		if s.row < 0 || max == 0 {
			return 0, nil
		}
		out[0].AppendDatum(s.args[0].Datum(s.row))
		s.row = -1
		return 1, nil
	}
	if s.gen == nil {
		return 0, nil
	}
	n, err := s.gen.next(out, max)
	if n < max {
		s.gen = nil
	}
	return n, err
}

// listGen has its rows ready.
type listGen struct {
	rows [][]types.Datum
}

func (g *listGen) next(out []*vec.Vec, max int) (int, error) {
	n := min(max, len(g.rows))
	for _, r := range g.rows[:n] {
		for k, d := range r {
			out[k].AppendDatum(d)
		}
	}
	g.rows = g.rows[n:]
	return n, nil
}

func init() {
	ints := func(width int) func(s *SRF, a []types.Datum) (generator, error) {
		return func(s *SRF, a []types.Datum) (generator, error) {
			step := int64(1)
			if len(a) > 2 {
				step = a[2].I
			}
			if step == 0 {
				return nil, zeroStep()
			}
			if s.ints == nil {
				s.ints = &intSeries{}
			}
			*s.ints = intSeries{at: a[0].I, stop: a[1].I, step: step}
			return s.ints, nil
		}
	}
	for _, t := range []string{"int4", "int8"} {
		reg := ints(len(t))
		regSRF("generate_series("+t+","+t+")", reg)
		regSRF("generate_series("+t+","+t+","+t+")", reg)
	}
	numeric := func(s *SRF, a []types.Datum) (generator, error) {
		g := &numericSeries{at: []byte(a[0].S), stop: []byte(a[1].S), step: types.NumericFromInt64(nil, 1, 0)}
		if len(a) > 2 {
			g.step = []byte(a[2].S)
		}
		for k, b := range [][]byte{g.at, g.stop, g.step} {
			what := [...]string{"start", "stop", "step size"}[k]
			switch {
			case types.NumericIsNaN(b):
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "%s value cannot be NaN", what)
			case types.NumericIsInf(b):
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "%s value cannot be infinity", what)
			}
		}
		if types.NumericSign(g.step) == 0 {
			return nil, zeroStep()
		}
		return g, nil
	}
	regSRF("generate_series(numeric,numeric)", numeric)
	regSRF("generate_series(numeric,numeric,numeric)", numeric)
	times := func(zoned bool) func(s *SRF, a []types.Datum) (generator, error) {
		return func(s *SRF, a []types.Datum) (generator, error) {
			g := &timeSeries{at: a[0].I, stop: a[1].I, step: a[2].Fixed16()}
			if zoned {
				g.loc = s.prog.env.session().zone()
				if len(a) > 3 {
					loc, err := types.FindZone(a[3].S)
					if err != nil {
						return nil, err
					}
					g.loc = loc
				}
			}
			switch types.CompareFixed16(types.IntervalOID, g.step, types.Fixed16{}) {
			case 0:
				return nil, zeroStep()
			case -1:
				g.down = true
			}
			return g, nil
		}
	}
	regSRF("generate_series(timestamp,timestamp,interval)", times(false))
	regSRF("generate_series(timestamptz,timestamptz,interval)", times(true))
	regSRF("generate_series(timestamptz,timestamptz,interval,text)", times(true))
	subscripts := func(s *SRF, a []types.Datum) (generator, error) {
		arr, k := types.Array(a[0].S), int(a[1].I)
		if k < 1 || k > arr.NDim() {
			return &listGen{}, nil
		}
		d := arr.Dim(k - 1)
		lo, hi := int64(d.Lower), int64(d.Lower)+int64(d.Len)-1
		if len(a) > 2 && a[2].I != 0 {
			return &intSeries{at: hi, stop: lo, step: -1}, nil
		}
		return &intSeries{at: lo, stop: hi, step: 1}, nil
	}
	regSRF("generate_subscripts(anyarray,int4)", subscripts)
	regSRF("generate_subscripts(anyarray,int4,bool)", subscripts)
	regSRF("unnest(anyarray)", func(s *SRF, a []types.Datum) (generator, error) {
		return &unnest{r: types.Array(a[0].S).Reader()}, nil
	})
	regSRF("_pg_expandarray", func(s *SRF, a []types.Datum) (generator, error) {
		g := &listGen{}
		r := types.Array(a[0].S).Reader()
		for i := range types.Array(a[0].S).Len() {
			g.rows = append(g.rows, []types.Datum{r.Datum(i), types.NewInt(int64(i + 1))})
		}
		return g, nil
	})
	matches := func(s *SRF, a []types.Datum) (generator, error) {
		flags, global := []byte(nil), false
		if len(a) > 2 {
			flags, global = cutGlobal([]byte(a[2].S))
		}
		m, err := compileRegex(a[1].S, string(flags))
		if err != nil {
			return nil, err
		}
		subject := []byte(a[0].S)
		var rows [][]types.Datum
		err = m.all(subject, 0, func(loc []int) bool {
			rows = append(rows, []types.Datum{types.NewString(string(appendMatch(nil, subject, loc)))})
			return global
		})
		return &listGen{rows: rows}, err
	}
	regSRF("regexp_matches(text,text)", matches)
	regSRF("regexp_matches(text,text,text)", matches)
	split := func(s *SRF, a []types.Datum) (generator, error) {
		flags := ""
		if len(a) > 2 {
			f, global := cutGlobal([]byte(a[2].S))
			if flags = string(f); global {
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "regexp_split_to_table() does not support the \"global\" option")
			}
		}
		m, err := compileRegex(a[1].S, flags)
		if err != nil {
			return nil, err
		}
		g := &listGen{}
		err = m.split([]byte(a[0].S), func(part []byte) { g.rows = append(g.rows, []types.Datum{types.NewString(string(part))}) })
		return g, err
	}
	regSRF("regexp_split_to_table(text,text)", split)
	regSRF("regexp_split_to_table(text,text,text)", split)
	table := func(s *SRF, a []types.Datum) (generator, error) {
		g := &listGen{}
		if !a[0].Valid {
			return g, nil
		}
		splitText([]byte(a[0].S), []byte(a[1].S), !a[1].Valid, func(part []byte) {
			d := types.NewString(string(part))
			if len(a) > 2 && a[2].Valid && a[2].S == d.S {
				d = types.Null
			}
			g.rows = append(g.rows, []types.Datum{d})
		})
		return g, nil
	}
	regSRF("string_to_table(text,text)", table)
	regSRF("string_to_table(text,text,text)", table)
}

func zeroStep() error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "step size cannot equal zero")
}

// intSeries counts from at to stop.
type intSeries struct {
	at, stop, step int64
	done           bool
}

func (g *intSeries) next(out []*vec.Vec, max int) (int, error) {
	v := out[0]
	if g.done || g.step > 0 && g.at > g.stop || g.step < 0 && g.at < g.stop {
		return 0, nil
	}
	// The number left, which may pass 64 bits only in theory.
	span := uint64(g.stop) - uint64(g.at)
	size := uint64(g.step)
	if g.step < 0 {
		span, size = uint64(g.at)-uint64(g.stop), -uint64(g.step)
	}
	n := max
	if left := span / size; left < uint64(max) {
		n = int(left) + 1
		if n > max {
			n = max
		}
	}
	base := v.N
	v.Grow(base + n)
	x := g.at
	if v.Valid != nil { // there are nulls from before
		for range n {
			v.AppendDatum(types.NewInt(x))
			x += g.step
		}
		v.N = base
	} else if v.T.Layout == types.LayoutI32 {
		for k := range v.I32[base : base+n] {
			v.I32[base+k] = int32(x)
			x += g.step
		}
	} else {
		for k := range v.I64[base : base+n] {
			v.I64[base+k] = x
			x += g.step
		}
	}
	v.N += n
	if last := x - g.step; g.step > 0 && (last > math.MaxInt64-g.step || x > g.stop) || g.step < 0 && (last < math.MinInt64-g.step || x < g.stop) {
		g.done = true
	}
	g.at = x
	return n, nil
}

type numericSeries struct{ at, stop, step []byte }

func (g *numericSeries) next(out []*vec.Vec, max int) (int, error) {
	up := types.NumericSign(g.step) > 0
	for n := 0; n < max; n++ {
		if c := types.CompareNumeric(g.at, g.stop); up && c > 0 || !up && c < 0 {
			return n, nil
		}
		out[0].AppendBytes(g.at)
		b, err := types.NumericAdd(nil, g.at, g.step)
		if err != nil {
			return n, err
		}
		g.at = b
	}
	return max, nil
}

type timeSeries struct {
	at, stop int64
	step     types.Fixed16
	loc      *time.Location // nil: without time zone
	down     bool
}

func (g *timeSeries) next(out []*vec.Vec, max int) (int, error) {
	for n := 0; n < max; n++ {
		if !g.down && g.at > g.stop || g.down && g.at < g.stop {
			return n, nil
		}
		out[0].AppendDatum(types.NewInt(g.at))
		var err error
		if g.loc != nil {
			g.at, err = addIntervalTz(g.at, g.step, g.loc)
		} else {
			g.at, err = addInterval(g.at, g.step)
		}
		if err != nil {
			return n, err
		}
	}
	return max, nil
}

// unnest gives the elements of an array.
type unnest struct {
	r  types.ArrayReader
	at int
}

func (g *unnest) next(out []*vec.Vec, max int) (int, error) {
	n := min(max, g.r.N-g.at)
	for k := 0; k < n; k++ {
		out[0].AppendDatum(g.r.Datum(g.at + k))
	}
	g.at += n
	return n, nil
}
