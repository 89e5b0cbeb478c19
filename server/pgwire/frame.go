package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// Bounds on buffers and bodies, in bytes.
const (
	readBytesMin   = 8 << 10   // read buffer of an idle connection
	readBytesCopy  = 256 << 10 // while COPY FROM runs
	readBytesKeep  = 64 << 10  // a larger buffer is dropped after use
	writeBytesSend = 64 << 10  // answers are written when they pass this
	writeBytesKeep = 256 << 10 // a larger buffer is dropped after use

	bodyBytesLogin = 10 << 10  // before the client has proved who it is
	bodyBytesSmall = 10 << 10  // messages that carry a name or nothing
	bodyBytesLarge = 1<<30 - 1 // queries, parameters and copy data, as in PostgreSQL
)

// The messages a client may send.
const (
	msgBind         = 'B'
	msgClose        = 'C'
	msgDescribe     = 'D'
	msgExecute      = 'E'
	msgFunctionCall = 'F'
	msgFlush        = 'H'
	msgParse        = 'P'
	msgQuery        = 'Q'
	msgSync         = 'S'
	msgTerminate    = 'X'
	msgCopyData     = 'd'
	msgCopyDone     = 'c'
	msgCopyFail     = 'f'
	msgPassword     = 'p' // also SASL answers
)

// bodyBytesMax bounds the body of a message by its type; ok is false for a type
// that no client sends.
func bodyBytesMax(typ byte) (n int, ok bool) {
	switch typ {
	case msgQuery, msgParse, msgBind, msgFunctionCall, msgCopyData:
		return bodyBytesLarge, true
	case msgClose, msgDescribe, msgExecute, msgFlush, msgSync, msgTerminate, msgCopyDone, msgCopyFail, msgPassword:
		return bodyBytesSmall, true
	}
	return 0, false
}

// A protocolError ends the connection: after it, the stream cannot be trusted.
type protocolError struct{ e *sqlstate.Error }

func (p protocolError) Error() string { return p.e.Message }
func (p protocolError) Unwrap() error { return p.e }

func violation(format string, args ...any) error {
	return protocolError{sqlstate.Errorf(sqlstate.ProtocolViolation, format, args...)}
}

// reader cuts a stream into frames in place. buf[r:w] is read and not consumed.
// The buffer grows with the bytes that arrive, never with a length that was
// merely announced.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int
	// login is set until the client has proved who it is.
	login bool
	// drop is the number of bytes to skip before the next frame.
	drop int
}

func newReader(src io.Reader) *reader {
	return &reader{src: src, buf: make([]byte, readBytesMin), login: true}
}

// buffered is the number of bytes read and not consumed.
func (f *reader) buffered() int { return f.w - f.r }

// need makes at least n bytes available at buf[r:].
func (f *reader) need(n int) error {
	for f.w-f.r < n {
		if f.r == f.w {
			f.r, f.w = 0, 0
		}
		if len(f.buf)-f.w == 0 || f.r > 0 && len(f.buf)-f.r < n {
			f.room(n)
		}
		k, err := f.src.Read(f.buf[f.w:])
		f.w += k
		if k == 0 && err != nil {
			if err == io.EOF && f.r < f.w {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// room moves what is buffered to the front, and doubles a full buffer.
func (f *reader) room(n int) {
	if f.r > 0 {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	if f.w == len(f.buf) {
		b := make([]byte, min(2*len(f.buf), max(n, readBytesMin)))
		f.w = copy(b, f.buf[:f.w])
		f.buf = b
	}
}

// header looks at the next frame without consuming it: its type and the length
// of its body, which is within bounds.
func (f *reader) header() (typ byte, n int, err error) {
	if f.drop > 0 {
		if err := f.skip(&f.drop); err != nil {
			return 0, 0, err
		}
	}
	if f.w-f.r < 5 {
		if err := f.need(5); err != nil {
			return 0, 0, err
		}
	}
	typ = f.buf[f.r]
	limit, ok := bodyBytesMax(typ)
	if !ok {
		return 0, 0, violation("invalid frontend message type %d", typ)
	}
	if f.login {
		limit = bodyBytesLogin
	}
	size := binary.BigEndian.Uint32(f.buf[f.r+1:])
	if size < 4 || uint64(size)-4 > uint64(limit) {
		return 0, 0, protocolError{sqlstate.Errorf(sqlstate.ProtocolViolation, "invalid message length").
			WithDetail("%s", fmt.Sprintf("Message of type %q announces %d bytes.", typ, size))}
	}
	return typ, int(size) - 4, nil
}

// next returns the next frame. The body is lent until the following call.
func (f *reader) next() (typ byte, body []byte, err error) {
	typ, n, err := f.header()
	if err != nil {
		return 0, nil, err
	}
	if f.w-f.r < 5+n {
		if err := f.need(5 + n); err != nil {
			return 0, nil, unexpected(err)
		}
	}
	body = f.buf[f.r+5 : f.r+5+n : f.r+5+n]
	f.r += 5 + n
	return typ, body, nil
}

// skip consumes *n bytes without keeping them, and counts *n down as it goes, so
// that it can go on after a read that timed out.
func (f *reader) skip(n *int) error {
	for *n > 0 {
		k := min(*n, f.w-f.r)
		f.r += k
		*n -= k
		if *n > 0 {
			if err := f.need(1); err != nil {
				return unexpected(err)
			}
		}
	}
	return nil
}

// shrink drops a large buffer that is empty.
func (f *reader) shrink() {
	if f.r == f.w && len(f.buf) > readBytesKeep {
		f.buf = make([]byte, readBytesMin)
		f.r, f.w = 0, 0
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
