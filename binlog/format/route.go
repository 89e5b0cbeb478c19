package format

import (
	"strings"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// route picks the change events of some tables of the source out of topics that have
// several.
type route struct {
	tables []pattern
	scan   jsonscan.Scanner
	// schema and table are those of the last event, and last what became of it: tables
	// come in runs.
	schema, table []byte
	last          bool
}

// pattern is a schema, "" for any, and a table; a star at the end of either stands for
// any rest.
type pattern struct{ schema, table string }

// newRoute reads a list as in "public.orders, customers, shop_*.items".
func newRoute(list string) (*route, error) {
	r := &route{}
	for _, item := range strings.Split(list, ",") {
		p := pattern{table: strings.TrimSpace(item)}
		if a, b, ok := strings.Cut(p.table, "."); ok {
			p = pattern{a, b}
			if a == "" {
				p.table = ""
			}
		}
		if p.table == "" || strings.Contains(strings.TrimSuffix(p.table, "*"), "*") || strings.Contains(strings.TrimSuffix(p.schema, "*"), "*") {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for option \"source_tables\": \"%s\"", list).
				WithHint("It lists tables of the source, as in 'public.orders, customers, shop_*.items'.")
		}
		r.tables = append(r.tables, p)
	}
	return r, nil
}

func (p pattern) matches(schema, table []byte) bool {
	return (p.schema == "" || like(p.schema, schema)) && like(p.table, table)
}

func like(pattern string, name []byte) bool {
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(string(name), head)
	}
	return pattern == string(name)
}

// other says whether the envelope that the scanner stands at is an event of a table
// that is not read; then it has been passed over. What names no table, or is no JSON,
// is not: the decoder says what becomes of it.
func (r *route) other(s *jsonscan.Scanner) bool {
	s.Peek()
	from := s.Offset()
	x := s.Value()
	if x.Kind != jsonscan.Object {
		s.Seek(from)
		return false
	}
	schema, table := r.source(s.Bytes(x))
	if table == nil {
		s.Seek(from)
		return false
	}
	if string(schema) != string(r.schema) || string(table) != string(r.table) || r.table == nil {
		r.schema, r.table = append(r.schema[:0], schema...), append(r.table[:0], table...)
		r.last = true
		for _, p := range r.tables {
			if p.matches(schema, table) {
				r.last = false
			}
		}
	}
	if !r.last {
		s.Seek(from)
	}
	return r.last
}

// source finds the schema (of MySQL, the database) and the table in an envelope.
func (r *route) source(text []byte) (schema, table []byte) {
	s := &r.scan
	s.Sub(text)
	s.Peek()
	s.Open()
	for first := true; ; first = false {
		key, ok := s.Member(first)
		if !ok {
			return nil, nil
		}
		if string(s.Bytes(key)) != "source" || s.Peek() != jsonscan.Object {
			s.Value()
			continue
		}
		var db []byte
		s.Open()
		for first := true; ; first = false {
			key, ok := s.Member(first)
			if !ok {
				break
			}
			x := s.Value()
			if x.Kind != jsonscan.String {
				continue
			}
			name := s.Bytes(x)
			if x.Escaped {
				var err error
				if name, err = jsonscan.Unescape(nil, name); err != nil {
					continue
				}
			}
			switch string(s.Bytes(key)) {
			case "schema":
				schema = name
			case "db":
				db = name
			case "table":
				table = name
			}
		}
		if schema == nil {
			schema = db
		}
		return schema, table
	}
}
