package pgwire

import (
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// dataRowBytesMax is the longest DataRow that clients can take.
const dataRowBytesMax = 1<<30 - 1

// results is the Results of one connection, used again for each statement.
type results struct {
	c        *conn
	extended bool
	shape    *shape // of the result that is being sent
	cache    shapeCache
	copyIn   *copyIn // the last COPY FROM of the statement
}

func (r *results) begin(extended bool) {
	r.extended, r.shape, r.copyIn = extended, nil, nil
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
	r.shape = nil
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
	if r.shape, err = r.cache.find(r.c.sess.Env(), cols, formats, r.extended); err != nil {
		return err
	}
	return r.c.w.full()
}

func (r *results) Batch(b *vec.Batch) error {
	cols := b.Cols
	encoders, err := r.shape.encodersFor(cols)
	if err != nil {
		return err
	}
	w := &r.c.w
	n := b.Rows()
	for k := 0; k < n; k++ {
		row := b.Row(k)
		at := len(w.out) + 1
		w.out = append(w.out, 'D', 0, 0, 0, 0, byte(len(cols)>>8), byte(len(cols)))
		for i, enc := range encoders {
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

// shape is how the rows of one result are sent.
type shape struct {
	cols     []Column
	formats  []int16
	env      *types.Env
	encoders []codec.Encoder
}

func newShape(env *types.Env, cols []Column, formats []int16) (*shape, error) {
	s := &shape{cols: cols, formats: formats, env: env, encoders: make([]codec.Encoder, len(cols))}
	for i := range cols {
		if f := formatOf(formats, i); f != 0 && f != 1 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unsupported format code: %d", f)
		}
		s.encoders[i] = s.encoder(i, cols[i].T)
	}
	return s, nil
}

// encoder is the encoder of column i when its values come as type t.
func (s *shape) encoder(i int, t types.T) codec.Encoder {
	if formatOf(s.formats, i) == 1 {
		return codec.BinaryEncoder(t, s.env)
	}
	return codec.TextEncoder(t, s.env)
}

// encodersFor gives the encoders for the vectors of one batch. A vector may hold
// its column's type in another layout: a numeric wider than was planned, say.
func (s *shape) encodersFor(vs []*vec.Vec) ([]codec.Encoder, error) {
	if s == nil || len(vs) != len(s.cols) {
		return nil, sqlstate.Errorf(sqlstate.InternalError, "a batch of %d columns does not fit its result", len(vs))
	}
	encoders := s.encoders
	for i, v := range vs {
		if t := &s.cols[i].T; v.T.Layout != t.Layout || v.T.Scale != t.Scale {
			if &encoders[0] == &s.encoders[0] {
				encoders = slices.Clone(encoders)
			}
			encoders[i] = s.encoder(i, v.T)
		}
	}
	return encoders, nil
}

// shapeCache keeps the shapes of results that come again: those of prepared
// statements, known by the identity of their columns.
type shapeCache map[shapeKey]*shape

// shapeKey points to the first column; the cache keeps the list alive, so that no
// other takes its place.
type shapeKey struct {
	col    *Column
	n      int
	env    *types.Env
	binary bool // the format of the first column, so that two kinds of use do not alternate
}

const shapeCacheMax = 256

// find gives the shape of a result. One that will not come again is not kept.
func (e *shapeCache) find(env *types.Env, cols []Column, formats []int16, again bool) (*shape, error) {
	if len(cols) == 0 {
		return &shape{}, nil
	}
	key := shapeKey{col: &cols[0], n: len(cols), env: env, binary: formatOf(formats, 0) == 1}
	if s := (*e)[key]; s != nil && slices.Equal(s.formats, formats) {
		return s, nil
	}
	s, err := newShape(env, cols, formats)
	if err != nil || !again {
		return s, err
	}
	if *e == nil || len(*e) >= shapeCacheMax {
		*e = shapeCache{}
	}
	(*e)[key] = s
	return s, nil
}
