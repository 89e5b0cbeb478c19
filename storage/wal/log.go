// Package wal is the log: one sequence of records for all tables of a node, in
// files of some 64 MiB, written by group commit. Order in the log is commit
// order: the numbers of a commit are given inside Append.
//
// FORMAT.md has the bytes. Package storage/tablet writes and replays the records
// (record.go) and decides what the log must still hold.
package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// ErrClosed is what Append and Wait give after Close.
var ErrClosed = errors.New("log is closed")

// Entry is one record on its way into the log. The caller fills Buf and Changes
// and leaves the entry and its buffer alone until Wait returned.
type Entry struct {
	// Buf has Headroom free bytes and then the payload.
	Buf []byte
	// Changes is how many numbers the commit needs besides its CSN.
	Changes int
	// Tag is the caller's; OnDurable finds it.
	Tag any

	// Base, CSN and Time are set by Append: change i has number Base+i, and CSN is
	// Base+Changes. Time is in microseconds since 2000 and never falls.
	Base uint64
	CSN  storage.CSN
	Time int64

	crc uint32
}

// Payload is the record's bytes.
func (e *Entry) Payload() []byte { return e.Buf[Headroom:] }

// Options are the log's surroundings.
type Options struct {
	Dir blob.Dir
	// FileBytes is the size at which a new file begins; 0: 64 MiB.
	FileBytes int64
	// QueueBytes is how much may wait to be written before Throttle waits; 0: 64 MiB.
	QueueBytes int64
	// Clock gives microseconds since 2000-01-01.
	Clock func() int64
	// OnAppend runs inside the append section, in commit order; it must not block.
	OnAppend func(e *Entry)
	// OnDurable runs after a sync, before anyone is woken, with the records that it and
	// perhaps later ones covered, in commit order; never two at a time, but while the
	// next sync is under way. Its error is fatal like a failed sync.
	OnDurable func(es []*Entry) error
	// Fatal is told when a write or sync failed: what is on disk is unknown, so the
	// process must stop and recover. In tests it may return; then every call fails.
	Fatal func(error)
}

// Log is the log. Open it, Recover once, Start, then append. It is safe for
// concurrent use.
type Log struct {
	opts Options

	trimming sync.Mutex // held by the one Trim that runs

	mu       sync.Mutex
	err      error
	started  bool
	next     uint64 // next number to hand out
	lastTime int64
	queue    []*Entry
	spare    []*Entry
	queued   int64 // bytes in queue, and of those that OnDurable has not seen
	appended storage.CSN
	synced   storage.CSN // on disk
	durable  storage.CSN // and seen by OnDurable
	leading  bool        // someone writes and syncs
	ready    []*Entry    // synced, for OnDurable
	applying bool        // someone is in OnDurable
	failed   bool        // it failed
	waiters  []*waiter
	notices  []notice
	files    []file // oldest first; the last is written

	// the leader's
	out    blob.Writer
	number uint64
	offset int64
	room   int64 // the file is reserved up to here
	buf    []byte

	written atomic.Int64

	soon chan struct{}
	stop chan struct{}
	done chan struct{}
}

type file struct {
	number uint64
	start  uint64 // all numbers in it are at or above
	bytes  int64
}

type waiter struct {
	csn storage.CSN
	ch  chan struct{}
}

// notice is a function to call when everything up to csn is durable, or never will be.
type notice struct {
	csn storage.CSN
	f   func()
}

var waiterPool = sync.Pool{New: func() any { return &waiter{ch: make(chan struct{}, 1)} }}

func fileName(n uint64) string { return fmt.Sprintf("%016x.log", n) }

