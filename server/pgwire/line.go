package pgwire

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A line is a client's TCP connection. Its socket is in one of two places: with the
// connection's goroutine, as a net.Conn that the runtime's poller waits for, or in the
// server's loop, as a descriptor, and then that goroutine sleeps in join. All but
// deadlines and Close is for the goroutine.
type line struct {
	peer net.Addr
	back chan struct{} // the loop has given the line up
	want int           // commands with the goroutine before it joins the loop
	run  int           // commands in a row

	mu     sync.Mutex // the fields below, but for the goroutine's reading of nc
	nc     net.Conn   // nil while it is in the loop
	fd     int        // -1 while it is not
	loop   *loop
	slot   int       // in the loop
	rd, wd time.Time // deadlines
	closed bool
}

const (
	// A line joins the loop after Config.Settle commands, lineSettle by default. The
	// number doubles up to lineSettleMax whenever that was not worth it, that is when
	// the loop ran less than lineWorth commands of it.
	lineSettle    = 16
	lineSettleMax = 1024
	lineWorth     = 24
)

// newLine makes a line of an accepted connection.
func newLine(nc *net.TCPConn, want int) *line {
	return &line{nc: nc, fd: -1, peer: nc.RemoteAddr(), want: want, back: make(chan struct{}, 1)}
}

// settled is called when all that can come next is a command, and says whether enough
// of them have.
func (l *line) settled() bool {
	l.run++
	return l.want > 0 && l.run > l.want
}

// join gives the line to the loop until that has something for the goroutine: a command
// that may take long, an error, or a deadline. It does nothing where the loop has no use
// for it.
func (l *line) join(lp *loop, m *member) error {
	l.run = 0
	if !l.enter(lp, m) {
		l.want = min(2*l.want, lineSettleMax)
		return nil
	}
	<-l.back
	return l.restore()
}

// enter takes the socket from the poller to the loop.
func (l *line) enter(lp *loop, m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	tc, is := l.nc.(*net.TCPConn)
	if !is || l.closed || !l.rd.IsZero() || !l.wd.IsZero() {
		return false
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return false
	}
	fd := -1
	err = raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || fd < 0 {
		return false
	}
	if !lp.admit() {
		_ = unix.Close(fd)
		return false
	}
	// The poller forgets the socket with the last descriptor that it knows.
	_ = tc.Close()
	l.nc, l.fd, l.loop = nil, fd, lp
	l.slot = lp.add(m, fd)
	return true
}

// restore gives the socket to the poller again.
func (l *line) restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := os.NewFile(uintptr(l.fd), "")
	l.fd, l.loop = -1, nil
	nc, err := net.FileConn(f) // has a descriptor of its own
	_ = f.Close()
	if err != nil {
		l.closed = true
		return err
	}
	l.nc = nc
	if l.closed {
		_ = nc.Close()
	}
	if !l.rd.IsZero() {
		_ = nc.SetReadDeadline(l.rd)
	}
	if !l.wd.IsZero() {
		_ = nc.SetWriteDeadline(l.wd)
	}
	return nil
}

// left takes note of how many commands the loop has run, and of one that held it up.
func (l *line) left(commands, want int, hog bool) {
	switch {
	case hog:
		l.want = lineSettleMax
	case commands >= lineWorth:
		l.want = want
	default:
		l.want = min(2*l.want, lineSettleMax)
	}
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	if l.nc == nil {
		return 0, net.ErrClosed
	}
	return l.nc.Read(p)
}

// Write implements net.Conn.
func (l *line) Write(p []byte) (int, error) {
	if l.nc == nil {
		return 0, net.ErrClosed
	}
	return l.nc.Write(p)
}

// Close implements net.Conn. Called by another goroutine it ends what the
// connection's waits for.
func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.nc != nil {
		return l.nc.Close()
	}
	return unix.Shutdown(l.fd, unix.SHUT_RDWR) // the loop sees its end
}

// control lends the socket's descriptor.
func (l *line) control(f func(fd int)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd >= 0 {
		f(l.fd)
		return nil
	}
	tc, ok := l.nc.(*net.TCPConn)
	if !ok {
		return net.ErrClosed
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// SetReadDeadline implements net.Conn.
func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rd = t
	return l.bound(t, net.Conn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wd = t
	return l.bound(t, net.Conn.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rd, l.wd = t, t
	return l.bound(t, net.Conn.SetDeadline)
}

// bound sets a deadline. In the loop there are none: the goroutine gets the line back.
func (l *line) bound(t time.Time, set func(net.Conn, time.Time) error) error {
	if l.nc != nil {
		return set(l.nc, t)
	}
	if !t.IsZero() && l.loop != nil {
		l.loop.recall(l.slot)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (l *line) LocalAddr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc == nil {
		return l.peer
	}
	return l.nc.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (l *line) RemoteAddr() net.Addr { return l.peer }
