package eval

import (
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// jsonSubscript is j['key'] or j[0], repeated.
func jsonSubscript(c *Call, i int) {
	j := types.JSONNode(c.Bytes(0, i))
	for k := 1; k < len(c.Args) && j != nil; k++ {
		if c.Args[k].T.Layout == types.LayoutView {
			j = j.Field(c.Bytes(k, i))
		} else {
			j = j.At(int(c.bound(k, i)))
		}
	}
	c.retNode(i, j)
}

func (c *Call) retNode(i int, j types.JSONNode) {
	if j == nil {
		c.ret(i, types.Null)
		return
	}
	c.RetBytes(i, j)
}

func (c *Call) retNodeText(i int, j types.JSONNode) {
	if j == nil || j.Kind() == types.JSONNull {
		c.ret(i, types.Null)
		return
	}
	c.End(i, j.AppendTextValue(c.Begin()))
}

func (c *Call) retText(i int, v []byte) {
	if v == nil {
		c.ret(i, types.Null)
		return
	}
	c.RetBytes(i, v)
}

func (c *Call) retJSONText(i int, v []byte) {
	b, ok := appendJSONText(c.Begin(), v)
	if v == nil || !ok {
		c.ret(i, types.Null)
		return
	}
	c.End(i, b)
}

// path is the text array of argument k; ok is false when it has a null.
func (c *Call) path(dst [][]byte, k, i int) ([][]byte, bool) {
	r := types.Array(c.Bytes(k, i)).Reader()
	dst = dst[:0]
	for e := 0; e < r.N; e++ {
		if r.IsNull(e) {
			return dst, false
		}
		dst = append(dst, r.Bytes(e))
	}
	return dst, true
}

func init() {
	// jsonb.
	reg("jsonb_object_field", impl{loop: total(func(c *Call, i int) { c.retNode(i, types.JSONNode(c.Bytes(0, i)).Field(c.Bytes(1, i))) })})
	reg("jsonb_object_field_text", impl{loop: total(func(c *Call, i int) { c.retNodeText(i, types.JSONNode(c.Bytes(0, i)).Field(c.Bytes(1, i))) })})
	reg("jsonb_array_element", impl{loop: total(func(c *Call, i int) { c.retNode(i, types.JSONNode(c.Bytes(0, i)).At(int(c.I32(1, i)))) })})
	reg("jsonb_array_element_text", impl{loop: total(func(c *Call, i int) { c.retNodeText(i, types.JSONNode(c.Bytes(0, i)).At(int(c.I32(1, i)))) })})
	walk := func(f func(c *Call, i int, path [][]byte)) func(*prepareContext) (Loop, error) {
		return func(*prepareContext) (Loop, error) {
			var path [][]byte
			return total(func(c *Call, i int) {
				p, ok := c.path(path, 1, i)
				if path = p; !ok {
					c.ret(i, types.Null)
					return
				}
				f(c, i, p)
			}), nil
		}
	}
	reg("jsonb_extract_path", impl{prepare: walk(func(c *Call, i int, p [][]byte) { c.retNode(i, types.JSONNode(c.Bytes(0, i)).Path(p)) })})
	reg("jsonb_extract_path_text", impl{prepare: walk(func(c *Call, i int, p [][]byte) { c.retNodeText(i, types.JSONNode(c.Bytes(0, i)).Path(p)) })})
	reg("jsonb_contains", impl{loop: total(func(c *Call, i int) {
		c.RetBool(i, types.JSONNode(c.Bytes(0, i)).Contains(types.JSONNode(c.Bytes(1, i))))
	})})
	reg("jsonb_contained", impl{loop: total(func(c *Call, i int) {
		c.RetBool(i, types.JSONNode(c.Bytes(1, i)).Contains(types.JSONNode(c.Bytes(0, i))))
	})})
	reg("jsonb_exists", impl{loop: total(func(c *Call, i int) { c.RetBool(i, types.JSONNode(c.Bytes(0, i)).Exists(c.Bytes(1, i))) })})
	exists := func(all bool) Loop {
		return total(func(c *Call, i int) {
			j, r := types.JSONNode(c.Bytes(0, i)), types.Array(c.Bytes(1, i)).Reader()
			for k := 0; k < r.N; k++ {
				if !r.IsNull(k) && j.Exists(r.Bytes(k)) != all {
					c.RetBool(i, !all)
					return
				}
			}
			c.RetBool(i, all)
		})
	}
	reg("jsonb_exists_any", impl{loop: exists(false)})
	reg("jsonb_exists_all", impl{loop: exists(true)})
	edit := func(f func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error)) Loop {
		return each(func(c *Call, i int) error {
			b, err := f(c.Begin(), c, i, types.JSONNode(c.Bytes(0, i)))
			if err == nil {
				c.End(i, b)
			}
			return err
		})
	}
	reg("jsonb_concat", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		return types.JSONBConcat(dst, j, types.JSONNode(c.Bytes(1, i)))
	})})
	reg("jsonb_delete(jsonb,text)", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		return types.JSONBDeleteKeys(dst, j, c.Bytes(1, i))
	})})
	reg("jsonb_delete(jsonb,_text)", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		r := types.Array(c.Bytes(1, i)).Reader()
		var keys [][]byte
		for k := 0; k < r.N; k++ {
			if !r.IsNull(k) {
				keys = append(keys, r.Bytes(k))
			}
		}
		return types.JSONBDeleteKeys(dst, j, keys...)
	})})
	reg("jsonb_delete(jsonb,int4)", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		return types.JSONBDeleteIndex(dst, j, int(c.I32(1, i)))
	})})
	pathOf := func(c *Call, i int) ([][]byte, error) {
		p, ok := c.path(nil, 1, i)
		if !ok {
			return nil, sqlstate.Errorf(sqlstate.NullValueNotAllowed, "path element at position %d is null", len(p)+1)
		}
		return p, nil
	}
	reg("jsonb_delete_path", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		p, err := pathOf(c, i)
		if err != nil {
			return nil, err
		}
		return types.JSONBDeletePath(dst, j, p)
	})})
	reg("jsonb_set", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		p, err := pathOf(c, i)
		if err != nil {
			return nil, err
		}
		return types.JSONBSet(dst, j, p, types.JSONNode(c.Bytes(2, i)), c.Bool(3, i))
	})})
	reg("jsonb_insert", impl{loop: edit(func(dst []byte, c *Call, i int, j types.JSONNode) ([]byte, error) {
		p, err := pathOf(c, i)
		if err != nil {
			return nil, err
		}
		return types.JSONBInsert(dst, j, p, types.JSONNode(c.Bytes(2, i)), c.Bool(3, i))
	})})
	reg("jsonb_pretty", impl{loop: bytesFn(types.AppendJSONBPretty)})
	reg("jsonb_typeof", impl{loop: total(func(c *Call, i int) { c.RetBytes(i, []byte(types.JSONNode(c.Bytes(0, i)).TypeName())) })})
	reg("jsonb_array_length", impl{loop: each(func(c *Call, i int) error {
		j := types.JSONNode(c.Bytes(0, i))
		switch j.Kind() {
		case types.JSONArray:
			c.Out.I32[i] = int32(j.Len())
			return nil
		case types.JSONObject:
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot get array length of a non-array")
		}
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot get array length of a scalar")
	})})
	reg("jsonb_strip_nulls", impl{loop: each(func(c *Call, i int) error {
		var b types.JSONBuilder
		stripNode(&b, types.JSONNode(c.Bytes(0, i)))
		j, err := b.Finish()
		c.RetBytes(i, j)
		return err
	})})
	for i, op := range ops {
		reg("jsonb_"+opNames[i], impl{cost: 20, loop: cmpBy(op, func(c *Call, i int) int { return types.CompareJSONB(c.Bytes(0, i), c.Bytes(1, i)) })})
	}
	jsonbCasts()

	// json.
	reg("json_object_field", impl{loop: total(func(c *Call, i int) { c.retText(i, jsonField(c.Bytes(0, i), c.Bytes(1, i))) })})
	reg("json_object_field_text", impl{loop: total(func(c *Call, i int) { c.retJSONText(i, jsonField(c.Bytes(0, i), c.Bytes(1, i))) })})
	reg("json_array_element", impl{loop: total(func(c *Call, i int) { c.retText(i, jsonElem(c.Bytes(0, i), int(c.I32(1, i)))) })})
	reg("json_array_element_text", impl{loop: total(func(c *Call, i int) { c.retJSONText(i, jsonElem(c.Bytes(0, i), int(c.I32(1, i)))) })})
	reg("json_extract_path", impl{prepare: walk(func(c *Call, i int, p [][]byte) { c.retText(i, jsonPath(c.Bytes(0, i), p)) })})
	reg("json_extract_path_text", impl{prepare: walk(func(c *Call, i int, p [][]byte) { c.retJSONText(i, jsonPath(c.Bytes(0, i), p)) })})
	reg("json_typeof", impl{loop: total(func(c *Call, i int) { c.RetBytes(i, []byte(jsonType(jsonValue(c.Bytes(0, i))))) })})
	reg("json_array_length", impl{loop: each(func(c *Call, i int) error {
		v := jsonValue(c.Bytes(0, i))
		switch jsonType(v) {
		case "array":
			c.Out.I32[i] = int32(jsonLen(v))
			return nil
		case "object":
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot get array length of a non-array")
		}
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot get array length of a scalar")
	})})
	reg("json_strip_nulls", impl{loop: bytesFn(func(dst, s []byte) []byte { return appendStripped(dst, jsonValue(s)) })})
	jsonMakers()
	jsonSRFs()
}

