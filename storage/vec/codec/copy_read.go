package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

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
	if err := r.o.resolve(cols); err != nil {
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

// nextLine cuts the next line from the buffer, without its end; ok is false
// when more input is needed or there is none. The line counter moves on.
func (r *CopyReader) nextLine() (line []byte, ok bool, err error) {
	if r.done {
		r.pos, r.scan = len(r.buf), len(r.buf)
		return nil, false, nil
	}
	end, next, ok, err := r.findEnd()
	if err != nil || !ok {
		return nil, false, err
	}
	line = r.buf[r.pos:end]
	r.pos, r.scan = next, next
	r.quoted, r.esc = false, false
	r.line++
	if n := len(line); n >= 2 && line[n-1] == '.' && line[n-2] == '\\' {
		if n == 2 {
			r.done = true
			r.line--
			return nil, false, nil
		}
		if r.o.Format == CopyText && backslashes(line[:n-1])&1 == 1 {
			r.done = true // what stands before the marker still counts
			line = line[:n-2]
		}
	}
	if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
		return nil, false, r.where(types.CheckUTF8(line), "")
	}
	return line, true, nil
}

// backslashes is the number of backslashes at the end of b.
func backslashes(b []byte) int {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n
}

// findEnd finds the end of the line that starts at pos and the start of the one
// behind it.
func (r *CopyReader) findEnd() (end, next int, ok bool, err error) {
	mark := byte('\n')
	for {
		rest := r.buf[r.scan:]
		var i int
		switch r.eol {
		case eolUnknown:
			i = bytes.IndexByte(rest, '\n')
			if j := bytes.IndexByte(rest[:max(i, 0)], '\r'); j >= 0 {
				i = j
			} else if i < 0 {
				i = bytes.IndexByte(rest, '\r')
			}
			if i >= 0 {
				mark = rest[i]
			}
		case eolCR:
			mark = '\r'
			i = bytes.IndexByte(rest, mark)
		default:
			i = bytes.IndexByte(rest, mark)
		}
		if i < 0 {
			r.track(rest)
			r.scan = len(r.buf)
			if len(r.buf)-r.pos > copyLineMax {
				return 0, 0, false, r.where(sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "COPY line is longer than %d bytes", copyLineMax), "")
			}
			if r.eof && r.pos < len(r.buf) {
				return len(r.buf), len(r.buf), true, nil
			}
			return 0, 0, false, nil
		}
		at := r.scan + i
		if mark == '\r' && r.eol == eolUnknown && at+1 == len(r.buf) && !r.eof {
			return 0, 0, false, nil // CR or CR LF: the next byte says
		}
		if r.o.Format == CopyCSV {
			r.track(rest[:i])
			if r.quoted {
				if r.eol == eolNL && mark == '\n' || r.eol != eolNL && mark == '\r' {
					r.line++
				}
				r.esc = false
				r.scan = at + 1
				continue
			}
		} else if backslashes(r.buf[r.pos:at])&1 == 1 {
			r.scan = at + 1 // an escaped line end is data
			continue
		}
		end, next = at, at+1
		switch {
		case r.eol == eolUnknown && mark == '\n':
			r.eol = eolNL
		case r.eol == eolUnknown && next < len(r.buf) && r.buf[next] == '\n':
			r.eol = eolCRNL
			next++
		case r.eol == eolUnknown:
			r.eol = eolCR
		case r.eol == eolCRNL:
			if at == r.pos || r.buf[at-1] != '\r' {
				return 0, 0, false, r.strayEOL('\n', at)
			}
			end--
		}
		return end, next, true, r.checkStray(r.buf[r.pos:end])
	}
}

// checkStray fails when a line holds an end of line of another kind, outside
// quotes and escapes.
func (r *CopyReader) checkStray(line []byte) error {
	other := byte('\r')
	if r.eol == eolCR {
		other = '\n'
	}
	i := bytes.IndexByte(line, other)
	if i < 0 {
		return nil
	}
	if r.o.Format == CopyCSV {
		q, esc := false, false
		for k, c := range line {
			if c == other && !q {
				return r.strayEOL(other, r.pos+k)
			}
			q, esc = r.step(c, q, esc)
		}
		return nil
	}
	for ; i < len(line); i++ {
		if line[i] == other && backslashes(line[:i])&1 == 0 {
			return r.strayEOL(other, r.pos+i)
		}
	}
	return nil
}

func (r *CopyReader) strayEOL(c byte, at int) error {
	r.line++
	name, esc := "carriage return", `\r`
	if c == '\n' {
		name, esc = "newline", `\n`
	}
	kind, hint := "literal", fmt.Sprintf("Use \"%s\" to represent %s.", esc, name)
	if r.o.Format == CopyCSV {
		kind, hint = "unquoted", fmt.Sprintf("Use quoted CSV field to represent %s.", name)
	}
	e := sqlstate.Errorf(sqlstate.BadCopyFileFormat, "%s %s found in data", kind, name).WithHint("%s", hint)
	return r.where(e, ": \"%s\"", clip(r.buf[r.pos:at]))
}

