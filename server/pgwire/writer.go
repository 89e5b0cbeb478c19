package pgwire

import (
	"encoding/binary"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// writer collects messages for the client. The first error of the connection
// stays; what follows it is dropped.
type writer struct {
	dst io.Writer
	out []byte
	err error
	// held keeps everything until somebody else sends it.
	held bool
}

// begin starts a message and returns where its length goes.
func (w *writer) begin(typ byte) int {
	w.out = append(w.out, typ, 0, 0, 0, 0)
	return len(w.out) - 4
}

// end puts the length of the message begun at mark in its place.
func (w *writer) end(mark int) {
	binary.BigEndian.PutUint32(w.out[mark:], uint32(len(w.out)-mark))
}

func (w *writer) int16(v int16) { w.out = binary.BigEndian.AppendUint16(w.out, uint16(v)) }
func (w *writer) int32(v int32) { w.out = binary.BigEndian.AppendUint32(w.out, uint32(v)) }
func (w *writer) cstring(s string) {
	w.out = append(w.out, s...)
	w.out = append(w.out, 0)
}

// empty appends a message without a body.
func (w *writer) empty(typ byte) { w.out = append(w.out, typ, 0, 0, 0, 4) }

// flush writes everything collected.
func (w *writer) flush() error {
	if w.held {
		return w.err
	}
	if w.err == nil && len(w.out) > 0 {
		_, w.err = w.dst.Write(w.out)
	}
	w.empties()
	return w.err
}

// empties forgets what was collected.
func (w *writer) empties() {
	if cap(w.out) > writeBytesKeep {
		w.out = nil
	}
	w.out = w.out[:0]
}

// full writes what is collected if there is much of it.
func (w *writer) full() error {
	if len(w.out) >= writeBytesSend {
		return w.flush()
	}
	return w.err
}

func (w *writer) ready(status byte) {
	w.out = append(w.out, 'Z', 0, 0, 0, 5, status)
}

func (w *writer) parameterStatus(name, value string) {
	at := w.begin('S')
	w.cstring(name)
	w.cstring(value)
	w.end(at)
}

func (w *writer) commandComplete(tag string) {
	at := w.begin('C')
	w.cstring(tag)
	w.end(at)
}

// rowDescription describes a result. formats has no, one or len(cols) entries.
func (w *writer) rowDescription(cols []Column, formats []int16) {
	at := w.begin('T')
	w.int16(int16(len(cols)))
	for i := range cols {
		c := &cols[i]
		w.cstring(c.Name)
		w.int32(int32(c.TableOID))
		w.int16(c.Attr)
		w.int32(int32(c.T.OID))
		w.int16(typeLen(c.T.OID))
		w.int32(c.T.Mod)
		w.int16(formatOf(formats, i))
	}
	w.end(at)
}

// formatOf is the format of column i by a list of no, one or all formats.
func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	if i < len(formats) {
		return formats[i]
	}
	return 0
}

// Severities of errors and notices.
const (
	severityError   = "ERROR"
	severityFatal   = "FATAL"
	severityWarning = "WARNING"
	severityNotice  = "NOTICE"
)

// report appends an ErrorResponse ('E') or NoticeResponse ('N').
func (w *writer) report(typ byte, severity string, e *sqlstate.Error) {
	at := w.begin(typ)
	field := func(code byte, s string) {
		if s != "" {
			w.out = append(w.out, code)
			w.out = appendText(w.out, s)
			w.out = append(w.out, 0)
		}
	}
	code := string(e.Code)
	if len(code) != 5 {
		code = string(sqlstate.InternalError)
		if typ == 'N' {
			code = string(sqlstate.SuccessfulCompletion)
		}
	}
	msg := e.Message
	if msg == "" {
		msg = "missing error text"
	}
	field('S', severity)
	field('V', severity)
	field('C', code)
	field('M', msg)
	field('D', e.Detail)
	field('H', e.Hint)
	if e.Position > 0 {
		field('P', strconv.Itoa(e.Position))
	}
	field('W', e.Where)
	field('s', e.Schema)
	field('t', e.Table)
	field('c', e.Column)
	field('d', e.DataType)
	field('n', e.Constraint)
	w.out = append(w.out, 0)
	w.end(at)
}

// appendText appends s as valid UTF-8 without zero bytes: messages quote what
// clients sent, and a stray zero would end the field early.
func appendText(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0:
			dst = append(dst, '?')
		case r == utf8.RuneError && n == 1:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}

// notice appends a notice. Warnings are told by their class.
func (w *writer) notice(e *sqlstate.Error) {
	severity := severityNotice
	if len(e.Code) == 5 && (e.Code[:2] == "01" || e.Code[:2] == "25") {
		severity = severityWarning
	}
	w.report('N', severity, e)
}