func stripNode(b *types.JSONBuilder, j types.JSONNode) {
	switch j.Kind() {
	case types.JSONArray:
		b.BeginArray()
		for k := 0; k < j.Len(); k++ {
			stripNode(b, j.Elem(k))
		}
		b.End()
	case types.JSONObject:
		b.BeginObject()
		for k := 0; k < j.Len(); k++ {
			if v := j.Value(k); v.Kind() != types.JSONNull {
				b.Key(j.Key(k))
				stripNode(b, v)
			}
		}
		b.End()
	default:
		b.Node(j)
	}
}

func appendStripped(dst, v []byte) []byte {
	switch v[0] {
	case '{':
		dst = append(dst, '{')
		first := true
		jsonFields(v, func(k, x []byte) bool {
			if x[0] != 'n' {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = appendStripped(append(appendStripped(dst, k), ':'), x)
			}
			return true
		})
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		first := true
		jsonElems(v, func(x []byte) bool {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendStripped(dst, x)
			return true
		})
		return append(dst, ']')
	case '"':
		if hasByte(v, '\\') { // escapes are written anew
			return types.AppendJSONString(dst, appendUnquoted(nil, v))
		}
	}
	return append(dst, v...)
}

func jsonbCasts() {
	wrong := func(j types.JSONNode, typ string) error {
		kind := map[types.JSONKind]string{types.JSONNull: "null", types.JSONString: "string", types.JSONNumber: "numeric",
			types.JSONBool: "boolean", types.JSONArray: "array", types.JSONObject: "object"}[j.Kind()]
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot cast jsonb %s to type %s", kind, typ)
	}
	reg("bool(jsonb)", impl{loop: each(func(c *Call, i int) error {
		j := types.JSONNode(c.Bytes(0, i))
		if j.Kind() != types.JSONBool {
			return wrong(j, "boolean")
		}
		c.RetBool(i, j.Bool())
		return nil
	})})
	number := func(typ string, f func(c *Call, i int, n []byte) error) Loop {
		return each(func(c *Call, i int) error {
			j := types.JSONNode(c.Bytes(0, i))
			if j.Kind() != types.JSONNumber {
				return wrong(j, typ)
			}
			return f(c, i, j.Number())
		})
	}
	reg("numeric(jsonb)", impl{loop: number("numeric", func(c *Call, i int, n []byte) error {
		c.RetBytes(i, n)
		return nil
	})})
	reg("int2(jsonb)", impl{loop: number("smallint", func(c *Call, i int, n []byte) (err error) {
		c.Out.I16[i], err = intOf[int16](n)
		return err
	})})
	reg("int4(jsonb)", impl{loop: number("integer", func(c *Call, i int, n []byte) (err error) {
		c.Out.I32[i], err = intOf[int32](n)
		return err
	})})
	reg("int8(jsonb)", impl{loop: number("bigint", func(c *Call, i int, n []byte) (err error) {
		c.Out.I64[i], err = intOf[int64](n)
		return err
	})})
	reg("float4(jsonb)", impl{loop: number("real", func(c *Call, i int, n []byte) (err error) {
		c.Out.F32[i], err = types.ParseFloat4(types.AppendNumeric(nil, n))
		return err
	})})
	reg("float8(jsonb)", impl{loop: number("double precision", func(c *Call, i int, n []byte) (err error) {
		c.Out.F64[i], err = types.ParseFloat8(types.AppendNumeric(nil, n))
		return err
	})})
}

