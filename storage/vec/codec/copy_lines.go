package codec

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

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
	if i := bytes.IndexByte(line, '\\'); i >= 0 && (r.o.Format == CopyText || len(line) == 2) {
		if line, err = r.endMarker(line, i); err != nil || r.done && len(line) == 0 {
			return nil, false, err
		}
	}
	if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
		return nil, false, r.where(types.CheckUTF8(line), "")
	}
	return line, true, nil
}

// endMarker looks for \. in a line whose first backslash is at i: alone or at the
// end of a line it ends the data (what stands before it still counts, in the
// text format), anywhere else it is an error.
func (r *CopyReader) endMarker(line []byte, i int) ([]byte, error) {
	for ; i+1 < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		i++
		if line[i] != '.' {
			continue
		}
		text := r.o.Format == CopyText
		if i+1 < len(line) || text && r.eof && r.pos == len(r.buf) && r.buf[r.pos-1] == '.' {
			if !text {
				return line, nil
			}
			return nil, r.where(badFile("end-of-copy marker corrupt"), "")
		}
		if text || i == 1 {
			r.done = true
			line = line[:i-1]
			if len(line) == 0 {
				r.line--
			}
		}
		return line, nil
	}
	return line, nil
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
	line := r.buf[r.pos:at]
	if n := len(line); n >= 2 && line[n-1] == '.' && backslashes(line[:n-1])&1 == 1 && r.o.Format == CopyText {
		return r.where(badFile("end-of-copy marker does not match previous newline style"), "")
	}
	name, esc := "carriage return", `\r`
	if c == '\n' {
		name, esc = "newline", `\n`
	}
	kind, hint := "literal", fmt.Sprintf("Use \"%s\" to represent %s.", esc, name)
	if r.o.Format == CopyCSV {
		kind, hint = "unquoted", fmt.Sprintf("Use quoted CSV field to represent %s.", name)
	}
	e := sqlstate.Errorf(sqlstate.BadCopyFileFormat, "%s %s found in data", kind, name).WithHint("%s", hint)
	return r.where(e, "")
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
