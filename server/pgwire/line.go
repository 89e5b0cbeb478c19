package pgwire

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A line is a client's TCP connection. Usually the runtime's poller waits for it.
// While its client is the only one that is busy, the line leaves the poller and waits
// in recv(2) itself, so that a statement costs one recv and one send: no read that
// finds nothing, no epoll_wait, no other thread to wake. Such a wait keeps one of the
// runtime's processors, so it is short, and as soon as another client has something to
// run, or anything but the next command is to be read, the line goes back.
//
// Read, Write and await are for the connection's goroutine; the rest for any.
type line struct {
	crowd *crowd
	peer  net.Addr
	// direct says that the line has left the poller: fd is the socket, and nc is nil.
	direct bool
	wait   bool       // the next Read may wait in the kernel
	seen   uint32     // the crowd's count of commands at the last look
	alone  int        // commands in a row that were nobody else's
	want   int        // how many make it leave the poller
	stay   int        // commands since it left
	timed  bool       // the socket has its time limit
	out    bool       // counted as running
	mu     sync.Mutex // the fields below, and writes of nc and fd
	nc     net.Conn
	fd     int
	rd, wd time.Time // deadlines while direct
	closed bool
	recall atomic.Bool // someone has set a deadline or closed the line: go back
}

// crowd is what the lines of a server know of each other.
type crowd struct {
	// state counts commands begun (high half) by lines that the poller waits for, and
	// those of them that are running (low half).
	state  atomic.Uint64
	direct atomic.Int32 // lines that have left the poller
	left   atomic.Int64 // how often one left
	want   int          // Config.Alone
}

const (
	// lineWait bounds a wait in the kernel.
	lineWait = 4 * time.Millisecond
	// A line leaves the poller after Config.Alone commands, lineAlone by default. The
	// number doubles up to lineAloneMax whenever that was not worth it, that is when
	// less than lineWorth commands followed.
	lineAlone    = 16
	lineAloneMax = 1024
	lineWorth    = 24
	// lineYield is after how many commands other goroutines get their turn.
	lineYield = 32
)

// newLine makes a line of an accepted connection.
func newLine(c *crowd, nc *net.TCPConn) *line {
	return &line{crowd: c, nc: nc, fd: -1, peer: nc.RemoteAddr(), want: c.want}
}

// begins says that the client's next command has come.
func (l *line) begins() {
	if !l.direct && !l.out {
		l.out = true
		l.crowd.state.Add(1<<32 + 1)
	}
}

// ends is begins' counterpart.
func (l *line) ends() {
	if l.out {
		l.out = false
		l.crowd.state.Add(^uint64(0))
	}
}

// await is called after ends when all that can come next is a command, and decides how the
// next Read waits for it.
func (l *line) await() {
	state := l.crowd.state.Load()
	begun, running := uint32(state>>32), uint32(state)
	own := uint32(1)
	if l.direct {
		own = 0
	}
	quiet := running == 0 && begun == l.seen+own
	l.seen = begun
	if l.direct {
		if l.stay++; !quiet || l.recall.Load() {
			_ = l.back() // a failure shows at the Read
			return
		}
		if l.stay%lineYield == 0 {
			runtime.Gosched()
		}
		l.wait = true
		return
	}
	if !quiet {
		l.alone = 0
	} else if l.alone++; l.alone >= l.want && l.want > 0 {
		l.wait = l.leave()
	}
}

// leave takes the socket from the poller.
func (l *line) leave() bool {
	l.alone = 0
	if int(l.crowd.direct.Add(1)) >= runtime.GOMAXPROCS(0) {
		l.crowd.direct.Add(-1)
		return false
	}
	ok := false
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() {
		if !ok {
			l.crowd.direct.Add(-1)
		}
	}()
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
	if !l.timed {
		limit := unix.NsecToTimeval(int64(lineWait))
		if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit) != nil {
			_ = unix.Close(fd)
			return false
		}
		l.timed = true
	}
	// The poller forgets the socket with the last descriptor that it knows.
	if tc.Close() != nil || unix.SetNonblock(fd, false) != nil {
		_ = unix.Close(fd)
		l.closed = true
		return false
	}
	l.nc, l.fd, l.direct, l.stay = nil, fd, true, 0
	l.crowd.left.Add(1)
	ok = true
	return true
}

// back gives the socket to the poller again.
func (l *line) back() error {
	l.wait = false
	if !l.direct {
		return nil
	}
	if l.stay >= lineWorth {
		l.want = l.crowd.want
	} else {
		l.want = min(2*l.want, lineAloneMax)
	}
	l.crowd.direct.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	f := os.NewFile(uintptr(l.fd), "")
	l.direct, l.fd = false, -1
	nc, err := net.FileConn(f) // has a descriptor of its own, and makes it non-blocking
	_ = f.Close()
	if err != nil {
		l.closed = true
		return err
	}
	l.nc = nc
	l.recall.Store(false)
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

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	if !l.direct {
		return l.plain(p)
	}
	flags := unix.MSG_DONTWAIT
	if l.wait {
		flags, l.wait = 0, false
	}
	for !l.recall.Load() {
		n, err := recv(l.fd, p, flags)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
		case err != nil:
			return 0, os.NewSyscallError("recv", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
		break
	}
	if err := l.back(); err != nil {
		return 0, err
	}
	return l.plain(p)
}

func (l *line) plain(p []byte) (int, error) {
	if l.nc == nil {
		return 0, net.ErrClosed
	}
	return l.nc.Read(p)
}

// Write implements net.Conn.
func (l *line) Write(p []byte) (sent int, err error) {
	for l.direct {
		n, err := send(l.fd, p[sent:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if n > 0 {
			sent += n
		}
		if sent == len(p) && err == nil {
			return sent, nil
		}
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN: // a slow client
			if err := l.back(); err != nil {
				return sent, err
			}
		default:
			return sent, os.NewSyscallError("send", err)
		}
	}
	if l.nc == nil {
		return sent, net.ErrClosed
	}
	n, err := l.nc.Write(p[sent:])
	return sent + n, err
}

// Close implements net.Conn. Called by another goroutine it ends what the
// connection's waits for.
func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc != nil {
		l.closed = true
		return l.nc.Close()
	}
	if l.fd >= 0 && !l.closed {
		l.closed = true
		l.recall.Store(true)
		return unix.Shutdown(l.fd, unix.SHUT_RDWR)
	}
	return nil
}

// release closes the line for good. It is for the connection's goroutine.
func (l *line) release() {
	if l.direct {
		l.crowd.direct.Add(-1)
	}
	l.ends()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.nc != nil {
		_ = l.nc.Close()
	}
	if l.direct {
		_ = unix.Close(l.fd)
	}
	l.direct, l.fd = false, -1
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

// bound sets a deadline, or keeps it until the line is back.
func (l *line) bound(t time.Time, set func(net.Conn, time.Time) error) error {
	if l.nc != nil {
		return set(l.nc, t)
	}
	if !t.IsZero() {
		l.recall.Store(true)
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

// recv and send are the system calls, without addresses.
func recv(fd int, p []byte, flags int) (int, error) {
	return socketCall(unix.SYS_RECVFROM, fd, p, flags)
}

func send(fd int, p []byte, flags int) (int, error) {
	return socketCall(unix.SYS_SENDTO, fd, p, flags)
}

func socketCall(call uintptr, fd int, p []byte, flags int) (int, error) {
	n, _, e := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags), 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
