package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// list finds the files and checks that none is missing between.
func (l *Log) list() error {
	infos, err := l.opts.Dir.List()
	if err != nil {
		return err
	}
	for _, in := range infos {
		var n uint64
		if in.Dir || len(in.Name) != 20 {
			continue
		}
		if _, err := fmt.Sscanf(in.Name, "%016x.log", &n); err != nil || fileName(n) != in.Name {
			continue
		}
		l.files = append(l.files, file{number: n, bytes: in.Size})
	}
	sort.Slice(l.files, func(i, j int) bool { return l.files[i].number < l.files[j].number })
	for i := 1; i < len(l.files); i++ {
		if l.files[i].number != l.files[i-1].number+1 {
			return &CorruptionError{File: fileName(l.files[i-1].number + 1), Reason: "the file is missing"}
		}
	}
	return nil
}

// Tail is what Recover found at the end of the log.
type Tail struct {
	// Last is the CSN of the last whole record, or what the log's last file says
	// came before it.
	Last storage.CSN
	// MaxNumber is at or above every number seen, in whatever state.
	MaxNumber uint64
	// Time is the last record's.
	Time int64
	// Cut is how many bytes of a torn tail were removed.
	Cut int64
}

// Recover reads the log from its first record and hands each to fn, whose entry
// is valid during the call. A bad frame that had been made durable, as later
// frames or covered (what other files hold already) show, is a CorruptionError;
// any other ends the log and is cut off.
func (l *Log) Recover(covered storage.CSN, fn func(e *Entry) error) (Tail, error) {
	var t Tail
	if err := l.opts.Dir.Sync(); err != nil {
		return t, err
	}
	for i := 0; i < len(l.files); i++ {
		f := &l.files[i]
		last := i == len(l.files)-1
		b, err := blob.ReadAll(l.opts.Dir, fileName(f.number))
		if err != nil {
			return t, err
		}
		if last {
			// What is read may be in the page cache alone, and fn may build files on it.
			if err := l.opts.Dir.Truncate(fileName(f.number), int64(len(b))); err != nil {
				return t, err
			}
		}
		end, start, err := scan(b, f.number, func(fr *frame, payload []byte) error {
			t.Last, t.Time = storage.CSN(fr.csn), fr.time
			t.MaxNumber = max(t.MaxNumber, fr.csn)
			e := Entry{Buf: b[fr.offset : int(fr.offset)+frameHeader+len(payload)], Changes: int(fr.csn - fr.base),
				Base: fr.base, CSN: storage.CSN(fr.csn), Time: fr.time}
			return fn(&e)
		})
		if err != nil {
			var bad *badFrame
			if !errors.As(err, &bad) {
				return t, err
			}
			corrupt := &CorruptionError{File: fileName(f.number), Offset: end, Reason: bad.reason}
			if !last {
				return t, corrupt
			}
			if !unwritten(b, end) {
				synced, highest := laterFrames(b, f.number, end)
				if synced > end {
					return t, corrupt
				}
				t.MaxNumber = max(t.MaxNumber, highest)
				t.Cut = int64(len(b)) - end
			}
			if end == 0 {
				// Its header never became durable, so nothing was acknowledged from it.
				if err := l.opts.Dir.Remove(fileName(f.number)); err != nil {
					return t, err
				}
				if err := l.opts.Dir.Sync(); err != nil {
					return t, err
				}
				l.files = l.files[:i]
				break
			}
			if err := l.opts.Dir.Truncate(fileName(f.number), end); err != nil {
				return t, err
			}
			f.bytes = end
		}
		f.start = start
		t.Last = max(t.Last, storage.CSN(start)-1)
		t.MaxNumber = max(t.MaxNumber, start-1)
	}
	return t, l.reaches(t.Last, covered)
}

// reaches fails when the log's last commit is older than covered.
func (l *Log) reaches(last, covered storage.CSN) error {
	if last >= covered {
		return nil
	}
	name := "(none)"
	var off int64
	if k := len(l.files); k > 0 {
		name, off = fileName(l.files[k-1].number), l.files[k-1].bytes
	}
	return &CorruptionError{File: name, Offset: off,
		Reason: fmt.Sprintf("the log ends at commit %d, but commit %d had been made durable", last, covered)}
}

// ReadFrom hands the records above csn to fn, for tools. It changes nothing and
// stops at the first bad frame of the last file.
func (l *Log) ReadFrom(csn storage.CSN, fn func(e *Entry) error) error {
	for i, f := range l.Files() {
		b, err := blob.ReadAll(l.opts.Dir, fileName(f.Number))
		if err != nil {
			return err
		}
		end, _, err := scan(b, f.Number, func(fr *frame, payload []byte) error {
			if storage.CSN(fr.csn) <= csn {
				return nil
			}
			return fn(&Entry{Buf: b[fr.offset : int(fr.offset)+frameHeader+len(payload)], Changes: int(fr.csn - fr.base),
				Base: fr.base, CSN: storage.CSN(fr.csn), Time: fr.time})
		})
		var bad *badFrame
		if errors.As(err, &bad) {
			if i == len(l.files)-1 {
				return nil
			}
			return &CorruptionError{File: fileName(f.Number), Offset: end, Reason: bad.reason}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unwritten says that from the end of the last frame on the file has only zeros: the
// room that was reserved.
func unwritten(b []byte, end int64) bool {
	return end > 0 && len(bytes.TrimLeft(b[end:], "\x00")) == 0
}

type badFrame struct{ reason string }

func (e *badFrame) Error() string { return e.reason }

// scan reads the frames of a file. end is the offset after the last good one,
// and err a *badFrame when something else follows it.
func scan(b []byte, number uint64, fn func(f *frame, payload []byte) error) (end int64, start uint64, err error) {
	start, err = getFileHeader(b, number)
	if err != nil {
		var v *VersionError
		if errors.As(err, &v) {
			return 0, 0, err
		}
		return 0, 0, &badFrame{err.Error()}
	}
	off := fileHeader
	prev := start - 1
	for off < len(b) {
		var f frame
		if !f.get(b[off:], number, uint64(off)) {
			return int64(off), start, &badFrame{"bad frame header"}
		}
		body := b[off+frameHeader:]
		if uint64(f.length) > uint64(len(body)) {
			return int64(off), start, &badFrame{"frame is cut short"}
		}
		body = body[:f.length]
		if Checksum(body) != f.payloadCRC {
			return int64(off), start, &badFrame{"checksum of the record is wrong"}
		}
		if f.base <= prev || f.csn < f.base {
			return int64(off), start, &badFrame{"numbers do not rise"}
		}
		prev = f.csn
		if err := fn(&f, body); err != nil {
			return int64(off), start, err
		}
		off += frameHeader + int(f.length)
	}
	return int64(off), start, nil
}

// laterFrames looks behind a bad frame at off for valid headers of this file:
// the highest offset that they knew to be synced, and the highest number.
// Unsynced sectors reach the disk in any order, so such frames are no
// contradiction by themselves.
func laterFrames(b []byte, number uint64, off int64) (synced int64, highest uint64) {
	for o := int(off) + 1; o+frameHeader <= len(b); o++ {
		var f frame
		if f.get(b[o:], number, uint64(o)) {
			synced = max(synced, int64(f.synced))
			highest = max(highest, f.csn)
		}
	}
	return synced, highest
}
