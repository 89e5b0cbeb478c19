package binlog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// Slot is a named position that keeps what comes after it: segments that the table's
// binlog_ttl would drop stay, up to a bound. A slot that falls behind its bound is
// lost: reading from it is an error that says so.
type Slot struct {
	Name    string
	Plugin  string `json:",omitempty"`
	Table   uint32
	Pos     Position
	Created int64 // microseconds since 1970
	// MaxBytes bounds what the slot keeps of each shard beyond the table's binlog_ttl,
	// MaxAge for how long.
	MaxBytes int64
	MaxAge   time.Duration
}

// The bounds of slots that do not say.
const (
	DefaultSlotBytes = 4 << 30
	DefaultSlotAge   = 7 * 24 * time.Hour
)

// SlotInfo is a slot and how it is.
type SlotInfo struct {
	Slot
	// Lost says why the slot cannot be read any more; nil while it can.
	Lost error
}

// slotPrefix begins the notes that hold slots.
const slotPrefix = "binlog/slot/"

// Slots are the slots of a store. Safe for concurrent use.
type Slots struct {
	s storage.BinlogStore

	write sync.Mutex // held while a slot changes, its note's commit included
	mu    sync.Mutex
	slots map[string]Slot
	now   func() time.Time
}

// OpenSlots reads the slots of a store, and holds for them what they need from now on.
func OpenSlots(s storage.BinlogStore) (*Slots, error) {
	l := &Slots{s: s, slots: map[string]Slot{}, now: time.Now}
	notes, err := s.Notes(slotPrefix)
	if err != nil {
		return nil, err
	}
	for key, b := range notes {
		var slot Slot
		if err := json.Unmarshal(b, &slot); err != nil {
			return nil, fmt.Errorf("replication slot %s: %w", strings.TrimPrefix(key, slotPrefix), err)
		}
		l.slots[slot.Name] = slot
	}
	s.HoldBinlogs(l)
	return l, nil
}

// Create makes a slot. Its position is the end of the binlog, unless it has one; the
// zero Position with oldest stands for all that there is.
func (l *Slots) Create(ctx context.Context, slot Slot, oldest bool) (Slot, error) {
	if err := checkSlotName(slot.Name); err != nil {
		return slot, err
	}
	l.write.Lock()
	defer l.write.Unlock()
	if _, is := l.Get(slot.Name); is {
		return slot, sqlstate.Errorf(sqlstate.DuplicateObject, "replication slot %q already exists", slot.Name)
	}
	if slot.MaxBytes <= 0 {
		slot.MaxBytes = DefaultSlotBytes
	}
	if slot.MaxAge <= 0 {
		slot.MaxAge = DefaultSlotAge
	}
	slot.Created = l.now().UnixMicro()
	pos, err := Start(l.s, slot.Table, slot.Pos, oldest)
	if err != nil {
		return slot, err
	}
	slot.Pos = pos
	return slot, l.save(ctx, slot)
}

// Start is a position to begin at: from if it can still be read; else, when it is zero,
// that of the oldest record or the end.
func Start(s storage.BinlogStore, table uint32, from Position, oldest bool) (Position, error) {
	n := s.Snapshot()
	defer n.Close()
	t, rel, err := relation(n, table)
	if err != nil {
		return from, err
	}
	latest := from.IsZero() && !oldest
	pos := from.Clone()
	if err := pos.settle(t.Name, rel, nil); err != nil {
		return from, err
	}
	for i := range pos.LSN {
		if latest {
			pos.LSN[i] = int64(n.CSN())
		}
	}
	return pos, nil
}

// relation is the binlog of a table in a snapshot.
func relation(n storage.Snapshot, table uint32) (*catalog.Table, storage.BinlogRelation, error) {
	t := n.Catalog().Table(table)
	switch {
	case t == nil || t.Kind != catalog.KindTable:
		return nil, nil, errNoTable(table)
	case !t.KeepsBinlog():
		return nil, nil, errNoBinlog(t.Name)
	}
	b := t.Binlog()
	b.Markers = true
	x, err := n.Relation(b)
	if err != nil {
		return nil, nil, err
	}
	rel, ok := x.(storage.BinlogRelation)
	if !ok {
		return nil, nil, sqlstate.Errorf(sqlstate.InternalError, "the store cannot read binlogs")
	}
	return t, rel, nil
}

func checkSlotName(name string) error {
	switch {
	case name == "":
		return sqlstate.Errorf(sqlstate.InvalidName, "replication slot name %q is too short", name)
	case len(name) > 63:
		return sqlstate.Errorf(sqlstate.NameTooLong, "replication slot name %q is too long", name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return sqlstate.Errorf(sqlstate.InvalidName, "replication slot name %q contains invalid character", name).
				WithHint("Replication slot names may only contain lower case letters, numbers, and the underscore character.")
		}
	}
	return nil
}

