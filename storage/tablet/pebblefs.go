package tablet

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/storage/blob"
)

// pebbleFS shows one blob.Dir as Pebble's file system, so that Pebble's files lie
// on the same (perhaps simulated) disk as ours. Pebble's log is off and its files
// are written once, which is all that blob can do.
//
// Files of large sets lie in another directory, data, until Pebble takes them in; to
// Pebble their names begin with dataPrefix.
type pebbleFS struct{ dir, data blob.Dir }

const dataPrefix = "data/"

// set is the name of a file of a large set.
func (p pebbleFS) set(name string) (string, bool) {
	if p.data == nil {
		return "", false
	}
	return strings.CutPrefix(name, dataPrefix)
}

var errNotHere = errors.New("not supported by this file system")

func (p pebbleFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	w, err := p.dir.Create(path.Base(name))
	if err != nil {
		return nil, err
	}
	return &pebbleFile{fs: p, name: path.Base(name), w: w}, nil
}

func (p pebbleFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if isRoot(name) {
		return p.OpenDir(name)
	}
	dir := p.dir
	if _, is := p.set(name); is {
		dir = p.data
	}
	r, err := dir.Open(path.Base(name))
	if err != nil {
		return nil, err
	}
	f := &pebbleFile{fs: p, name: path.Base(name), r: r}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func isRoot(name string) bool { return name == "" || name == "." || name == "/" }

// Link takes in a file of a large set; where there are no links, Pebble copies it.
func (p pebbleFS) Link(from, to string) error {
	name, is := p.set(from)
	if l, ok := p.data.(blob.Linker); is && ok {
		return l.Link(name, p.dir, path.Base(to))
	}
	return errNotHere
}

func (p pebbleFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errNotHere
}

func (p pebbleFS) OpenDir(name string) (vfs.File, error) {
	return &pebbleFile{fs: p, name: name, isDir: true}, nil
}

// Remove leaves the files of large sets alone, which Pebble has taken in: they go when
// Pebble will not forget that in a crash.
func (p pebbleFS) Remove(name string) error {
	if _, is := p.set(name); is {
		return nil
	}
	return p.dir.Remove(path.Base(name))
}

func (p pebbleFS) RemoveAll(name string) error {
	err := p.dir.Remove(path.Base(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (p pebbleFS) Rename(from, to string) error { return p.dir.Rename(path.Base(from), path.Base(to)) }

func (p pebbleFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.dir.Remove(path.Base(from)); err != nil {
		return nil, err
	}
	return p.Create(to, c)
}

func (p pebbleFS) MkdirAll(string, os.FileMode) error { return nil }

// Lock does nothing: the data directory as a whole is locked.
func (p pebbleFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (p pebbleFS) List(string) ([]string, error) {
	infos, err := p.dir.List()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(infos))
	for i, in := range infos {
		names[i] = in.Name
	}
	return names, nil
}

func (p pebbleFS) Stat(name string) (vfs.FileInfo, error) {
	if isRoot(name) {
		return pebbleInfo{name: name, dir: true}, nil
	}
	f, err := p.dir.Open(path.Base(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return pebbleInfo{name: path.Base(name), size: f.Size()}, nil
}

func (p pebbleFS) PathBase(s string) string       { return path.Base(s) }
func (p pebbleFS) PathJoin(elem ...string) string { return path.Join(elem...) }
func (p pebbleFS) PathDir(s string) string        { return path.Dir(s) }
func (p pebbleFS) Unwrap() vfs.FS                 { return nil }

func (p pebbleFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

type pebbleInfo struct {
	name string
	size int64
	dir  bool
}

func (i pebbleInfo) Name() string           { return i.name }
func (i pebbleInfo) Size() int64            { return i.size }
func (i pebbleInfo) ModTime() time.Time     { return time.Time{} }
func (i pebbleInfo) IsDir() bool            { return i.dir }
func (i pebbleInfo) Sys() any               { return nil }
func (i pebbleInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i pebbleInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o700
	}
	return 0o600
}

// pebbleFile is an open file: w when it was created, r when it was opened.
type pebbleFile struct {
	fs    pebbleFS
	name  string
	isDir bool
	w     blob.Writer
	size  int64

	mu  sync.Mutex // of pos
	r   blob.File
	pos int64
}

func (f *pebbleFile) Close() error {
	switch {
	case f.w != nil:
		return f.w.Close()
	case f.r != nil:
		return f.r.Close()
	}
	return nil
}

func (f *pebbleFile) Read(b []byte) (int, error) {
	if f.r == nil {
		return 0, errNotHere
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.r.ReadAt(b, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *pebbleFile) ReadAt(b []byte, off int64) (int, error) {
	if f.r == nil {
		return 0, errNotHere
	}
	return f.r.ReadAt(b, off)
}

func (f *pebbleFile) Write(b []byte) (int, error) {
	if f.w == nil {
		return 0, errNotHere
	}
	n, err := f.w.Write(b)
	f.size += int64(n)
	return n, err
}

func (f *pebbleFile) WriteAt([]byte, int64) (int, error) { return 0, errNotHere }
func (f *pebbleFile) Preallocate(int64, int64) error     { return nil }
func (f *pebbleFile) Prefetch(int64, int64) error        { return nil }
func (f *pebbleFile) Fd() uintptr                        { return vfs.InvalidFd }

func (f *pebbleFile) Stat() (vfs.FileInfo, error) {
	switch {
	case f.w != nil:
		return pebbleInfo{name: f.name, size: f.size}, nil
	case f.r != nil:
		return pebbleInfo{name: f.name, size: f.r.Size()}, nil
	}
	return pebbleInfo{name: f.name, dir: true}, nil
}

func (f *pebbleFile) Sync() error {
	switch {
	case f.isDir:
		return f.fs.dir.Sync()
	case f.w != nil:
		return f.w.Sync()
	}
	return nil
}

func (f *pebbleFile) SyncData() error            { return f.Sync() }
func (f *pebbleFile) SyncTo(int64) (bool, error) { return false, nil }