// Open finds the log's files.
func Open(opts Options) (*Log, error) {
	if opts.FileBytes == 0 {
		opts.FileBytes = 64 << 20
	}
	if opts.QueueBytes == 0 {
		opts.QueueBytes = 64 << 20
	}
	l := &Log{opts: opts, soon: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if err := l.list(); err != nil {
		return nil, err
	}
	return l, nil
}

// Start begins a new file; the first number handed out is next.
func (l *Log) Start(next uint64, now int64) error {
	l.next, l.lastTime = max(next, 1), now
	l.appended = storage.CSN(l.next - 1)
	l.synced, l.durable = l.appended, l.appended
	if err := l.newFile(l.next); err != nil {
		return err
	}
	l.started = true
	go l.background()
	return nil
}

// newFile begins the file after the last one; all of the last one is synced.
func (l *Log) newFile(start uint64) error {
	l.mu.Lock()
	n := uint64(1)
	if k := len(l.files); k > 0 {
		l.files[k-1].bytes = max(l.files[k-1].bytes, l.offset)
		n = l.files[k-1].number + 1
	}
	l.mu.Unlock()
	w, err := l.opts.Dir.Create(fileName(n))
	if err != nil {
		return err
	}
	var h [fileHeader]byte
	putFileHeader(h[:], n, start)
	if _, err = w.Write(h[:]); err == nil {
		err = w.Sync()
	}
	if err == nil {
		err = l.opts.Dir.Sync()
	}
	if err != nil {
		w.Close()
		return err
	}
	l.mu.Lock()
	l.files = append(l.files, file{number: n, start: start, bytes: fileHeader})
	l.mu.Unlock()
	l.out, l.number, l.offset, l.room = w, n, fileHeader, fileHeader
	return nil
}

// Seal computes an entry's payload checksum. Call it before the latches are
// taken; the writer does it otherwise.
func (e *Entry) Seal() { e.crc = Checksum(e.Payload()) }

// Extend replaces the buffer of a sealed entry by one that begins with the same
// bytes and goes on.
func (e *Entry) Extend(buf []byte) {
	e.crc = crc32.Update(e.crc, castagnoli, buf[len(e.Buf):])
	e.Buf = buf
}

// Append gives e its numbers and its place in the log. It only touches memory;
// Wait makes the record durable.
func (l *Log) Append(e *Entry) error {
	if len(e.Buf) < Headroom || len(e.Buf)-Headroom > maxPayload {
		return fmt.Errorf("log record of %d bytes is too large", len(e.Buf))
	}
	now := l.opts.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	e.Base = l.next
	e.CSN = storage.CSN(l.next + uint64(e.Changes))
	l.next = uint64(e.CSN) + 1
	l.lastTime = max(l.lastTime, now)
	e.Time = l.lastTime
	l.appended = e.CSN
	l.queue = append(l.queue, e)
	l.queued += int64(len(e.Buf))
	if l.opts.OnAppend != nil {
		l.opts.OnAppend(e)
	}
	return nil
}

// Durable is the newest CSN such that it and all before it are on disk.
func (l *Log) Durable() storage.CSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Appended is the newest CSN handed out.
func (l *Log) Appended() storage.CSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appended
}

// Wait returns when everything up to csn is durable and OnDurable has seen it.
// Whoever comes first writes and syncs for all that wait, and goes on to OnDurable
// with it; where that takes long, the next writes and syncs meanwhile.
func (l *Log) Wait(csn storage.CSN) error {
	l.mu.Lock()
	for l.durable < csn && (l.err == nil || csn <= l.synced && !l.failed) {
		if csn > l.synced && !l.leading {
			l.lead()
			continue
		}
		if csn <= l.synced && !l.applying {
			l.apply(false)
			continue
		}
		l.await(csn)
	}
	err := l.err
	if l.durable >= csn {
		err = nil
	}
	l.mu.Unlock()
	return err
}

// await waits until there is something new for who waits for csn. It is called and
// returns with mu held.
func (l *Log) await(csn storage.CSN) {
	w := waiterPool.Get().(*waiter)
	w.csn = csn
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	<-w.ch
	waiterPool.Put(w)
	l.mu.Lock()
}

// Notify has f called, once and by any goroutine, when Wait(csn) does not wait any more,
// or the log has failed: perhaps now. It must not block. Somebody has to write: see Write.
func (l *Log) Notify(csn storage.CSN, f func()) {
	l.mu.Lock()
	if l.durable >= csn || l.err != nil {
		l.mu.Unlock()
		f()
		return
	}
	l.notices = append(l.notices, notice{csn, f})
	l.mu.Unlock()
}

// Write has what is queued written and synced, for those that are to be notified: by
// the log's own goroutine or, with here, by the caller. Who does so already goes on to it
// by himself.
func (l *Log) Write(here bool) {
	l.mu.Lock()
	idle := !l.leading && !l.applying && l.err == nil && len(l.queue) > 0
	if idle && here {
		l.lead()
	}
	l.mu.Unlock()
	if idle && !here {
		l.SyncSoon()
	}
}

// Full says that Throttle would wait.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued > l.opts.QueueBytes
}

// besideBytes is the size from which a batch is worth a sync of the next one beside
// its OnDurable: small ones would become smaller still.
const besideBytes = 16 << 10

