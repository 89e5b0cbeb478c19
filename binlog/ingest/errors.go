package ingest

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// ErrorSchema is where error tables are made when the subscription names none.
const ErrorSchema = "millrace_errors"

// ErrorColumns are the columns of an error table: a row for each message that could
// not be applied.
func ErrorColumns() []catalog.Column {
	list := []struct {
		name    string
		t       types.T
		notNull bool
	}{
		{"time", types.Timestamptz, true}, {"class", types.Text, true}, {"sqlstate", types.Text, true}, {"reason", types.Text, true},
		{"column_name", types.Text, false}, {"topic", types.Text, true}, {"partition", types.Int4, true}, {"message_offset", types.Int8, true},
		{"message_time", types.Timestamptz, false}, {"key", types.Bytea, false}, {"raw", types.Bytea, false}, {"headers", types.JSONB, false},
	}
	var out []catalog.Column
	for i, c := range list {
		out = append(out, catalog.Column{ID: int32(i + 1), Attr: int16(i + 1), Name: c.name, T: c.t, NotNull: c.notNull})
	}
	return out
}

// FitsErrors says whether a table can take an error table's rows: it has those
// columns, and others may be null.
func FitsErrors(t *catalog.Table) bool {
	if t == nil || t.Kind != catalog.KindTable {
		return false
	}
	found := 0
	for _, c := range t.Columns {
		is := false
		for _, e := range ErrorColumns() {
			is = is || e.Name == c.Name && e.T.OID == c.T.OID
		}
		if is {
			found++
		} else if c.NotNull {
			return false
		}
	}
	return found == len(ErrorColumns())
}

// errorRows gathers rows for an error table.
type errorRows struct {
	t       *catalog.Table
	batches []*vec.Batch
	jsonb   codec.Appender
}

func newErrorRows(t *catalog.Table, env *types.Env) *errorRows {
	return &errorRows{t: t, jsonb: codec.TextAppender(types.JSONB, env)}
}

func (e *errorRows) add(now int64, j *job, b *badMessage) error {
	if n := len(e.batches); n == 0 || e.batches[n-1].N == vec.Size {
		cols := &vec.Batch{}
		for _, c := range e.t.Columns {
			cols.Cols = append(cols.Cols, vec.New(c.T, 16))
		}
		e.batches = append(e.batches, cols)
	}
	to := e.batches[len(e.batches)-1]
	m, p := &j.msgs[b.msg], j.parts[j.part[b.msg]]
	for i, c := range e.t.Columns {
		v := to.Cols[i]
		switch c.Name {
		case "time":
			v.AppendDatum(types.NewInt(now))
		case "class":
			v.AppendString(b.class.String())
		case "sqlstate":
			v.AppendString(string(b.err.Code))
		case "reason":
			v.AppendString(reason(b))
		case "column_name":
			if b.column == "" {
				v.AppendNull()
			} else {
				v.AppendString(b.column)
			}
		case "topic":
			v.AppendString(p.Topic)
		case "partition":
			v.AppendDatum(types.NewInt(int64(p.ID)))
		case "message_offset":
			v.AppendDatum(types.NewInt(j.offset[b.msg]))
		case "message_time":
			if m.Time == 0 {
				v.AppendNull()
			} else {
				v.AppendDatum(types.NewInt(m.Time))
			}
		case "key":
			appendBytes(v, m.Key)
		case "raw":
			appendBytes(v, m.Value)
		case "headers":
			if err := e.headers(v, m.Headers); err != nil {
				return err
			}
		default:
			v.AppendNull()
		}
	}
	to.N++
	return nil
}

// reason is the error's text: message and detail.
func reason(b *badMessage) string {
	s := b.err.Message
	if b.err.Detail != "" {
		s += ": " + b.err.Detail
	}
	return validText(s)
}

// validText replaces what a text value cannot hold.
func validText(s string) string {
	out := []rune(nil)
	for i, r := range s {
		if r == 0 || r == 0xfffd {
			if out == nil {
				out = []rune(s[:i])
			}
			r = '?'
		}
		if out != nil {
			out = append(out, r)
		}
	}
	if out != nil {
		return string(out)
	}
	return s
}

func appendBytes(v *vec.Vec, b []byte) {
	if b == nil {
		v.AppendNull()
		return
	}
	v.AppendBytes(b)
}

// headers are kept as a JSON array of [name, base64 of the value].
func (e *errorRows) headers(v *vec.Vec, hs []format.Header) error {
	if len(hs) == 0 {
		v.AppendNull()
		return nil
	}
	list := make([][2]any, len(hs))
	for i, h := range hs {
		list[i] = [2]any{validText(h.Name), h.Value}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := e.jsonb(v, b); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	return nil
}
