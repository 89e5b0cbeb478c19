package format

import (
	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	Register(&Format{Name: "json", New: newJSON, Options: []string{
		"paths", "root", "explode", "timestamp_unit", "missing_fields", "delete_field", "key_format"}})
}

// jsonFormat reads plain JSON: an object a row, its members to the columns of their
// names or paths. A message may hold several rows: objects one after the other, an
// array of them, or with the option explode an array inside an object, whose other
// members go to each row.
type jsonFormat struct {
	*rows
	keys *keyReader
	// root is the tree of the document; item that of the elements which are rows, nil
	// when the document is the row.
	root, item *node
	top        *node // the object at the path of option root
	sawTop     bool
	deleted    int // place of delete_field's value in slots, -1 for none

	slots []jsonscan.Value
	outer []jsonscan.Value // of the document around the elements
	items jsonscan.Value   // the array whose elements are rows
	found bool

	// Unknown fields on their way to the column Rescue.
	rescue bool
	path   []jsonscan.Value // keys of the open objects below the root
	opened int              // how many of them are open in rest too; -1: not even the root
	spare  types.JSONBuilder
}

// expandMax bounds the bytes that one message becomes when the fields around an array
// go to each row, rowsMax the rows of one message.
const (
	expandMax = 64 << 20
	rowsMax   = 1 << 16
)

func newJSON(cfg *Config) (Decoder, error) {
	d := &jsonFormat{rows: newRows(cfg), deleted: -1, rescue: cfg.Unknown == RescueUnknown}
	var paths, root, explode, deleted string
	unitName, missing, keyFormat := "auto", "default", "json"
	err := choose(cfg.Options,
		choice{"paths", &paths, nil}, choice{"root", &root, nil}, choice{"explode", &explode, nil},
		choice{"delete_field", &deleted, nil},
		choice{"timestamp_unit", &unitName, []string{"auto", "s", "ms", "us", "ns", "seconds", "milliseconds", "microseconds", "nanoseconds"}},
		choice{"missing_fields", &missing, []string{"default", "keep", "error"}},
		choice{"key_format", &keyFormat, []string{"json", "text"}})
	if err != nil {
		return nil, err
	}
	d.coerce.unit = units[unitName]
	d.missing = map[string]missingMode{"default": missingDefault, "keep": missingKeep, "error": missingError}[missing]
	if d.missing == missingKeep && cfg.Append {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "missing_fields = 'keep' needs a table with a primary key that rows are upserted into")
	}
	d.puts = d.makePuts(func(types.T) encoding { return encoding{} })
	if err := d.tree(paths, root, explode, deleted); err != nil {
		return nil, err
	}
	n := len(d.names)
	if d.deleted >= 0 {
		n++
	}
	d.slots, d.outer = make([]jsonscan.Value, n), make([]jsonscan.Value, n)
	d.keys = newKeyReader(d.rows, keyFormat == "text", d.puts, nil)
	return d, nil
}

// tree lays out where the columns' values stand.
func (d *jsonFormat) tree(paths, root, explode, deleted string) error {
	doc := newNode()
	prefix, err := parsePath(root)
	if err != nil {
		return err
	}
	d.root = doc
	top := doc
	for _, st := range prefix {
		top.outside = true
		top = top.at([]step{st})
	}
	d.top = top
	row := top
	if explode != "" {
		steps, err := parsePath(explode)
		if err != nil {
			return err
		}
		top.at(steps).rows = true
		d.item = newNode()
		row = d.item
	}
	byPath, err := splitPaths(paths)
	if err != nil {
		return err
	}
	placed := make([]bool, len(d.names))
	put := func(n *node, col int, path string) error {
		if n.col >= 0 {
			return badPath(path, "two columns have it")
		}
		n.col = col
		return nil
	}
	for _, p := range byPath {
		col := -1
		for i, n := range d.names {
			if n == p[0] {
				col = i
			}
		}
		if col < 0 {
			return sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", p[0], d.cfg.Table.Name)
		}
		if placed[col] {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "column \"%s\" has two paths", p[0])
		}
		steps, err := parsePath(p[1])
		if err != nil {
			return err
		}
		// With explode a path is one inside the elements, unless it begins with $.
		from := row
		if d.item != nil && p[1] != "" && p[1][0] == '$' {
			from = top
		}
		if err := put(from.at(steps), col, p[1]); err != nil {
			return err
		}
		placed[col] = true
	}
	for i, n := range d.names {
		if placed[i] || d.rescue && i == d.cfg.Rescue {
			continue
		}
		for _, t := range []*node{row, top} {
			if k := t.child(n); k.col < 0 {
				k.col = i
			}
			if d.item == nil {
				break
			}
		}
	}
	if d.root.elems != nil || d.item != nil && d.item.elems != nil {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "a path must begin with the name of a member")
	}
	if deleted != "" {
		steps, err := parsePath(deleted)
		if err != nil {
			return err
		}
		n := row.at(steps)
		if n.col >= 0 {
			return badPath(deleted, "a column has it")
		}
		n.col = len(d.names)
		d.deleted = len(d.names)
	}
	return nil
}

