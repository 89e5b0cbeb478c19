package wal

import (
	"errors"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// Check reads the whole log as Recover does, hands each record to fn, and changes
// nothing: a torn tail is measured (Tail.Cut) and left. covered is as in Recover. Use
// it on a log that is not started.
func (l *Log) Check(covered storage.CSN, fn func(e *Entry) error) (Tail, error) {
	var t Tail
	for i, f := range l.files {
		name := fileName(f.number)
		b, err := blob.ReadAll(l.opts.Dir, name)
		if err != nil {
			return t, err
		}
		end, start, err := scan(b, f.number, func(fr *frame, payload []byte) error {
			t.Last, t.Time = storage.CSN(fr.csn), fr.time
			t.MaxNumber = max(t.MaxNumber, fr.csn)
			return fn(&Entry{Buf: b[fr.offset : int(fr.offset)+frameHeader+len(payload)], Changes: int(fr.csn - fr.base),
				Base: fr.base, CSN: storage.CSN(fr.csn), Time: fr.time})
		})
		if err != nil {
			var bad *badFrame
			if !errors.As(err, &bad) {
				return t, err
			}
			synced, _ := laterFrames(b, f.number, end)
			if i < len(l.files)-1 || synced > end {
				return t, &CorruptionError{File: name, Offset: end, Reason: bad.reason}
			}
			if !unwritten(b, end) {
				t.Cut = int64(len(b)) - end
			}
		}
		if end > 0 {
			t.Last = max(t.Last, storage.CSN(start)-1)
		}
	}
	return t, l.reaches(t.Last, covered)
}
