package codec

import (
	"bytes"
	"fmt"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// CopyColumn is a column of a COPY.
type CopyColumn struct {
	Name string
	T    types.T
	// Default appends the column's default to a vector; nil when it has none.
	// It serves the DEFAULT option of COPY FROM.
	Default func(v *vec.Vec) error
}

// copyLineMax bounds a line or tuple.
const copyLineMax = 1<<30 - 1

type eol uint8

const (
	eolUnknown eol = iota
	eolNL
	eolCR
	eolCRNL
)

// A CopyReader turns the bytes of a COPY FROM into rows. Feed it chunks as they
// come, call Next until it asks for more, and Finish after the last chunk:
//
//	for each chunk {
//		r.Feed(chunk)
//		for {
//			full, err := r.Next(batch, vec.Size)
//			if !full { break }
//			… hand on the batch, reset it …
//		}
//	}
//	r.Finish()
//	… Next as before …
//
// Errors carry the line (and column) in Where. After an error the reader and the
// batch are of no further use.
type CopyReader struct {
	table  string
	cols   []CopyColumn
	o      CopyOptions
	app    []Appender
	null   []byte
	deflt  []byte
	buf    []byte // input not yet consumed is buf[pos:]
	pos    int
	scan   int // where the search for the end of the current line goes on
	quoted bool
	esc    bool // CSV with its own escape character: the last one was it
	eol    eol
	line   int // number of the current line, from 1
	header bool
	eof    bool // Finish was called
	done   bool // end marker seen
	signed bool // binary: signature and header read
	field  []byte
}

// NewCopyReader makes a reader for rows of these columns. table is the name for
// error contexts.
func NewCopyReader(table string, cols []CopyColumn, o CopyOptions, env *types.Env) (*CopyReader, error) {
	r := &CopyReader{table: table, cols: cols, o: o, null: []byte(o.Null), header: o.Header != HeaderNone}
	if err := r.o.resolve(cols, table); err != nil {
		return nil, err
	}
	if o.Default != nil {
		r.deflt = []byte(*o.Default)
	}
	r.app = make([]Appender, len(cols))
	for i, c := range cols {
		if o.Format == CopyBinary {
			r.app[i] = BinaryAppender(c.T, env)
		} else {
			r.app[i] = TextAppender(c.T, env)
		}
	}
	return r, nil
}

// Feed gives the reader more input, which it copies.
func (r *CopyReader) Feed(p []byte) {
	if r.pos > 0 {
		if r.pos == len(r.buf) {
			r.buf = r.buf[:0]
		} else {
			n := copy(r.buf, r.buf[r.pos:])
			r.buf = r.buf[:n]
		}
		r.scan -= r.pos
		r.pos = 0
	}
	r.buf = append(r.buf, p...)
}

// Finish says that there is no more input.
func (r *CopyReader) Finish() { r.eof = true }

// Lines is the number of lines (binary: tuples) read so far.
func (r *CopyReader) Lines() int { return r.line }

// Next appends rows to b until it has max rows (full) or the input is used up.
// The columns of b are flat and in the order of the reader's columns.
func (r *CopyReader) Next(b *vec.Batch, max int) (full bool, err error) {
	if r.o.Format == CopyBinary {
		return r.nextBinary(b, max)
	}
	for b.N < max {
		line, ok, err := r.nextLine()
		if err != nil {
			return false, err
		}
		if !ok {
			return false, nil
		}
		if r.header {
			r.header = false
			if r.o.Header == HeaderMatch {
				if err := r.matchHeader(line); err != nil {
					return false, err
				}
			}
			continue
		}
		if r.o.Format == CopyCSV {
			err = r.csvRow(b, line)
		} else {
			err = r.textRow(b, line)
		}
		if err != nil {
			return false, err
		}
		b.N++
	}
	return true, nil
}

// where gives an error its place; detail is what follows the line number.
func (r *CopyReader) where(err error, format string, args ...any) error {
	e := *sqlstate.From(err)
	w := fmt.Sprintf("COPY %s, line %d", r.table, r.line) + fmt.Sprintf(format, args...)
	if e.Where != "" {
		w = e.Where + "\n" + w
	}
	e.Where = w
	return &e
}

// clip cuts data for an error's context.
func clip(b []byte) string {
	if len(b) <= 100 {
		return string(b)
	}
	return string(types.ClipUTF8(b, 100)) + "..."
}

func (r *CopyReader) lineError(line []byte, format string, args ...any) error {
	return r.where(sqlstate.Errorf(sqlstate.BadCopyFileFormat, format, args...), ": \"%s\"", clip(line))
}

// matchHeader checks the names in the header line.
func (r *CopyReader) matchHeader(line []byte) error {
	var names [][]byte
	var nulls []bool
	for pos := 0; pos <= len(line); {
		var val []byte
		null := false
		if r.o.Format == CopyCSV {
			v, quoted, raw, next, err := r.csvField(line, pos)
			if err != nil {
				return err
			}
			val, null = bytes.Clone(v), !quoted && raw == len(r.null) && bytes.Equal(v, r.null)
			pos = next
		} else {
			end := index2(line, pos, r.o.Delimiter, '\\')
			raw, text := line[pos:end], line[pos:end]
			if end < len(line) && line[end] == '\\' {
				var err error
				if raw, text, end, err = r.unescape(line, pos, end); err != nil {
					return err
				}
			}
			val, null = bytes.Clone(text), bytes.Equal(raw, r.null)
			pos = end + 1
		}
		names, nulls = append(names, val), append(nulls, null)
	}
	if len(names) != len(r.cols) {
		return r.lineError(line, "wrong number of fields in header line: got %d, expected %d", len(names), len(r.cols))
	}
	for i, n := range names {
		if nulls[i] {
			return r.lineError(line, "column name mismatch in header line field %d: got null value (\"%s\"), expected \"%s\"",
				i+1, r.null, r.cols[i].Name)
		}
		if string(n) != r.cols[i].Name {
			return r.lineError(line, "column name mismatch in header line field %d: got \"%s\", expected \"%s\"",
				i+1, n, r.cols[i].Name)
		}
	}
	return nil
}
