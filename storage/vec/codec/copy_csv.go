package codec

import (
	"bytes"

	"github.com/millrace/millrace/storage/vec"
)

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
				var bad error
				if _, _, _, pos, bad = r.csvField(line, pos); bad != nil {
					return bad // the line is split before its values are read
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
