package fn

import (
	"testing"

	"github.com/millrace/millrace/catalog/types"
)

func TestRegistry(t *testing.T) {
	for _, f := range All() {
		if ByOID(f.OID) != f {
			t.Fatalf("%d %s: not found by its OID", f.OID, f.Name)
		}
	}
	for _, o := range AllOperators() {
		if o.Func == nil {
			t.Errorf("operator %d %s has no function", o.OID, o.Name)
		}
		if n := OperatorByOID(o.Negator); n != nil && n.Negator != o.OID {
			t.Errorf("operator %d %s: negator is not mutual", o.OID, o.Name)
		}
	}
	if f := ByOID(141); f == nil || f.Name != "int4mul" || !f.Strict || !f.MayFail {
		t.Errorf("int4mul: %+v", f)
	}
	for oid, want := range map[uint32]uint32{
		types.Int4OID: 96, types.TextOID: 98, types.VarcharOID: 98, types.NumericOID: 1752, types.Int4ArrayOID: 1070,
		types.RegclassOID: 607, types.BPCharOID: 1054, types.JSONOID: 0,
	} {
		var got uint32
		if o := EqualityFor(oid); o != nil {
			got = o.OID
		}
		if got != want {
			t.Errorf("equality of %d: %d, want %d", oid, got, want)
		}
	}
}

func TestCastOf(t *testing.T) {
	for _, c := range []struct {
		src, dst uint32
		ok       bool
		ctx      CastContext
		method   CastMethod
	}{
		{types.Int4OID, types.Int8OID, true, Implicit, CastFunc},
		{types.Int8OID, types.Int4OID, true, Assignment, CastFunc},
		{types.TextOID, types.VarcharOID, true, Implicit, CastBinary},
		{types.Int4OID, types.TextOID, true, Assignment, CastIO},
		{types.TextOID, types.Int4OID, true, Explicit, CastIO},
		{types.Int4OID, types.BoolOID, true, Explicit, CastFunc},
		{types.Int8OID, types.BoolOID, false, 0, 0},
		{types.DateOID, types.TimestampOID, true, Implicit, CastFunc},
		{types.Int4ArrayOID, types.Int8ArrayOID, true, Implicit, CastIO},
		{types.VarcharArrayOID, types.TextArrayOID, true, Implicit, CastBinary},
		{types.Int4OID, types.DateOID, false, 0, 0},
	} {
		got, ok := CastOf(c.src, c.dst)
		if ok != c.ok || ok && (got.Context != c.ctx || got.Method != c.method) {
			t.Errorf("%d→%d: %+v %v", c.src, c.dst, got, ok)
		}
	}
}

func TestResultType(t *testing.T) {
	d := types.Decimal
	r := types.DecimalResult
	for _, c := range []struct {
		oid  uint32
		args []types.T
		want types.T
	}{
		{1724, []types.T{d(15, 2), d(4, 3)}, r(17, 3)},
		{1725, []types.T{r(1, 0), d(15, 2)}, r(16, 2)},
		{1726, []types.T{d(15, 2), r(16, 2)}, r(31, 4)},
		{1726, []types.T{d(30, 2), d(30, 2)}, types.Numeric},
		{1727, []types.T{d(15, 2), d(15, 2)}, types.Numeric},
		{2114, []types.T{d(15, 2)}, r(38, 2)},
		{2114, []types.T{d(30, 2)}, types.Numeric},
		{2107, []types.T{types.Int8}, r(38, 0)},
		{2130, []types.T{d(15, 2)}, r(15, 2)},
		{2108, []types.T{types.Int4}, types.Int8},
		{378, []types.T{types.Of(types.Int4ArrayOID, -1), types.Int4}, types.Of(types.Int4ArrayOID, -1)}, // array_append
		{2331, []types.T{types.Of(types.NumericArrayOID, -1)}, types.Numeric},                            // unnest
		{2335, []types.T{types.Int8}, types.Of(types.Int8ArrayOID, -1)},                                  // array_agg
		{3108, []types.T{d(15, 2), types.Int4}, r(15, 2)},                                                // lag
	} {
		f := ByOID(c.oid)
		if f == nil {
			t.Fatalf("no function %d", c.oid)
		}
		got := ResultType(f, c.args)
		if got != c.want {
			t.Errorf("%s%v: %+v, want %+v", f.Name, c.args, got, c.want)
		}
	}
}
