package pgwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNotPrompt is what a call of a Prompter returns that was not to wait and might.
var ErrNotPrompt = errors.New("pgwire: the call may wait")

// ErrLater is what Sync returns, or Simple, that was not to wait, when its commit is under
// way without it. It is called again when the function that Prompt was given has been, and
// does not wait then; called earlier, after Prompt(false, nil), it does.
var ErrLater = errors.New("pgwire: the commit is under way")

// Prompter is the optional ability of a Session to run small things without waiting.
type Prompter interface {
	// Prompt makes the calls that follow return ErrNotPrompt when they may wait, for
	// other sessions, memory or the disk's writes, or take long. Such a call can be made
	// again, after Prompt(false, nil), as if it had not been. Any goroutine may call
	// done, when a call has returned ErrLater or is about to.
	Prompt(on bool, done func())
	// WriteOut has the commits written out that calls left with ErrLater: beside the
	// caller or, with here, by it.
	WriteOut(here bool)
}

// A loop waits for the commands of many idle clients at once, and runs those that are
// prompt: one epoll_wait for all that have come, then one recv and one send for each,
// and no goroutine to park and to wake. While a connection is a member, socket, session
// and buffers are the loop's, and its goroutine sleeps in line.join. Whatever is not a
// whole prompt command, and every error, the goroutine gets, with the connection.
//
// Events are edge-triggered: a member has been read empty when it waits.
type loop struct {
	srv  *Server
	ep   int
	wake int // an eventfd

	mu       sync.Mutex
	began    bool
	ending   bool
	members  []*member // by slot
	free     []int
	count    int
	recalled []int     // slots that are to leave
	ready    []*member // whose commits are on disk
	asleep   bool      // run waits in epoll_wait, and is to be woken

	joined int64 // how often one did

	waiting int      // members whose commit is under way; run's
	writer  Prompter // one of those that began one in this round; run's
}

// member is a connection in the loop, from when it joins to when it leaves.
type member struct {
	c        *conn
	lp       *loop // lp, slot and fd are set by add
	slot     int
	fd       int
	waits    bool // for its commit
	more     bool // meanwhile something has come
	commands int
	long     int // rises with commands that took long
	hog      bool
}

const (
	// loopYield is after how much time other goroutines get their turn. It also tells the
	// runtime's monitor, which looks for those that go on for 10 ms, that the loop is no hog.
	loopYield = 4 * time.Millisecond
	// A command that takes longer than loopLong is not prompt, whatever its session says.
	// Each adds loopLongCost to what one that does not takes one from; at loopLongMax the
	// connection leaves.
	loopLong     = time.Millisecond
	loopLongCost = 8
	loopLongMax  = 64
	// After one that takes longer than loopHog it leaves at once, and for long.
	loopHog = 100 * time.Millisecond
	// loopRound is how many connections are served after one epoll_wait.
	loopRound = 64
)

// admit says whether the loop takes a connection, which it then must get, and begins it.
func (lp *loop) admit() bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.ending || runtime.GOMAXPROCS(0) < 2 {
		return false
	}
	if !lp.began {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return false
		}
		wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err == nil {
			err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1})
		}
		if err != nil {
			_ = unix.Close(ep)
			return false
		}
		lp.ep, lp.wake, lp.began = ep, wake, true
		lp.srv.wg.Add(1)
		go lp.run()
	}
	lp.count++
	return true
}

// add makes a connection that was admitted a member. From here on it is the loop's.
func (lp *loop) add(m *member, fd int) (slot int) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	m.lp, m.fd = lp, fd
	lp.joined++
	if n := len(lp.free); n > 0 {
		slot, lp.free = lp.free[n-1], lp.free[:n-1]
		lp.members[slot] = m
	} else {
		slot = len(lp.members)
		lp.members = append(lp.members, m)
	}
	m.slot = slot
	if unix.EpollCtl(lp.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(slot)}) != nil {
		lp.recalled = append(lp.recalled, slot)
		lp.poke()
	}
	return slot
}

// recall makes a member leave. Any goroutine may call it.
func (lp *loop) recall(slot int) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.began { // else the member has left, and the loop with it
		lp.recalled = append(lp.recalled, slot)
		lp.poke()
	}
}

// landed says that a member's commit is on disk. Any goroutine may call it, also when
// the member has left.
func (m *member) landed() {
	lp := m.lp
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if !lp.began || m.slot >= len(lp.members) || lp.members[m.slot] != m {
		return
	}
	lp.ready = append(lp.ready, m)
	if lp.asleep {
		lp.asleep = false
		lp.poke()
	}
}

