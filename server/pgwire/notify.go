package pgwire

import (
	"errors"
	"os"
	"time"
)

// Wake implements Waker: an idle connection sends what its session has for the client;
// one at work does so anyway when it is done.
func (c *conn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && !c.woken && !c.ending {
		c.woken = true
		_ = c.raw.SetReadDeadline(time.Now())
	}
}

// header waits for the next message. While the session listens, the wait is broken off
// to send notifications; until is the limit that the wait has besides, zero for none.
func (c *conn) header(listens bool, until time.Time) (typ byte, n int, err error) {
	if !listens {
		return c.in.header()
	}
	for {
		c.mu.Lock()
		c.waiting = true
		c.mu.Unlock()
		if c.notify() {
			if err := c.w.flush(); err != nil {
				return 0, 0, err
			}
		}
		typ, n, err = c.in.header()
		c.mu.Lock()
		woken, ending := c.woken, c.ending
		c.waiting, c.woken = false, false
		if woken && !ending {
			_ = c.raw.SetReadDeadline(until)
		}
		c.mu.Unlock()
		if woken && !ending && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		return typ, n, err
	}
}

// notify appends the notifications there are.
func (c *conn) notify() bool {
	list := c.notes.Notifications()
	for _, n := range list {
		at := c.w.begin('A')
		c.w.int32(n.PID)
		c.w.cstring(n.Channel)
		c.w.cstring(n.Payload)
		c.w.end(at)
	}
	return len(list) > 0
}
