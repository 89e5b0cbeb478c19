package pgwire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// loop serves messages until the client leaves (nil) or the connection fails.
func (c *conn) loop() error {
	idler, _ := c.sess.(Idler)
	c.notes, _ = c.sess.(Notifier)
	if c.line != nil && !c.tls {
		c.quick, _ = c.sess.(Prompter)
	}
	for {
		var reason *sqlstate.Error
		var until time.Time
		if c.idle && idler != nil && c.in.buffered() == 0 {
			var limit time.Duration
			if limit, reason = idler.IdleLimit(); limit > 0 {
				until = time.Now().Add(limit)
				c.setReadDeadline(until)
			} else {
				reason = nil
			}
		}
		listens := c.idle && c.notes != nil && c.notes.Listening()
		if c.idle && c.in.buffered() == 0 && c.quick != nil && !listens && reason == nil && c.line.settled() && c.sess.TxStatus() == 'I' {
			if err := c.inLoop(); err != nil {
				return err
			}
			continue
		}
		c.idle = false
		typ, n, err := c.header(listens, until)
		if reason != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return protocolError{reason}
			}
			c.setReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
		// Copy data outside of COPY follows a COPY that failed: it is dropped
		// without being collected, as is all that a failed pipeline still holds.
		if typ == msgCopyData || c.skip && typ != msgSync && typ != msgTerminate {
			c.in.drop = 5 + n
			continue
		}
		typ, p, err := c.in.next()
		if err != nil {
			return err
		}
		if typ == msgTerminate {
			return nil
		}
		if err := c.message(typ, p); err != nil {
			return err
		}
		c.in.shrink()
	}
}

// inLoop lets one of the server's loops have the connection.
func (c *conn) inLoop() error {
	c.w.held = true
	m := &member{c: c}
	c.quick.Prompt(true, m.landed)
	err := c.line.join(c.srv.leastLoop(), m)
	c.quick.Prompt(false, nil)
	c.w.held = false
	if c.broken != nil {
		panic(c.broken)
	}
	if err == nil {
		err = c.failure
	}
	if err != nil {
		return err
	}
	if c.syncs {
		c.syncs = false
		return nil
	}
	return c.w.flush()
}

// message serves one message. An error it returns ends the connection, but for
// ErrNotPrompt and ErrLater, with which it comes again; all others have been sent to the client.
func (c *conn) message(typ byte, p []byte) error {
	ctx := c.enter()
	var err error
	switch typ {
	case msgQuery:
		if err = c.simple(ctx, p); err == nil {
			c.leave()
			return c.ready()
		}
	case msgParse:
		err = c.parse(ctx, p)
	case msgBind:
		err = c.bindPortal(ctx, p)
	case msgDescribe:
		err = c.describe(ctx, p)
	case msgExecute:
		err = c.execute(ctx, p)
	case msgClose:
		err = c.close(p)
	case msgSync:
		if len(p) != 0 {
			err = violation("invalid message format")
			break
		}
		c.skip = false
		if err = c.sess.Sync(ctx); err != nil && err != ErrNotPrompt && err != ErrLater {
			err = c.failed(ctx, err)
		}
		c.leave()
		if err == nil {
			err = c.ready()
		}
		return err
	case msgFlush:
		err = c.w.flush()
	case msgFunctionCall:
		c.leave()
		c.w.report('E', severityError, sqlstate.Unsupported("the function call protocol"))
		return c.ready()
	case msgCopyDone, msgCopyFail: // of a COPY that has already failed
	default:
		err = violation("invalid frontend message type %d", typ)
	}
	if err == ErrNotPrompt || err == ErrLater {
		c.leave()
		return err
	}
	if err != nil {
		if err = c.failed(ctx, err); err == nil {
			c.skip = typ != msgQuery
			if typ == msgQuery {
				err = c.ready()
			}
		}
	}
	c.leave()
	return err
}

// ready ends a command: the client may send the next one.
func (c *conn) ready() error {
	c.idle = true
	if c.notes != nil && c.notes.Listening() {
		c.notify()
	}
	c.w.ready(c.sess.TxStatus())
	return c.w.flush()
}

// failed tells the client of an error and returns nil, or the error itself when
// it ends the connection.
func (c *conn) failed(ctx context.Context, err error) error {
	if c.w.err != nil {
		return c.w.err
	}
	e := explain(ctx, err)
	if fatal(err, e) {
		return err
	}
	if e.Code == sqlstate.InternalError || e.Code == sqlstate.DataCorrupted {
		c.log.Error("statement failed", "code", e.Code, "err", err)
	}
	c.w.report('E', severityError, e)
	return c.w.full()
}