// track follows the CSV quotes over b.
func (r *CopyReader) track(b []byte) {
	if r.o.Format != CopyCSV {
		return
	}
	if r.o.Escape == r.o.Quote {
		if bytes.IndexByte(b, r.o.Quote) >= 0 && bytes.Count(b, []byte{r.o.Quote})&1 == 1 {
			r.quoted = !r.quoted
		}
		return
	}
	for _, c := range b {
		r.quoted, r.esc = r.step(c, r.quoted, r.esc)
	}
}

// step is the quote state behind byte c.
func (r *CopyReader) step(c byte, quoted, esc bool) (bool, bool) {
	if r.o.Escape == r.o.Quote {
		return quoted != (c == r.o.Quote), false
	}
	if quoted && c == r.o.Escape {
		esc = !esc
	}
	if c == r.o.Quote && !esc {
		quoted = !quoted
	}
	if c != r.o.Escape {
		esc = false
	}
	return quoted, esc
}

const (
	swarLow  = 0x0101010101010101
	swarHigh = 0x8080808080808080
)

// index2 is the first position at or behind i of byte x or y in b, len(b) when
// there is none. Eight bytes at a time: fields are short, calls dear.
func index2(b []byte, i int, x, y byte) int {
	xs, ys := uint64(x)*swarLow, uint64(y)*swarLow
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		p, q := w^xs, w^ys
		if m := ((p-swarLow)&^p | (q-swarLow)&^q) & swarHigh; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == x || c == y {
			break
		}
	}
	return i
}

// textRow appends the row of a line in the text format.
func (r *CopyReader) textRow(b *vec.Batch, line []byte) error {
	delim := r.o.Delimiter
	pos := 0
	n := len(r.cols)
	for c := 0; c < n; c++ {
		if pos > len(line) {
			return r.lineError(line, "missing data for column \"%s\"", r.cols[c].Name)
		}
		start := pos
		pos = index2(line, pos, delim, '\\')
		val := line[start:pos]
		v := b.Cols[c]
		if pos < len(line) && line[pos] == '\\' {
			raw, text, end, err := r.unescape(line, start, pos)
			if err != nil {
				return err
			}
			pos = end + 1
			if bytes.Equal(raw, r.null) {
				v.AppendNull()
				continue
			}
			if r.deflt != nil && bytes.Equal(raw, r.deflt) {
				if err := r.putDefault(v, c); err != nil {
					return err
				}
				continue
			}
			val = text
		} else {
			pos++
			if len(val) == len(r.null) && bytes.Equal(val, r.null) {
				v.AppendNull()
				continue
			}
			if r.deflt != nil && bytes.Equal(val, r.deflt) {
				if err := r.putDefault(v, c); err != nil {
					return err
				}
				continue
			}
		}
		if err := r.app[c](v, val); err != nil {
			if pos <= len(line) && r.textFields(line[pos:]) > n-c-1 {
				return r.lineError(line, "extra data after last expected column")
			}
			return r.columnError(err, c, val)
		}
	}
	if pos <= len(line) && (n > 0 || len(line) > 0) {
		return r.lineError(line, "extra data after last expected column")
	}
	return nil
}

func (r *CopyReader) columnError(err error, c int, val []byte) error {
	return r.where(err, ", column %s: \"%s\"", r.cols[c].Name, clip(val))
}

// textFields is the number of fields in the rest of a line.
func (r *CopyReader) textFields(rest []byte) int {
	n := 1
	for i := 0; ; i++ {
		if i = index2(rest, i, r.o.Delimiter, '\\'); i >= len(rest) {
			return n
		}
		if rest[i] == '\\' {
			i++
		} else {
			n++
		}
	}
}

func (r *CopyReader) putDefault(v *vec.Vec, c int) error {
	if r.cols[c].Default == nil {
		e := sqlstate.Errorf(sqlstate.BadCopyFileFormat, "unexpected default marker in COPY data").
			WithDetail("Column \"%s\" has no default value.", r.cols[c].Name)
		return r.where(e, ", column %s: \"%s\"", r.cols[c].Name, clip(r.deflt))
	}
	if err := r.cols[c].Default(v); err != nil {
		return r.where(err, ", column %s", r.cols[c].Name)
	}
	return nil
}

