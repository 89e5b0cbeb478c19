package tablet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
	"github.com/millrace/millrace/storage/wal"
)

// The manifest says which files hold which tablet's rows up to which commit. It is
// one append-only file: a header line, then frames of length, CRC32C and an edit as
// JSON. Each frame is synced before the next is written, so a bad frame can only be
// the last. At every start, and when it grows large, it is written anew.
const (
	manifestName   = "MANIFEST"
	manifestHeader = "millrace manifest 1\n"
	manifestBytes  = 4 << 20 // beyond this and twice its live size it is written anew
)

// edit is one frame of the manifest, about a tablet: a shard of one generation of
// a table. A generation begins when the table is created, truncated or rewritten;
// its number is the CSN of that commit, or 0 where nobody remembers it.
type edit struct {
	Table uint32
	Log   bool `json:",omitempty"` // of the table's binlog
	Shard int
	Gen   storage.CSN
	// Switch begins generation Gen of the table: all that older ones had is gone.
	// F covers the commit of the switch.
	Switch bool `json:",omitempty"`
	// Dropped ends the table.
	Dropped bool                 `json:",omitempty"`
	Add     []column.SegmentInfo `json:",omitempty"`
	Drop    []string             `json:",omitempty"`
	Deletes string               `json:",omitempty"`
	F       storage.CSN          `json:",omitempty"`
	// Floor is the newest number that expiry has dropped from a binlog.
	Floor storage.CSN `json:",omitempty"`
}

// tabletsOf names the tablets of a table, or those of its binlog.
type tabletsOf struct {
	oid uint32
	log bool
}

// tableState is what the manifest knows of a table.
type tableState struct {
	gen    storage.CSN // dropped: the table is over
	f      storage.CSN // of the switch
	shards map[int]*column.State
}

// dropped is above the number of every generation, so that no flush that a drop
// overtook brings the table back.
const dropped = ^storage.CSN(0)

// manifestState is the sum of all edits.
type manifestState map[tabletsOf]*tableState

func (m manifestState) apply(e *edit) {
	if e.Dropped {
		m[tabletsOf{e.Table, e.Log}] = &tableState{gen: dropped}
		return
	}
	t := m[tabletsOf{e.Table, e.Log}]
	if t == nil || t.gen < e.Gen {
		t = &tableState{gen: e.Gen, shards: map[int]*column.State{}}
		m[tabletsOf{e.Table, e.Log}] = t
	}
	if t.gen > e.Gen {
		return // a flush that a truncation overtook
	}
	if e.Switch {
		t.f = max(t.f, e.F)
		return
	}
	s := t.shards[e.Shard]
	if s == nil {
		s = &column.State{}
		t.shards[e.Shard] = s
	}
	gone := map[string]bool{}
	for _, n := range e.Drop {
		gone[n] = true
	}
	var segs []column.SegmentInfo
	for _, in := range s.Segments {
		if !gone[in.File] {
			segs = append(segs, in)
		}
	}
	s.Segments = append(segs, e.Add...)
	s.Deletes = e.Deletes
	s.F = max(s.F, e.F)
	s.Floor = max(s.Floor, e.Floor)
}

// covered is the newest commit that the manifest relies on.
func (m manifestState) covered() storage.CSN {
	var c storage.CSN
	for _, t := range m {
		if t.gen == dropped {
			continue
		}
		c = max(c, t.f, t.gen)
		for _, s := range t.shards {
			c = max(c, s.F)
		}
	}
	return c
}

// files lists the files that the manifest names.
func (m manifestState) files() map[string]bool {
	names := map[string]bool{}
	for _, t := range m {
		for _, s := range t.shards {
			for _, in := range s.Segments {
				names[in.File] = true
			}
			if s.Deletes != "" {
				names[s.Deletes] = true
			}
		}
	}
	return names
}

// edits are the fewest frames that say m.
func (m manifestState) edits() []*edit {
	var out []*edit
	for id, t := range m {
		if t.gen == dropped {
			out = append(out, &edit{Table: id.oid, Log: id.log, Dropped: true})
			continue
		}
		out = append(out, &edit{Table: id.oid, Log: id.log, Gen: t.gen, Switch: true, F: t.f})
		for shard, s := range t.shards {
			out = append(out, &edit{Table: id.oid, Log: id.log, Shard: shard, Gen: t.gen, Add: s.Segments, Deletes: s.Deletes, F: s.F, Floor: s.Floor})
		}
	}
	return out
}

