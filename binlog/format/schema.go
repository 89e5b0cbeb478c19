package format

import (
	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/types"
)

// schemas reads the schemas that Kafka Connect sends around its messages and keeps
// what it made of the last few: a topic sends the same one over and over.
type schemas struct {
	r     *rows
	plain encoding // of fields whose type has no semantic name
	byRaw map[string]*schemaPlan
}

// schemaPlan is how the fields of one schema are read into the table's columns.
type schemaPlan struct {
	puts []put
	// types has the column types of fields the table has no column for.
	types map[string]types.T
}

const schemasMax = 8

// field is a node of a schema.
type schemaField struct {
	kind, name, field string
	params            map[string]string
	items             *schemaField
	fields            []*schemaField
}

// of is the plan for a schema: that of an envelope (its field after, or before) or of
// a bare row or key.
func (s *schemas) of(raw []byte) (*schemaPlan, error) {
	if p := s.byRaw[string(raw)]; p != nil {
		return p, nil
	}
	var scan jsonscan.Scanner
	scan.Sub(raw)
	root := readSchema(&scan, 0)
	if err := scan.Err(); err != nil {
		return nil, err
	}
	row := root
	for _, f := range root.fields {
		if f.field == "after" || f.field == "before" && row == root {
			row = f
		}
	}
	p := &schemaPlan{puts: make([]put, len(s.r.names)), types: map[string]types.T{}}
	byName := map[string]*schemaField{}
	for _, f := range row.fields {
		byName[f.field] = f
		p.types[f.field] = f.column()
	}
	for i := range p.puts {
		e := s.plain
		if f := byName[s.r.names[i]]; f != nil {
			e = f.encoding()
		}
		p.puts[i] = s.r.coerce.put(s.r.cfg.Table.Columns[i].T, e)
	}
	if s.byRaw == nil || len(s.byRaw) >= schemasMax {
		s.byRaw = map[string]*schemaPlan{}
	}
	s.byRaw[string(raw)] = p
	return p, nil
}

const schemaDepth = 16

// readSchema reads one node; what it does not know it passes over.
func readSchema(s *jsonscan.Scanner, depth int) *schemaField {
	f := &schemaField{}
	if s.Peek() != jsonscan.Object || depth > schemaDepth {
		s.Value()
		return f
	}
	str := func() string {
		x := s.Value()
		if x.Kind != jsonscan.String {
			return ""
		}
		b, err := jsonscan.Unescape(nil, s.Bytes(x))
		if err != nil {
			return ""
		}
		return string(b)
	}
	s.Open()
	for first := true; ; first = false {
		key, ok := s.Member(first)
		if !ok {
			break
		}
		switch string(s.Bytes(key)) {
		case "type":
			f.kind = str()
		case "name":
			f.name = str()
		case "field":
			f.field = str()
		case "items":
			f.items = readSchema(s, depth+1)
		case "parameters":
			if s.Peek() != jsonscan.Object {
				s.Value()
				break
			}
			s.Open()
			f.params = map[string]string{}
			for first := true; ; first = false {
				k, ok := s.Member(first)
				if !ok {
					break
				}
				f.params[string(s.Bytes(k))] = str()
			}
		case "fields":
			if s.Peek() != jsonscan.Array {
				s.Value()
				break
			}
			s.Open()
			for first := true; s.Element(first); first = false {
				f.fields = append(f.fields, readSchema(s, depth+1))
			}
		default:
			s.Value()
		}
	}
	return f
}

func (f *schemaField) param(name string) int {
	n, err := types.ParseInt4([]byte(f.params[name]))
	if err != nil {
		return 0
	}
	return int(n)
}

// encoding is how values of the field are written.
func (f *schemaField) encoding() encoding {
	switch f.name {
	case "org.apache.kafka.connect.data.Decimal":
		if s := f.param("scale"); s >= 0 && s <= 16383 {
			return encoding{kind: encDecimal, scale: s}
		}
		return encoding{kind: encDecimal, scale: fromColumn}
	case "io.debezium.data.VariableScaleDecimal":
		return encoding{kind: encVarScale}
	case "io.debezium.time.Date", "org.apache.kafka.connect.data.Date":
		return encoding{kind: encDays}
	case "io.debezium.time.Time", "org.apache.kafka.connect.data.Time":
		return encoding{kind: encTime, unit: unitMillis}
	case "io.debezium.time.MicroTime":
		return encoding{kind: encTime, unit: unitMicros}
	case "io.debezium.time.NanoTime":
		return encoding{kind: encTime, unit: unitNanos}
	case "io.debezium.time.Timestamp", "org.apache.kafka.connect.data.Timestamp":
		return encoding{kind: encTimestamp, unit: unitMillis}
	case "io.debezium.time.MicroTimestamp":
		return encoding{kind: encTimestamp, unit: unitMicros}
	case "io.debezium.time.NanoTimestamp":
		return encoding{kind: encTimestamp, unit: unitNanos}
	case "io.debezium.time.MicroDuration":
		return encoding{kind: encDuration, unit: unitMicros}
	case "io.debezium.time.NanoDuration":
		return encoding{kind: encDuration, unit: unitNanos}
	case "io.debezium.data.Json":
		return encoding{kind: encJSON}
	case "io.debezium.data.Bits":
		return encoding{kind: encBits, scale: f.param("length")}
	}
	switch f.kind {
	case "bytes":
		return encoding{kind: encBase64}
	case "array":
		if f.items != nil {
			e := f.items.encoding()
			return encoding{item: &e}
		}
	}
	return encoding{}
}

// column is the type a column for the field would have.
func (f *schemaField) column() types.T {
	switch f.encoding().kind {
	case encDecimal:
		p, s := f.param("connect.decimal.precision"), f.param("scale")
		if p > 0 && p <= 1000 && s >= 0 && s <= p {
			return types.Of(types.NumericOID, types.MakeNumericMod(p, s))
		}
		return types.Numeric
	case encVarScale:
		return types.Numeric
	case encDays:
		return types.Date
	case encTime:
		return types.Time
	case encTimestamp:
		return types.Timestamp
	case encDuration:
		return types.Interval
	case encJSON:
		return types.JSONB
	case encBits, encBase64:
		return types.Bytea
	}
	switch f.name {
	case "io.debezium.time.ZonedTimestamp":
		return types.Timestamptz
	case "io.debezium.time.ZonedTime":
		return types.Timetz
	case "io.debezium.time.IsoDate":
		return types.Date
	case "io.debezium.time.IsoTime":
		return types.Time
	case "io.debezium.time.IsoTimestamp":
		return types.Timestamp
	case "io.debezium.data.Uuid":
		return types.UUID
	}
	switch f.kind {
	case "int8", "int16":
		return types.Int2
	case "int32":
		return types.Int4
	case "int64":
		return types.Int8
	case "float":
		return types.Float4
	case "double":
		return types.Float8
	case "boolean":
		return types.Bool
	case "string":
		return types.Text
	case "array":
		if f.items != nil {
			if a := types.ArrayOf(f.items.column().OID); a != 0 {
				return types.Of(a, -1)
			}
		}
	}
	return types.JSONB
}
