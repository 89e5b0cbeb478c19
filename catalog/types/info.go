package types

import "strings"

// Info is what pg_type says of a type. Function names are those of the I/O
// functions; an empty one means none.
type Info struct {
	OID       uint32
	Name      string
	Len       int16 // bytes; -1 variable, -2 C string
	ByVal     bool
	Kind      byte // 'b' base, 'p' pseudo, 'r' range, 'm' multirange
	Category  byte
	Preferred bool
	Delim     byte
	ElemOID   uint32 // typelem: also set for name, point and the like
	ArrayOID  uint32
	Input     string
	Output    string
	Receive   string
	Send      string
	ModIn     string
	ModOut    string
	Align     byte
	Storage   byte
	Collation uint32
	Subscript string
}

var (
	byOID  = make(map[uint32]*Info, len(builtin))
	byName = make(map[string]*Info, len(builtin))
)

func init() {
	for i := range builtin {
		t := &builtin[i]
		byOID[t.OID] = t
		byName[t.Name] = t
	}
}

// Builtins lists the fixed types by OID. It must not be changed.
func Builtins() []Info { return builtin }

// Lookup finds a builtin type, or nil.
func Lookup(oid uint32) *Info { return byOID[oid] }

// ByName finds a builtin type by its pg_type name ("int4", "_text"), or nil.
func ByName(name string) *Info { return byName[name] }

// sqlNames are SQL's words for types, lower case and single-spaced.
var sqlNames = map[string]uint32{
	"boolean": BoolOID, "smallint": Int2OID, "integer": Int4OID, "int": Int4OID, "bigint": Int8OID,
	"real": Float4OID, "double precision": Float8OID, "float": Float8OID, "decimal": NumericOID, "dec": NumericOID,
	"character": BPCharOID, "char": BPCharOID, "character varying": VarcharOID, "char varying": VarcharOID, "string": 0,
	"nchar": BPCharOID, "national character": BPCharOID, "national char": BPCharOID,
	"national character varying": VarcharOID, "national char varying": VarcharOID, "nchar varying": VarcharOID,
	"time without time zone": TimeOID, "time with time zone": TimetzOID,
	"timestamp without time zone": TimestampOID, "timestamp with time zone": TimestamptzOID,
	"bit varying": VarbitOID, `"char"`: CharOID,
}

// ByAlias finds a builtin type by its pg_type name or by SQL's words for it
// ("integer", "double precision"); trailing "[]" makes the array type. Nil when
// there is none.
func ByAlias(name string) *Info {
	name = strings.TrimSpace(name)
	array := false
	for strings.HasSuffix(name, "[]") {
		array = true
		name = strings.TrimSpace(name[:len(name)-2])
	}
	if !strings.HasPrefix(name, `"`) {
		name = strings.ToLower(strings.Join(strings.Fields(name), " "))
	}
	name = strings.TrimPrefix(name, "pg_catalog.")
	var t *Info
	if oid, ok := sqlNames[name]; ok {
		t = byOID[oid]
	} else {
		if len(name) > 2 && name[0] == '"' && name[len(name)-1] == '"' {
			name = name[1 : len(name)-1]
		}
		t = byName[name]
	}
	if t != nil && array {
		t = byOID[t.ArrayOID]
	}
	return t
}

// ArrayOf is the OID of the array type over this element, 0 when there is none.
func ArrayOf(oid uint32) uint32 {
	if t := byOID[oid]; t != nil {
		return t.ArrayOID
	}
	return 0
}

// ElemOf is the element's OID of an array type (int2vector and oidvector
// included), 0 for other types.
func ElemOf(oid uint32) uint32 {
	if t := byOID[oid]; t != nil && t.Subscript == "array_subscript_handler" {
		return t.ElemOID
	}
	return 0
}

// IsArray says whether a type is an array in the array form: any type over
// which ElemOf finds an element.
func IsArray(oid uint32) bool { return ElemOf(oid) != 0 }

// IsReg says whether a type belongs to the reg* family.
func IsReg(oid uint32) bool {
	switch oid {
	case RegclassOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID, RegtypeOID,
		RegconfigOID, RegdictionaryOID, RegnamespaceOID, RegroleOID, RegcollationOID:
		return true
	}
	return false
}

// IsString says whether values are plain text of LayoutView (name and "char"
// included).
func IsString(oid uint32) bool {
	switch oid {
	case TextOID, VarcharOID, BPCharOID, NameOID, CharOID, UnknownOID, CstringOID, JSONOID, ACLItemOID,
		XMLOID, PgNodeTreeOID, RefcursorOID, JSONPathOID:
		return true
	}
	return false
}