// Decode implements Decoder.
func (d *jsonFormat) Decode(msgs []Message, c *Changes) (int, error) {
	for i := range msgs {
		if c.Rows.N >= batchRows {
			return i, nil
		}
		m := &msgs[i]
		d.begin(c, c.Base+uint32(i))
		var err error
		switch {
		case m.Value != nil:
			err = d.message(m)
		case d.cfg.Append:
			err = schemaFault("", "a message without a value deletes a row, and the subscription only appends")
		default:
			err = d.deleteByKey(d.keys, m, 0)
		}
		switch {
		case err != nil:
			d.fail(err)
		case len(c.Op) == d.from: // an array without elements
			c.Skipped++
		}
	}
	return len(msgs), nil
}

// message reads documents: usually one.
func (d *jsonFormat) message(m *Message) error {
	s := d.scan
	s.Reset(m.Value)
	if !s.More() {
		if s.Err() != nil {
			return malformed(s.Err())
		}
		return malformedf("the message is empty")
	}
	for {
		var err error
		switch s.Peek() {
		case jsonscan.Object:
			err = d.document(m)
		case jsonscan.Array:
			s.Open()
			for first := true; err == nil && s.Element(first); first = false {
				if s.Peek() != jsonscan.Object {
					if x := s.Value(); s.Err() == nil {
						return malformedf("an element of the message is %s, not an object", x.Kind)
					}
					break
				}
				err = d.document(m)
			}
		default:
			if x := s.Value(); s.Err() == nil {
				return malformedf("the message is %s, not an object", x.Kind)
			}
		}
		if err != nil {
			return err
		}
		if s.Err() != nil {
			return malformed(s.Err())
		}
		// Further documents stand on lines of their own.
		before := s.Offset()
		if !s.More() {
			return nil
		}
		newline := false
		for _, b := range m.Value[before:s.Offset()] {
			newline = newline || b == '\n'
		}
		if !newline {
			s.End()
			return malformed(s.Err())
		}
	}
}

// document reads the object that the scanner stands at and appends its rows.
func (d *jsonFormat) document(m *Message) error {
	s := d.scan
	clear(d.slots)
	d.found, d.sawTop = false, false
	if d.rescue {
		d.rest.Reset()
		d.path, d.opened = d.path[:0], -1
	}
	if err := d.object(d.root); err != nil {
		return err
	}
	if s.Err() != nil {
		return malformed(s.Err())
	}
	rest, err := d.finishRest()
	if err != nil {
		return err
	}
	if !d.sawTop {
		return schemaFault("", "the message has no object at the path of option root")
	}
	if d.item == nil {
		return d.emit(m, rest)
	}
	if !d.found {
		return schemaFault("", "the message has no array at the path of option explode")
	}
	return d.elements(m, rest)
}

// finishRest is the jsonb of the unknown fields, nil when there are none.
func (d *jsonFormat) finishRest() ([]byte, error) {
	if !d.rescue || d.opened < 0 {
		return nil, nil
	}
	d.rest.End()
	rest, err := d.rest.Finish()
	if err != nil {
		return nil, malformed(err)
	}
	return rest, nil
}