// size is the number of members, and how often one has joined.
func (lp *loop) size() (now int, joined int64) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.count, lp.joined
}

// end makes the loop end with its last member.
func (lp *loop) end() {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	lp.ending = true
	if lp.began {
		lp.poke()
	}
}

// poke wakes the loop. Called with mu held, and began set: the descriptor is no longer
// the loop's when that has ended.
func (lp *loop) poke() {
	one := [8]byte{1}
	_, _ = unix.Write(lp.wake, one[:])
}

// run is the loop's goroutine.
func (lp *loop) run() {
	defer lp.srv.wg.Done()
	var events [loopRound]unix.EpollEvent
	var ready [loopRound]*member
	var slots [loopRound]int
	var last [loopRound]bool
	var done []*member
	yielded := nanotime()
	for {
		n, err := unix.EpollWait(lp.ep, events[:], lp.patience())
		if err != nil && err != unix.EINTR {
			panic(fmt.Sprintf("pgwire: epoll_wait: %v", err))
		}
		k := 0
		woken := false
		lp.mu.Lock()
		lp.asleep = false
		done, lp.ready = lp.ready, done[:0]
		for i := range max(n, 0) {
			slot := int(events[i].Fd)
			if slot < 0 {
				woken = true
			} else if m := lp.members[slot]; m != nil {
				ready[k], slots[k] = m, slot
				last[k] = events[i].Events&^unix.EPOLLIN != 0
				k++
			}
		}
		lp.mu.Unlock()
		for i, m := range done {
			if lp.holds(m) && m.waits && !lp.resume(m) {
				lp.release(m.slot, m)
			}
			done[i] = nil
		}
		for i, m := range ready[:k] {
			if lp.holds(m) && (!lp.turn(m) || last[i]) {
				lp.release(slots[i], m)
			}
			ready[i] = nil
		}
		if woken && lp.attend() {
			return
		}
		if w := lp.writer; w != nil {
			// With nobody left to serve the loop writes by itself: that spares two switches.
			lp.writer = nil
			w.WriteOut(lp.waiting == lp.here())
		}
		if now := nanotime(); now-yielded > int64(loopYield) {
			yielded = now
			runtime.Gosched()
		}
	}
}

// patience is the timeout of the next epoll_wait. When it is to wait, landed wakes it.
func (lp *loop) patience() int {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if len(lp.ready) > 0 {
		return 0
	}
	lp.asleep = true
	return -1
}

// holds says whether a member is there still.
func (lp *loop) holds(m *member) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.members[m.slot] == m
}

// here is the number of members, those that are about to join among them.
func (lp *loop) here() int {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.count
}

// attend lets those go that were called, and says whether the loop is over.
func (lp *loop) attend() bool {
	var drain [8]byte
	_, _ = unix.Read(lp.wake, drain[:])
	lp.mu.Lock()
	list := lp.recalled
	lp.recalled = nil
	lp.mu.Unlock()
	for _, slot := range list {
		lp.mu.Lock()
		m := lp.members[slot]
		lp.mu.Unlock()
		if m != nil {
			lp.release(slot, m)
		}
	}
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if !lp.ending || lp.count > 0 {
		return false
	}
	_ = unix.Close(lp.ep)
	_ = unix.Close(lp.wake)
	lp.began = false
	return true
}

// release gives a member back to its goroutine.
func (lp *loop) release(slot int, m *member) {
	_ = unix.EpollCtl(lp.ep, unix.EPOLL_CTL_DEL, m.fd, nil)
	if m.waits {
		m.waits = false
		lp.waiting--
	}
	lp.mu.Lock()
	lp.members[slot] = nil
	lp.free = append(lp.free, slot)
	if lp.count--; lp.count == 0 && lp.ending {
		lp.poke()
	}
	lp.mu.Unlock()
	m.c.line.left(m.commands, lp.srv.cfg.Settle, m.hog)
	m.c.line.back <- struct{}{}
}

