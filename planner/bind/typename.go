package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// typeName resolves a type as SQL writes it.
func (b *binder) typeName(tn *pg.TypeName) (types.T, error) {
	ns := names(tn.Names)
	if tn.PctType {
		return b.columnOfType(tn, ns)
	}
	schema, name := "", ns[len(ns)-1]
	switch len(ns) {
	case 1:
	case 2:
		schema = ns[0]
	case 3:
		if ns[0] != b.env.Database {
			return types.T{}, b.errf(tn.Location, sqlstate.FeatureNotSupported, "cross-database references are not implemented: %s", strings.Join(ns, "."))
		}
		schema = ns[1]
	default:
		return types.T{}, b.errf(tn.Location, sqlstate.SyntaxError, "improper qualified name (too many dotted names): %s", strings.Join(ns, "."))
	}
	var info *types.Info
	if schema == "" || schema == "pg_catalog" {
		info = types.ByName(name)
	}
	if info == nil || info.Name == "" {
		return types.T{}, b.noType(tn, ns)
	}
	oid := info.OID
	mod, err := b.typeMod(tn, oid)
	if err != nil {
		return types.T{}, err
	}
	if len(tn.ArrayBounds) > 0 {
		if types.ElemOf(oid) == 0 || oid == types.Int2VectorOID || oid == types.OidVectorOID {
			if oid = info.ArrayOID; oid == 0 {
				return types.T{}, b.errf(tn.Location, sqlstate.UndefinedObject, "could not find array type for data type %s", types.FormatTypeNoMod(info.OID))
			}
		}
	}
	if tn.Setof {
		return types.T{}, b.errf(tn.Location, sqlstate.InvalidTableDefinition, "type \"%s\" cannot be a set here", name)
	}
	return types.Of(oid, mod), nil
}

func (b *binder) noType(tn *pg.TypeName, ns []string) error {
	name := strings.Join(ns, ".")
	if len(tn.ArrayBounds) > 0 {
		name += "[]"
	}
	if len(ns) == 2 && ns[0] != "pg_catalog" && b.env.Catalog.SchemaNamed(ns[0]) == nil {
		return b.errf(tn.Location, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", ns[0])
	}
	return b.errf(tn.Location, sqlstate.UndefinedObject, "type \"%s\" does not exist", name)
}

// columnOfType resolves table.column%TYPE.
func (b *binder) columnOfType(tn *pg.TypeName, ns []string) (types.T, error) {
	if len(ns) < 2 || len(ns) > 3 {
		return types.T{}, b.errf(tn.Location, sqlstate.SyntaxError, "improper %%TYPE reference (too few dotted names): %s", strings.Join(ns, "."))
	}
	schema := ""
	if len(ns) == 3 {
		schema = ns[0]
	}
	rel, col := ns[len(ns)-2], ns[len(ns)-1]
	t, err := b.relation(schema, rel, tn.Location)
	if err != nil {
		return types.T{}, err
	}
	i := t.Ordinal(col)
	if i < 0 {
		return types.T{}, b.errf(tn.Location, sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", col, rel)
	}
	ct := t.Columns[i].T
	return types.Of(ct.OID, ct.Mod), nil
}

// typeMod computes a typmod from the modifiers in parentheses.
func (b *binder) typeMod(tn *pg.TypeName, oid uint32) (int32, error) {
	if len(tn.Typmods) == 0 {
		return -1, nil
	}
	var mods []int
	for _, n := range tn.Typmods {
		switch v := n.Node.(type) {
		case *pg.Node_AConst:
			switch c := v.AConst.Val.(type) {
			case *pg.A_Const_Ival:
				mods = append(mods, int(c.Ival.Ival))
				continue
			case nil:
				if !v.AConst.Isnull {
					mods = append(mods, 0)
					continue
				}
			}
		case *pg.Node_Integer:
			mods = append(mods, int(v.Integer.Ival))
			continue
		}
		return 0, b.errf(tn.Location, sqlstate.SyntaxError, "type modifiers must be simple constants or identifiers")
	}
	bad := func(format string, args ...any) (int32, error) {
		return 0, b.errf(tn.Location, sqlstate.InvalidParameterValue, format, args...)
	}
	one := func(name string) error {
		if len(mods) != 1 {
			_, err := bad("invalid type modifier")
			return err
		}
		return nil
	}
	switch oid {
	case types.VarcharOID, types.BPCharOID:
		name := "varchar"
		if oid == types.BPCharOID {
			name = "char"
		}
		if err := one(name); err != nil {
			return 0, err
		}
		switch n := mods[0]; {
		case n < 1:
			return bad("length for type %s must be at least 1", name)
		case n > 10485760:
			return bad("length for type %s cannot exceed 10485760", name)
		default:
			return int32(n + 4), nil
		}
	case types.NumericOID:
		p, s := mods[0], 0
		if len(mods) == 2 {
			s = mods[1]
		} else if len(mods) > 2 {
			return bad("invalid NUMERIC type modifier")
		}
		if p < 1 || p > 1000 {
			return bad("NUMERIC precision %d must be between 1 and 1000", p)
		}
		if s < -1000 || s > 1000 {
			return bad("NUMERIC scale %d must be between -1000 and 1000", s)
		}
		return types.MakeNumericMod(p, s), nil
	case types.TimeOID, types.TimetzOID, types.TimestampOID, types.TimestamptzOID:
		if err := one("time"); err != nil {
			return 0, err
		}
		kind, zone := "TIME", ""
		if oid == types.TimestampOID || oid == types.TimestamptzOID {
			kind = "TIMESTAMP"
		}
		if oid == types.TimetzOID || oid == types.TimestamptzOID {
			zone = " WITH TIME ZONE"
		}
		if mods[0] < 0 {
			return bad("%s(%d)%s precision must not be negative", kind, mods[0], zone)
		}
		return int32(min(mods[0], 6)), nil
	case types.IntervalOID:
		p := 0xffff
		if len(mods) == 2 {
			if p = mods[1]; p < 0 {
				return bad("INTERVAL(%d) precision must not be negative", p)
			}
			p = min(p, 6)
		}
		if mods[0] == 0x7fff && p == 0xffff {
			return -1, nil
		}
		return types.MakeIntervalMod(mods[0], p), nil
	}
	return 0, b.errf(tn.Location, sqlstate.SyntaxError, "type modifier is not allowed for type \"%s\"", types.FormatTypeNoMod(oid))
}