// elements appends a row for each element of the array at the path of explode.
func (d *jsonFormat) elements(m *Message, rest []byte) error {
	s := d.scan
	copy(d.outer, d.slots)
	size := len(rest)
	for _, x := range d.outer {
		size += int(x.To - x.From)
	}
	outerRest := append([]byte(nil), rest...)
	back := s.Offset()
	s.Seek(d.items.Start())
	s.Peek()
	s.Open()
	for n, first := 1, true; s.Element(first); n, first = n+1, false {
		if n*size > expandMax {
			return malformedf("the message expands to more than %d MB of rows", expandMax>>20)
		}
		if s.Peek() != jsonscan.Object {
			return malformedf("an element of the array at the path of option explode is %s, not an object", s.Value().Kind)
		}
		copy(d.slots, d.outer)
		if d.rescue {
			d.rest.Reset()
			d.path, d.opened = d.path[:0], -1
		}
		if err := d.object(d.item); err != nil {
			return err
		}
		own, err := d.finishRest()
		if err != nil {
			return err
		}
		if own, err = d.merge(outerRest, own); err != nil {
			return err
		}
		if err := d.emit(m, own); err != nil {
			return err
		}
	}
	s.Seek(back)
	return nil
}

// merge is the members of both objects, those of b before those of a.
func (d *jsonFormat) merge(a, b []byte) ([]byte, error) {
	if len(a) == 0 {
		return b, nil
	}
	if len(b) == 0 {
		return a, nil
	}
	d.spare.Reset()
	d.spare.BeginObject()
	for _, j := range []types.JSONNode{a, b} {
		for i := 0; i < j.Len(); i++ {
			d.spare.Key(j.Key(i))
			d.spare.Node(j.Value(i))
		}
	}
	d.spare.End()
	out, err := d.spare.Finish()
	if err != nil {
		return nil, malformed(err)
	}
	return out, nil
}

// emit appends the row whose values are in slots.
func (d *jsonFormat) emit(m *Message, rest []byte) error {
	if len(d.c.Op)-d.from >= rowsMax {
		return malformedf("the message holds more than %d rows", rowsMax)
	}
	src := source{d.slots[:len(d.names)], d.puts}
	if d.deleted >= 0 {
		del, err := d.isDeleted(d.slots[d.deleted])
		if err != nil {
			return err
		}
		if del {
			if d.cfg.Append {
				return schemaFault("", "a message deletes a row, and the subscription only appends")
			}
			for _, k := range d.cfg.Table.PK {
				if d.slots[k].Kind <= jsonscan.Null && m.Key != nil {
					return d.deleteByKey(d.keys, m, 0)
				}
			}
			return d.delete(src, 0)
		}
	}
	op := Upsert
	if d.cfg.Append {
		op = Insert
	}
	return d.row(src, op, 0, d.keys, m, rest)
}

func (d *jsonFormat) isDeleted(x jsonscan.Value) (bool, error) {
	switch x.Kind {
	case jsonscan.None, jsonscan.Null, jsonscan.False:
		return false, nil
	case jsonscan.True:
		return true, nil
	}
	if b := d.scan.Bytes(x); len(b) <= textMax {
		if v, err := types.ParseBool(b); err == nil {
			return v, nil
		}
	}
	return false, schemaFault("", "the value of option delete_field's field is not a boolean: %s", excerpt(d.scan.Bytes(x)))
}

