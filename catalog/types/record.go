package types

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The form of a record, little-endian: uint16 number of fields; per field
// uint32 type OID and uint32 end of its bytes (high bit set for NULL); then the
// fields as arrays hold elements.

// RecordValue is a composite value in its form.
type RecordValue []byte

const recordNull = 1 << 31

// Len is the number of fields.
func (r RecordValue) Len() int { return int(binary.LittleEndian.Uint16(r)) }

// FieldType is the type of field i, with numeric in the variable form.
func (r RecordValue) FieldType(i int) T { return ElemType(binary.LittleEndian.Uint32(r[2+8*i:])) }

// IsNull says whether field i is NULL.
func (r RecordValue) IsNull(i int) bool { return r.end(i)&recordNull != 0 }

func (r RecordValue) end(i int) uint32 { return binary.LittleEndian.Uint32(r[2+8*i+4:]) }

// Bytes is field i as the record holds it.
func (r RecordValue) Bytes(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = r.end(i-1) &^ recordNull
	}
	to := r.end(i) &^ recordNull
	return r[2+8*r.Len():][from:to:to]
}

// Datum is field i. A string aliases the record.
func (r RecordValue) Datum(i int) Datum {
	if r.IsNull(i) {
		return Null
	}
	return elemDatum(r.FieldType(i), r.Bytes(i))
}

// MakeRecord appends the form of a record of these types and values. Scaled
// numerics are widened to the variable form.
func MakeRecord(dst []byte, ts []T, ds []Datum) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(ts)))
	head := len(dst)
	for _, t := range ts {
		dst = binary.LittleEndian.AppendUint32(dst, t.OID)
		dst = append(dst, 0, 0, 0, 0)
	}
	start := len(dst)
	for i, t := range ts {
		null := uint32(0)
		switch d := ds[i]; {
		case !d.Valid:
			null = recordNull
		case t.Layout == LayoutI64 && t.OID == NumericOID:
			dst = NumericFromInt64(dst, d.I, int(t.Scale))
		case t.Layout == LayoutI128:
			dst = NumericFromI128(dst, d.I128(), int(t.Scale))
		default:
			dst = appendElem(dst, t, d)
		}
		binary.LittleEndian.PutUint32(dst[head+8*i+4:], uint32(len(dst)-start)|null)
	}
	return dst
}

// AppendRecord appends the text of a record: (a,"b c",).
func AppendRecord(dst, form []byte, env *Env) []byte {
	r := RecordValue(form)
	dst = append(dst, '(')
	for i, n := 0, r.Len(); i < n; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if r.IsNull(i) {
			continue
		}
		start := len(dst)
		t := r.FieldType(i)
		dst = AppendText(dst, t, elemDatum(t, r.Bytes(i)), env)
		dst = quoteRecordField(dst, start)
	}
	return append(dst, ')')
}

// quoteRecordField quotes dst[start:] as records do: quotes and backslashes are
// doubled.
func quoteRecordField(dst []byte, start int) []byte {
	s := dst[start:]
	quote, double := len(s) == 0, 0
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			double++
			quote = true
		case c == '(' || c == ')' || c == ',' || isSpace(c):
			quote = true
		}
	}
	if !quote {
		return dst
	}
	return quoteTail(dst, start, double, func(c byte) byte { return c })
}

// ParseRecordText splits the text of a composite value into its fields: those
// that are absent are nil. It serves casts to a known row type.
func ParseRecordText(s []byte) ([][]byte, error) {
	bad := func(detail string) error {
		return sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "malformed record literal: \"%s\"", s).WithDetail("%s", detail)
	}
	t := s
	for len(t) > 0 && isSpace(t[0]) {
		t = t[1:]
	}
	if len(t) == 0 || t[0] != '(' {
		return nil, bad("Missing left parenthesis.")
	}
	t = t[1:]
	var fields [][]byte
	for {
		if len(t) == 0 {
			return nil, bad("Unexpected end of input.")
		}
		if t[0] == ',' || t[0] == ')' {
			fields = append(fields, nil)
		} else {
			f := []byte{}
			quoted := false
			for quoted || len(t) == 0 || t[0] != ',' && t[0] != ')' {
				if len(t) == 0 {
					return nil, bad("Unexpected end of input.")
				}
				c := t[0]
				t = t[1:]
				switch {
				case c == '\\':
					if len(t) == 0 {
						return nil, bad("Unexpected end of input.")
					}
					f = append(f, t[0])
					t = t[1:]
				case c == '"' && !quoted:
					quoted = true
				case c == '"' && len(t) > 0 && t[0] == '"':
					f = append(f, '"')
					t = t[1:]
				case c == '"':
					quoted = false
				default:
					f = append(f, c)
				}
			}
			fields = append(fields, f)
		}
		c := t[0]
		t = t[1:]
		if c == ')' {
			break
		}
	}
	if len(trimSpace(t)) > 0 {
		return nil, bad("Junk after right parenthesis.")
	}
	return fields, nil
}

func appendRecordBinary(dst, form []byte, env *Env) []byte {
	r := RecordValue(form)
	n := r.Len()
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	for i := 0; i < n; i++ {
		t := r.FieldType(i)
		dst = binary.BigEndian.AppendUint32(dst, t.OID)
		if r.IsNull(i) {
			dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = AppendBinary(dst, t, elemDatum(t, r.Bytes(i)), env)
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

func readRecord(dst, s []byte, env *Env) ([]byte, error) {
	if len(s) < 4 {
		return dst, shortBinary()
	}
	n := int(int32(binary.BigEndian.Uint32(s)))
	s = s[4:]
	if n < 0 || n > 1664 || len(s) < 8*n {
		return dst, badBinary()
	}
	ts, ds := make([]T, n), make([]Datum, n)
	for i := range ts {
		if len(s) < 8 {
			return dst, shortBinary()
		}
		ts[i] = ElemType(binary.BigEndian.Uint32(s))
		v, rest, err := wireField(s[4:])
		if err != nil {
			return dst, err
		}
		s = rest
		if v != nil {
			if ds[i], err = ParseBinary(ts[i], v, env); err != nil {
				return dst, err
			}
		}
	}
	if len(s) > 0 {
		return dst, badBinary()
	}
	return MakeRecord(dst, ts, ds), nil
}

// CompareRecord orders records field by field, NULL above all, then by length.
// Fields of different types are ordered by type.
func CompareRecord(x, y []byte) int {
	a, b := RecordValue(x), RecordValue(y)
	for i := 0; i < a.Len() && i < b.Len(); i++ {
		an, bn := a.IsNull(i), b.IsNull(i)
		if an || bn {
			if an && bn {
				continue
			}
			if an {
				return 1
			}
			return -1
		}
		ta, tb := a.FieldType(i), b.FieldType(i)
		if ta.OID != tb.OID {
			return sign(int(ta.OID) - int(tb.OID))
		}
		if c := compareElems(ta, a.Bytes(i), b.Bytes(i)); c != 0 {
			return c
		}
	}
	return sign(a.Len() - b.Len())
}

// HashRecord hashes a record.
func HashRecord(form []byte) uint64 {
	r := RecordValue(form)
	h := HashInt64(int64(r.Len()))
	for i, n := 0, r.Len(); i < n; i++ {
		if r.IsNull(i) {
			h = HashCombine(h, HashNull)
		} else {
			h = HashCombine(h, hashElem(r.FieldType(i), r.Bytes(i)))
		}
	}
	return h
}
