package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
)

// sector is the unit in which the simulated disk persists unsynced bytes.
const sector = 512

// ErrCrashed is what every operation on a simulated disk gives after its crash.
var ErrCrashed = errors.New("simulated disk: crashed")

// OpKind is a kind of operation on the simulated disk, for fault injection.
type OpKind uint8

// The kinds of operations.
const (
	OpCreate OpKind = iota
	OpWrite
	OpSync
	OpSyncDir
	OpRename
	OpRemove
	OpOpen
	OpRead
	OpTruncate
)

var opNames = [...]string{"create", "write", "sync", "syncdir", "rename", "remove", "open", "read", "truncate"}

// String names the kind.
func (k OpKind) String() string { return opNames[k] }

// Mem is a simulated disk: a tree of directories in memory that knows which
// bytes and directory entries a crash may lose. It is safe for concurrent use.
type Mem struct {
	mu      sync.Mutex
	root    *memDir
	crashed bool
	ops     int64 // operations so far, without reads
	fault   func(n int64, op OpKind, name string) error
	undead  string
	image   *memDir // the tree at the crash
}

// NewMem makes an empty disk.
func NewMem() *Mem {
	m := &Mem{}
	m.root = m.newDir("")
	return m
}

// Root is the disk's root directory.
func (m *Mem) Root() Dir { return m.root }

// Inject sets a function that is asked before each operation: an error it
// returns becomes the operation's (a write then persists a part of its bytes).
// n counts all operations but reads, from 1. An error that is ErrCrashed stops
// the disk for good.
func (m *Mem) Inject(f func(n int64, op OpKind, name string) error) {
	m.mu.Lock()
	m.fault = f
	m.mu.Unlock()
}

// Ops is the number of operations so far, reads not counted.
func (m *Mem) Ops() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Stop makes every later operation fail with ErrCrashed, as if power was lost.
func (m *Mem) Stop() {
	m.mu.Lock()
	m.die()
	m.mu.Unlock()
}

// Crashed says whether the disk is gone, so that what is still open on it must fail.
func (m *Mem) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// Undead lets operations on names with this prefix go on after the crash, without
// effect on what Crash finds, and has the crash keep changes of such directories
// in their order: for code that bears no dead disk and relies on a journal.
func (m *Mem) Undead(prefix string) {
	m.mu.Lock()
	m.undead = prefix
	m.mu.Unlock()
}

func (m *Mem) die() {
	if !m.crashed {
		m.crashed = true
		if m.undead != "" {
			m.image = m.root.clone(map[*memFile]*memFile{})
		}
	}
}

// gone says that an operation comes after the crash. mu is held.
func (m *Mem) gone(name string) bool {
	return m.crashed && (m.undead == "" || !strings.HasPrefix(name, m.undead))
}

func (d *memDir) clone(files map[*memFile]*memFile) *memDir {
	one := func(v any) any {
		switch x := v.(type) {
		case *memFile:
			c := files[x]
			if c == nil {
				c = &memFile{name: x.name, data: slices.Clone(x.data), durable: slices.Clone(x.durable), dirty: slices.Clone(x.dirty)}
				files[x] = c
			}
			return c
		case *memDir:
			return x.clone(files)
		}
		return nil
	}
	all := func(m map[string]any) map[string]any {
		n := make(map[string]any, len(m))
		for k, v := range m {
			n[k] = one(v)
		}
		return n
	}
	c := &memDir{m: d.m, path: d.path, now: all(d.now), durable: all(d.durable)}
	for _, op := range d.pending {
		c.pending = append(c.pending, dirOp{set: all(op.set)})
	}
	return c
}

// before runs with mu held.
func (m *Mem) before(op OpKind, name string) error {
	if m.gone(name) {
		return ErrCrashed
	}
	if m.crashed {
		return nil
	}
	if op != OpRead && op != OpOpen {
		m.ops++
	}
	if m.fault != nil {
		if err := m.fault(m.ops, op, name); err != nil {
			if errors.Is(err, ErrCrashed) {
				m.die()
				if !m.gone(name) {
					return nil
				}
			}
			return fmt.Errorf("%s %s: %w", op, name, err)
		}
	}
	return nil
}

type memFile struct {
	name    string
	data    []byte
	durable []byte // as of the last sync
	dirty   []bool // per sector of data: written since the last sync
}

type memDir struct {
	m       *Mem
	path    string
	now     map[string]any // *memFile or *memDir
	durable map[string]any
	pending []dirOp
}

// dirOp is a change of a directory that was not synced: at a crash it may or may
// not have happened.
type dirOp struct {
	set map[string]any // nil value: removed
}