// object reads the object that the scanner stands at, for node n.
func (d *jsonFormat) object(n *node) error {
	s := d.scan
	if !s.Open() {
		return nil
	}
	if n == d.top {
		d.sawTop = true
	}
	for pos := 0; ; pos++ {
		var key jsonscan.Value
		var name []byte
		i, ok := n.fields.next(s, pos)
		if ok {
			if i >= 0 && n.kids[i].leaf() {
				d.slots[n.kids[i].col] = s.Value()
				continue
			}
			key = n.fields.key(s, pos)
			name = s.Bytes(key)
		} else {
			if key, ok = s.Member(pos == 0); !ok {
				break
			}
			name = s.Bytes(key)
			if key.Escaped {
				var err error
				if name, err = d.coerce.unescaped(s, key); err != nil {
					return malformed(err)
				}
			}
			i = n.fields.slot(pos, name)
		}
		if i >= 0 {
			k := n.kids[i]
			if k.leaf() {
				d.slots[k.col] = s.Value()
				continue
			}
			if !n.outside {
				d.path = append(d.path, key)
			}
			err := d.value(k)
			if !n.outside {
				d.path = d.path[:len(d.path)-1]
			}
			if err != nil {
				return err
			}
			continue
		}
		switch {
		case n.outside:
			s.Value()
		case d.rescue:
			if err := d.keep(name); err != nil {
				return err
			}
		case d.cfg.Unknown == ReportUnknown && (n == d.top || n == d.item):
			d.report(name, s.Value(), nil)
		default:
			s.Value()
		}
	}
	if d.rescue && d.opened == len(d.path) && d.opened > 0 {
		d.rest.End()
		d.opened--
	}
	return nil
}

// keep puts the member whose value comes next into the rest, inside the same objects.
func (d *jsonFormat) keep(name []byte) error {
	if d.opened < 0 {
		d.rest.BeginObject()
		d.opened = 0
	}
	if d.opened < len(d.path) {
		own := append([]byte(nil), name...) // unescaping the path may write over it
		name = own
	}
	for d.opened < len(d.path) {
		k, err := d.coerce.unescaped(d.scan, d.path[d.opened])
		if err != nil {
			return malformed(err)
		}
		d.rest.Key(k)
		d.rest.BeginObject()
		d.opened++
	}
	d.rest.Key(name)
	if err := d.coerce.build(&d.rest, d.scan); err != nil {
		return malformed(err)
	}
	return nil
}

// keepWhole puts the value that comes next into the rest under the innermost key.
func (d *jsonFormat) keepWhole() error {
	n := len(d.path) - 1
	key := d.path[n]
	d.path = d.path[:n]
	name, err := d.coerce.unescaped(d.scan, key)
	if err == nil {
		err = d.keep(name)
	}
	d.path = append(d.path, key)
	return err
}

// value reads the next value for node n.
func (d *jsonFormat) value(n *node) error {
	s := d.scan
	kind := s.Peek()
	if kind == jsonscan.None {
		s.Value() // says why
		return nil
	}
	from := s.Offset()
	var err error
	switch {
	case kind == jsonscan.Object && len(n.kids) > 0:
		err = d.object(n)
	case kind == jsonscan.Array && n.rows:
		d.items, d.found = s.Value(), true
	case kind == jsonscan.Array && n.elems != nil:
		if rescue := d.rescue && n.col < 0 && !n.outside; rescue {
			// The rest gets the array whole: without the elements that have columns it
			// would not be one.
			if err := d.keepWhole(); err != nil || s.Err() != nil {
				return err
			}
			s.Seek(from)
			d.rescue = false
			defer func() { d.rescue = true }()
		}
		err = d.elems(n)
	case d.rescue && n.col < 0 && !n.outside && !n.rows && kind != jsonscan.Null && len(d.path) > 0:
		return d.keepWhole() // not what the paths expect here
	default:
		x := s.Value()
		if kind == jsonscan.Null {
			for _, col := range n.columns(nil) {
				d.slots[col] = x
			}
			return nil
		}
		if n.col >= 0 {
			d.slots[n.col] = x
		}
		return nil
	}
	if n.col >= 0 && err == nil {
		d.slots[n.col] = jsonscan.Value{From: uint32(from), To: uint32(s.Offset()), Kind: kind}
	}
	return err
}

// elems reads an array of which single elements are wanted.
func (d *jsonFormat) elems(n *node) error {
	s := d.scan
	s.Open()
	i := 0
	for first := true; s.Element(first); first = false {
		if k := n.elems[i]; k == nil {
			s.Value()
		} else if k.leaf() {
			d.slots[k.col] = s.Value()
		} else if err := d.value(k); err != nil {
			return err
		}
		i++
	}
	return nil
}
