package session

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
)

// COPY with a file on the server is for superusers: it reads and writes with the
// rights of the server's process.

// copyFile opens the file of a COPY, or gives two nils when it is for the client.
func (s *Session) copyFile(u *plan.Copy) (pgwire.CopySource, pgwire.CopySink, error) {
	if u.File == "" {
		return nil, nil, nil
	}
	if !s.user.Super {
		role, verb := "pg_write_server_files", "COPY to"
		if u.From {
			role, verb = "pg_read_server_files", "COPY from"
		}
		return nil, nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to %s a file", verb).
			WithDetail("Only roles with privileges of the \"%s\" role may %s a file.", role, verb).
			WithHint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")
	}
	if !u.From {
		if !filepath.IsAbs(u.File) {
			return nil, nil, sqlstate.Errorf(sqlstate.InvalidName, "relative path not allowed for COPY to file")
		}
		f, err := os.OpenFile(u.File, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return nil, nil, fileError(err, u.File, "writing").
				WithHint("COPY TO instructs the PostgreSQL server process to write a file. You may want a client-side facility such as psql's \\copy.")
		}
		return nil, &fileSink{f: f, w: bufio.NewWriterSize(f, 1<<16)}, nil
	}
	f, err := os.Open(u.File)
	if err != nil {
		return nil, nil, fileError(err, u.File, "reading").
			WithHint("COPY FROM instructs the PostgreSQL server process to read a file. You may want a client-side facility such as psql's \\copy.")
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		_ = f.Close()
		return nil, nil, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is a directory", u.File)
	}
	return &fileSource{f: f, buf: make([]byte, 1<<16)}, nil, nil
}

// fileError says what the system refused.
func fileError(err error, name, doing string) *sqlstate.Error {
	code := sqlstate.IOError
	why := err.Error()
	var no syscall.Errno
	if errors.As(err, &no) {
		why = no.Error()
		switch no {
		case syscall.ENOENT:
			code, why = sqlstate.UndefinedFile, "No such file or directory"
		case syscall.EACCES, syscall.EPERM:
			code, why = sqlstate.InsufficientPrivilege, "Permission denied"
		case syscall.EISDIR:
			code, why = sqlstate.WrongObjectType, "Is a directory"
		}
	}
	return sqlstate.Errorf(code, "could not open file \"%s\" for %s: %s", name, doing, why)
}

// fileSource reads the rows of COPY FROM out of a file.
type fileSource struct {
	f   *os.File
	buf []byte
}

// Next implements pgwire.CopySource.
func (s *fileSource) Next() ([]byte, error) {
	n, err := s.f.Read(s.buf)
	if n > 0 {
		return s.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return nil, sqlstate.Errorf(sqlstate.IOError, "could not read from COPY file: %s", err)
}

// fileSink writes the rows of COPY TO into a file.
type fileSink struct {
	f *os.File
	w *bufio.Writer
}

// Write implements pgwire.CopySink.
func (s *fileSink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	return n, writeError(err)
}

// Close implements pgwire.CopySink.
func (s *fileSink) Close() error {
	err := s.w.Flush()
	return writeError(errors.Join(err, s.f.Close()))
}

func writeError(err error) error {
	if err == nil {
		return nil
	}
	return sqlstate.Errorf(sqlstate.IOError, "could not write to COPY file: %s", err)
}
