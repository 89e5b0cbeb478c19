package format

import (
	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/types"
)

// keyReader reads the keys of messages: an object with the key's columns, with or
// without a schema around it, or where the key is one column its bare value.
type keyReader struct {
	r     *rows
	text  bool // the key is the text of its one column
	cols  fields
	top   fields
	slots []jsonscan.Value
	puts  []put
	// schemas is nil for formats without them.
	schemas *schemas
}

func newKeyReader(r *rows, text bool, puts []put, s *schemas) *keyReader {
	k := &keyReader{r: r, text: text, cols: fields{byName: map[string]int{}}, top: newFields("schema", "payload"), puts: puts, schemas: s}
	for _, c := range r.cfg.Table.PK {
		k.cols.byName[r.names[c]] = c
	}
	k.slots = make([]jsonscan.Value, len(r.names))
	return k
}

// read finds the values of a key. They are spans of it: the scanner is left there.
func (k *keyReader) read(key []byte) (source, error) {
	src := source{k.slots, k.puts}
	clear(k.slots)
	s := k.r.scan
	pk := k.r.cfg.Table.PK
	if k.text {
		if err := types.CheckUTF8(key); err != nil {
			return src, &fault{Malformed, "", err}
		}
		if len(pk) != 1 {
			return src, schemaFault("", "a key of text cannot name a row of a key of %d columns", len(pk))
		}
		s.Sub(key)
		k.slots[pk[0]] = jsonscan.Value{To: uint32(len(key)), Kind: jsonscan.String}
		return src, nil
	}
	s.Reset(key)
	if s.Peek() != jsonscan.Object {
		x := s.Value()
		if !s.End() {
			return src, badKey(s.Err())
		}
		if len(pk) != 1 {
			return src, schemaFault("", "the message's key is %s, not an object with the %d columns of the table's key", x.Kind, len(pk))
		}
		k.slots[pk[0]] = x
		return src, nil
	}
	// {"schema":…,"payload":…} or the columns.
	var schema, payload jsonscan.Value
	n := 0
	s.Open()
	for first := true; ; first = false {
		name, ok := s.Member(first)
		if !ok {
			break
		}
		x := s.Value()
		b := s.Bytes(name)
		if i := k.cols.slot(n, b); i >= 0 {
			k.slots[i] = x
		}
		switch string(b) {
		case "schema":
			schema = x
		case "payload":
			payload = x
		}
		n++
	}
	if !s.End() {
		return src, badKey(s.Err())
	}
	if n != 2 || schema.Kind == jsonscan.None || payload.Kind == jsonscan.None {
		return src, nil
	}
	if k.schemas != nil && schema.Kind == jsonscan.Object {
		plan, err := k.schemas.of(s.Bytes(schema))
		if err != nil {
			return src, &fault{Malformed, "", err}
		}
		src.puts = plan.puts
	}
	clear(k.slots)
	s.Seek(payload.Start())
	if payload.Kind != jsonscan.Object {
		if len(pk) == 1 {
			k.slots[pk[0]] = s.Value()
		}
		return src, nil
	}
	s.Open()
	n = 0
	for first := true; ; first = false {
		name, ok := s.Member(first)
		if !ok {
			break
		}
		x := s.Value()
		if i := k.cols.slot(n, s.Bytes(name)); i >= 0 {
			k.slots[i] = x
		}
		n++
	}
	return src, nil
}

func badKey(err error) error {
	return malformedf("the message's key: %v", err)
}