func intOf[R ints](n []byte) (R, error) {
	x, ok := types.NumericToInt64(n)
	if !ok {
		return 0, outOfRange[R]()
	}
	return narrow[int64, R](x)
}

// fieldNames are the names of a record argument's fields, when it was written as a
// row or table reference.
func (c *Call) fieldNames(k int) []string {
	if k < len(c.node.args) {
		return c.node.args[k].names
	}
	return nil
}

func jsonMakers() {
	toJSON := total(func(c *Call, i int) {
		c.End(i, AppendJSON(c.Begin(), c.Args[0].T, c.datum(c.Args[0], 0, i), c.fieldNames(0), c.Env.session().Types))
	})
	reg("to_json", impl{loop: toJSON})
	reg("array_to_json(anyarray)", impl{loop: toJSON})
	reg("row_to_json(record)", impl{loop: toJSON})
	pretty := total(func(c *Call, i int) {
		v := AppendJSON(nil, c.Args[0].T, c.datum(c.Args[0], 0, i), c.fieldNames(0), c.Env.session().Types)
		if !c.Bool(1, i) {
			c.RetBytes(i, v)
			return
		}
		b := append(c.Begin(), v[0])
		first := true
		next := func() {
			if !first {
				b = append(b, ",\n "...)
			}
			first = false
		}
		if v[0] == '[' {
			jsonElems(v, func(x []byte) bool { next(); b = append(b, x...); return true })
		} else {
			jsonFields(v, func(k, x []byte) bool { next(); b = append(append(append(b, k...), ':'), x...); return true })
		}
		c.End(i, append(b, v[len(v)-1]))
	})
	reg("array_to_json(anyarray,bool)", impl{loop: pretty})
	reg("row_to_json(record,bool)", impl{loop: pretty})
	reg("to_jsonb", impl{loop: each(func(c *Call, i int) error {
		var b types.JSONBuilder
		if err := AddJSONB(&b, c.Args[0].T, c.datum(c.Args[0], 0, i), c.fieldNames(0), c.Env.session().Types); err != nil {
			return err
		}
		j, err := b.Finish()
		c.RetBytes(i, j)
		return err
	})})
	uneven := func() error {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "argument list must have even number of elements")
	}
	key := func(c *Call, k, i int, fn string) ([]byte, error) {
		if c.Null(k, i) {
			if fn == "json_build_object" {
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "argument %d cannot be null", k+1).WithHint("Object keys should be text.")
			}
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "argument %d: key must not be null", k+1)
		}
		return JSONKey(nil, c.Args[k].T, c.datum(c.Args[k], k, i), c.Env.session().Types)
	}
	for _, sig := range []string{"json_build_object()", "json_build_object(any)"} {
		reg(sig, impl{nonStrict: true, loop: each(func(c *Call, i int) error {
			if len(c.Args)%2 != 0 {
				return uneven().(*sqlstate.Error).WithHint("The arguments of json_build_object() must consist of alternating keys and values.")
			}
			b := append(c.Begin(), '{')
			for k := 0; k < len(c.Args); k += 2 {
				if k > 0 {
					b = append(b, ", "...)
				}
				name, err := key(c, k, i, "json_build_object")
				if err != nil {
					return err
				}
				b = append(types.AppendJSONString(b, name), " : "...)
				b = AppendJSON(b, c.Args[k+1].T, c.datum(c.Args[k+1], k+1, i), c.fieldNames(k+1), c.Env.session().Types)
			}
			c.End(i, append(b, '}'))
			return nil
		})})
		reg("jsonb"+strings.TrimPrefix(sig, "json"), impl{nonStrict: true, loop: each(func(c *Call, i int) error {
			if len(c.Args)%2 != 0 {
				return uneven().(*sqlstate.Error).WithHint("The arguments of jsonb_build_object() must consist of alternating keys and values.")
			}
			var b types.JSONBuilder
			b.BeginObject()
			for k := 0; k < len(c.Args); k += 2 {
				name, err := key(c, k, i, "jsonb_build_object")
				if err != nil {
					return err
				}
				b.Key(name)
				if err := AddJSONB(&b, c.Args[k+1].T, c.datum(c.Args[k+1], k+1, i), c.fieldNames(k+1), c.Env.session().Types); err != nil {
					return err
				}
			}
			b.End()
			j, err := b.Finish()
			c.RetBytes(i, j)
			return err
		})})
	}
	for _, sig := range []string{"json_build_array()", "json_build_array(any)"} {
		reg(sig, impl{nonStrict: true, loop: total(func(c *Call, i int) {
			b := append(c.Begin(), '[')
			for k := range c.Args {
				if k > 0 {
					b = append(b, ", "...)
				}
				b = AppendJSON(b, c.Args[k].T, c.datum(c.Args[k], k, i), c.fieldNames(k), c.Env.session().Types)
			}
			c.End(i, append(b, ']'))
		})})
		reg("jsonb"+strings.TrimPrefix(sig, "json"), impl{nonStrict: true, loop: each(func(c *Call, i int) error {
			var b types.JSONBuilder
			b.BeginArray()
			for k := range c.Args {
				if err := AddJSONB(&b, c.Args[k].T, c.datum(c.Args[k], k, i), c.fieldNames(k), c.Env.session().Types); err != nil {
					return err
				}
			}
			b.End()
			j, err := b.Finish()
			c.RetBytes(i, j)
			return err
		})})
	}
	for _, n := range []int{1, 2} {
		sig := "json_object(" + strings.Join([]string{"_text", "_text"}[:n], ",") + ")"
		reg(sig, impl{loop: each(func(c *Call, i int) error {
			ps, err := pairsOf(c, i)
			if err != nil {
				return err
			}
			b := append(c.Begin(), '{')
			for k := 0; k < len(ps); k += 2 {
				if k > 0 {
					b = append(b, ", "...)
				}
				b = append(types.AppendJSONString(b, unsafeBytes(ps[k].S)), " : "...)
				b = AppendJSON(b, types.Text, ps[k+1], nil, nil)
			}
			c.End(i, append(b, '}'))
			return nil
		})})
		reg("jsonb"+strings.TrimPrefix(sig, "json"), impl{loop: each(func(c *Call, i int) error {
			ps, err := pairsOf(c, i)
			if err != nil {
				return err
			}
			var b types.JSONBuilder
			b.BeginObject()
			for k := 0; k < len(ps); k += 2 {
				b.Key(unsafeBytes(ps[k].S))
				if err := AddJSONB(&b, types.Text, ps[k+1], nil, nil); err != nil {
					return err
				}
			}
			b.End()
			j, err := b.Finish()
			c.RetBytes(i, j)
			return err
		})})
	}
}

