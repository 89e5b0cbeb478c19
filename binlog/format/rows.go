package format

import (
	"errors"

	"github.com/millrace/millrace/binlog/format/jsonscan"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// rows appends the rows of messages to changes: a message's rows all, or none of
// them and an error. Values are spans of the text that coerce.scan has.
type rows struct {
	cfg    *Config
	coerce *coercer
	scan   *jsonscan.Scanner
	names  []string
	puts   []put // by ordinal, for values without a schema
	key    []bool

	c       *Changes
	msg     uint32
	from    int // rows before this message
	partial int
	// missing says what to do where a full image does not mention a column.
	missing missingMode
	// unavailable are the spans that stand for "as it was".
	unavailable [][]byte
	rest        types.JSONBuilder
	unknown     map[string]int // name to place in c.Unknown
}

type missingMode uint8

const (
	missingDefault missingMode = iota // the column's default
	missingKeep                       // what is stored
	missingError
)

// fault is an error about one message.
type fault struct {
	class  Class
	column string
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

func schemaFault(column, msg string, args ...any) error {
	return &fault{Schema, column, sqlstate.Errorf(sqlstate.InvalidParameterValue, msg, args...)}
}

func malformed(err error) error {
	return &fault{Malformed, "", sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "%s", err)}
}

func malformedf(msg string, args ...any) error {
	return &fault{Malformed, "", sqlstate.Errorf(sqlstate.InvalidTextRepresentation, msg, args...)}
}

func newRows(cfg *Config) *rows {
	scan := new(jsonscan.Scanner)
	r := &rows{cfg: cfg, scan: scan, coerce: &coercer{scan: scan, env: cfg.Env}}
	r.key = make([]bool, len(cfg.Table.Columns))
	for _, k := range cfg.Table.PK {
		r.key[k] = true
	}
	for i := range cfg.Table.Columns {
		r.names = append(r.names, cfg.Table.Columns[i].Name)
	}
	return r
}

// makePuts chooses how each column reads its values.
func (r *rows) makePuts(how func(t types.T) encoding) []put {
	puts := make([]put, len(r.names))
	for i := range puts {
		t := r.cfg.Table.Columns[i].T
		puts[i] = r.coerce.put(t, how(t))
	}
	return puts
}

// begin starts a message.
func (r *rows) begin(c *Changes, msg uint32) {
	r.c, r.msg, r.from, r.partial = c, msg, len(c.Op), c.Partial
	if len(c.Unknown) == 0 && len(r.unknown) > 0 {
		clear(r.unknown)
	}
}

// fail takes the rows of the message back and notes why.
func (r *rows) fail(err error) {
	c := r.c
	c.Op, c.Msg, c.Time = c.Op[:r.from], c.Msg[:r.from], c.Time[:r.from]
	c.Rows.N = r.from
	for _, v := range c.Rows.Cols {
		v.N = r.from
	}
	c.Partial = r.partial
	for _, m := range c.Missing {
		for i := r.from >> 6; i < len(m); i++ {
			if i > r.from>>6 {
				m[i] = 0
			} else {
				m[i] &= 1<<(r.from&63) - 1
			}
		}
	}
	e := Error{Msg: r.msg, Class: Cast}
	var f *fault
	if errors.As(err, &f) {
		e.Class, e.Column, err = f.class, f.column, f.err
	}
	e.Err = bounded(err)
	e.Err.Table = r.cfg.Table.Name
	e.Err.Column = e.Column
	c.Errors = append(c.Errors, e)
}

// messageMax bounds the texts of errors, which may quote values.
const messageMax = 400

// bounded is a copy of err whose texts are short.
func bounded(err error) *sqlstate.Error {
	var e sqlstate.Error
	var s *sqlstate.Error
	if errors.As(err, &s) {
		e = *s
	} else {
		e = *sqlstate.Errorf(sqlstate.InternalError, "%v", err)
	}
	for _, t := range []*string{&e.Message, &e.Detail, &e.Hint, &e.Where} {
		if len(*t) > messageMax {
			*t = string(types.ClipUTF8([]byte((*t)[:messageMax+4]), messageMax)) + "…"
		}
	}
	return &e
}

// source says where the values of a row come from.
type source struct {
	slots []jsonscan.Value // by ordinal
	puts  []put
}

// row appends the after image whose values are in src. The key columns that it lacks
// come from the message's key. rest is the jsonb of unknown fields, or nil.
func (r *rows) row(src source, op Op, time int64, key *keyReader, m *Message, rest []byte) error {
	c := r.c
	i := len(c.Op)
	partial, fromKey := false, false
	for col, v := range c.Rows.Cols {
		x := src.slots[col]
		switch x.Kind {
		case jsonscan.None:
			switch {
			case r.cfg.Unknown == RescueUnknown && col == r.cfg.Rescue:
				if rest == nil {
					v.AppendNull()
				} else {
					v.AppendBytes(rest)
				}
			case r.key[col] && op == Upsert:
				if m.Key == nil {
					return schemaFault(r.names[col], "the message has no value for key column \"%s\"", r.names[col])
				}
				fromKey = true
			case r.missing == missingKeep && op == Upsert:
				v.AppendNull()
				c.SetMissing(col, i)
				partial, c.Sparse = true, true
			case r.missing == missingError:
				return schemaFault(r.names[col], "the message has no field for column \"%s\"", r.names[col])
			case col < len(r.cfg.Defaults):
				v.AppendDatum(r.cfg.Defaults[col])
			default:
				v.AppendNull()
			}
		case jsonscan.Null:
			if r.key[col] && op == Upsert {
				return schemaFault(r.names[col], "key column \"%s\" is null", r.names[col])
			}
			v.AppendNull()
		default:
			if r.unavailable != nil && r.isUnavailable(x) {
				if r.key[col] || op != Upsert {
					return schemaFault(r.names[col], "the message does not have the value of column \"%s\"", r.names[col])
				}
				v.AppendNull()
				c.SetMissing(col, i)
				partial = true
				continue
			}
			if err := src.puts[col](v, x); err != nil {
				return &fault{Cast, r.names[col], err}
			}
		}
	}
	if fromKey {
		if err := r.fillKey(key, m, src.slots, false); err != nil {
			return err
		}
	}
	if partial {
		c.Partial++
	}
	r.done(op, time)
	return nil
}

func (r *rows) done(op Op, time int64) {
	c := r.c
	c.Op, c.Msg, c.Time = append(c.Op, op), append(c.Msg, r.msg), append(c.Time, time)
	c.Rows.N++
}

// isUnavailable says whether a value is a placeholder.
func (r *rows) isUnavailable(x jsonscan.Value) bool {
	for _, u := range r.unavailable {
		if int(x.To-x.From) == len(u) && string(r.scan.Bytes(x)) == string(u) {
			return true
		}
	}
	return false
}

// delete appends the deletion of the key whose values are in src.
func (r *rows) delete(src source, time int64) error {
	for col, v := range r.c.Rows.Cols {
		if !r.key[col] {
			v.AppendNull()
			continue
		}
		x := src.slots[col]
		if x.Kind <= jsonscan.Null {
			return schemaFault(r.names[col], "key column \"%s\" has no value", r.names[col])
		}
		if err := src.puts[col](v, x); err != nil {
			return &fault{Cast, r.names[col], err}
		}
	}
	r.done(Delete, time)
	return nil
}

// deleteByKey appends the deletion of the row that the message's key names.
func (r *rows) deleteByKey(key *keyReader, m *Message, time int64) error {
	if m.Key == nil {
		return schemaFault("", "a deletion without a key")
	}
	for col, v := range r.c.Rows.Cols {
		if !r.key[col] {
			v.AppendNull()
		}
	}
	if err := r.fillKey(key, m, nil, true); err != nil {
		return err
	}
	r.done(Delete, time)
	return nil
}

// fillKey appends the key columns that have no value in slots, or all of them, from
// the message's key.
func (r *rows) fillKey(key *keyReader, m *Message, slots []jsonscan.Value, all bool) error {
	text, offset := r.scan.Source(), r.scan.Offset()
	defer func() {
		r.scan.Sub(text)
		r.scan.Seek(offset)
	}()
	src, err := key.read(m.Key)
	if err != nil {
		return err
	}
	for _, col := range r.cfg.Table.PK {
		if !all && slots[col].Kind != jsonscan.None {
			continue
		}
		x := src.slots[col]
		if x.Kind <= jsonscan.Null {
			return schemaFault(r.names[col], "the message's key has no value for key column \"%s\"", r.names[col])
		}
		if err := src.puts[col](r.c.Rows.Cols[col], x); err != nil {
			return &fault{Cast, r.names[col], err}
		}
	}
	return nil
}

// truncate appends a change that empties the table.
func (r *rows) truncate(time int64) {
	for _, v := range r.c.Rows.Cols {
		v.AppendNull()
	}
	r.done(Truncate, time)
}

// unknownMax bounds the fields that one set of changes reports.
const unknownMax = 1000

// report notes a field that the table has no column for.
func (r *rows) report(name []byte, x jsonscan.Value, known *types.T) {
	if x.Kind <= jsonscan.Null {
		return
	}
	t := r.guess(x)
	if known != nil {
		t = *known
	}
	if i, ok := r.unknown[string(name)]; ok {
		f := &r.c.Unknown[i]
		f.Type = wider(f.Type, t)
		return
	}
	if len(r.c.Unknown) >= unknownMax || len(name) > types.NameLen {
		return
	}
	if r.unknown == nil {
		r.unknown = map[string]int{}
	}
	r.unknown[string(name)] = len(r.c.Unknown)
	r.c.Unknown = append(r.c.Unknown, Field{Name: string(name), Type: t, Msg: r.msg})
}

// guess is the column type that holds a plain JSON value.
func (r *rows) guess(x jsonscan.Value) types.T {
	switch x.Kind {
	case jsonscan.True, jsonscan.False:
		return types.Bool
	case jsonscan.String:
		return types.Text
	case jsonscan.Number:
		if _, err := types.ParseInt8(r.scan.Bytes(x)); err == nil {
			return types.Int8
		}
		return types.Numeric
	}
	return types.JSONB
}

// wider is a type that holds the values of both.
func wider(a, b types.T) types.T {
	number := func(t types.T) bool { return t.OID == types.Int8OID || t.OID == types.NumericOID }
	switch {
	case a == b:
		return a
	case number(a) && number(b):
		return types.Numeric
	}
	return types.JSONB
}

// batchRows is how many rows a set of changes gets before Decode returns.
const batchRows = vec.Size
