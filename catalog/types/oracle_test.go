package types

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// The answers in testdata come from a PostgreSQL server. To take them anew:
//
//	go test ./catalog/types -run Oracle -rewrite -pg 'host=127.0.0.1 port=5432 user=postgres'
//
// Files named *.v16 hold what version 16 does differently from the server at
// hand; -pg leaves them alone.
var (
	pgDSN     = flag.String("pg", "", "take the expected answers from this PostgreSQL server")
	oracleDir = flag.String("oracle", "testdata", "folder of the oracle tests")
)

func errText(code, msg, detail, hint, where string) string {
	if len(msg) > 300 {
		msg = oneLine(msg)
	}
	s := "ERROR " + code + ": " + msg
	for _, x := range []struct{ k, v string }{{"detail", detail}, {"hint", hint}, {"where", where}} {
		if x.v != "" {
			s += " | " + x.k + ": " + x.v
		}
	}
	return s
}

// oneLine makes a value fit on a line.
func oneLine(s string) string {
	if len(s) > 300 {
		return fmt.Sprintf("%s… %d bytes, hash %x", s[:40], len(s), HashBytes([]byte(s)))
	}
	if strings.ContainsAny(s, "\n\r\t\x00") || s == "" || s != strings.TrimSpace(s) || s[0] == '"' {
		return strconv.Quote(s)
	}
	return s
}

func fromLine(s string) string {
	if strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) && len(s) > 1 {
		if u, err := strconv.Unquote(s); err == nil {
			return u
		}
	}
	return s
}

func literal(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	return " E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
}

// envOf reads the settings of a test command; sets is SQL that makes them.
func envOf(t *testing.T, d *datadriven.TestData) (env *Env, sets string) {
	env = &Env{TimeZone: DefaultEnv.TimeZone, ExtraFloatDigits: 1}
	sets = "RESET ALL; SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; "
	for _, a := range d.CmdArgs {
		v := strings.Join(a.Vals, ",")
		switch a.Key {
		case "tz":
			loc, err := LoadZone(v)
			if err != nil {
				t.Fatal(err)
			}
			env.TimeZone = loc
			sets += "SET timezone = '" + v + "'; "
		case "datestyle":
			env.DateStyle = map[string]DateStyle{"iso": DateISO, "sql": DateSQL, "postgres": DatePostgres, "german": DateGerman}[v]
			sets += "SET datestyle = '" + v + "'; "
		case "order":
			env.DateOrder = map[string]DateOrder{"mdy": OrderMDY, "dmy": OrderDMY, "ymd": OrderYMD}[v]
			sets += "SET datestyle = '" + v + "'; "
		case "intervalstyle":
			env.IntervalStyle = map[string]IntervalStyle{"postgres": IntervalPostgres, "postgres_verbose": IntervalPostgresVerbose, "sql_standard": IntervalSQL, "iso_8601": IntervalISO}[v]
			sets += "SET intervalstyle = '" + v + "'; "
		case "floatdigits":
			env.ExtraFloatDigits, _ = strconv.Atoi(v)
			sets += "SET extra_float_digits = " + v + "; "
		case "escape":
			env.ByteaEscape = true
			sets += "SET bytea_output = 'escape'; "
		}
	}
	return env, sets
}

// typeOf reads "numeric(10,2)", "varchar(3)[]", "interval:day to second(3)".
func typeOf(t *testing.T, s string) T {
	name, rest := s, ""
	if i := strings.IndexByte(s, '('); i > 0 {
		name, rest = s[:i], s[i:]
	}
	array := strings.HasSuffix(s, "[]")
	name = strings.TrimSuffix(name, "[]")
	rest = strings.TrimSuffix(rest, "[]")
	info := ByAlias(name)
	if info == nil {
		info = ByAlias(strings.ReplaceAll(name, "_", " "))
	}
	if info == nil {
		t.Fatalf("no type %q", s)
	}
	mod := int32(-1)
	if rest != "" {
		var args []int
		for _, a := range strings.Split(strings.Trim(rest, "()"), ",") {
			n, err := strconv.Atoi(strings.TrimSpace(a))
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, n)
		}
		switch info.OID {
		case NumericOID:
			args = append(args, 0)
			mod = MakeNumericMod(args[0], args[1])
		case VarcharOID, BPCharOID:
			mod = int32(args[0]) + VarHeader
		case IntervalOID:
			mod = MakeIntervalMod(IntervalFull, args[0])
		default:
			mod = int32(args[0])
		}
	}
	oid := info.OID
	if array {
		oid = info.ArrayOID
	}
	return Of(oid, mod)
}

