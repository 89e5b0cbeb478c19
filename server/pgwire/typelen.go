package pgwire

import "github.com/millrace/millrace/catalog/types"

// typeLen is pg_type.typlen as RowDescription reports it: bytes of a fixed-size
// type, -1 for variable ones, -2 for cstring and unknown.
func typeLen(oid uint32) int16 {
	switch oid {
	case types.BoolOID, types.CharOID:
		return 1
	case types.Int2OID:
		return 2
	case types.Int4OID, types.DateOID, types.Float4OID, types.OidOID, types.XidOID, types.CidOID, types.VoidOID,
		types.RegprocOID, types.RegprocedureOID, types.RegoperOID, types.RegoperatorOID, types.RegclassOID,
		types.RegtypeOID, types.RegconfigOID, types.RegdictionaryOID, types.RegnamespaceOID, types.RegroleOID,
		types.RegcollationOID, types.AnyOID, types.AnyElementOID, types.AnyNonArrayOID, types.AnyEnumOID, types.TriggerOID,
		types.AnyCompatibleOID, types.AnyCompatibleNonArrayOID:
		return 4
	case types.TidOID:
		return 6
	case types.Int8OID, types.Float8OID, types.TimeOID, types.TimestampOID, types.TimestamptzOID, types.PgLSNOID,
		types.Xid8OID, types.InternalOID:
		return 8
	case types.TimetzOID:
		return 12
	case types.IntervalOID, types.UUIDOID, types.ACLItemOID:
		return 16
	case types.NameOID:
		return 64
	case types.UnknownOID, types.CstringOID:
		return -2
	}
	return -1
}
