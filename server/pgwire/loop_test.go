package pgwire

import (
	"bytes"
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/storage/vec"
)

// A loop that has ended leaves alone what has its descriptors since.
func TestLoopEnded(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lp := &loop{wake: fd}
	lp.recall(0)
	var b [8]byte
	if _, err := unix.Read(fd, b[:]); err != unix.EAGAIN {
		t.Errorf("something was written: %v", err)
	}
}

// promptSession answers every query with bytes, or takes a time for it.
type promptSession struct {
	oneRow
	bytes int
	takes time.Duration
	calls int
}

func (s *promptSession) Simple(_ context.Context, _ string, out Results) error {
	s.calls++
	time.Sleep(s.takes)
	out.(*results).c.w.out = append(out.(*results).c.w.out, make([]byte, s.bytes)...)
	return nil
}

// A pipeline has the loop for a turn, and collects no more answers than the socket takes.
func TestLoopPipelines(t *testing.T) {
	const queries = 500
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	turn := func(s *promptSession) *conn {
		srv := NewServer(Config{})
		t.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
		s.cols, s.batch = nil, &vec.Batch{}
		c := newConn(srv, &loopConn{})
		c.sess, c.w.held, c.in.login = s, true, false
		c.in.buf = bytes.Repeat(frame('Q', "q\x00"), queries)
		c.in.w = len(c.in.buf)
		if all, _ := c.prompt(fds[0], nanotime()); all && s.calls < queries {
			t.Error("it says that all is done")
		}
		return c
	}
	large := &promptSession{bytes: 100 << 10}
	if c := turn(large); len(c.w.out) > 4*large.bytes {
		t.Errorf("%d bytes are collected after %d queries", len(c.w.out), large.calls)
	} else if c.in.buffered() == 0 {
		t.Error("nothing is left")
	}
	slow := &promptSession{takes: time.Millisecond}
	if turn(slow); slow.calls > 2*int(loopYield/slow.takes) {
		t.Errorf("%d slow queries in a turn", slow.calls)
	}
	small := &promptSession{bytes: 10}
	if c := turn(small); small.calls != queries && c.in.buffered() == 0 || len(c.w.out) > 1<<20 {
		t.Errorf("%d queries, %d bytes are left, %d collected", small.calls, c.in.buffered(), len(c.w.out))
	}
}
