package eval

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func jsonSRFs() {
	bad := func(fn, what string) error {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot %s %s", fn, what)
	}
	// The elements of an array.
	elements := func(name string, binary, text bool) {
		regSRF(name, func(s *SRF, a []types.Datum) (generator, error) {
			g := &listGen{}
			if binary {
				j := types.JSONNode(a[0].S)
				switch j.Kind() {
				case types.JSONArray:
				case types.JSONObject:
					return nil, bad("extract", "elements from an object")
				default:
					return nil, bad("extract", "elements from a scalar")
				}
				for k := 0; k < j.Len(); k++ {
					g.rows = append(g.rows, []types.Datum{nodeDatum(j.Elem(k), text)})
				}
				return g, nil
			}
			v := jsonValue([]byte(a[0].S))
			switch jsonType(v) {
			case "array":
			case "object":
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a non-array", s.f.Name)
			default:
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a scalar", s.f.Name)
			}
			jsonElems(v, func(x []byte) bool {
				g.rows = append(g.rows, []types.Datum{textDatum(x, text)})
				return true
			})
			return g, nil
		})
	}
	elements("jsonb_array_elements", true, false)
	elements("jsonb_array_elements_text", true, true)
	elements("json_array_elements", false, false)
	elements("json_array_elements_text", false, true)

	// The members of an object.
	members := func(name string, binary bool, row func(key []byte, j types.JSONNode, v []byte) []types.Datum) {
		regSRF(name, func(s *SRF, a []types.Datum) (generator, error) {
			g := &listGen{}
			if binary {
				j := types.JSONNode(a[0].S)
				switch j.Kind() {
				case types.JSONObject:
				case types.JSONArray:
					if s.f.Name == "jsonb_object_keys" {
						return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on an array", s.f.Name)
					}
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a non-object", s.f.Name)
				default:
					if s.f.Name == "jsonb_object_keys" {
						return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a scalar", s.f.Name)
					}
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a non-object", s.f.Name)
				}
				for k := 0; k < j.Len(); k++ {
					g.rows = append(g.rows, row(j.Key(k), j.Value(k), nil))
				}
				return g, nil
			}
			v := jsonValue([]byte(a[0].S))
			switch jsonType(v) {
			case "object":
			case "array":
				if s.f.Name == "json_object_keys" {
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on an array", s.f.Name)
				}
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot deconstruct an array as an object")
			default:
				if s.f.Name == "json_object_keys" {
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot call %s on a scalar", s.f.Name)
				}
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot deconstruct a scalar")
			}
			jsonFields(v, func(k, x []byte) bool {
				g.rows = append(g.rows, row(appendUnquoted(nil, k), nil, x))
				return true
			})
			return g, nil
		})
	}
	keyOnly := func(key []byte, _ types.JSONNode, _ []byte) []types.Datum {
		return []types.Datum{types.NewString(string(key))}
	}
	members("jsonb_object_keys", true, keyOnly)
	members("json_object_keys", false, keyOnly)
	for _, text := range []bool{false, true} {
		suffix := ""
		if text {
			suffix = "_text"
		}
		members("jsonb_each"+suffix, true, func(key []byte, j types.JSONNode, _ []byte) []types.Datum {
			return []types.Datum{types.NewString(string(key)), nodeDatum(j, text)}
		})
		members("json_each"+suffix, false, func(key []byte, _ types.JSONNode, v []byte) []types.Datum {
			return []types.Datum{types.NewString(string(key)), textDatum(v, text)}
		})
	}
}

func nodeDatum(j types.JSONNode, text bool) types.Datum {
	if !text {
		return types.NewString(string(j))
	}
	if j.Kind() == types.JSONNull {
		return types.Null
	}
	return types.NewString(string(j.AppendTextValue(nil)))
}

func textDatum(v []byte, text bool) types.Datum {
	if !text {
		return types.NewString(string(v))
	}
	b, ok := appendJSONText(nil, v)
	if !ok {
		return types.Null
	}
	return types.NewString(string(b))
}