// lead writes what is queued. It is called and returns with mu held.
func (l *Log) lead() {
	l.leading = true
	batch := l.queue
	l.queue, l.spare = l.spare[:0], nil
	last := l.appended
	l.mu.Unlock()

	bytes := size(batch)
	err := l.write(batch)
	if err != nil && l.opts.Fatal != nil {
		l.opts.Fatal(err)
	}

	l.mu.Lock()
	l.leading = false
	if err == nil {
		l.synced = last
		l.ready = append(l.ready, batch...)
		l.files[len(l.files)-1].bytes = l.offset
	} else if l.err == nil {
		l.err = err
	}
	clear(batch)
	l.spare = batch[:0]
	if err == nil && !l.applying {
		l.leading = bytes < besideBytes
		l.apply(l.leading)
		return
	}
	l.wake()
}

// apply gives OnDurable what is synced. It is called and returns with mu held; leads
// says that nobody writes until it is done.
func (l *Log) apply(leads bool) {
	l.applying = true
	l.wake()
	batch, last := l.ready, l.synced
	l.ready = nil
	l.mu.Unlock()

	var err error
	bytes := size(batch)
	if l.opts.OnDurable != nil {
		err = l.opts.OnDurable(batch)
	}
	if err != nil && l.opts.Fatal != nil {
		l.opts.Fatal(err)
	}

	l.mu.Lock()
	l.applying = false
	if leads {
		l.leading = false
	}
	l.queued -= bytes
	if err == nil {
		l.durable = last
	} else {
		l.failed = true
		if l.err == nil {
			l.err = err
		}
	}
	clear(batch)
	if l.ready == nil {
		l.ready = batch[:0]
	}
	l.wake()
}

// wake wakes those whose record is durable, one more to lead the next round, and one
// to apply what was synced meanwhile. It is called and returns with mu held, but lets go
// of it for those that are notified.
func (l *Log) wake() {
	keep := l.waiters[:0]
	lead, apply := !l.leading, !l.applying
	for _, w := range l.waiters {
		switch {
		case w.csn <= l.durable || l.err != nil:
		case lead && w.csn > l.synced:
			lead = false
		case apply && w.csn <= l.synced:
			apply = false
		default:
			keep = append(keep, w)
			continue
		}
		w.ch <- struct{}{}
	}
	clear(l.waiters[len(keep):])
	l.waiters = keep
	if len(l.notices) > 0 {
		l.notify(lead, apply)
	}
}

// notify calls those that are to be notified, and has the log's own goroutine lead or
// apply what the others wait for, where that is still to be done.
func (l *Log) notify(lead, apply bool) {
	var due []notice
	keep := l.notices[:0]
	for _, n := range l.notices {
		switch {
		case n.csn <= l.durable || l.err != nil:
			due = append(due, n)
			continue
		case n.csn > l.synced && lead, n.csn <= l.synced && apply:
			l.SyncSoon()
			lead, apply = false, false
		}
		keep = append(keep, n)
	}
	clear(l.notices[len(keep):])
	l.notices = keep
	if len(due) == 0 {
		return
	}
	l.mu.Unlock()
	for _, n := range due {
		n.f()
	}
	l.mu.Lock()
}

const coalesce = 1 << 20

const (
	// roomBytes is how much of a file is reserved at a time, for batches of at most
	// roomBatch: syncs of larger ones take longer anyway.
	roomBytes int64 = 512 << 10
	roomBatch       = 32 << 10
)

func size(batch []*Entry) int64 {
	n := int64(0)
	for _, e := range batch {
		n += int64(len(e.Buf))
	}
	return n
}

// reserve sees that a small batch finds room in the file, so that its sync is one of
// bytes alone.
func (l *Log) reserve(batch []*Entry) {
	n := size(batch)
	if n > roomBatch || l.offset+n <= l.room {
		return
	}
	r, ok := l.out.(blob.Reserver)
	if !ok {
		return
	}
	// Without room, as on a full disk, the writes themselves tell.
	more := min(roomBytes, max(l.opts.FileBytes/8, 4<<10))
	if r.Reserve(more) == nil {
		l.written.Add(more)
	}
	l.room = max(l.room, l.offset) + more
}

// trim cuts the room that is left.
func (l *Log) trim() error {
	if r, ok := l.out.(blob.Reserver); ok {
		return r.Trim()
	}
	return nil
}

