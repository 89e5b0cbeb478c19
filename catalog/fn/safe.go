package fn

import "github.com/millrace/millrace/catalog/types"

// SafeCall says whether a call of f, which may fail in general, cannot fail given
// the constants among its arguments: args[i] is argument i when known[i].
func SafeCall(f *Func, known []bool, args []types.Datum) bool {
	constant := func(i int) bool { return i < len(known) && known[i] && args[i].Valid }
	switch f.Name {
	case "int2div", "int4div", "int8div", "int24div", "int42div", "int28div", "int82div", "int48div", "int84div",
		"int2mod", "int4mod", "int8mod":
		return constant(1) && args[1].I != 0 && args[1].I != -1
	case "mod":
		return f.Args[1] != types.NumericOID && constant(1) && args[1].I != 0 && args[1].I != -1
	case "substr", "substring":
		if len(f.Args) == 2 {
			return f.Args[1] == types.Int4OID
		}
		return f.Args[2] == types.Int4OID && constant(2) && args[2].I >= 0
	case "split_part":
		return constant(2) && args[2].I != 0
	case "numeric_div":
		return false
	case "date_part", "extract", "date_trunc":
		if !constant(0) || len(f.Args) != 2 {
			return false
		}
		switch args[0].S {
		case "year", "month", "day", "week", "quarter", "century", "decade", "millennium":
			return f.Args[1] != types.TimeOID && f.Args[1] != types.TimetzOID && f.Args[1] != types.IntervalOID
		case "dow", "doy", "epoch", "isodow", "isoyear":
			return f.Name != "date_trunc" && (f.Args[1] == types.DateOID || f.Args[1] == types.TimestampOID || f.Args[1] == types.TimestamptzOID)
		case "hour", "minute", "second", "milliseconds", "microseconds":
			return f.Args[1] != types.DateOID
		}
	case "int8", "int4", "int2", "float8", "float4", "numeric", "text", "name", "bpchar", "varchar":
		// The casts that widen.
		return len(f.Args) == 1 && widens(f.Args[0], f.Ret)
	case "regexp_replace":
		// The loop raises for a bad constant pattern when it is compiled.
		return len(f.Args) >= 3 && f.Args[len(f.Args)-1] == types.TextOID && constant(1)
	case "textregexeq", "textregexne", "texticregexeq", "texticregexne", "bpcharregexeq", "bpcharregexne", "nameregexeq", "nameregexne":
		return constant(1)
	case "round", "trunc":
		return f.Args[0] == types.NumericOID
	}
	return false
}

func widens(src, dst uint32) bool {
	rank := map[uint32]int{types.Int2OID: 1, types.Int4OID: 2, types.Int8OID: 3, types.NumericOID: 4, types.Float8OID: 5}
	if dst == types.Float4OID {
		return rank[src] > 0 && rank[src] <= 3
	}
	if rank[src] > 0 && rank[dst] > 0 {
		return rank[dst] > rank[src] && !(src == types.NumericOID && dst == types.Float8OID)
	}
	switch {
	case src == types.Float4OID && dst == types.Float8OID:
		return true
	case dst == types.TextOID || dst == types.NameOID || dst == types.BPCharOID || dst == types.VarcharOID:
		return true
	}
	return false
}
