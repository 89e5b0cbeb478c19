package pgwire

import (
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how often busy connections are looked at.
const watchEvery = 250 * time.Millisecond

// watch cancels the queries of clients that have gone. A connection's goroutine
// does not read while it runs a query, so one goroutine asks the kernel about
// those that have been at the same message since its last look.
func (s *Server) watch() {
	defer s.wg.Done()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var long []*conn
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		long = long[:0]
		s.mu.Lock()
		for _, c := range s.keys {
			if c.busyLong() {
				long = append(long, c)
			}
		}
		s.mu.Unlock()
		for _, c := range long {
			if c.line != nil && c.line.hungUp() {
				c.interrupt(errClientGone)
			}
		}
	}
}

// busyLong says whether the connection has been in one message since the last call.
func (c *conn) busyLong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := c.busy && c.seq == c.seqSeen
	c.seqSeen = c.seq
	return same
}

// hungUp says whether the peer has closed its side. It consumes nothing.
func (l *line) hungUp() bool {
	gone := false
	err := l.control(func(fd int) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