// pairsOf reads keys and values in turns from one array, of pairs or flat, or from
// two arrays.
func pairsOf(c *Call, i int) ([]types.Datum, error) {
	a := types.Array(c.Bytes(0, i))
	var out []types.Datum
	if len(c.Args) == 2 {
		b := types.Array(c.Bytes(1, i))
		if a.NDim() > 1 || b.NDim() > 1 {
			return nil, sqlstate.Errorf(sqlstate.ArraySubscriptError, "wrong number of array subscripts")
		}
		x, y := a.Reader(), b.Reader()
		if x.N != y.N {
			return nil, sqlstate.Errorf(sqlstate.ArraySubscriptError, "mismatched array dimensions")
		}
		for k := 0; k < x.N; k++ {
			out = append(out, x.Datum(k), y.Datum(k))
		}
	} else {
		switch a.NDim() {
		case 0:
		case 1:
			if a.Dim(0).Len%2 != 0 {
				return nil, sqlstate.Errorf(sqlstate.ArraySubscriptError, "array must have even number of elements")
			}
		case 2:
			if a.Dim(1).Len != 2 {
				return nil, sqlstate.Errorf(sqlstate.ArraySubscriptError, "array must have two columns")
			}
		default:
			return nil, sqlstate.Errorf(sqlstate.ArraySubscriptError, "wrong number of array subscripts")
		}
		x := a.Reader()
		for k := 0; k < x.N; k++ {
			out = append(out, x.Datum(k))
		}
	}
	for k := 0; k < len(out); k += 2 {
		if !out[k].Valid {
			return nil, sqlstate.Errorf(sqlstate.NullValueNotAllowed, "null value not allowed for object key")
		}
	}
	return out, nil
}