// unescape decodes the field that starts at start and has its first backslash at
// pos. raw is the field as written, end the position of its delimiter.
func (r *CopyReader) unescape(line []byte, start, pos int) (raw, text []byte, end int, err error) {
	out := append(r.field[:0], line[start:pos]...)
	high := false
	for pos < len(line) && line[pos] != r.o.Delimiter {
		c := line[pos]
		if c != '\\' {
			next := index2(line, pos, r.o.Delimiter, '\\')
			out = append(out, line[pos:next]...)
			pos = next
			continue
		}
		pos++
		if pos == len(line) {
			break
		}
		c = line[pos]
		pos++
		switch c {
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := c - '0'
			for k := 0; k < 2 && pos < len(line) && line[pos]-'0' < 8; k++ {
				v = v<<3 | (line[pos] - '0')
				pos++
			}
			high = high || v >= 0x80 || v == 0
			c = v
		case 'x':
			v, k := 0, 0
			for k < 2 && pos < len(line) {
				h := hexDigit(line[pos])
				if h < 0 {
					break
				}
				v = v<<4 | h
				pos++
				k++
			}
			if k > 0 {
				c = byte(v)
				high = high || c >= 0x80 || c == 0
			}
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '.':
			return nil, nil, 0, r.lineError(line, "end-of-copy marker corrupt")
		}
		out = append(out, c)
	}
	r.field = keep(out)[:0]
	if high {
		if err := types.CheckUTF8(out); err != nil {
			return nil, nil, 0, r.where(err, ": \"%s\"", clip(line))
		}
	}
	return line[start:pos], out, pos, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// csvField reads the field at pos: its text, whether it was quoted, how long it
// is as written, and where the next begins (behind the line's end + 1 when it is
// the last).
func (r *CopyReader) csvField(line []byte, pos int) (text []byte, quoted bool, raw, next int, err error) {
	delim, quote := r.o.Delimiter, r.o.Quote
	start := pos
	if pos < len(line) && line[pos] == quote && r.o.Escape == quote {
		// The usual quoted field: no quotes inside, nothing around.
		if i := bytes.IndexByte(line[pos+1:], quote); i >= 0 {
			e := pos + 1 + i
			if e+1 == len(line) || line[e+1] == delim {
				return line[pos+1 : e], true, e + 1 - start, e + 2, nil
			}
		}
	} else {
		pos = index2(line, pos, delim, quote)
		if pos == len(line) || line[pos] == delim {
			return line[start:pos], false, pos - start, pos + 1, nil
		}
	}
	out := append(r.field[:0], line[start:pos]...)
	for pos < len(line) && line[pos] != delim {
		c := line[pos]
		pos++
		if c != quote {
			out = append(out, c)
			continue
		}
		quoted = true
		closed := false
		for pos < len(line) {
			c := line[pos]
			pos++
			if c == r.o.Escape && pos < len(line) && (line[pos] == r.o.Escape || line[pos] == quote) {
				out = append(out, line[pos])
				pos++
				continue
			}
			if c == quote {
				closed = true
				break
			}
			out = append(out, c)
		}
		if !closed {
			return nil, false, 0, 0, r.lineError(line, "unterminated CSV quoted field")
		}
	}
	r.field = keep(out)[:0]
	return out, quoted, pos - start, pos + 1, nil
}

// csvRow appends the row of a line in the CSV format.
func (r *CopyReader) csvRow(b *vec.Batch, line []byte) error {
	pos := 0
	n := len(r.cols)
	for c := 0; c < n; c++ {
		if pos > len(line) {
			return r.lineError(line, "missing data for column \"%s\"", r.cols[c].Name)
		}
		val, quoted, raw, next, err := r.csvField(line, pos)
		if err != nil {
			return err
		}
		pos = next
		v := b.Cols[c]
		null := !quoted && raw == len(r.null) && bytes.Equal(val, r.null)
		if null && r.o.forceNotNullFlag != nil && r.o.forceNotNullFlag[c] {
			null = false
		} else if !null && r.o.forceNullFlag != nil && r.o.forceNullFlag[c] && bytes.Equal(val, r.null) {
			null = true
		}
		if null {
			v.AppendNull()
			continue
		}
		if r.deflt != nil && !quoted && bytes.Equal(val, r.deflt) {
			if err := r.putDefault(v, c); err != nil {
				return err
			}
			continue
		}
		if err := r.app[c](v, val); err != nil {
			err = r.columnError(err, c, val) // before the scratch space is used again
			for k := c + 1; pos <= len(line); k++ {
				if k == n {
					return r.lineError(line, "extra data after last expected column")
				}
				if _, _, _, pos, _ = r.csvField(line, pos); pos == 0 {
					break
				}
			}
			return err
		}
	}
	if pos <= len(line) && (n > 0 || len(line) > 0) {
		return r.lineError(line, "extra data after last expected column")
	}
	return nil
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
