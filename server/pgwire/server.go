package pgwire

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server/auth"
)

// Config is what a Server is made of.
type Config struct {
	Sessions Sessions
	Auth     *auth.Policy
	// TLS, when not nil, is offered to clients, by SSLRequest or directly.
	TLS *tls.Config
	// MaxConnections bounds the sessions; 0 means 100.
	MaxConnections int
	// LoginTimeout bounds start-up and authentication; 0 means one minute.
	LoginTimeout time.Duration
	// DrainTimeout is how long Shutdown lets clients take their last answer; 0
	// means five seconds.
	DrainTimeout time.Duration
	// Settle is how many commands in a row a client without TLS must have sent before its
	// connection joins the loop, if its session is a Prompter; 0 means 16, below 0 never.
	Settle int
	// Loops is how many loops there are, one if 0: as many as there are cores.
	Loops int
	Log   *slog.Logger
}

// Server serves the protocol on any number of listeners.
type Server struct {
	cfg Config
	log *slog.Logger

	ctx  context.Context // of all connections
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	keys      map[int32]*conn // by process number, once logged in
	lastPID   int32
	closing   bool

	loops    []loop
	counters Counters
}

// Counters counts what a server has seen. Read them by Server.Counters.
type Counters struct {
	Accepted, Rejected, Panics atomic.Int64
}

var errShutdown = sqlstate.Errorf(sqlstate.AdminShutdown, "terminating connection due to administrator command")
var errCancelRequest = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")
var errClientGone = sqlstate.Errorf(sqlstate.QueryCanceled, "connection to client lost")

// NewServer makes a server. Close it by Shutdown.
func NewServer(cfg Config) *Server {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 100
	}
	if cfg.LoginTimeout == 0 {
		cfg.LoginTimeout = time.Minute
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 5 * time.Second
	}
	if cfg.Settle == 0 {
		cfg.Settle = lineSettle
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log,
		listeners: map[net.Listener]struct{}{},
		conns:     map[*conn]struct{}{},
		keys:      map[int32]*conn{},
	}
	s.loops = make([]loop, max(1, cfg.Loops))
	for i := range s.loops {
		s.loops[i].srv = s
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.wg.Add(1)
	go s.watch()
	return s
}

// Serve accepts connections until the listener is closed, by Shutdown or
// otherwise; Shutdown makes it return nil.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = ln.Close()
		return nil
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		if err != nil {
			if s.isClosing() {
				return nil
			}
			// Out of file descriptors and the like: wait, then go on.
			var ne net.Error
			if errors.As(err, &ne) && !errors.Is(err, net.ErrClosed) && pause < time.Second {
				pause = max(2*pause, 5*time.Millisecond)
				s.log.Warn("accept failed", "err", err, "retry", pause)
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		s.accept(nc)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// accept starts a connection. Twice as many as sessions are let in, because the
// rest may be cancel requests, or get a message that says why not.
func (s *Server) accept(nc net.Conn) {
	s.counters.Accepted.Add(1)
	c := newConn(s, nc)
	s.mu.Lock()
	if s.closing || len(s.conns) >= 2*s.cfg.MaxConnections+16 {
		s.mu.Unlock()
		s.counters.Rejected.Add(1)
		c.stop(errShutdown)
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		if c.pid != 0 {
			delete(s.keys, c.pid)
		}
		s.mu.Unlock()
	}()
}

// register gives a connection its number and cancel key.
func (s *Server) register(c *conn) error {
	var key [4]byte
	_, _ = rand.Read(key[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errShutdown
	}
	if len(s.keys) >= s.cfg.MaxConnections {
		s.counters.Rejected.Add(1)
		return sqlstate.Errorf(sqlstate.TooManyConnections, "sorry, too many clients already")
	}
	for {
		s.lastPID = s.lastPID%(1<<30) + 1
		if s.keys[s.lastPID] == nil {
			break
		}
	}
	c.pid, c.key = s.lastPID, binary.BigEndian.Uint32(key[:])
	s.keys[c.pid] = c
	return nil
}

// cancelRequest cancels the query of the session with this number and key. A
// wrong key is ignored in silence, like all of this message.
func (s *Server) cancelRequest(pid int32, key uint32) {
	s.mu.Lock()
	c := s.keys[pid]
	s.mu.Unlock()
	if c == nil {
		return
	}
	var a, b [4]byte
	binary.BigEndian.PutUint32(a[:], key)
	binary.BigEndian.PutUint32(b[:], c.key)
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		c.interrupt(errCancelRequest)
	}
}

// CancelBackend cancels the query of a session, as pg_cancel_backend does.
func (s *Server) CancelBackend(pid int32) bool {
	c := s.find(pid)
	if c != nil {
		c.interrupt(errCancelRequest)
	}
	return c != nil
}

// TerminateBackend ends a session, as pg_terminate_backend does.
func (s *Server) TerminateBackend(pid int32) bool {
	c := s.find(pid)
	if c != nil {
		c.terminate(s.cfg.DrainTimeout)
	}
	return c != nil
}

func (s *Server) find(pid int32) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[pid]
}

// Sessions is the number of clients logged in.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// Counters gives the server's counters.
func (s *Server) Counters() *Counters { return &s.counters }

// Looped is the number of connections in the loops, and how often one has joined them.
func (s *Server) Looped() (now int, joined int64) {
	for i := range s.loops {
		n, j := s.loops[i].size()
		now, joined = now+n, joined+j
	}
	return now, joined
}

// leastLoop is the loop with the fewest connections.
func (s *Server) leastLoop() *loop {
	best, least := 0, 0
	for i := range s.loops {
		if n, _ := s.loops[i].size(); i == 0 || n < least {
			best, least = i, n
		}
	}
	return &s.loops[best]
}

// Shutdown stops accepting, cancels what runs, tells every client and waits until
// all connections have ended or ctx is done; then it closes the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for ln := range s.listeners {
		_ = ln.Close()
	}
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.terminate(s.cfg.DrainTimeout)
	}
	s.stop(errShutdown)
	for i := range s.loops {
		s.loops[i].end()
	}
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		for _, c := range open {
			_ = c.raw.Close()
		}
		return ctx.Err()
	}
}