// save makes a slot durable, and then known. The write lock is held.
func (l *Slots) save(ctx context.Context, slot Slot) error {
	b, err := json.Marshal(slot)
	if err != nil {
		return err
	}
	if err := l.note(ctx, slot.Name, b); err != nil {
		return err
	}
	l.mu.Lock()
	l.slots[slot.Name] = slot
	l.mu.Unlock()
	return nil
}

func (l *Slots) note(ctx context.Context, name string, value []byte) error {
	x := l.s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	x.Note(slotPrefix+name, value)
	_, err := x.Commit(ctx)
	return err
}

// Advance moves a slot forward: what is at or below the position is not needed any
// more. A shard never moves back.
func (l *Slots) Advance(ctx context.Context, name string, to Position) error {
	l.write.Lock()
	defer l.write.Unlock()
	slot, is := l.Get(name)
	if !is {
		return errNoSlot(name)
	}
	if to.Since != slot.Pos.Since || len(to.LSN) != len(slot.Pos.LSN) {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "position %q is not one of replication slot %q", to.String(), name)
	}
	moved := false
	for i, n := range to.LSN {
		moved = moved || n > slot.Pos.LSN[i]
		slot.Pos.LSN[i] = max(slot.Pos.LSN[i], n)
	}
	if !moved {
		return nil
	}
	return l.save(ctx, slot)
}

// Drop removes a slot.
func (l *Slots) Drop(ctx context.Context, name string) error {
	l.write.Lock()
	defer l.write.Unlock()
	if _, is := l.Get(name); !is {
		return errNoSlot(name)
	}
	if err := l.note(ctx, name, nil); err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.slots, name)
	l.mu.Unlock()
	return nil
}

func errNoSlot(name string) error {
	return sqlstate.Errorf(sqlstate.UndefinedObject, "replication slot %q does not exist", name)
}

// Get finds a slot.
func (l *Slots) Get(name string) (Slot, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot, is := l.slots[name]
	slot.Pos = slot.Pos.Clone()
	return slot, is
}

// Open makes a reader that begins at a slot's position. Whoever reads tells the slot
// by Advance how far it got.
func (l *Slots) Open(ctx context.Context, name string, o Options) (*Reader, error) {
	slot, is := l.Get(name)
	if !is {
		return nil, errNoSlot(name)
	}
	o.Table, o.From = slot.Table, slot.Pos
	r, err := Open(ctx, l.s, o)
	if err != nil {
		return nil, lost(slot, err)
	}
	return r, nil
}

func lost(slot Slot, err error) error {
	return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cannot read from replication slot %q: it has been invalidated", slot.Name).
		WithDetail("%s", detailOf(err))
}

func detailOf(err error) string {
	if e, ok := err.(*sqlstate.Error); ok && e.Detail != "" {
		return e.Message + ". " + e.Detail
	}
	return err.Error()
}

// List lists the slots by name.
func (l *Slots) List() []SlotInfo {
	n := l.s.Snapshot()
	defer n.Close()
	l.mu.Lock()
	var out []SlotInfo
	for _, s := range l.slots {
		s.Pos = s.Pos.Clone()
		out = append(out, SlotInfo{Slot: s})
	}
	l.mu.Unlock()
	slices.SortFunc(out, func(a, b SlotInfo) int { return strings.Compare(a.Name, b.Name) })
	for i := range out {
		s := &out[i]
		t, rel, err := relation(n, s.Table)
		if err == nil {
			pos := s.Pos.Clone()
			err = pos.settle(t.Name, rel, nil)
		}
		if err != nil {
			s.Lost = lost(s.Slot, err)
		}
	}
	return out
}

// Release implements storage.BinlogHolder.
func (l *Slots) Release(table uint32, shard int, expired int64, due []storage.BinlogSegment) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := len(due)
	for _, s := range l.slots {
		if s.Table != table || shard >= len(s.Pos.LSN) {
			continue
		}
		// What the slot needs begins at the first segment with a number above its own;
		// beyond its bounds it loses that.
		first := 0
		for first < len(due) && due[first].Last <= s.Pos.LSN[shard] {
			first++
		}
		bytes, limit := int64(0), expired-s.MaxAge.Microseconds()
		for _, d := range due[first:] {
			bytes += d.Bytes
		}
		for first < len(due) && (bytes > s.MaxBytes || due[first].Time < limit) {
			bytes -= due[first].Bytes
			first++
		}
		oldest = min(oldest, first)
	}
	return oldest
}
