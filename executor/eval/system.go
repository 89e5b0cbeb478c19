package eval

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

func init() {
	fact := func(f func(s *Session) string) impl {
		return impl{cost: 2, loop: total(func(c *Call, i int) { c.RetBytes(i, unsafeBytes(f(c.Env.session()))) })}
	}
	reg("version", fact(func(s *Session) string { return s.Version }))
	reg("current_database", fact(func(s *Session) string { return s.Database }))
	reg("current_user", fact(func(s *Session) string { return s.User }))
	reg("getpgusername", fact(func(s *Session) string { return s.User }))
	reg("session_user", fact(func(s *Session) string { return s.SessionUser }))
	reg("current_schema", impl{cost: 2, loop: total(func(c *Call, i int) {
		s := c.Env.session().Schema
		c.ret(i, types.Datum{Valid: s != "", S: s})
	})})
	reg("current_schemas", impl{loop: total(func(c *Call, i int) {
		var b types.ArrayBuilder
		b.Reset(types.NameOID)
		s := c.Env.session()
		path := s.SearchPath
		if path == nil && s.Schema != "" {
			path = []string{s.Schema}
		}
		has := false
		for _, p := range path {
			has = has || p == "pg_catalog"
		}
		if c.Bool(0, i) && s.TempSchema != "" && !slices.Contains(path, s.TempSchema) {
			b.AppendBytes([]byte(s.TempSchema))
		}
		if c.Bool(0, i) && !has {
			b.AppendBytes([]byte("pg_catalog"))
		}
		for _, p := range path {
			if p == "pg_catalog" && !c.Bool(0, i) {
				continue
			}
			b.AppendBytes([]byte(p))
		}
		c.End(i, b.Finish(c.Begin()))
	})})
	reg("pg_typeof", impl{nonStrict: true, cost: 1, loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(c.Args[0].T.OID) })})
	nulls := func(want bool) Loop {
		return total(func(c *Call, i int) {
			n := int32(0)
			for k := range c.Args {
				n += int32(b2i(c.Null(k, i) == want))
			}
			c.Out.I32[i] = n
		})
	}
	reg("num_nulls", impl{nonStrict: true, loop: nulls(true)})
	reg("num_nonnulls", impl{nonStrict: true, loop: nulls(false)})
	reg("pg_column_size", impl{loop: total(func(c *Call, i int) {
		c.Out.I32[i] = map[types.Layout]int32{types.LayoutBool: 1, types.LayoutI16: 2, types.LayoutI32: 4, types.LayoutF32: 4,
			types.LayoutI64: 8, types.LayoutF64: 8, types.LayoutI128: 16, types.LayoutFixed16: 16}[c.Args[0].T.Layout]
		if c.Args[0].T.Layout == types.LayoutView {
			c.Out.I32[i] = int32(len(c.Bytes(0, i))) + 1
		}
	})})
	reg("gen_random_uuid", impl{cost: 20, loop: total(func(c *Call, i int) {
		s := c.Env.session()
		hi, lo := s.uint64(), s.uint64()
		c.Out.Fix[i] = types.Fixed16{A: int64(hi&^0xf000 | 0x4000), B: int64(lo&^(3<<62) | 2<<62)}
	})})
	reg("setseed", impl{loop: each(func(c *Call, i int) error {
		v := c.F64(0, i)
		if !(v >= -1 && v <= 1) {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "setseed parameter %g is out of allowed range [-1,1]", v)
		}
		if s := c.Env.session(); s.Rand != nil {
			*s.Rand = *rand.New(rand.NewPCG(uint64(int64(v*(1<<53))), 0))
		}
		c.Out.Views[i] = vec.View{}
		return nil
	})})
	sleep := func(secs func(c *Call, i int) float64) Loop {
		return each(func(c *Call, i int) error {
			c.Out.Views[i] = vec.View{}
			d := time.Duration(secs(c, i) * float64(time.Second))
			if w := c.Env.session().Waiting; w != nil {
				defer storage.BeginWait(w())()
			}
			if f := c.Env.session().Sleep; f != nil {
				return f(d)
			}
			return unsupported(c.Fn)
		})
	}
	reg("pg_sleep", impl{prepare: whenSleeps(sleep(func(c *Call, i int) float64 { return c.F64(0, i) }))})
	reg("pg_sleep_for", impl{prepare: whenSleeps(sleep(func(c *Call, i int) float64 {
		v := types.IntervalSpan(c.Fix(0, i))
		return v.Float64() / 1e6
	}))})
	regAdvisory()
	reg("pg_size_bytes", impl{loop: each(sizeBytes)})
	reg("pg_input_is_valid", impl{loop: each(func(c *Call, i int) error {
		info := types.ByName(c.Str(1, i))
		if info == nil {
			info = types.ByAlias(c.Str(1, i))
		}
		if info == nil {
			return sqlstate.Errorf(sqlstate.UndefinedObject, "type \"%s\" does not exist", c.Bytes(1, i))
		}
		_, err := types.ParseText(types.Of(info.OID, -1), c.Str(0, i), c.Env.session().Types)
		c.RetBool(i, err == nil)
		return nil
	})})
	reg("regclass", impl{cost: 100, loop: each(func(c *Call, i int) (err error) {
		c.Out.I32[i], err = types.ParseI32(types.Regclass, c.Bytes(0, i), c.Env.session().Types)
		return err
	})})
	reg("numeric(numeric,int4)", impl{loop: each(func(c *Call, i int) error {
		b, err := types.FitNumeric(c.Begin(), c.Bytes(0, i), c.I32(1, i))
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
	reg("varchar(varchar,int4,bool)", impl{loop: each(func(c *Call, i int) error {
		b, err := types.FitVarchar(c.Bytes(0, i), c.I32(1, i), c.Bool(2, i))
		c.RetBytes(i, b)
		return err
	})})
	reg("bpchar(bpchar,int4,bool)", impl{loop: each(func(c *Call, i int) error {
		b, err := types.AppendBPChar(c.Begin(), c.Bytes(0, i), c.I32(1, i), c.Bool(2, i))
		if err == nil {
			c.End(i, b)
		}
		return err
	})})
	reg("length(bytea,name)", impl{loop: total(func(c *Call, i int) { c.Out.I32[i] = int32(charCount(c.Bytes(0, i))) })})
	initPatternOps()
	initThreeWay()
	initOverlaps()
}

// whenSleeps makes pg_sleep available to sessions that can sleep; else the
// provider is asked.
func whenSleeps(l Loop) func(*prepareContext) (Loop, error) {
	return func(pc *prepareContext) (Loop, error) {
		s := pc.env.session()
		if s.Sleep == nil && s.Provider != nil && s.Provider.Has(pc.fn.OID) {
			return provide(s.Provider, pc.fn), nil
		}
		return l, nil
	}
}

func sizeBytes(c *Call, i int) error {
	s := strings.TrimSpace(c.Str(0, i))
	k := 0
	for k < len(s) && (isDigit(s[k]) || s[k] == '.' || s[k] == '-' || s[k] == '+' || (s[k] == 'e' || s[k] == 'E') && k+1 < len(s) && isDigit(s[k+1])) {
		k++
	}
	n, err := types.ParseNumeric(nil, []byte(s[:k]))
	if err != nil || k == 0 {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid size: \"%s\"", c.Bytes(0, i))
	}
	unit := strings.ToLower(strings.TrimSpace(s[k:]))
	mult, ok := map[string]int64{"": 1, "bytes": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40, "pb": 1 << 50}[unit]
	if !ok {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid size: \"%s\"", c.Bytes(0, i)).
			WithDetail("Invalid size unit: \"%s\".", strings.TrimSpace(s[k:])).
			WithHint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
	}
	if n, err = types.NumericMul(nil, n, types.NumericFromInt64(nil, mult, 0)); err != nil {
		return err
	}
	v, fits := types.NumericToInt64(n)
	if !fits {
		return outOfRange[int64]()
	}
	c.Out.I64[i] = v
	return nil
}

func initPatternOps() {
	for i, op := range ops {
		name := opNames[i]
		if name == "eq" || name == "ne" {
			continue
		}
		reg("text_pattern_"+name, impl{loop: cmpText(op), cost: 4})
		reg("bpchar_pattern_"+name, impl{cost: 6, loop: cmpBy(op, func(c *Call, i int) int {
			return bytes.Compare(trimBlanks(c.Bytes(0, i)), trimBlanks(c.Bytes(1, i)))
		})})
	}
	for i, op := range ops {
		reg("record_image_"+opNames[i], impl{cost: 20, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareRecord(c.Bytes(0, i), c.Bytes(1, i)) })})
	}
}

