package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Local is a directory of the operating system.
type Local struct{ path string }

// OpenLocal opens a directory, making it (and its parents) when it is missing.
func OpenLocal(path string) (*Local, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return &Local{path: path}, nil
}

// Path is the directory's path.
func (d *Local) Path() string { return d.path }

func (d *Local) join(name string) string { return filepath.Join(d.path, name) }

// Create implements Dir.
func (d *Local) Create(name string) (Writer, error) {
	f, err := os.OpenFile(d.join(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return &localWriter{f: f}, nil
}

// Open implements Dir.
func (d *Local) Open(name string) (File, error) {
	f, err := os.Open(d.join(name))
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &localFile{f: f, size: st.Size()}, nil
}

// Rename implements Dir.
func (d *Local) Rename(from, to string) error { return os.Rename(d.join(from), d.join(to)) }

// Link implements Linker.
func (d *Local) Link(name string, to Dir, as string) error {
	t, ok := to.(*Local)
	if !ok {
		return errors.ErrUnsupported
	}
	return os.Link(d.join(name), t.join(as))
}

// Remove implements Dir.
func (d *Local) Remove(name string) error { return os.Remove(d.join(name)) }

// Truncate implements Dir.
func (d *Local) Truncate(name string, size int64) error {
	f, err := os.OpenFile(d.join(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// List implements Dir.
func (d *Local) List() ([]Info, error) {
	es, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(es))
	for _, e := range es {
		in := Info{Name: e.Name(), Dir: e.IsDir()}
		if !in.Dir {
			st, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return nil, err
			}
			in.Size = st.Size()
		}
		out = append(out, in)
	}
	return out, nil
}

// Sync implements Dir.
func (d *Local) Sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Sub implements Dir.
func (d *Local) Sub(name string) (Dir, error) {
	p := d.join(name)
	err := os.Mkdir(p, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err == nil {
		if err := d.Sync(); err != nil {
			return nil, err
		}
	}
	return &Local{path: p}, nil
}

// Lock takes an exclusive lock on a file of this directory, which ends with the
// process or with Close. It fails at once when another process has it.
func (d *Local) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(d.join(name), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory %s is in use by another process: %w", d.path, err)
	}
	return f, nil
}

type localWriter struct {
	f        *os.File
	size     int64 // written
	reserved int64 // the file's size, if that is more
}

func (w *localWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.size += int64(n)
	return n, err
}

func (w *localWriter) Close() error { return w.f.Close() }

var zeros [256 << 10]byte

// Reserve implements Reserver.
func (w *localWriter) Reserve(n int64) error {
	w.reserved = max(w.reserved, w.size)
	for n > 0 {
		k, err := w.f.WriteAt(zeros[:min(n, int64(len(zeros)))], w.reserved)
		w.reserved += int64(k)
		n -= int64(k)
		if err != nil {
			return err
		}
	}
	return nil
}

// Trim implements Reserver.
func (w *localWriter) Trim() error {
	if w.reserved <= w.size {
		return nil
	}
	if err := w.f.Truncate(w.size); err != nil {
		return err
	}
	w.reserved = 0
	return w.f.Sync()
}

func (w *localWriter) Sync() error {
	for {
		err := unix.Fdatasync(int(w.f.Fd()))
		if err != unix.EINTR {
			if err != nil {
				return &fs.PathError{Op: "fdatasync", Path: w.f.Name(), Err: err}
			}
			return nil
		}
	}
}

type localFile struct {
	f    *os.File
	size int64
	mu   sync.Mutex
	m    []byte
}

func (f *localFile) ReadAt(b []byte, off int64) (int, error) { return f.f.ReadAt(b, off) }
func (f *localFile) Size() int64                             { return f.size }

// Map implements Mapper.
func (f *localFile) Map() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m != nil || f.size == 0 {
		return f.m, nil
	}
	m, err := unix.Mmap(int(f.f.Fd()), 0, int(f.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: f.f.Name(), Err: err}
	}
	f.m = m
	return m, nil
}

func (f *localFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.m != nil {
		err = unix.Munmap(f.m)
		f.m = nil
	}
	return errors.Join(err, f.f.Close())
}
