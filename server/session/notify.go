package session

import (
	"slices"
	"sync"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server/pgwire"
)

// LISTEN, NOTIFY and UNLISTEN. All three take effect when their transaction commits.
// What was sent waits in the queue of each session that listens until its client is
// between two transactions; queues are bounded, and a NOTIFY that finds one full fails.

// notifyBytesMax bounds what waits for one session, and what one transaction sends.
const notifyBytesMax = 8 << 20

// mailbox is who listens to what, and what waits for them.
type mailbox struct {
	mu       sync.Mutex
	channels map[string]map[*Session]bool
}

// note is a channel and a payload.
type note struct{ channel, payload string }

// bytes is what a note takes in memory, about.
func (n note) bytes() int { return len(n.channel) + len(n.payload) + 64 }

// notes is what a session has to do with notifications.
type notes struct {
	// Of the present transaction; functions of a query may send from several workers.
	mu      sync.Mutex
	pending []note
	sends   int // bytes of pending
	have    map[note]bool
	listens []listen

	// Under the mailbox's lock.
	on    map[string]bool
	inbox []pgwire.Notification
	bytes int
}

// listen is a LISTEN or, with off, an UNLISTEN; channel "" is all of them.
type listen struct {
	channel string
	off     bool
}

// Notify is NOTIFY and pg_notify; it implements View.
func (s *Session) Notify(channel, payload string) error {
	switch {
	case channel == "":
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "channel name cannot be empty")
	case len(channel) >= 64:
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "channel name too long")
	case len(payload) >= 8000:
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "payload string too long")
	}
	x := &s.notes
	x.mu.Lock()
	defer x.mu.Unlock()
	n := note{channel, payload}
	if x.have[n] {
		return nil // one of a kind in a transaction
	}
	if x.sends+n.bytes() > notifyBytesMax {
		return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "too many notifications in the NOTIFY queue").
			WithDetail("A transaction sends at most %d bytes.", notifyBytesMax)
	}
	x.sends += n.bytes()
	if x.have == nil {
		x.have = map[note]bool{}
	}
	x.have[n] = true
	x.pending = append(x.pending, n)
	return nil
}

// Channels implements View: those that the session listens to.
func (s *Session) Channels() []string {
	m := &s.eng.mailbox
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for c := range s.notes.on {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

func (s *Session) listen(channel string, off bool) {
	s.notes.listens = append(s.notes.listens, listen{channel, off})
}

// backTo forgets what the transaction did after a savepoint.
func (x *notes) backTo(pending, listens int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.pending[pending:] {
		delete(x.have, n)
		x.sends -= n.bytes()
	}
	x.pending, x.listens = x.pending[:pending], x.listens[:listens]
}

// mayNotify fails when there is no room for what the transaction sends.
func (s *Session) mayNotify() error {
	x := &s.notes
	if len(x.pending) == 0 {
		return nil
	}
	m := &s.eng.mailbox
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range x.pending {
		for o := range m.channels[n.channel] {
			if o.notes.bytes > notifyBytesMax {
				return sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "too many notifications in the NOTIFY queue").
					WithDetail("The session with PID %d listens to \"%s\" and does not take what is sent to it.", o.pid, n.channel)
			}
		}
	}
	return nil
}

// settleNotes does what the transaction said, when it is committed, and forgets it.
func (s *Session) settleNotes(commit bool) {
	x := &s.notes
	if len(x.pending) == 0 && len(x.listens) == 0 {
		return
	}
	if commit {
		s.deliver()
	}
	x.pending, x.sends, x.listens, x.have = nil, 0, nil, nil
}

func (s *Session) deliver() {
	x, m := &s.notes, &s.eng.mailbox
	wake := map[*Session]bool{}
	m.mu.Lock()
	for _, l := range x.listens {
		m.change(s, l)
	}
	for _, n := range x.pending {
		for o := range m.channels[n.channel] {
			o.notes.inbox = append(o.notes.inbox, pgwire.Notification{PID: s.pid, Channel: n.channel, Payload: n.payload})
			o.notes.bytes += n.bytes()
			wake[o] = o != s
		}
	}
	s.listening = len(x.on) > 0
	m.mu.Unlock()
	for o, other := range wake {
		if w, ok := o.client.(pgwire.Waker); ok && other {
			w.Wake()
		}
	}
}

func (m *mailbox) change(s *Session, l listen) {
	x := &s.notes
	switch {
	case l.off:
		for c := range x.on {
			if l.channel != "" && c != l.channel {
				continue
			}
			delete(x.on, c)
			if delete(m.channels[c], s); len(m.channels[c]) == 0 {
				delete(m.channels, c)
			}
		}
	case !x.on[l.channel]:
		if m.channels == nil {
			m.channels = map[string]map[*Session]bool{}
		}
		if m.channels[l.channel] == nil {
			m.channels[l.channel] = map[*Session]bool{}
		}
		if x.on == nil {
			x.on = map[string]bool{}
		}
		m.channels[l.channel][s], x.on[l.channel] = true, true
	}
}

// deafen ends all listening at once.
func (s *Session) deafen() {
	m := &s.eng.mailbox
	m.mu.Lock()
	m.change(s, listen{off: true})
	s.notes.inbox, s.notes.bytes = nil, 0
	m.mu.Unlock()
	s.listening = false
}

// Listening implements pgwire.Notifier.
func (s *Session) Listening() bool { return s.listening }

// Notifications implements pgwire.Notifier: a client hears of nothing while it is in a
// transaction.
func (s *Session) Notifications() []pgwire.Notification {
	if s.block {
		return nil
	}
	m := &s.eng.mailbox
	m.mu.Lock()
	defer m.mu.Unlock()
	out := s.notes.inbox
	s.notes.inbox, s.notes.bytes = nil, 0
	return out
}