func (m *Mem) newDir(path string) *memDir {
	return &memDir{m: m, path: path, now: map[string]any{}, durable: map[string]any{}}
}

func (d *memDir) full(name string) string { return d.path + "/" + name }

func (d *memDir) change(set map[string]any) {
	for k, v := range set {
		if v == nil {
			delete(d.now, k)
		} else {
			d.now[k] = v
		}
	}
	d.pending = append(d.pending, dirOp{set: set})
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Create implements Dir.
func (d *memDir) Create(name string) (Writer, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpCreate, d.full(name)); err != nil {
		return nil, err
	}
	f := &memFile{name: d.full(name)}
	d.change(map[string]any{name: f})
	return &memWriter{m: d.m, f: f}, nil
}

// Open implements Dir.
func (d *memDir) Open(name string) (File, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpOpen, d.full(name)); err != nil {
		return nil, err
	}
	f, _ := d.now[name].(*memFile)
	if f == nil {
		return nil, notExist("open", d.full(name))
	}
	return &memReader{m: d.m, f: f, name: d.full(name), size: int64(len(f.data))}, nil
}

// Rename implements Dir.
func (d *memDir) Rename(from, to string) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpRename, d.full(from)); err != nil {
		return err
	}
	f := d.now[from]
	if f == nil {
		return notExist("rename", d.full(from))
	}
	d.change(map[string]any{from: nil, to: f})
	return nil
}

// Link implements Linker.
func (d *memDir) Link(name string, to Dir, as string) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	t, ok := to.(*memDir)
	if !ok || t.m != d.m {
		return errors.ErrUnsupported
	}
	if err := d.m.before(OpCreate, t.full(as)); err != nil {
		return err
	}
	f, _ := d.now[name].(*memFile)
	if f == nil {
		return notExist("link", d.full(name))
	}
	t.change(map[string]any{as: f})
	return nil
}

// Remove implements Dir.
func (d *memDir) Remove(name string) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpRemove, d.full(name)); err != nil {
		return err
	}
	if d.now[name] == nil {
		return notExist("remove", d.full(name))
	}
	d.change(map[string]any{name: nil})
	return nil
}

// Truncate implements Dir.
func (d *memDir) Truncate(name string, size int64) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpTruncate, d.full(name)); err != nil {
		return err
	}
	f, _ := d.now[name].(*memFile)
	if f == nil {
		return notExist("truncate", d.full(name))
	}
	data := make([]byte, size)
	copy(data, f.data)
	f.data = data
	f.synced()
	return nil
}

// List implements Dir.
func (d *memDir) List() ([]Info, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.m.gone(d.path) {
		return nil, ErrCrashed
	}
	out := make([]Info, 0, len(d.now))
	for k, v := range d.now {
		in := Info{Name: k}
		if f, ok := v.(*memFile); ok {
			in.Size = int64(len(f.data))
		} else {
			in.Dir = true
		}
		out = append(out, in)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Sync implements Dir.
func (d *memDir) Sync() error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if err := d.m.before(OpSyncDir, d.path); err != nil {
		return err
	}
	d.durable = make(map[string]any, len(d.now))
	for k, v := range d.now {
		d.durable[k] = v
	}
	d.pending = nil
	return nil
}

// Sub implements Dir. The entry of a subdirectory is durable at once.
func (d *memDir) Sub(name string) (Dir, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.m.gone(d.full(name)) {
		return nil, ErrCrashed
	}
	if s, ok := d.now[name].(*memDir); ok {
		return s, nil
	}
	s := d.m.newDir(d.full(name))
	d.now[name], d.durable[name] = s, s
	return s, nil
}

func (f *memFile) write(off int, b []byte) {
	f.data = append(f.data[:off], b...)[:max(len(f.data), off+len(b))]
	for len(f.dirty) < (len(f.data)+sector-1)/sector {
		f.dirty = append(f.dirty, false)
	}
	for s := off / sector; s*sector < off+len(b); s++ {
		f.dirty[s] = true
	}
}

func (f *memFile) synced() {
	if len(f.data) < len(f.durable) {
		f.durable = f.durable[:len(f.data)]
	}
	for s, dirty := range f.dirty {
		from, to := s*sector, min((s+1)*sector, len(f.data))
		if !dirty || from >= to {
			continue
		}
		f.durable = append(f.durable[:min(from, len(f.durable))], f.data[from:to]...)[:max(to, len(f.durable))]
	}
	f.dirty = f.dirty[:(len(f.data)+sector-1)/sector]
	clear(f.dirty)
}

type memWriter struct {
	m   *Mem
	f   *memFile
	off int // written
}

func (w *memWriter) Write(b []byte) (int, error) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if err := w.m.before(OpWrite, w.f.name); err != nil {
		if w.m.crashed {
			return 0, err
		}
		n := len(b) / 2
		w.f.write(w.off, b[:n])
		w.off += n
		return n, err
	}
	w.f.write(w.off, b)
	w.off += len(b)
	return len(b), nil
}

