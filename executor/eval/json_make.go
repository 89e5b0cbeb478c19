package eval

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// AppendJSON appends a value as to_json shows it. names are the fields of a record,
// f1, f2 … when nil.
func AppendJSON(dst []byte, t types.T, d types.Datum, names []string, env *types.Env) []byte {
	if !d.Valid {
		return append(dst, "null"...)
	}
	switch t.OID {
	case types.BoolOID:
		if d.I != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case types.Int2OID, types.Int4OID, types.Int8OID, types.Float4OID, types.Float8OID, types.NumericOID:
		n := len(dst)
		dst = types.AppendText(dst, t, d, env)
		if b := dst[len(dst)-1]; isDigit(b) {
			return dst
		}
		// NaN and the infinities are no JSON numbers.
		s := string(dst[n:])
		return append(append(append(dst[:n], '"'), s...), '"')
	case types.JSONOID:
		return append(dst, d.S...)
	case types.JSONBOID:
		return types.AppendJSONB(dst, unsafeBytes(d.S))
	case types.DateOID, types.TimestampOID, types.TimestamptzOID:
		return append(appendXSD(append(dst, '"'), t, d, env), '"')
	case types.RecordOID:
		r := types.RecordValue(d.S)
		dst = append(dst, '{')
		for i := 0; i < r.Len(); i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(types.AppendJSONString(dst, []byte(fieldName(names, i))), ':')
			dst = AppendJSON(dst, r.FieldType(i), r.Datum(i), nil, env)
		}
		return append(dst, '}')
	}
	if types.IsArray(t.OID) && t.OID != types.Int2VectorOID && t.OID != types.OidVectorOID {
		a := types.Array(d.S)
		r := a.Reader()
		dst, _ = appendJSONArray(dst, a, &r, 0, 0, env)
		return dst
	}
	return types.AppendJSONString(dst, types.AppendText(nil, t, d, env))
}

func fieldName(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "f" + strconv.Itoa(i+1)
}

// appendJSONArray appends dimension k of an array from element at on.
func appendJSONArray(dst []byte, a types.Array, r *types.ArrayReader, k, at int, env *types.Env) ([]byte, int) {
	dst = append(dst, '[')
	if a.NDim() > 0 {
		for i := 0; i < int(a.Dim(k).Len); i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			if k+1 < a.NDim() {
				dst, at = appendJSONArray(dst, a, r, k+1, at, env)
				continue
			}
			dst = AppendJSON(dst, r.T, r.Datum(at), nil, env)
			at++
		}
	}
	return append(dst, ']'), at
}

// appendXSD appends a date or timestamp in the form of XML Schema, whatever the
// date style.
func appendXSD(dst []byte, t types.T, d types.Datum, env *types.Env) []byte {
	iso := types.Env{}
	if env != nil {
		iso = *env
	}
	iso.DateStyle = types.DateISO
	n := len(dst)
	dst = types.AppendText(dst, t, d, &iso)
	if t.OID == types.DateOID || !isDigit(dst[n]) {
		return dst
	}
	for i := n; i < len(dst); i++ {
		if dst[i] == ' ' {
			dst[i] = 'T'
			break
		}
	}
	const bc = " BC"
	end := len(dst)
	if bytes.HasSuffix(dst[n:], []byte(bc)) {
		end -= len(bc)
	}
	if k := end - 3; t.OID == types.TimestamptzOID && k > n && (dst[k] == '+' || dst[k] == '-') {
		dst = slices.Insert(dst, end, ':', '0', '0')
	}
	return dst
}

// AddJSONB adds a value to a jsonb under construction, as to_jsonb makes it.
func AddJSONB(b *types.JSONBuilder, t types.T, d types.Datum, names []string, env *types.Env) error {
	if !d.Valid {
		b.Null()
		return nil
	}
	switch t.OID {
	case types.BoolOID:
		b.Bool(d.I != 0)
		return nil
	case types.Int2OID, types.Int4OID, types.Int8OID:
		b.Number(types.NumericFromInt64(nil, d.I, 0))
		return nil
	case types.NumericOID, types.Float4OID, types.Float8OID:
		s := types.AppendText(nil, t, d, env)
		if !isDigit(s[len(s)-1]) {
			b.String(s)
			return nil
		}
		n, err := types.ParseNumeric(nil, s)
		if err != nil {
			return err
		}
		b.Number(n)
		return nil
	case types.JSONOID:
		j, err := types.ParseJSONB(nil, []byte(d.S))
		if err != nil {
			return err
		}
		b.Node(types.JSONNode(j))
		return nil
	case types.JSONBOID:
		b.Node(types.JSONNode(d.S))
		return nil
	case types.DateOID, types.TimestampOID, types.TimestamptzOID:
		b.String(appendXSD(nil, t, d, env))
		return nil
	case types.RecordOID:
		r := types.RecordValue(d.S)
		b.BeginObject()
		for i := 0; i < r.Len(); i++ {
			b.Key([]byte(fieldName(names, i)))
			if err := AddJSONB(b, r.FieldType(i), r.Datum(i), nil, env); err != nil {
				return err
			}
		}
		b.End()
		return nil
	}
	if types.IsArray(t.OID) && t.OID != types.Int2VectorOID && t.OID != types.OidVectorOID {
		a := types.Array(d.S)
		r := a.Reader()
		at := 0
		return addJSONBArray(b, a, &r, 0, &at, env)
	}
	b.String(types.AppendText(nil, t, d, env))
	return nil
}

func addJSONBArray(b *types.JSONBuilder, a types.Array, r *types.ArrayReader, k int, at *int, env *types.Env) error {
	b.BeginArray()
	if a.NDim() > 0 {
		for i := 0; i < int(a.Dim(k).Len); i++ {
			if k+1 < a.NDim() {
				if err := addJSONBArray(b, a, r, k+1, at, env); err != nil {
					return err
				}
				continue
			}
			if err := AddJSONB(b, r.T, r.Datum(*at), nil, env); err != nil {
				return err
			}
			*at++
		}
	}
	b.End()
	return nil
}

// JSONKey is the text of an object's key.
func JSONKey(dst []byte, t types.T, d types.Datum, env *types.Env) ([]byte, error) {
	switch {
	case t.OID == types.RecordOID || t.OID == types.JSONOID || t.OID == types.JSONBOID || types.IsArray(t.OID):
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "key value must be scalar, not array, composite, or json")
	case t.OID == types.BoolOID:
		if d.I != 0 {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case t.OID == types.DateOID || t.OID == types.TimestampOID || t.OID == types.TimestamptzOID:
		return appendXSD(dst, t, d, env), nil
	}
	return types.AppendText(dst, t, d, env), nil
}
