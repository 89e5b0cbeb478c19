package ingest

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/storage"
)

// Notes of a subscription are kept under NotePrefix(oid):
//
//	p/<partition>/<topic>   a position
//	q/<key>                 a message key under quarantine
//	stop                    why the subscription stopped
const (
	notePosition   = "p/"
	noteQuarantine = "q/"
	noteStop       = "stop"
)

// NotePrefix begins the keys of all notes of a subscription.
func NotePrefix(oid uint32) string { return fmt.Sprintf("sub/%d/", oid) }

// positionVersion is the version of a stored position.
const positionVersion = 1

func positionKey(prefix string, p Partition) string {
	return prefix + notePosition + strconv.Itoa(int(p.ID)) + "/" + p.Topic
}

// append adds the stored form: a version byte, the next offset, the epoch, the
// topic's id.
func (p *Position) append(dst []byte) []byte {
	dst = append(dst, positionVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Next))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Epoch))
	return append(dst, p.Topic[:]...)
}

func parsePosition(b []byte) (p Position, err error) {
	if len(b) != 29 || b[0] != positionVersion {
		return p, fmt.Errorf("stored position is malformed")
	}
	p.Next, p.Epoch = int64(binary.BigEndian.Uint64(b[1:])), int32(binary.BigEndian.Uint32(b[9:]))
	copy(p.Topic[:], b[13:])
	return p, nil
}

// state is what the store knows of a subscription's progress.
type state struct {
	positions  map[Partition]Position
	quarantine map[string]bool
}

func loadState(s storage.Store, oid uint32) (*state, error) {
	prefix := NotePrefix(oid)
	notes, err := s.Notes(prefix)
	if err != nil {
		return nil, err
	}
	st := &state{positions: map[Partition]Position{}, quarantine: map[string]bool{}}
	for k, v := range notes {
		k = k[len(prefix):]
		if rest, ok := strings.CutPrefix(k, notePosition); ok {
			id, topic, ok := strings.Cut(rest, "/")
			n, err := strconv.ParseInt(id, 10, 32)
			if !ok || err != nil {
				return nil, fmt.Errorf("stored position of partition %q is malformed", rest)
			}
			p, err := parsePosition(v)
			if err != nil {
				return nil, err
			}
			st.positions[Partition{topic, int32(n)}] = p
		} else if key, ok := strings.CutPrefix(k, noteQuarantine); ok {
			st.quarantine[key] = true
		}
	}
	return st, nil
}

// Stopped is why a subscription stopped by itself; "" when it did not.
func Stopped(s storage.Store, oid uint32) string {
	key := NotePrefix(oid) + noteStop
	notes, err := s.Notes(key)
	if err != nil {
		return ""
	}
	return string(notes[key])
}

// NoteStopped notes why a subscription stopped, "" for that it did not.
func NoteStopped(x storage.Txn, oid uint32, why string) {
	var v []byte
	if why != "" {
		v = []byte(why)
	}
	x.Note(NotePrefix(oid)+noteStop, v)
}

// Forget removes what is noted of a subscription: all of it, or but for the reason it
// stopped only the positions.
func Forget(s storage.Store, x storage.Txn, oid uint32, positionsOnly bool) error {
	prefix := NotePrefix(oid)
	if positionsOnly {
		prefix += notePosition
	}
	notes, err := s.Notes(prefix)
	if err != nil {
		return err
	}
	for k := range notes {
		x.Note(k, nil)
	}
	return nil
}

// NoteOwner is the subscription that a note's key belongs to.
func NoteOwner(key string) (oid uint32, ok bool) {
	rest, ok := strings.CutPrefix(key, "sub/")
	id, _, ok2 := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), ok && ok2 && err == nil
}