func TestOracle(t *testing.T) {
	ctx := context.Background()
	var conn *pgx.Conn
	if *pgDSN != "" {
		cfg, err := pgx.ParseConfig(*pgDSN)
		if err != nil {
			t.Fatal(err)
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		if conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
	}
	ask := func(sql string) string {
		res, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if err != nil {
			var e *pgconn.PgError
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			return errText(e.Code, e.Message, e.Detail, e.Hint, e.Where)
		}
		var out []string
		for _, r := range res {
			for _, row := range r.Rows {
				for _, v := range row {
					if v == nil {
						out = append(out, "NULL")
					} else {
						out = append(out, oneLine(string(v)))
					}
				}
			}
		}
		return strings.Join(out, " ~ ")
	}
	datadriven.Walk(t, *oracleDir, func(t *testing.T, path string) {
		v16 := strings.HasSuffix(path, ".v16")
		if conn != nil && v16 {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			env, sets := envOf(t, d)
			if conn != nil {
				ask(sets)
			}
			for _, line := range strings.Split(d.Input, "\n") {
				var res string
				switch d.Cmd {
				case "io":
					// A value's text and binary forms: "text ~ hex".
					typ := d.CmdArgs[0].Key
					if len(d.CmdArgs[0].Vals) > 0 {
						typ += "(" + strings.Join(d.CmdArgs[0].Vals, ",") + ")"
					}
					if strings.HasPrefix(line, "hex ") {
						res = testReadBinary(typeOf(t, typ), line[4:], env)
						break
					}
					in := fromLine(line)
					if conn == nil {
						res = testIO(t, typeOf(t, typ), in, env)
						break
					}
					send := Lookup(typeOf(t, typ).OID).Send
					if strings.Contains(typ, "_") && typ != "pg_lsn" {
						typ = strings.ReplaceAll(typ, "_", " ")
					}
					ask("DROP TABLE IF EXISTS pg_temp.io; CREATE TEMP TABLE io (c " + typ + ")")
					res = ask("INSERT INTO pg_temp.io VALUES (" + literal(in) + ") RETURNING c, encode(" + send + "(c), 'hex')")
				case "num":
					// op a [b]: "+ 1 2", "round 1.5 1"
					if conn == nil {
						res = testNum(t, line)
					} else {
						res = ask("SELECT " + numSQL(strings.Fields(line)))
					}
				case "cmp":
					// a ~ b of a type: -1, 0 or 1
					typ := d.CmdArgs[0].Key
					a, b, _ := strings.Cut(line, " ~ ")
					a, b = fromLine(a), fromLine(b)
					if conn == nil {
						res = testCompare(t, typeOf(t, typ), a, b, env)
					} else {
						typ = strings.ReplaceAll(typ, "double_", "double ")
						x, y := literal(a)+"::"+typ, literal(b)+"::"+typ
						res = ask(fmt.Sprintf("SELECT CASE WHEN %s < %s THEN -1 WHEN %s > %s THEN 1 ELSE 0 END", x, y, x, y))
					}
				case "jsonb":
					// left ~ op ~ right
					p := strings.Split(line, " ~ ")
					if conn == nil {
						res = testJSONB(t, p)
					} else {
						res = ask("SELECT " + jsonbSQL(p))
					}
				case "format":
					f := strings.Fields(line)
					if conn == nil {
						oid, _ := strconv.Atoi(f[0])
						mod, _ := strconv.Atoi(f[1])
						res = oneLine(FormatType(uint32(oid), int32(mod)))
					} else {
						res = ask("SELECT format_type(" + f[0] + ", " + f[1] + ")")
					}
				default:
					t.Fatalf("unknown command %s", d.Cmd)
				}
				out.WriteString(res + "\n")
			}
			return out.String()
		})
	})
}

func errLine(err error) string {
	e := sqlstate.From(err)
	return errText(string(e.Code), e.Message, e.Detail, e.Hint, e.Where)
}

func testIO(t *testing.T, typ T, in string, env *Env) string {
	d, err := ParseText(typ, in, env)
	if err != nil {
		return errLine(err)
	}
	text := AppendText(nil, typ, d, env)
	bin := AppendBinary(nil, typ, d, env)
	// What was printed and what was sent must read back as the same value.
	plain := env.DateStyle == DateISO && env.ExtraFloatDigits > 0
	if back, err := ParseText(typ, string(text), env); plain && (err != nil || !Equal(typ, d, back)) {
		t.Errorf("%s %q: %q reads back as %v (%v)", FormatType(typ.OID, typ.Mod), in, text, back, err)
	}
	back, err := ParseBinary(typ, bin, env)
	if err != nil || !Equal(typ, d, back) || Hash(typ, d) != Hash(typ, back) {
		t.Errorf("%s %q: binary %x reads back as %v (%v)", FormatType(typ.OID, typ.Mod), in, bin, back, err)
	}
	return oneLine(string(text)) + " ~ " + oneLine(hex.EncodeToString(bin))
}

