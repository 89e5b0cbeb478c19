package types

import (
	"strconv"
	"strings"
	"testing"
)

// jsonbSQL is the SQL of a test "left ~ op ~ right".
func jsonbSQL(p []string) string {
	left := literal(p[0]) + "::jsonb"
	switch p[1] {
	case "jsonb_typeof", "jsonb_pretty":
		return p[1] + "(" + left + ")"
	case "@>", "||":
		return left + p[1] + literal(p[2]) + "::jsonb"
	case "?", "->", "->>", "-":
		return left + p[1] + literal(p[2]) + "::text"
	case "[]", "-[]":
		return left + map[string]string{"[]": "->", "-[]": "-"}[p[1]] + " (" + p[2] + ")"
	case "#>", "#-":
		return left + p[1] + literal(p[2]) + "::text[]"
	case "set", "insert":
		return "jsonb_" + p[1] + "(" + left + "," + literal(p[2]) + "::text[]," + literal(p[3]) + "::jsonb," + p[4] + ")"
	}
	return "unknown " + p[1]
}

func testJSONB(t *testing.T, p []string) string {
	parse := func(s string) JSONNode {
		b, err := ParseJSONB(nil, []byte(s))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return b
	}
	j := parse(p[0])
	node := func(j JSONNode) string {
		if j == nil {
			return "NULL"
		}
		return oneLine(string(AppendJSONB(nil, j)))
	}
	boolean := func(b bool) string { return string(AppendBool(nil, b)) }
	path := func(s string) [][]byte {
		form, err := ParseArray(nil, Text, []byte(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := Array(form).Reader()
		var out [][]byte
		for i := 0; i < r.N; i++ {
			out = append(out, r.Bytes(i))
		}
		return out
	}
	result := func(j []byte, err error) string {
		if err != nil {
			return errLine(err)
		}
		return node(j)
	}
	switch p[1] {
	case "jsonb_typeof":
		return j.TypeName()
	case "jsonb_pretty":
		return oneLine(string(AppendJSONBPretty(nil, j)))
	case "@>":
		return boolean(j.Contains(parse(p[2])))
	case "?":
		return boolean(j.Exists([]byte(p[2])))
	case "->":
		return node(j.Field([]byte(p[2])))
	case "->>":
		v := j.Field([]byte(p[2]))
		if v == nil || v.Kind() == JSONNull {
			return "NULL"
		}
		return oneLine(string(v.AppendTextValue(nil)))
	case "[]":
		i, _ := strconv.Atoi(p[2])
		return node(j.At(i))
	case "#>":
		return node(j.Path(path(p[2])))
	case "||":
		return result(JSONBConcat(nil, j, parse(p[2])))
	case "-":
		return result(JSONBDeleteKeys(nil, j, []byte(p[2])))
	case "-[]":
		i, _ := strconv.Atoi(p[2])
		return result(JSONBDeleteIndex(nil, j, i))
	case "#-":
		return result(JSONBDeletePath(nil, j, path(p[2])))
	case "set":
		return result(JSONBSet(nil, j, path(p[2]), parse(p[3]), strings.TrimSpace(p[4]) == "true"))
	case "insert":
		return result(JSONBInsert(nil, j, path(p[2]), parse(p[3]), strings.TrimSpace(p[4]) == "true"))
	}
	t.Fatalf("no operation %q", p[1])
	return ""
}
