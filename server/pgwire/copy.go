package pgwire

import (
	"errors"
	"io"
	"os"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func (r *results) copyResponse(typ, format byte, columns int) error {
	w := &r.c.w
	at := w.begin(typ)
	w.out = append(w.out, format)
	w.int16(int16(columns))
	for range columns {
		w.int16(int16(format))
	}
	w.end(at)
	return w.flush()
}

func (r *results) CopyIn(format byte, columns int) (CopySource, error) {
	if err := r.copyResponse('G', format, columns); err != nil {
		return nil, err
	}
	r.copyIn = &copyIn{c: r.c, in: r.c.in}
	r.c.setCopying(true)
	if f := r.c.in; len(f.buf) < readBytesCopy {
		b := make([]byte, readBytesCopy)
		f.w = copy(b, f.buf[f.r:f.w])
		f.r, f.buf = 0, b
	}
	return r.copyIn, nil
}

// copyIn is the data of a COPY FROM STDIN, handed out of the read buffer. Clients
// often send a message a row: as many as are buffered are joined in place, by
// moving their data over the headers between.
type copyIn struct {
	c    *conn
	in   *reader
	rest int   // bytes of the current message not yet given out
	err  error // why it ended; io.EOF when the client sent all
}

// Next implements CopySource.
func (s *copyIn) Next() ([]byte, error) {
	in := s.in
	for s.rest == 0 {
		if s.err != nil {
			return nil, s.err
		}
		s.message()
	}
	if in.buffered() == 0 {
		if err := in.need(1); err != nil {
			s.fail(err)
			return nil, s.err
		}
	}
	from := in.r
	n := min(s.rest, in.buffered())
	in.r += n
	s.rest -= n
	to := in.r
	for s.rest == 0 && in.buffered() >= 5 && in.buf[in.r] == msgCopyData {
		_, size, err := in.header()
		if err != nil {
			break // Next will meet it again
		}
		in.r += 5
		n := min(size, in.buffered())
		copy(in.buf[to:], in.buf[in.r:in.r+n])
		to += n
		in.r += n
		s.rest = size - n
	}
	return in.buf[from:to:to], nil
}

// message takes the next message while no data are at hand: it sets rest or err.
func (s *copyIn) message() {
	typ, n, err := s.in.header()
	if err != nil {
		s.fail(err)
		return
	}
	switch typ {
	case msgCopyData:
		s.in.r += 5
		s.rest = n
		return
	case msgFlush, msgSync: // clients that pipeline may have sent them already
		s.in.drop = 5 + n
		return
	}
	typ, p, err := s.in.next()
	if err != nil {
		s.fail(err)
		return
	}
	switch typ {
	case msgCopyDone:
		s.err = io.EOF
	case msgCopyFail:
		m := body{b: p}
		s.err = sqlstate.Errorf(sqlstate.QueryCanceled, "COPY from stdin failed: %s", m.cstring())
	default:
		s.err = violation("unexpected message type 0x%02X during COPY from stdin", typ)
	}
}

// fail ends the stream by an error of the connection. A read that interrupt woke
// up ends it with the reason of the interrupt, and the connection goes on.
func (s *copyIn) fail(err error) {
	switch cause := s.c.cancelled(); {
	case errors.Is(err, os.ErrDeadlineExceeded) && cause != nil:
		s.err = cause
	case errors.As(err, new(protocolError)):
		s.err = err
	default:
		s.err = errCopyLost
	}
}

var errCopyLost = protocolError{sqlstate.Errorf("08006", "unexpected EOF on client connection with an open transaction")}

// end is called when the session is done with the stream: after a success the
// rest up to the client's CopyDone is skipped; after a failure only what is left
// of the current message, because the client learns of it at once.
func (s *copyIn) end(success bool) error {
	defer s.c.setCopying(false)
	for {
		s.in.drop += s.rest
		s.rest = 0
		if !success || s.err == io.EOF {
			return nil
		}
		if s.err != nil {
			return s.err
		}
		s.message()
	}
}

func (r *results) CopyOut(format byte, columns int) (CopySink, error) {
	if err := r.copyResponse('H', format, columns); err != nil {
		return nil, err
	}
	return &copyOut{w: &r.c.w}, nil
}

type copyOut struct {
	w    *writer
	done bool
}

func (s *copyOut) Write(p []byte) (int, error) {
	at := s.w.begin(msgCopyData)
	s.w.out = append(s.w.out, p...)
	s.w.end(at)
	if err := s.w.full(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *copyOut) Close() error {
	if !s.done {
		s.done = true
		s.w.empty(msgCopyDone)
	}
	return s.w.err
}
