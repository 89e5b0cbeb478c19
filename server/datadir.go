package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// formatVersion is the version of the data directory's layout. It changes only
// when an older server could not read what a newer one wrote.
const formatVersion = 1

const (
	formatFile = "FORMAT"
	lockFile   = "LOCK"
)

// dataDir is a data directory held by this process.
type dataDir struct{ lock *os.File }

// lockDir makes the directory if it is missing, locks it against other processes
// and checks its format version.
func lockDir(path string) (*dataDir, error) {
	if path == "" {
		return nil, errors.New("no data directory given")
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(f.Name())
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another server (process %s)", path, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	d := &dataDir{lock: f}
	if err := d.begin(path); err != nil {
		return nil, errors.Join(err, d.unlock())
	}
	return d, nil
}

// begin checks or writes the format version and notes who holds the lock.
func (d *dataDir) begin(path string) error {
	if err := d.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	name := filepath.Join(path, formatFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		if err := mustBeNew(path); err != nil {
			return err
		}
		return writeFormat(path, name)
	}
	if err != nil {
		return err
	}
	v, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(text), "millrace data format ")))
	switch {
	case err != nil:
		return fmt.Errorf("%s is not a Millrace format file", name)
	case v > formatVersion:
		return fmt.Errorf("data directory %s has format %d; this server reads up to %d: use a newer server", path, v, formatVersion)
	case v < formatVersion:
		return fmt.Errorf("data directory %s has format %d; this server needs %d", path, v, formatVersion)
	}
	return nil
}

// mustBeNew refuses a directory that holds something else.
func mustBeNew(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); n != lockFile && n != "lost+found" && n != formatFile+".new" {
			return fmt.Errorf("%s is not empty and not a Millrace data directory: it has %s and no %s", path, n, formatFile)
		}
	}
	return nil
}

// writeFormat writes the version file and makes it durable.
func writeFormat(path, name string) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "millrace data format %d\n", formatVersion)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// unlock lets others have the directory. The lock file stays: removing it would
// let two processes lock two files of that name.
func (d *dataDir) unlock() error { return d.lock.Close() }