// initThreeWay registers the comparison support functions that can be called by
// name.
func initThreeWay() {
	for _, name := range []string{"date_cmp", "timestamp_cmp", "timestamptz_cmp", "time_cmp", "timetz_cmp", "interval_cmp", "uuid_cmp", "jsonb_cmp", "bpcharcmp", "byteacmp"} {
		reg(name, impl{loop: total(func(c *Call, i int) {
			n := types.Compare(c.Args[0].T, c.datum(c.Args[0], 0, i), c.datum(c.Args[1], 1, i))
			c.Out.I32[i] = int32(compareOrdered(int64(n), 0))
		})})
	}
}

// initOverlaps registers OVERLAPS: two periods given by their ends, or by start
// and length.
func initOverlaps() {
	for _, sig := range []string{
		"time,time,time,time", "time,interval,time,interval", "time,interval,time,time", "time,time,time,interval",
		"timestamp,timestamp,timestamp,timestamp", "timestamp,interval,timestamp,interval", "timestamp,interval,timestamp,timestamp", "timestamp,timestamp,timestamp,interval",
		"timestamptz,timestamptz,timestamptz,timestamptz", "timestamptz,interval,timestamptz,interval", "timestamptz,interval,timestamptz,timestamptz", "timestamptz,timestamptz,timestamptz,interval",
	} {
		kinds := strings.Split(sig, ",")
		reg("overlaps("+sig+")", impl{nonStrict: true, loop: each(func(c *Call, i int) error {
			var v [4]int64
			var null [4]bool
			for k := range v {
				null[k] = c.Null(k, i)
				if null[k] {
					continue
				}
				if kinds[k] != "interval" {
					v[k] = c.I64(k, i)
					continue
				}
				if null[k-1] {
					null[k] = true
					continue
				}
				var err error
				switch kinds[k-1] {
				case "time":
					v[k] = v[k-1] + c.Fix(k, i).A%usecPerDay
				case "timestamp":
					v[k], err = addInterval(v[k-1], c.Fix(k, i))
				default:
					v[k], err = addIntervalTz(v[k-1], c.Fix(k, i), c.Env.session().zone())
				}
				if err != nil {
					return err
				}
			}
			r, known := overlap(v, null)
			if !known {
				c.SetNull(i)
			}
			c.RetBool(i, r)
			return nil
		})})
	}
}

// overlap follows the standard: each period is put in order, then they overlap
// when one starts within the other; a period of no length is a point.
func overlap(v [4]int64, null [4]bool) (result, known bool) {
	for k := 0; k < 4; k += 2 {
		switch {
		case null[k] && null[k+1]:
			return false, false
		case null[k] || !null[k+1] && v[k] > v[k+1]:
			v[k], v[k+1] = v[k+1], v[k]
			null[k], null[k+1] = null[k+1], null[k]
		}
	}
	s1, e1, s2, e2 := v[0], v[1], v[2], v[3]
	switch {
	case s1 > s2:
		if null[3] {
			return false, false
		}
		if s1 < e2 {
			return true, true
		}
		if null[1] {
			return false, false
		}
		return false, true
	case s1 < s2:
		if null[1] {
			return false, false
		}
		if s2 < e1 {
			return true, true
		}
		if null[3] {
			return false, false
		}
		return false, true
	}
	if null[1] || null[3] {
		return false, false
	}
	_ = e2
	return true, true
}