// write writes a batch and syncs it; the leader alone is here.
func (l *Log) write(batch []*Entry) error {
	if l.out == nil {
		return ErrClosed
	}
	l.reserve(batch)
	synced := l.offset
	l.buf = l.buf[:0]
	flush := func() error {
		if len(l.buf) == 0 {
			return nil
		}
		_, err := l.out.Write(l.buf)
		l.buf = l.buf[:0]
		return err
	}
	for _, e := range batch {
		if l.offset >= l.opts.FileBytes {
			if err := flush(); err != nil {
				return err
			}
			if err := l.rotate(e.Base); err != nil {
				return err
			}
			synced = l.offset
		}
		payload := e.Payload()
		if e.crc == 0 {
			e.crc = Checksum(payload)
		}
		f := frame{payloadCRC: e.crc, length: uint32(len(payload)), file: l.number, offset: uint64(l.offset),
			synced: uint64(synced), base: e.Base, csn: uint64(e.CSN), time: e.Time}
		f.put(e.Buf)
		l.offset += int64(len(e.Buf))
		if len(l.buf)+len(e.Buf) > coalesce {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(e.Buf) > coalesce/2 {
			if err := flush(); err != nil {
				return err
			}
			if _, err := l.out.Write(e.Buf); err != nil {
				return err
			}
			continue
		}
		l.buf = append(l.buf, e.Buf...)
	}
	if err := flush(); err != nil {
		return err
	}
	for _, e := range batch {
		l.written.Add(int64(len(e.Buf)))
	}
	return l.out.Sync()
}

// Written is the number of bytes written since the log was opened.
func (l *Log) Written() int64 { return l.written.Load() }

// rotate syncs the file in full and begins the next: so a bad frame in any file
// but the last is corruption, whatever it says.
func (l *Log) rotate(start uint64) error {
	if err := l.out.Sync(); err != nil {
		return err
	}
	if err := l.trim(); err != nil {
		return err
	}
	if err := l.out.Close(); err != nil {
		return err
	}
	return l.newFile(start)
}

// SyncSoon asks for a sync within some milliseconds, for commits that do not wait.
func (l *Log) SyncSoon() {
	select {
	case l.soon <- struct{}{}:
	default:
	}
}

// background syncs for commits that nobody waits for. Close ends it.
func (l *Log) background() {
	defer close(l.done)
	for {
		select {
		case <-l.stop:
			return
		case <-l.soon:
		}
		_ = l.Wait(l.Appended()) // the error is sticky; Fatal was told
	}
}

// Throttle waits while too much waits to be written; call it before latches.
func (l *Log) Throttle() error {
	l.mu.Lock()
	over, csn := l.queued > l.opts.QueueBytes, l.appended
	l.mu.Unlock()
	if !over {
		return nil
	}
	return l.Wait(csn)
}

// FileInfo describes a file of the log: all numbers in it are at or above Start,
// and below the Start of the next.
type FileInfo struct {
	Number uint64
	Start  uint64
	Bytes  int64
}

// Files lists the log's files, oldest first.
func (l *Log) Files() []FileInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]FileInfo, len(l.files))
	for i, f := range l.files {
		out[i] = FileInfo{f.number, f.start, f.bytes}
	}
	return out
}

// Trim removes files whose records are all at or below csn. The file that is
// written stays.
func (l *Log) Trim(csn storage.CSN) error {
	// Oldest first, each removal synced before the next, so that neither a crash nor a
	// failed removal leaves a gap in the sequence: one that failed is tried again first.
	l.trimming.Lock()
	defer l.trimming.Unlock()
	for {
		l.mu.Lock()
		if len(l.files) < 2 || l.files[1].start > uint64(csn)+1 {
			l.mu.Unlock()
			return nil
		}
		name := fileName(l.files[0].number)
		l.mu.Unlock()
		if err := l.opts.Dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := l.opts.Dir.Sync(); err != nil {
			return err
		}
		l.mu.Lock()
		l.files = l.files[1:]
		l.mu.Unlock()
	}
}

// Close syncs what is queued and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	if !l.started {
		l.mu.Unlock()
		return nil
	}
	l.started = false
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	err := l.Wait(l.Appended())
	l.mu.Lock()
	defer l.mu.Unlock()
	// After a failed write OnDurable may still be under way with what was synced before.
	for l.leading || l.applying {
		l.await(math.MaxUint64)
	}
	if l.err == nil {
		l.err = ErrClosed
	}
	l.wake()
	if l.out != nil {
		if err == nil {
			err = l.trim()
		}
		if cerr := l.out.Close(); err == nil {
			err = cerr
		}
		l.out = nil
	}
	return err
}
