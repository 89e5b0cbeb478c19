package codec

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

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
