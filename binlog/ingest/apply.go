package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// applier commits decoded messages: rows, positions and error rows together.
type applier struct {
	store  storage.Store
	oid    uint32
	opt    *Options
	table  *catalog.Table
	errs   *catalog.Table
	env    *types.Env
	state  *state
	stats  *Stats
	log    *slog.Logger
	prefix string

	waves waves
	locks bool // the transaction under way locks keys
}

// maxQuarantine bounds the keys that wait for a full image.
const maxQuarantine = 100_000

// errRestart says that the work must begin anew from the stored positions: the
// target has another definition now.
var errRestart = errors.New("the target table has changed")

// StopError ends a subscription until somebody enables it again.
type StopError struct{ Reason string }

func (e *StopError) Error() string { return e.Reason }

// foundBad says that messages were marked while they were applied.
type foundBad struct{}

func (foundBad) Error() string { return "messages cannot be applied" }

// commit applies spans, in as many commits as it takes.
func (a *applier) commit(ctx context.Context, spans []span) error {
	retry := 0
	for {
		if a.opt.OnError == Stop {
			if stop := a.firstBad(spans); stop != nil {
				return a.stopBefore(ctx, spans, stop)
			}
		}
		err := a.try(ctx, spans)
		switch {
		case err == nil:
			return nil
		case errors.As(err, new(foundBad)):
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		code := sqlstate.CodeOf(err)
		switch {
		case code == sqlstate.ObjectNotInPrerequisiteState:
			return errRestart
		case code == sqlstate.SerializationFailure || code == sqlstate.DeadlockDetected || code == sqlstate.LockNotAvailable:
			if retry++; retry > 20 {
				return err
			}
			if err := sleep(ctx, time.Duration(retry)*5*time.Millisecond); err != nil {
				return err
			}
			continue
		case !strings.HasPrefix(string(code), "22") && !strings.HasPrefix(string(code), "23"):
			return err
		}
		n := size(spans)
		if n <= 1 {
			if n == 0 {
				return err
			}
			before, _ := cut(spans, 1)
			before[0].j.markBad(badMessage{msg: before[0].from, class: format.Constraint, err: sqlstate.From(err)})
			continue
		}
		before, after := cut(spans, n/2)
		if err := a.commit(ctx, before); err != nil {
			return err
		}
		spans = after
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// at is a bad message's place among spans.
type at struct {
	n   int
	j   *job
	bad *badMessage
}

func (a *applier) firstBad(spans []span) *at {
	n := 0
	for _, s := range spans {
		for i := range s.j.bad {
			b := &s.j.bad[i]
			if b.msg >= s.from && b.msg < s.to {
				return &at{n + b.msg - s.from, s.j, b}
			}
		}
		n += s.to - s.from
	}
	return nil
}

// stopBefore commits what comes before a message, and stops.
func (a *applier) stopBefore(ctx context.Context, spans []span, stop *at) error {
	before, _ := cut(spans, stop.n)
	if len(before) > 0 {
		if err := a.commit(ctx, before); err != nil {
			return err
		}
	}
	p := stop.j.parts[stop.j.part[stop.bad.msg]]
	a.stats.Errors.Add(1)
	return &StopError{placeOf(p, stop.j.offset[stop.bad.msg]) + ": " + reason(stop.bad)}
}

// try applies spans in one commit. Messages that turn out bad are marked, and
// nothing is done.
func (a *applier) try(ctx context.Context, spans []span) error {
	partial, anyBad := 0, false
	for _, s := range spans {
		partial += s.j.partial
		anyBad = anyBad || len(s.j.bad) > 0
	}
	var quarantine map[string]bool
	if len(a.state.quarantine) > 0 || anyBad && a.opt.OnError == DeadLetter && !a.opt.Append {
		var err error
		if quarantine, err = a.screen(spans); err != nil {
			return err
		}
	}
	a.locks = partial > 0
	x := a.store.Begin(storage.TxnOptions{Explicit: a.locks})
	defer x.Rollback()
	var upserts, deletes int64
	for _, s := range spans {
		u, d, err := a.write(ctx, x, s)
		if err != nil {
			return err
		}
		upserts, deletes = upserts+u, deletes+d
	}
	bad, err := a.writeErrors(ctx, x, spans)
	if err != nil {
		return err
	}
	var buf []byte
	pos := positions(spans)
	for p, at := range pos {
		buf = at.append(buf[:0])
		x.Note(positionKey(a.prefix, p), buf)
	}
	for k, on := range quarantine {
		if on {
			x.Note(a.prefix+noteQuarantine+k, []byte{1})
		} else {
			x.Note(a.prefix+noteQuarantine+k, nil)
		}
	}
	began := time.Now()
	if _, err := x.Commit(ctx); err != nil {
		return err
	}
	a.committed(spans, pos, quarantine, time.Since(began), upserts, deletes, bad)
	return nil
}

// committed takes over what a commit has made true.
func (a *applier) committed(spans []span, pos map[Partition]Position, quarantine map[string]bool, took time.Duration, upserts, deletes, bad int64) {
	for p, at := range pos {
		a.state.positions[p] = at
	}
	for k, on := range quarantine {
		if on {
			a.state.quarantine[k] = true
		} else {
			delete(a.state.quarantine, k)
		}
	}
	st := a.stats
	now := micros(time.Now())
	var messages, bytes, skipped int64
	for _, s := range spans {
		n := s.to - s.from
		messages += int64(n)
		if n == len(s.j.msgs) {
			bytes += s.j.bytes
			skipped += int64(s.j.skipped)
		}
		a.fresh(now, s)
	}
	st.Messages.Add(messages)
	st.Bytes.Add(bytes)
	st.Skipped.Add(skipped)
	st.Rows.Add(upserts)
	st.Deletes.Add(deletes)
	st.Errors.Add(bad)
	st.Commits.Add(1)
	st.Commit.Add(took, 1)
	st.LastCommit.Store(now)
}

// fresh counts how old messages are now that they are visible. Runs of messages of
// one time count at once.
func (a *applier) fresh(now int64, s span) {
	for i := s.from; i < s.to; {
		t := s.j.msgs[i].Time
		k := i + 1
		for k < s.to && s.j.msgs[k].Time == t {
			k++
		}
		if t != 0 {
			a.stats.Fresh.Add(time.Duration(now-t)*time.Microsecond, int64(k-i))
		}
		i = k
	}
}

// epoch2000 is PostgreSQL's epoch in Unix microseconds.
const epoch2000 = 946684800_000_000

func micros(t time.Time) int64 { return t.UnixMicro() - epoch2000 }

// screen follows the keys of dead-lettered messages through spans: the partial
// images of such a row are bad, too, until a full image or a delete. It returns how
// the keys under quarantine change.
func (a *applier) screen(spans []span) (map[string]bool, error) {
	change := map[string]bool{}
	under := func(k string) bool {
		if on, ok := change[k]; ok {
			return on
		}
		return a.state.quarantine[k]
	}
	found := false
	for _, s := range spans {
		ci, row := 0, 0 // the first change at or after the message
		for m := s.from; m < s.to; m++ {
			if s.j.msgs[m].Key == nil {
				continue
			}
			k := quarantineKey(s.j.parts[s.j.part[m]].Topic, s.j.msgs[m].Key)
			if s.j.isBad(m) {
				change[k] = true
				continue
			}
			if !under(k) {
				continue
			}
			full, partial := false, false
			for ; ci < len(s.j.changes); ci, row = ci+1, 0 {
				c := s.j.changes[ci]
				for ; row < len(c.Msg) && int(c.Msg[row]) < m; row++ {
				}
				for r := row; r < len(c.Msg) && int(c.Msg[r]) == m; r++ {
					if c.Partial > 0 && c.Op[r] == format.Upsert && anyMissing(c, r) {
						partial = true
					} else {
						full = true
					}
				}
				if row < len(c.Msg) {
					break
				}
			}
			switch {
			case partial:
				s.j.markBad(badMessage{msg: m, class: format.Quarantined, err: sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState,
					"an earlier message of this key could not be applied, and this one does not have all values of the row")})
				found = true
			case full:
				change[k] = false
			}
		}
	}
	if found {
		return nil, foundBad{}
	}
	n := len(a.state.quarantine)
	for k, on := range change {
		switch was := a.state.quarantine[k]; {
		case on == was:
			delete(change, k)
		case on:
			n++
		default:
			n--
		}
	}
	if n > maxQuarantine {
		return nil, &StopError{fmt.Sprintf("more than %d keys have messages that could not be applied", maxQuarantine)}
	}
	return change, nil
}

// quarantineKey names a message key in notes: itself, or a hash of a long one.
func quarantineKey(topic string, key []byte) string {
	if len(key) > 64 {
		return fmt.Sprintf("%s/#%016x%d", topic, xxhash.Sum64(key), len(key))
	}
	return topic + "/=" + string(key)
}

func anyMissing(c *format.Changes, r int) bool {
	for o := range c.Missing {
		if c.IsMissing(o, r) {
			return true
		}
	}
	return false
}

// writeErrors writes the error rows of spans.
func (a *applier) writeErrors(ctx context.Context, x storage.Txn, spans []span) (int64, error) {
	var rows *errorRows
	var n int64
	now := micros(time.Now())
	for _, s := range spans {
		for i := range s.j.bad {
			b := &s.j.bad[i]
			if b.msg < s.from || b.msg >= s.to {
				continue
			}
			if rows == nil {
				t := x.Catalog().Table(a.errs.OID)
				if !FitsErrors(t) {
					return 0, &StopError{fmt.Sprintf("the error table of the subscription is gone or has other columns; the first message for it: topic %s partition %d offset %d: %s",
						s.j.parts[s.j.part[b.msg]].Topic, s.j.parts[s.j.part[b.msg]].ID, s.j.offset[b.msg], reason(b))}
				}
				rows = newErrorRows(t, a.env)
			}
			if err := rows.add(now, s.j, b); err != nil {
				return 0, err
			}
			n++
		}
	}
	if rows == nil {
		return 0, nil
	}
	for _, b := range rows.batches {
		if _, err := x.Write(ctx, &storage.Mutation{Table: rows.t, Op: storage.OpInsert, Rows: b}); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// write applies a span's changes.
func (a *applier) write(ctx context.Context, x storage.Txn, s span) (upserts, deletes int64, err error) {
	for _, c := range s.j.changes {
		from, to := rowRange(c, s.from, s.to)
		for r := from; r < to; {
			// A range that begins at a multiple of the batch size needs no copy.
			end := r + min(to-r, vec.Size-r%vec.Size)
			part, first, last := c, r, end
			if head, tail, split := splitMessage(c, r, end, to); split {
				if head > r {
					last, end = head, head
				} else {
					part, first, last, end = c.Cut(head, tail), 0, tail-head, tail
				}
			}
			u, d, err := a.writeRows(ctx, x, s.j, part, first, last)
			if err != nil {
				return 0, 0, err
			}
			upserts, deletes = upserts+u, deletes+d
			r = end
		}
	}
	return upserts, deletes, nil
}

// splitMessage finds the rows of a message that end, the end of a piece, would part:
// a row that moves and keeps values is a delete and an upsert, which go together.
func splitMessage(c *format.Changes, from, end, to int) (head, tail int, split bool) {
	if c.Partial == 0 || end == to || c.Msg[end-1] != c.Msg[end] {
		return 0, 0, false
	}
	head, tail = end-1, end+1
	for head > from && c.Msg[head-1] == c.Msg[end] {
		head--
	}
	for tail < to && c.Msg[tail] == c.Msg[end] {
		tail++
	}
	return head, tail, tail-head <= vec.Size
}

// rowRange finds the changes that messages [from, to) gave.
func rowRange(c *format.Changes, from, to int) (int, int) {
	n := len(c.Msg)
	if n == 0 {
		return 0, 0
	}
	lo, hi := 0, n
	if int(c.Msg[0]) < from {
		lo = search(c.Msg, from)
	}
	if int(c.Msg[n-1]) >= to {
		hi = search(c.Msg, to)
	}
	return lo, hi
}

func search(msg []uint32, at int) int {
	lo, hi := 0, len(msg)
	for lo < hi {
		m := (lo + hi) / 2
		if int(msg[m]) < at {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