// turn takes what a member's client has sent and runs it. It says whether the member
// is idle again, or waits for its commit, and stays.
func (lp *loop) turn(m *member) (stays bool) {
	if m.waits {
		m.more = true
		return true
	}
	in := m.c.in
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	n, err := recvNow(m.fd, in.buf[in.w:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	}
	if err != nil || n == 0 {
		return false // the goroutine will see the same
	}
	in.w += n
	all := in.w < len(in.buf) // what comes now is another event
	return lp.serve(m) && all
}

// resume goes on with a member whose commit is on disk.
func (lp *loop) resume(m *member) (stays bool) {
	m.waits = false
	lp.waiting--
	if !lp.serve(m) {
		return false
	}
	if m.more && !m.waits {
		m.more = false
		return lp.turn(m)
	}
	return true
}

// serve runs what a member's client has sent, and says whether the member stays.
func (lp *loop) serve(m *member) (stays bool) {
	c := m.c
	defer func() {
		if p := recover(); p != nil {
			c.broken, stays = &loopPanic{p, debug.Stack()}, false
		}
	}()
	began := nanotime()
	ok, later := c.prompt(m.fd, began)
	if later {
		m.waits = true
		lp.waiting++
		lp.writer = c.quick
	} else if m.commands++; ok {
		ok = c.sendNow(m.fd, len(c.w.out))
	}
	switch took := nanotime() - began; {
	case took > int64(loopHog):
		m.hog = true
	case took > int64(loopLong):
		m.long += loopLongCost
	case m.long > 0:
		m.long--
	}
	return (ok || later) && !m.hog && m.long < loopLongMax
}

// prompt runs what is buffered as far as it is whole and prompt, and says whether that
// is all of it and a client that waits for nothing else, or whether a commit is under
// way, with whose Sync it goes on later. What a pipeline has for longer
// than a turn since began, or for more answers than the socket takes, is left.
func (c *conn) prompt(fd int, began int64) (ok, later bool) {
	c.syncs = false
	whole := 0 // bytes of answers up to the last ReadyForQuery
	for c.in.buffered() > 0 {
		typ, p, is := c.in.whole()
		if !is || c.skip && typ != msgSync {
			return false, false
		}
		switch typ {
		case msgQuery, msgParse, msgBind, msgDescribe, msgExecute, msgClose, msgSync:
		default:
			return false, false
		}
		c.idle = false
		mark := len(c.w.out)
		if err := c.message(typ, p); err != nil {
			if err != ErrNotPrompt && err != ErrLater {
				c.in.r += 5 + len(p)
				c.failure = err
				return false, false
			}
			c.w.out = c.w.out[:mark]
			c.syncs = typ == msgSync
			// The answers of commands before this one do not wait with it.
			return false, (whole == 0 || c.sendNow(fd, whole)) && err == ErrLater
		}
		c.in.r += 5 + len(p)
		if c.idle {
			whole = len(c.w.out)
		}
		if c.in.buffered() == 0 {
			break
		}
		if nanotime()-began > int64(loopYield) {
			return false, false
		}
		if len(c.w.out) >= writeBytesSend {
			if !c.sendNow(fd, len(c.w.out)) {
				return false, false
			}
			whole = 0
		}
	}
	c.in.shrink()
	return c.idle, false
}

// whole is next without reading and without consuming; ok is false when there is more to
// it than that.
func (f *reader) whole() (typ byte, body []byte, ok bool) {
	if f.drop > 0 || f.w-f.r < 5 {
		return 0, nil, false
	}
	typ = f.buf[f.r]
	limit, ok := bodyBytesMax(typ)
	size := binary.BigEndian.Uint32(f.buf[f.r+1:])
	if !ok || size < 4 || uint64(size)-4 > uint64(limit) || int(size)+1 > f.w-f.r {
		return 0, nil, false
	}
	end := f.r + 1 + int(size)
	return typ, f.buf[f.r+5 : end : end], true
}

// sendNow sends the first bytes of what is collected, and says whether that was possible
// at once.
func (c *conn) sendNow(fd, bytes int) bool {
	w := &c.w
	for {
		n, err := send(fd, w.out[:bytes])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false // the goroutine sends the rest or sees the error
		case n < len(w.out):
			w.out = w.out[:copy(w.out, w.out[n:])]
			return n == bytes
		}
		w.empties()
		return true
	}
}

// loopPanic is a panic in the loop, for the connection's goroutine.
type loopPanic struct {
	value any
	stack []byte
}

// recvNow and send are the system calls, without addresses. They do not wait.
func recvNow(fd int, p []byte) (int, error) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func send(fd int, p []byte) (int, error) {
	n, _, e := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

var epoch = time.Now()

func nanotime() int64 { return int64(time.Since(epoch)) }
