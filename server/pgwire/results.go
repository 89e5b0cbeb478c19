package pgwire

import (
	"encoding/binary"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// dataRowBytesMax is the longest DataRow that clients can take.
const dataRowBytesMax = 1<<30 - 1

// results is the Results of one connection, used again for each statement.
type results struct {
	c        *conn
	extended bool
	encoders []Encoder
	cache    encoderCache
	copyIn   *copyIn // the last COPY FROM of the statement
}

func (r *results) begin(extended bool) {
	r.extended, r.encoders, r.copyIn = extended, nil, nil
}

// finish ends a call that used r and returned err. What a client still sends for
// a COPY is skipped.
func (r *results) finish(err error) error {
	if r.copyIn != nil {
		in := r.copyIn
		r.copyIn = nil
		if e := in.end(err == nil); e != nil && err == nil {
			err = e
		}
	}
	r.encoders = nil
	return err
}

// Notice implements Client.
func (c *conn) Notice(n *sqlstate.Error) error {
	c.w.notice(n)
	return c.w.full()
}

// ParameterStatus implements Client.
func (c *conn) ParameterStatus(name, value string) { c.w.parameterStatus(name, value) }

func (r *results) Notice(n *sqlstate.Error) error     { return r.c.Notice(n) }
func (r *results) ParameterStatus(name, value string) { r.c.ParameterStatus(name, value) }

func (r *results) RowDescription(cols []Column, formats []int16) error {
	if !r.extended {
		r.c.w.rowDescription(cols, formats)
	}
	var err error
	r.encoders, err = r.cache.find(r.c, cols, formats)
	if err != nil {
		return err
	}
	return r.c.w.full()
}

func (r *results) Batch(b *vec.Batch) error {
	cols := b.Cols
	if len(cols) != len(r.encoders) {
		return sqlstate.Errorf(sqlstate.InternalError, "a result of %d columns holds a batch of %d", len(r.encoders), len(cols))
	}
	w := &r.c.w
	n := b.Rows()
	for k := 0; k < n; k++ {
		row := b.Row(k)
		at := len(w.out) + 1
		w.out = append(w.out, 'D', 0, 0, 0, 0, byte(len(cols)>>8), byte(len(cols)))
		for i, enc := range r.encoders {
			v := cols[i]
			if v.IsNull(row) {
				w.out = append(w.out, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			w.out = append(w.out, 0, 0, 0, 0)
			from := len(w.out)
			w.out = enc(w.out, v, row)
			binary.BigEndian.PutUint32(w.out[from-4:], uint32(len(w.out)-from))
		}
		if len(w.out)-at > dataRowBytesMax {
			w.out = w.out[:at-1]
			return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "a row of the result is longer than 1 GB")
		}
		w.end(at)
		if len(w.out) >= writeBytesSend {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.err
}

func (r *results) CommandComplete(tag string) error {
	if r.copyIn != nil {
		in := r.copyIn
		r.copyIn = nil
		if err := in.end(true); err != nil {
			return err
		}
	}
	r.c.w.commandComplete(tag)
	return r.c.w.full()
}

func (r *results) EmptyQuery() error {
	r.c.w.empty('I')
	return r.c.w.err
}

// encoderCache keeps the encoders of results that come again: those of prepared
// statements, known by the identity of their columns and formats.
type encoderCache struct {
	entries map[encoderKey][]Encoder
}

type encoderKey struct {
	col    *Column // first of the columns; keeps them alive, so that no other list takes its place
	n      int
	format *int16
	m      int
	env    *types.Env
}

const encoderCacheMax = 256

func (e *encoderCache) find(c *conn, cols []Column, formats []int16) ([]Encoder, error) {
	if len(cols) == 0 {
		return nil, nil
	}
	env := c.sess.Env()
	key := encoderKey{col: &cols[0], n: len(cols), m: len(formats), env: env}
	if len(formats) > 0 {
		key.format = &formats[0]
	}
	if encs, ok := e.entries[key]; ok {
		return encs, nil
	}
	encs := make([]Encoder, len(cols))
	for i := range cols {
		f := formatOf(formats, i)
		if f != 0 && f != 1 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unsupported format code: %d", f)
		}
		var err error
		if encs[i], err = c.srv.cfg.Encoder(cols[i].T, f, env); err != nil {
			return nil, err
		}
	}
	if e.entries == nil || len(e.entries) >= encoderCacheMax {
		e.entries = map[encoderKey][]Encoder{}
	}
	e.entries[key] = encs
	return encs, nil
}