// manifest is the open manifest. A failed write is fatal for the process, since
// what the file says is then unknown.
type manifest struct {
	dir blob.Dir

	mu    sync.Mutex
	state manifestState
	out   blob.Writer
	size  int64
	base  int64 // size when it was last written anew
	err   error
}

// openManifest reads the manifest to its end and writes it anew.
func openManifest(dir blob.Dir) (*manifest, error) {
	m := &manifest{dir: dir, state: manifestState{}}
	b, err := blob.ReadAll(dir, manifestName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if err := m.read(b); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *manifest) read(b []byte) error {
	if len(b) < len(manifestHeader) || string(b[:len(manifestHeader)]) != manifestHeader {
		return fmt.Errorf("%s has no header that this version knows", manifestName)
	}
	for off := len(manifestHeader); off < len(b); {
		body, n := manifestFrame(b[off:])
		if n == 0 {
			// Only a frame that was being written may be bad.
			for o := off + 1; o < len(b); o++ {
				if p, k := manifestFrame(b[o:]); k > 0 && json.Valid(p) {
					return &wal.CorruptionError{File: manifestName, Offset: int64(off), Reason: "bad frame before a good one"}
				}
			}
			return nil
		}
		var e edit
		if err := json.Unmarshal(body, &e); err != nil {
			return &wal.CorruptionError{File: manifestName, Offset: int64(off), Reason: err.Error()}
		}
		m.state.apply(&e)
		off += n
	}
	return nil
}

func manifestFrame(b []byte) (body []byte, n int) {
	if len(b) < 8 {
		return nil, 0
	}
	l := int(binary.LittleEndian.Uint32(b))
	if l == 0 || l > len(b)-8 || wal.Checksum(b[8:8+l]) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return b[8 : 8+l], 8 + l
}

func appendManifestFrame(b []byte, e *edit) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, wal.Checksum(body))
	return append(b, body...), nil
}

// rewrite writes the manifest anew. It runs once before the first append.
func (m *manifest) rewrite() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rewriteLocked()
}

func (m *manifest) rewriteLocked() error {
	b := []byte(manifestHeader)
	var err error
	for _, e := range m.state.edits() {
		if b, err = appendManifestFrame(b, e); err != nil {
			return err
		}
	}
	const tmp = manifestName + blob.TempSuffix
	w, err := m.dir.Create(tmp)
	if err != nil {
		return err
	}
	if _, err = w.Write(b); err == nil {
		err = w.Sync()
	}
	if err == nil {
		err = m.dir.Rename(tmp, manifestName)
	}
	if err == nil {
		err = m.dir.Sync()
	}
	if err != nil {
		w.Close()
		return err
	}
	if m.out != nil {
		m.out.Close()
	}
	m.out, m.size, m.base = w, int64(len(b)), int64(len(b))
	return nil
}

// append makes edits durable. After an error the manifest takes no more.
func (m *manifest) append(es ...*edit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.err = m.appendLocked(es)
	return m.err
}

func (m *manifest) appendLocked(es []*edit) error {
	var b []byte
	var err error
	for _, e := range es {
		if b, err = appendManifestFrame(b, e); err != nil {
			return err
		}
		m.state.apply(e)
	}
	if m.size > manifestBytes && m.size > 2*m.base {
		return m.rewriteLocked()
	}
	if _, err = m.out.Write(b); err == nil {
		err = m.out.Sync()
	}
	m.size += int64(len(b))
	return err
}

// settle ends tables that replay found dropped. They stay as such until a recovery
// that does not meet them any more, since the log may name files that are gone.
func (m *manifest) settle(look func(oid uint32) (opened, exists bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.state {
		switch opened, exists := look(id.oid); {
		case !opened:
			delete(m.state, id)
		case !exists:
			m.state[id] = &tableState{gen: dropped}
		}
	}
}

func (m *manifest) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = errors.New("manifest is closed")
	if m.out == nil {
		return nil
	}
	return m.out.Close()
}

// note applies an edit in memory, before the manifest is written anew at the end of
// recovery.
func (m *manifest) note(e *edit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.apply(e)
}
