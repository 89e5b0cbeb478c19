package codec

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// A CopyWriter turns rows into the bytes of a COPY TO.
type CopyWriter struct {
	cols []CopyColumn
	o    CopyOptions
	enc  []Encoder
	bare []bool // text of the column never needs quotes or escapes
	esc  [256]byte
	buf  []byte
}

// NewCopyWriter makes a writer for rows of these columns.
func NewCopyWriter(cols []CopyColumn, o CopyOptions, env *types.Env) (*CopyWriter, error) {
	w := &CopyWriter{cols: cols, o: o, enc: make([]Encoder, len(cols)), bare: make([]bool, len(cols))}
	if err := w.o.resolve(cols, ""); err != nil {
		return nil, err
	}
	// A delimiter that dates, numbers or words contain makes every field
	// suspect; so does a null text that could be one of them.
	safe := o.Delimiter == '\t' || o.Delimiter == ',' || o.Delimiter == '|' || o.Delimiter == ';'
	safe = safe && (o.Null == "" || o.Null == `\N`) && (o.Format == CopyText || o.Quote == '"')
	for i, c := range cols {
		if o.Format == CopyBinary {
			w.enc[i] = BinaryEncoder(c.T, env)
			continue
		}
		w.enc[i] = TextEncoder(c.T, env)
		w.bare[i] = safe && plainText(c.T) && !w.forceQuote(i)
	}
	for k, c := range map[byte]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\'} {
		w.esc[k] = c
	}
	w.esc[o.Delimiter] = o.Delimiter
	if o.Delimiter == '\t' {
		w.esc['\t'] = 't'
	}
	return w, nil
}

// plainText says whether the text of a type consists of digits, letters, signs,
// colons and spaces.
func plainText(t types.T) bool {
	switch t.Layout {
	case types.LayoutView:
		return t.OID == types.NumericOID
	case types.LayoutI32:
		return !types.IsReg(t.OID)
	}
	return true
}

func (w *CopyWriter) forceQuote(c int) bool {
	return w.o.ForceQuoteAll || w.o.forceQuoteFlag != nil && w.o.forceQuoteFlag[c]
}

// AppendHeader appends what comes before the rows: the header line, or the
// binary format's signature.
func (w *CopyWriter) AppendHeader(dst []byte) []byte {
	if w.o.Format == CopyBinary {
		dst = append(dst, copySignature...)
		return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if w.o.Header == HeaderNone {
		return dst
	}
	for i, c := range w.cols {
		if i > 0 {
			dst = append(dst, w.o.Delimiter)
		}
		if w.o.Format == CopyCSV {
			dst = w.appendCSV(dst, []byte(c.Name), false)
		} else {
			dst = w.appendEscaped(dst, []byte(c.Name))
		}
	}
	return append(dst, '\n')
}

// AppendTrailer appends what comes after the rows.
func (w *CopyWriter) AppendTrailer(dst []byte) []byte {
	if w.o.Format == CopyBinary {
		dst = append(dst, 0xff, 0xff)
	}
	return dst
}

// AppendRow appends physical row i of a batch.
func (w *CopyWriter) AppendRow(dst []byte, cols []*vec.Vec, i int) []byte {
	if w.o.Format == CopyBinary {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(cols)))
		for c, v := range cols {
			if v.IsNull(i) {
				dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32)
				continue
			}
			at := len(dst)
			dst = append(dst, 0, 0, 0, 0)
			dst = w.enc[c](dst, v, i)
			binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		}
		return dst
	}
	for c, v := range cols {
		if c > 0 {
			dst = append(dst, w.o.Delimiter)
		}
		switch {
		case v.IsNull(i):
			dst = append(dst, w.o.Null...)
		case w.bare[c]:
			dst = w.enc[c](dst, v, i)
		default:
			w.buf = w.enc[c](w.buf[:0], v, i)
			if w.o.Format == CopyCSV {
				dst = w.appendCSV(dst, w.buf, w.forceQuote(c))
			} else {
				dst = w.appendEscaped(dst, w.buf)
			}
		}
	}
	if cap(w.buf) > 1<<20 {
		w.buf = nil
	}
	return append(dst, '\n')
}

// appendEscaped appends a field in the text format.
func (w *CopyWriter) appendEscaped(dst, s []byte) []byte {
	run := 0
	for i, c := range s {
		if e := w.esc[c]; e != 0 {
			dst = append(dst, s[run:i]...)
			dst = append(dst, '\\', e)
			run = i + 1
		}
	}
	return append(dst, s[run:]...)
}

// appendCSV appends a field in the CSV format, quoted when it must be.
func (w *CopyWriter) appendCSV(dst, s []byte, force bool) []byte {
	quote := force || string(s) == w.o.Null || len(w.cols) == 1 && string(s) == `\.`
	if !quote {
		for _, c := range s {
			if c == w.o.Delimiter || c == w.o.Quote || c == '\n' || c == '\r' {
				quote = true
				break
			}
		}
	}
	if !quote {
		return append(dst, s...)
	}
	dst = append(dst, w.o.Quote)
	if bytes.IndexByte(s, w.o.Quote) < 0 && bytes.IndexByte(s, w.o.Escape) < 0 {
		dst = append(dst, s...)
	} else {
		for _, c := range s {
			if c == w.o.Quote || c == w.o.Escape {
				dst = append(dst, w.o.Escape)
			}
			dst = append(dst, c)
		}
	}
	return append(dst, w.o.Quote)
}