// text is p as a string, which must be UTF-8.
func text(p []byte) (string, error) {
	if !utf8.Valid(p) {
		return "", badText(p)
	}
	return string(p), nil
}

// badText names the first bytes that are not UTF-8, as many as their leading
// byte asks for.
func badText(p []byte) error {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			break
		}
		p = p[n:]
	}
	want := 1
	switch b := p[0]; {
	case b >= 0xf0 && b < 0xf8:
		want = 4
	case b >= 0xe0 && b < 0xf0:
		want = 3
	case b >= 0xc0 && b < 0xe0:
		want = 2
	}
	hex := ""
	for _, b := range p[:min(want, len(p))] {
		hex += fmt.Sprintf(" 0x%02x", b)
	}
	return sqlstate.Errorf(sqlstate.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\":%s", hex)
}

func (c *conn) simple(ctx context.Context, p []byte) error {
	m := body{b: p}
	raw := m.cstring()
	if !m.done() {
		return violation("invalid message format")
	}
	sql, err := text(raw)
	if err != nil {
		return err
	}
	c.res.begin(false)
	err = c.sess.Simple(ctx, sql, &c.res)
	return c.res.finish(err)
}

func (c *conn) parse(ctx context.Context, p []byte) error {
	m := body{b: p}
	name := c.known.name(m.cstring())
	raw := m.cstring()
	n := int(uint16(m.int16()))
	var oids []uint32
	if n > 0 && 4*n <= len(m.b) {
		oids = make([]uint32, n)
		for i := range oids {
			oids[i] = uint32(m.int32())
		}
	} else if n > 0 {
		m.bad = true
	}
	if !m.done() {
		return violation("invalid message format")
	}
	sql, err := text(raw)
	if err != nil {
		return err
	}
	if err := c.sess.Parse(ctx, name, sql, oids); err != nil {
		return err
	}
	c.w.empty('1')
	return nil
}

func (c *conn) bindPortal(ctx context.Context, p []byte) error {
	b := &c.bind
	if !c.known.parseBind(p, b) {
		return violation("invalid message format")
	}
	err := c.sess.Bind(ctx, b.portal, b.stmt, b.paramFormats, b.params, b.resultFormats)
	if cap(b.params) > paramsKept {
		b.params = nil
	}
	if err != nil {
		return err
	}
	c.w.empty('2')
	return nil
}

// paramsKept is how many parameters of a Bind a connection keeps room for.
const paramsKept = 16 << 10

func (c *conn) describe(ctx context.Context, p []byte) error {
	m := body{b: p}
	kind := m.byte()
	name := c.known.name(m.cstring())
	if !m.done() {
		return violation("invalid message format")
	}
	var cols []Column
	var formats []int16
	var err error
	switch kind {
	case 'S':
		var params []uint32
		if params, cols, err = c.sess.DescribeStatement(ctx, name); err != nil {
			return err
		}
		at := c.w.begin('t')
		c.w.int16(int16(len(params)))
		for _, p := range params {
			c.w.int32(int32(p))
		}
		c.w.end(at)
	case 'P':
		if cols, formats, err = c.sess.DescribePortal(ctx, name); err != nil {
			return err
		}
	default:
		return violation("invalid DESCRIBE message subtype %d", kind)
	}
	if cols == nil {
		c.w.empty('n')
	} else {
		c.w.rowDescription(cols, formats)
	}
	return nil
}

func (c *conn) execute(ctx context.Context, p []byte) error {
	m := body{b: p}
	name := c.known.name(m.cstring())
	rows := m.int32()
	if !m.done() {
		return violation("invalid message format")
	}
	c.res.begin(true)
	suspended, err := c.sess.Execute(ctx, name, int(max(rows, 0)), &c.res)
	if err = c.res.finish(err); err != nil {
		return err
	}
	if suspended {
		c.w.empty('s')
	}
	return c.w.full()
}

func (c *conn) close(p []byte) error {
	m := body{b: p}
	kind := m.byte()
	name := c.known.name(m.cstring())
	if !m.done() {
		return violation("invalid message format")
	}
	var err error
	switch kind {
	case 'S':
		err = c.sess.CloseStatement(name)
	case 'P':
		err = c.sess.ClosePortal(name)
	default:
		return violation("invalid CLOSE message subtype %d", kind)
	}
	if err == nil {
		c.w.empty('3')
	}
	return err
}
