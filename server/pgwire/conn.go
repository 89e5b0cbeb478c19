package pgwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// conn is one connection. All fields but those under mu belong to its goroutine.
type conn struct {
	srv *Server
	raw net.Conn // the socket
	nc  net.Conn // what is read and written: raw, or TLS over it
	// line is raw, if that is TCP.
	line *line
	log  *slog.Logger
	in   *reader
	w    writer
	tls  bool

	sess  Session  // set once, under mu
	quick Prompter // the session, if it is one
	known interned
	notes Notifier // the session, if it is one
	bind  bind
	res   results
	skip  bool // an extended message failed: ignore all until Sync
	idle  bool // the last thing sent was ReadyForQuery
	// syncs says that the loop has left a Sync: what is collected is of a transaction
	// that is not committed yet, and goes out with its answer.
	syncs bool
	// failure and broken are how the loop's last command of the connection ended.
	failure error
	broken  *loopPanic

	pid int32
	key uint32

	ctx  context.Context // done when the connection ends
	stop context.CancelCauseFunc

	mu      sync.Mutex
	busy    bool   // in a call of the session
	copying bool   // it may be reading copy data
	ending  bool   // terminate was called
	seq     uint64 // messages begun
	waiting bool   // for the next command, ready to be woken
	woken   bool   // by Wake
	seqSeen uint64 // seq at the watcher's last look
	fired   bool   // query was cancelled
	query   context.Context
	cancel  context.CancelCauseFunc
}

func newConn(s *Server, nc net.Conn) *conn {
	var l *line
	if tc, ok := nc.(*net.TCPConn); ok {
		l = newLine(tc, s.cfg.Settle)
		nc = l
	}
	c := &conn{srv: s, raw: nc, nc: nc, line: l, log: s.log.With("remote", nc.RemoteAddr().String()), in: newReader(nc)}
	c.w.dst = nc
	c.res.c = c
	c.ctx, c.stop = context.WithCancelCause(s.ctx)
	c.query, c.cancel = context.WithCancelCause(c.ctx)
	return c
}

// serve runs the connection to its end. Nothing gets out of it.
func (c *conn) serve() {
	defer func() {
		c.stop(errClientGone)
		_ = c.nc.Close()
	}()
	c.guard(func() {
		err := c.login()
		if err == nil {
			err = c.loop()
		}
		c.farewell(err)
	})
	if c.sess != nil {
		c.stop(errClientGone)
		c.guard(func() {
			if err := c.sess.Close(); err != nil {
				c.log.Warn("session closed with an error", "err", err)
			}
		})
	}
}

// guard runs f; a panic in it is logged and told to the client.
func (c *conn) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			if l, ok := p.(*loopPanic); ok {
				p, stack = l.value, l.stack
			}
			c.srv.counters.Panics.Add(1)
			c.log.Error("panic in a session", "panic", fmt.Sprint(p), "stack", string(stack))
			c.farewell(sqlstate.Errorf(sqlstate.InternalError, "internal error: %v", p).
				WithHint("The server log has the details. This connection is closed, others are not affected."))
		}
	}()
	f()
}

// farewell sends the reason why the connection ends, if there is one to tell.
func (c *conn) farewell(err error) {
	if c.shuttingDown(err) {
		err = errShutdown
	}
	var e *sqlstate.Error
	switch {
	case err == nil || errors.Is(err, errDone) || c.w.err != nil:
		return
	case errors.As(err, &e):
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.log.Info("login timed out")
		return
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		c.log.Debug("client went away", "err", err)
		return
	default:
		c.log.Debug("connection failed", "err", err)
		return
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.srv.cfg.DrainTimeout))
	c.w.report('E', severityFatal, e)
	_ = c.w.flush()
	c.log.Info("connection ended", "code", e.Code, "reason", e.Message)
}

// shuttingDown says whether err comes from the deadline that terminate sets.
func (c *conn) shuttingDown(err error) bool {
	if err == nil || errors.Is(err, errDone) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// enter marks the begin of a call of the session and gives its context.
func (c *conn) enter() context.Context {
	c.mu.Lock()
	c.busy = true
	c.seq++
	ctx := c.query
	c.mu.Unlock()
	return ctx
}

// leave marks its end. A context that was cancelled is replaced by a fresh one.
func (c *conn) leave() {
	c.mu.Lock()
	c.busy, c.copying = false, false
	if c.fired {
		c.fired = false
		if !c.ending {
			_ = c.raw.SetReadDeadline(time.Time{})
		}
		c.query, c.cancel = context.WithCancelCause(c.ctx)
	}
	c.mu.Unlock()
}

// setCopying says whether the call may be waiting for the client's data.
func (c *conn) setCopying(on bool) {
	c.mu.Lock()
	c.copying = on
	if on && c.fired {
		_ = c.raw.SetReadDeadline(time.Now())
	}
	c.mu.Unlock()
}

// cancelled is the reason why the running query was cancelled, or nil.
func (c *conn) cancelled() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fired {
		return nil
	}
	return context.Cause(c.query)
}

// setDeadline sets the socket's deadline, unless terminate has set its own.
func (c *conn) setDeadline(t time.Time) {
	c.mu.Lock()
	if !c.ending {
		_ = c.raw.SetDeadline(t)
	}
	c.mu.Unlock()
}

// setReadDeadline is setDeadline for reading alone.
func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	if !c.ending {
		_ = c.raw.SetReadDeadline(t)
	}
	c.mu.Unlock()
}

// interrupt cancels the running query, if there is one. Any goroutine may call it.
func (c *conn) interrupt(cause error) {
	c.mu.Lock()
	running := c.busy && !c.fired
	if running {
		c.fired = true
		c.cancel(cause)
		if c.copying {
			_ = c.raw.SetReadDeadline(time.Now()) // wakes it
		}
	}
	c.mu.Unlock()
}

// terminate ends the connection from another goroutine: what runs is cancelled,
// what waits for the client wakes up, and the client has drain to take the reason.
func (c *conn) terminate(drain time.Duration) {
	c.mu.Lock()
	c.ending = true
	_ = c.raw.SetReadDeadline(time.Now())
	_ = c.raw.SetWriteDeadline(time.Now().Add(drain))
	c.mu.Unlock()
	c.interrupt(errShutdown)
	c.stop(errShutdown)
}

// explain turns the error of a call into what the client is told: an error that
// only says its context is done takes the reason from the context.
func explain(ctx context.Context, err error) *sqlstate.Error {
	var e *sqlstate.Error
	if errors.As(err, &e) {
		return e
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		if errors.As(context.Cause(ctx), &e) {
			return e
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to statement timeout")
	case errors.Is(err, context.Canceled):
		return errCancelRequest
	}
	return sqlstate.From(err)
}

// fatal says whether the connection ends after this error.
func fatal(err error, e *sqlstate.Error) bool {
	var p protocolError
	if errors.As(err, &p) {
		return true
	}
	switch e.Code {
	case sqlstate.AdminShutdown, sqlstate.CrashShutdown, sqlstate.CannotConnectNow:
		return true
	}
	return false
}