// Reserve implements Reserver.
func (w *memWriter) Reserve(n int64) error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	err := w.m.before(OpWrite, w.f.name)
	if err != nil {
		if w.m.crashed {
			return err
		}
		n /= 2
	}
	w.f.write(len(w.f.data), make([]byte, n))
	return err
}

// Trim implements Reserver.
func (w *memWriter) Trim() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if len(w.f.data) <= w.off {
		return nil
	}
	if err := w.m.before(OpTruncate, w.f.name); err != nil {
		return err
	}
	w.f.data = slices.Clone(w.f.data[:w.off])
	w.f.synced()
	return nil
}

func (w *memWriter) Sync() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if err := w.m.before(OpSync, w.f.name); err != nil {
		return err
	}
	w.f.synced()
	return nil
}

func (w *memWriter) Close() error { return nil }

type memReader struct {
	m    *Mem
	name string // one of the file's
	f    *memFile
	size int64
}

func (r *memReader) ReadAt(b []byte, off int64) (int, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if err := r.m.before(OpRead, r.name); err != nil {
		return 0, err
	}
	if off < 0 || off > int64(len(r.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, r.f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (r *memReader) Size() int64 { return r.size }

// Map implements Mapper: the bytes are a copy.
func (r *memReader) Map() ([]byte, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if err := r.m.before(OpRead, r.name); err != nil {
		return nil, err
	}
	return append([]byte(nil), r.f.data...), nil
}

func (r *memReader) Close() error { return nil }

// Crash stops the disk and returns what a machine finds on it after the power
// came back, chosen by seed: synced bytes under synced names are all there; each
// unsynced sector may be there or not, the length of an unsynced tail is any,
// and unsynced directory changes happened in part, each or none.
func (m *Mem) Crash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.die()
	rng := rand.New(rand.NewPCG(seed, 0x6d696c6c))
	n := NewMem()
	c := &crash{rng: rng, mode: rng.IntN(4), disk: n, files: map[*memFile]*memFile{}}
	n.undead = m.undead
	from := m.root
	if m.image != nil {
		from = m.image
	}
	n.root = c.dir(from)
	return n
}

type crash struct {
	rng   *rand.Rand
	mode  int // 0: all unsynced is lost, 1: all is kept, 2 and 3: a coin each
	disk  *Mem
	files map[*memFile]*memFile
}

func (c *crash) keep() bool {
	switch c.mode {
	case 0:
		return false
	case 1:
		return true
	}
	return c.rng.IntN(2) == 0
}

func (c *crash) dir(d *memDir) *memDir {
	state := make(map[string]any, len(d.durable))
	for k, v := range d.durable {
		state[k] = v
	}
	ordered := c.disk.undead != "" && strings.HasPrefix(d.path, c.disk.undead)
	for _, op := range d.pending {
		if !c.keep() {
			if ordered {
				break
			}
			continue
		}
		for k, v := range op.set {
			if v == nil {
				delete(state, k)
			} else {
				state[k] = v
			}
		}
	}
	names := make([]string, 0, len(state))
	for k := range state {
		names = append(names, k)
	}
	sort.Strings(names) // the outcome depends on the seed alone
	n := c.disk.newDir(d.path)
	for _, k := range names {
		var v any
		switch x := state[k].(type) {
		case *memFile:
			v = c.file(x)
		case *memDir:
			v = c.dir(x)
		}
		n.now[k], n.durable[k] = v, v
	}
	return n
}

func (c *crash) file(f *memFile) *memFile {
	if n := c.files[f]; n != nil {
		return n
	}
	n := &memFile{name: f.name}
	size := len(f.durable)
	if len(f.data) > size && c.mode != 0 {
		if c.mode == 1 {
			size = len(f.data)
		} else {
			size += c.rng.IntN(len(f.data) - size + 1)
		}
	}
	n.data = make([]byte, size)
	copy(n.data, f.durable)
	n.durable = append([]byte(nil), n.data...)
	n.dirty = make([]bool, (size+sector-1)/sector)
	for s := 0; s*sector < size; s++ {
		from, to := s*sector, min((s+1)*sector, size)
		if s < len(f.dirty) && f.dirty[s] && c.keep() {
			copy(n.data[from:to], f.data[from:min(to, len(f.data))])
		}
	}
	copy(n.durable, n.data)
	c.files[f] = n
	return n
}