func testReadBinary(typ T, in string, env *Env) string {
	b, _ := hex.DecodeString(in)
	d, err := ParseBinary(typ, b, env)
	if err != nil {
		return errLine(err)
	}
	return oneLine(string(AppendText(nil, typ, d, env)))
}

func testCompare(t *testing.T, typ T, a, b string, env *Env) string {
	x, err := ParseText(typ, a, env)
	if err != nil {
		return errLine(err)
	}
	y, err := ParseText(typ, b, env)
	if err != nil {
		return errLine(err)
	}
	c := Compare(typ, x, y)
	if Compare(typ, y, x) != -c {
		t.Errorf("%q and %q: not antisymmetric", a, b)
	}
	if c == 0 && Hash(typ, x) != Hash(typ, y) {
		t.Errorf("%q and %q: compare %d, hashes %x %x", a, b, c, Hash(typ, x), Hash(typ, y))
	}
	if c == 0 && ShardHash(typ, x) != ShardHash(typ, y) {
		t.Errorf("%q and %q are equal, but not their shards", a, b)
	}
	checkKey(t, typ, x, y)
	return strconv.Itoa(c)
}

func numSQL(f []string) string {
	for i, a := range f[1:] {
		if f[0] == "round" || f[0] == "trunc" {
			if i == 1 {
				break
			}
		}
		f[i+1] = "'" + a + "'::numeric"
	}
	switch f[0] {
	case "+", "-", "*", "/", "%", "^":
		return f[1] + " " + f[0] + " " + f[2]
	case "neg":
		return "- " + f[1]
	}
	return f[0] + "(" + strings.Join(f[1:], ", ") + ")"
}

func testNum(t *testing.T, line string) string {
	f := strings.Fields(line)
	arg := func(i int) []byte {
		b, err := ParseNumeric(nil, []byte(f[i]))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	n := func(i int) int {
		v, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var r []byte
	var err error
	switch f[0] {
	case "+":
		r, err = NumericAdd(nil, arg(1), arg(2))
	case "-":
		r, err = NumericSub(nil, arg(1), arg(2))
	case "*":
		r, err = NumericMul(nil, arg(1), arg(2))
	case "/":
		r, err = NumericDiv(nil, arg(1), arg(2))
	case "%":
		r, err = NumericRem(nil, arg(1), arg(2))
	case "^":
		r, err = NumericPow(nil, arg(1), arg(2))
	case "div":
		r, err = NumericQuo(nil, arg(1), arg(2))
	case "log":
		if len(f) == 2 {
			r, err = NumericLog(nil, NumericFromInt64(nil, 10, 0), arg(1))
		} else {
			r, err = NumericLog(nil, arg(1), arg(2))
		}
	case "ln":
		r, err = NumericLn(nil, arg(1))
	case "exp":
		r, err = NumericExp(nil, arg(1))
	case "sqrt":
		r, err = NumericSqrt(nil, arg(1))
	case "round":
		r, err = NumericRound(nil, arg(1), n(2))
	case "trunc":
		r, err = NumericTrunc(nil, arg(1), n(2))
	case "ceil":
		r, err = NumericCeil(nil, arg(1))
	case "floor":
		r, err = NumericFloor(nil, arg(1))
	case "neg":
		r = NumericNeg(nil, arg(1))
	case "abs":
		r = NumericAbs(nil, arg(1))
	case "sign":
		r = NumericSignum(nil, arg(1))
	case "min_scale":
		return strconv.Itoa(NumericMinScale(arg(1)))
	case "trim_scale":
		r = NumericTrimScale(nil, arg(1))
	case "float8":
		v, ok := NumericToFloat64(arg(1))
		if !ok {
			return errLine(NumericFloatRange(arg(1), "double precision"))
		}
		return string(AppendFloat8(nil, v, nil))
	case "int8":
		v, ok := NumericToInt64(arg(1))
		if !ok {
			return errText("22003", "bigint out of range", "", "", "")
		}
		return strconv.FormatInt(v, 10)
	default:
		t.Fatalf("no operation %q", f[0])
	}
	if err != nil {
		return errLine(err)
	}
	return oneLine(string(AppendNumeric(nil, r)))
}
