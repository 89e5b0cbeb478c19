package agg

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
)

func init() {
	reg("json_agg", func(c *Call) (State, error) { return newRows(c, jsonArray), nil })
	reg("jsonb_agg", func(c *Call) (State, error) { return newRows(c, jsonbArray), nil })
	reg("json_object_agg", func(c *Call) (State, error) { return newRows(c, jsonObject), nil })
	reg("jsonb_object_agg", func(c *Call) (State, error) { return newRows(c, jsonbObject), nil })
}

func jsonArray(s *rows, g uint32, dst []byte) ([]byte, error) {
	t := s.c.types[0]
	lines := t.OID == types.RecordOID || types.IsArray(t.OID)
	dst = append(dst, '[')
	first := true
	err := s.c.each(g, func(r int) error {
		if !first {
			dst = append(dst, ", "...)
			if lines && !s.c.isNull(0, r) {
				dst = append(dst, "\n "...)
			}
		}
		first = false
		dst = eval.AppendJSON(dst, t, s.c.datum(0, r), nil, s.call.Env)
		return nil
	})
	return append(dst, ']'), err
}

func jsonbArray(s *rows, g uint32, dst []byte) ([]byte, error) {
	t := s.c.types[0]
	var b types.JSONBuilder
	b.BeginArray()
	if err := s.c.each(g, func(r int) error { return eval.AddJSONB(&b, t, s.c.datum(0, r), nil, s.call.Env) }); err != nil {
		return nil, err
	}
	b.End()
	j, err := b.Finish()
	return append(dst, j...), err
}

func key(c *collector, r int, env *types.Env) ([]byte, error) {
	if c.isNull(0, r) {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "field name must not be null")
	}
	return eval.JSONKey(nil, c.types[0], c.datum(0, r), env)
}

func jsonObject(s *rows, g uint32, dst []byte) ([]byte, error) {
	t := s.c.types[1]
	dst = append(dst, "{ "...)
	first := true
	err := s.c.each(g, func(r int) error {
		name, err := key(&s.c, r, s.call.Env)
		if err != nil {
			return err
		}
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(types.AppendJSONString(dst, name), " : "...)
		dst = eval.AppendJSON(dst, t, s.c.datum(1, r), nil, s.call.Env)
		return nil
	})
	return append(dst, " }"...), err
}

func jsonbObject(s *rows, g uint32, dst []byte) ([]byte, error) {
	t := s.c.types[1]
	var b types.JSONBuilder
	b.BeginObject()
	err := s.c.each(g, func(r int) error {
		name, err := key(&s.c, r, s.call.Env)
		if err != nil {
			return err
		}
		b.Key(name)
		return eval.AddJSONB(&b, t, s.c.datum(1, r), nil, s.call.Env)
	})
	if err != nil {
		return nil, err
	}
	b.End()
	j, err := b.Finish()
	return append(dst, j...), err
}
