package types

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// The form of an array, little-endian:
//
//	uint32  element OID
//	byte    number of dimensions (0: empty array, which ends here)
//	byte    1 when there are nulls
//	per dimension: int32 length, int32 lower bound
//	nulls   one bit per element, set for null (only with the flag)
//	fixed-width elements: the values, zero under nulls
//	others: uint32 end of each element, then their bytes in their own forms
//
// Elements are in row-major order. A numeric element has the variable form,
// whatever the declared precision.

// Array is an array value in its form.
type Array []byte

// ArrayDim is one dimension: its length and its first subscript.
type ArrayDim struct{ Len, Lower int32 }

const (
	arrayDimsMax  = 6
	arrayElemsMax = 134217727 // PostgreSQL's MaxArraySize on 64 bits
)

// elemType is the type that elements have inside arrays and records.
func elemType(oid uint32, mod int32) T {
	t := Of(oid, mod)
	if oid == NumericOID {
		t.Layout, t.Scale = LayoutView, 0
	}
	return t
}

// ElemType is the type that elements of an array (or fields of a record) of
// this OID have: its natural layout, except that numeric is always in the
// variable form.
func ElemType(oid uint32) T { return elemType(oid, -1) }

// fixedWidth is the width of a layout inside arrays and records, 0 if variable.
func fixedWidth(l Layout) int {
	switch l {
	case LayoutBool:
		return 1
	case LayoutI16:
		return 2
	case LayoutI32, LayoutF32:
		return 4
	case LayoutI64, LayoutF64:
		return 8
	case LayoutFixed16, LayoutI128:
		return 16
	}
	return 0
}

// appendElem appends a value as arrays and records hold it.
func appendElem(dst []byte, t T, d Datum) []byte {
	switch t.Layout {
	case LayoutBool:
		return append(dst, byte(d.I))
	case LayoutI16:
		return binary.LittleEndian.AppendUint16(dst, uint16(d.I))
	case LayoutI32:
		return binary.LittleEndian.AppendUint32(dst, uint32(d.I))
	case LayoutI64:
		return binary.LittleEndian.AppendUint64(dst, uint64(d.I))
	case LayoutF32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(d.F)))
	case LayoutF64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(d.F))
	case LayoutFixed16:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(d.I))
		return binary.LittleEndian.AppendUint64(dst, uint64(d.H))
	}
	return append(dst, d.S...)
}

// elemDatum is the value that appendElem wrote. A view's S aliases b.
func elemDatum(t T, b []byte) Datum {
	switch t.Layout {
	case LayoutBool:
		return NewBool(b[0] != 0)
	case LayoutI16:
		return NewInt(int64(int16(binary.LittleEndian.Uint16(b))))
	case LayoutI32:
		v := binary.LittleEndian.Uint32(b)
		if UnsignedI32(t.OID) {
			return NewInt(int64(v))
		}
		return NewInt(int64(int32(v)))
	case LayoutI64:
		return NewInt(int64(binary.LittleEndian.Uint64(b)))
	case LayoutF32:
		return NewFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	case LayoutF64:
		return NewFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case LayoutFixed16:
		return NewFixed16(Fixed16{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))})
	}
	return NewString(stringOf(b))
}

// ElemOID is the type of the elements.
func (a Array) ElemOID() uint32 { return binary.LittleEndian.Uint32(a) }

// NDim is the number of dimensions; 0 for an empty array.
func (a Array) NDim() int { return int(a[4]) }

// Dim is dimension i, from 0.
func (a Array) Dim(i int) ArrayDim {
	b := a[6+8*i:]
	return ArrayDim{int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:]))}
}

// Len is the number of elements in all dimensions.
func (a Array) Len() int {
	if a[4] == 0 {
		return 0
	}
	n := 1
	for i := 0; i < int(a[4]); i++ {
		n *= int(a.Dim(i).Len)
	}
	return n
}

// HasNulls says whether an element is null.
func (a Array) HasNulls() bool { return a[4] != 0 && a[5]&1 != 0 }

// An ArrayReader gives access to an array's elements by index.
type ArrayReader struct {
	T     T
	N     int
	width int
	nulls []byte
	ends  []byte
	data  []byte
}

// Reader opens the array's elements.
func (a Array) Reader() ArrayReader {
	r := ArrayReader{T: ElemType(a.ElemOID())}
	r.width = fixedWidth(r.T.Layout)
	if a[4] == 0 {
		return r
	}
	r.N = a.Len()
	b := []byte(a[6+8*int(a[4]):])
	if a[5]&1 != 0 {
		k := (r.N + 7) / 8
		r.nulls, b = b[:k], b[k:]
	}
	if r.width == 0 {
		r.ends, b = b[:4*r.N], b[4*r.N:]
	}
	r.data = b
	return r
}

// IsNull says whether element i is null.
func (r *ArrayReader) IsNull(i int) bool { return r.nulls != nil && r.nulls[i>>3]>>(i&7)&1 != 0 }

// Bytes is element i as the array holds it: for types of LayoutView, its form.
func (r *ArrayReader) Bytes(i int) []byte {
	if r.width > 0 {
		return r.data[i*r.width : (i+1)*r.width]
	}
	from := uint32(0)
	if i > 0 {
		from = binary.LittleEndian.Uint32(r.ends[4*(i-1):])
	}
	to := binary.LittleEndian.Uint32(r.ends[4*i:])
	return r.data[from:to:to]
}

// Datum is element i. A string aliases the array.
func (r *ArrayReader) Datum(i int) Datum {
	if r.IsNull(i) {
		return Null
	}
	return elemDatum(r.T, r.Bytes(i))
}

// An ArrayBuilder collects elements in row-major order. Reset it with the
// element's type first.
type ArrayBuilder struct {
	t     T
	n     int
	nulls []byte
	any   bool
	ends  []byte
	data  []byte
}

// Reset empties the builder for elements of this OID.
func (b *ArrayBuilder) Reset(oid uint32) {
	b.t, b.n, b.any = ElemType(oid), 0, false
	b.nulls, b.ends, b.data = b.nulls[:0], b.ends[:0], b.data[:0]
}

// T is the type that Append takes: numeric in the variable form.
func (b *ArrayBuilder) T() T { return b.t }

// Len is the number of elements so far.
func (b *ArrayBuilder) Len() int { return b.n }

// Append appends an element or NULL.
func (b *ArrayBuilder) Append(d Datum) {
	b.bit(!d.Valid)
	if d.Valid {
		b.data = appendElem(b.data, b.t, d)
	} else {
		for k := fixedWidth(b.t.Layout); k > 0; k-- {
			b.data = append(b.data, 0)
		}
	}
	b.end()
}

// AppendBytes appends an element as the array holds it: for types of LayoutView,
// its form.
func (b *ArrayBuilder) AppendBytes(v []byte) {
	b.bit(false)
	b.data = append(b.data, v...)
	b.end()
}

func (b *ArrayBuilder) bit(null bool) {
	if b.n&7 == 0 {
		b.nulls = append(b.nulls, 0)
	}
	if null {
		b.any = true
		b.nulls[b.n>>3] |= 1 << (b.n & 7)
	}
	b.n++
}

func (b *ArrayBuilder) end() {
	if fixedWidth(b.t.Layout) == 0 {
		b.ends = binary.LittleEndian.AppendUint32(b.ends, uint32(len(b.data)))
	}
}

// Finish appends the array's form with these dimensions, whose lengths multiply
// to Len. No dimensions means one that starts at 1; no elements an empty array.
func (b *ArrayBuilder) Finish(dst []byte, dims ...ArrayDim) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, b.t.OID)
	if b.n == 0 {
		return append(dst, 0, 0)
	}
	nd := max(len(dims), 1)
	flag := byte(0)
	if b.any {
		flag = 1
	}
	dst = append(dst, byte(nd), flag)
	if len(dims) == 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(b.n))
		dst = binary.LittleEndian.AppendUint32(dst, 1)
	}
	for _, d := range dims {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Len))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Lower))
	}
	if b.any {
		dst = append(dst, b.nulls...)
	}
	dst = append(dst, b.ends...)
	return append(dst, b.data...)
}

// EmptyArray is the form of an empty array.
func EmptyArray(elem uint32) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, elem), 0, 0)
}

func badArray(s []byte, detail string, args ...any) error {
	e := sqlstate.Errorf(sqlstate.InvalidTextRepresentation, "malformed array literal: \"%s\"", s)
	if detail == "" {
		return e
	}
	return e.WithDetail(detail, args...)
}

func tooManyDims(n int) error {
	return sqlstate.Errorf(sqlstate.ProgramLimitExceeded,
		"number of array dimensions (%d) exceeds the maximum allowed (%d)", n, arrayDimsMax)
}

func arrayTooLarge() error {
	return sqlstate.Errorf(sqlstate.ProgramLimitExceeded,
		"array size exceeds the maximum allowed (%d)", arrayElemsMax)
}

// ParseArray appends the form of the array that s spells; elem is the element's
// type with the array's typmod.
func ParseArray(dst []byte, elem T, s []byte, env *Env) ([]byte, error) {
	var b ArrayBuilder
	b.Reset(elem.OID)
	p := arrayParser{s: s, b: &b, t: elemType(elem.OID, elem.Mod), env: env}
	dims, err := p.parse()
	if err != nil {
		return dst, err
	}
	return b.Finish(dst, dims...), nil
}

type arrayParser struct {
	s    []byte
	i    int
	b    *ArrayBuilder
	t    T
	env  *Env
	ndim int // -1 until the first element says it
	lens [arrayDimsMax]int32
	text []byte
	form []byte
}

func (p *arrayParser) space() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func (p *arrayParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *arrayParser) parse() ([]ArrayDim, error) {
	var given []ArrayDim
	p.space()
	for p.peek() == '[' {
		d, err := p.bounds()
		if err != nil {
			return nil, err
		}
		if len(given) == arrayDimsMax {
			return nil, tooManyDims(len(given) + 1)
		}
		given = append(given, d)
		p.space()
	}
	if given != nil {
		if p.peek() != '=' {
			return nil, badArray(p.s, "Missing \"%s\" after array dimensions.", "=")
		}
		p.i++
		p.space()
		if p.peek() != '{' {
			return nil, badArray(p.s, "Array contents must start with \"{\".")
		}
	}
	if p.peek() != '{' {
		return nil, badArray(p.s, "Array value must start with \"{\" or dimension information.")
	}
	p.ndim = -1
	if err := p.list(0); err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(p.s) {
		return nil, badArray(p.s, "Junk after closing right brace.")
	}
	if p.b.n == 0 {
		if given != nil {
			return nil, badArray(p.s, "Specified array dimensions do not match array contents.")
		}
		return nil, nil
	}
	dims := make([]ArrayDim, p.ndim)
	for i := range dims {
		dims[i] = ArrayDim{p.lens[i], 1}
	}
	if given != nil {
		if len(given) != len(dims) {
			return nil, badArray(p.s, "Specified array dimensions do not match array contents.")
		}
		for i := range dims {
			if given[i].Len != dims[i].Len {
				return nil, badArray(p.s, "Specified array dimensions do not match array contents.")
			}
			dims[i].Lower = given[i].Lower
		}
	}
	return dims, nil
}

// bounds reads [n] or [m:n].
func (p *arrayParser) bounds() (ArrayDim, error) {
	p.i++
	p.space()
	number := func() (int64, error) {
		start := p.i
		if c := p.peek(); c == '-' || c == '+' {
			p.i++
		}
		for isDigit(p.peek()) {
			p.i++
		}
		if p.i == start {
			return 0, badArray(p.s, "\"[\" must introduce explicitly-specified array dimensions.")
		}
		v, _ := strconv.ParseInt(stringOf(p.s[start:p.i]), 10, 64)
		return int64(int32(v)), nil // wraps, as C's atoi does
	}
	lower := int64(1)
	upper, err := number()
	if err != nil {
		return ArrayDim{}, err
	}
	p.space()
	if p.peek() == ':' {
		p.i++
		p.space()
		lower = upper
		if !isDigit(p.peek()) && p.peek() != '-' && p.peek() != '+' {
			return ArrayDim{}, badArray(p.s, "Missing array dimension value.")
		}
		if upper, err = number(); err != nil {
			return ArrayDim{}, err
		}
		p.space()
	}
	if p.peek() != ']' {
		return ArrayDim{}, badArray(p.s, "Missing \"%s\" after array dimensions.", "]")
	}
	p.i++
	if upper < lower {
		return ArrayDim{}, sqlstate.Errorf(sqlstate.ArraySubscriptError, "upper bound cannot be less than lower bound")
	}
	if n := upper - lower + 1; n > arrayElemsMax {
		return ArrayDim{}, arrayTooLarge()
	}
	return ArrayDim{int32(upper - lower + 1), int32(lower)}, nil
}

// list reads a brace-enclosed list at a depth.
func (p *arrayParser) list(depth int) error {
	if depth >= arrayDimsMax {
		return tooManyDims(depth + 1)
	}
	p.i++
	p.space()
	n := int32(0)
	if p.peek() == '}' {
		if depth > 0 {
			return badArray(p.s, "Unexpected \"%c\" character.", '}')
		}
		p.i++
		return nil
	}
	lists, elems := false, false
	for {
		p.space()
		if p.i == len(p.s) {
			return badArray(p.s, "Unexpected end of input.")
		}
		switch c := p.s[p.i]; c {
		case '{':
			if elems {
				return badArray(p.s, "Unexpected \"%c\" character.", c)
			}
			lists = true
			if p.ndim >= 0 && depth+1 >= p.ndim {
				return badArray(p.s, "Multidimensional arrays must have sub-arrays with matching dimensions.")
			}
			if err := p.list(depth + 1); err != nil {
				return err
			}
		case '}', ',':
			return badArray(p.s, "Unexpected \"%c\" character.", c)
		default:
			if lists {
				return badArray(p.s, "Unexpected array element.")
			}
			elems = true
			if p.ndim < 0 {
				p.ndim = depth + 1
				for k := range p.lens {
					p.lens[k] = -1
				}
			} else if p.ndim != depth+1 {
				return badArray(p.s, "Multidimensional arrays must have sub-arrays with matching dimensions.")
			}
			if err := p.element(); err != nil {
				return err
			}
		}
		n++
		p.space()
		switch p.peek() {
		case ',':
			p.i++
			continue
		case '}':
			p.i++
			return p.count(depth, n)
		}
		if p.i == len(p.s) {
			return badArray(p.s, "Unexpected end of input.")
		}
		if p.peek() == '{' {
			return badArray(p.s, "Unexpected \"%c\" character.", '{')
		}
		return badArray(p.s, "Unexpected array element.")
	}
}

// count notes that a list at a depth had n members.
func (p *arrayParser) count(depth int, n int32) error {
	if p.lens[depth] >= 0 && p.lens[depth] != n {
		return badArray(p.s, "Multidimensional arrays must have sub-arrays with matching dimensions.")
	}
	p.lens[depth] = n
	return nil
}

// element reads one element and appends it.
func (p *arrayParser) element() error {
	text := p.text[:0]
	if p.s[p.i] == '"' {
		p.i++
		for {
			if p.i == len(p.s) {
				return badArray(p.s, "Unexpected end of input.")
			}
			c := p.s[p.i]
			p.i++
			if c == '"' {
				break
			}
			if c == '\\' {
				if p.i == len(p.s) {
					return badArray(p.s, "Unexpected end of input.")
				}
				c = p.s[p.i]
				p.i++
			}
			text = append(text, c)
		}
		p.space()
		if c := p.peek(); p.i < len(p.s) && c != ',' && c != '}' {
			if c == '{' {
				return badArray(p.s, "Unexpected \"%c\" character.", c)
			}
			return badArray(p.s, "Unexpected array element.")
		}
	} else {
		keep := 0 // trailing white space goes unless escaped
		escaped := false
	loop:
		for p.i < len(p.s) {
			c := p.s[p.i]
			switch c {
			case ',', '}':
				break loop
			case '{':
				return badArray(p.s, "Unexpected \"%c\" character.", c)
			case '"':
				return badArray(p.s, "Unexpected array element.")
			case '\\':
				p.i++
				if p.i == len(p.s) {
					return badArray(p.s, "Unexpected end of input.")
				}
				text = append(text, p.s[p.i])
				keep = len(text)
				escaped = true
			default:
				text = append(text, c)
				if !isSpace(c) {
					keep = len(text)
				}
			}
			p.i++
		}
		text = text[:keep]
		if !escaped && foldEqual(text, "null") {
			p.text = text
			p.b.Append(Null)
			return p.tooMany()
		}
	}
	p.text = text
	if p.t.Layout == LayoutView {
		form, err := ParseView(p.form[:0], p.t, text, p.env)
		if err != nil {
			return err
		}
		p.form = form
		p.b.AppendBytes(form)
	} else {
		d, err := ParseText(p.t, stringOf(text), p.env)
		if err != nil {
			return err
		}
		p.b.Append(d)
	}
	return p.tooMany()
}

func (p *arrayParser) tooMany() error {
	if p.b.n > arrayElemsMax {
		return arrayTooLarge()
	}
	return nil
}

// AppendArray appends the text of an array.
func AppendArray(dst, form []byte, env *Env) []byte {
	a := Array(form)
	nd := a.NDim()
	if nd == 0 {
		return append(dst, '{', '}')
	}
	explicit := false
	for i := 0; i < nd; i++ {
		explicit = explicit || a.Dim(i).Lower != 1
	}
	if explicit {
		for i := 0; i < nd; i++ {
			d := a.Dim(i)
			dst = strconv.AppendInt(append(dst, '['), int64(d.Lower), 10)
			dst = strconv.AppendInt(append(dst, ':'), int64(d.Lower)+int64(d.Len)-1, 10)
			dst = append(dst, ']')
		}
		dst = append(dst, '=')
	}
	r := a.Reader()
	i := 0
	return appendArrayDim(dst, a, &r, 0, &i, env)
}

func appendArrayDim(dst []byte, a Array, r *ArrayReader, dim int, i *int, env *Env) []byte {
	dst = append(dst, '{')
	n := int(a.Dim(dim).Len)
	for k := 0; k < n; k++ {
		if k > 0 {
			dst = append(dst, ',')
		}
		if dim+1 < a.NDim() {
			dst = appendArrayDim(dst, a, r, dim+1, i, env)
			continue
		}
		if r.IsNull(*i) {
			dst = append(dst, "NULL"...)
		} else {
			start := len(dst)
			dst = AppendText(dst, r.T, elemDatum(r.T, r.Bytes(*i)), env)
			dst = quoteFrom(dst, start, arrayQuotes)
		}
		*i++
	}
	return append(dst, '}')
}

// arrayQuotes says whether an element's text needs quotes.
func arrayQuotes(s []byte) bool {
	if len(s) == 0 || foldEqual(s, "null") {
		return true
	}
	for _, c := range s {
		if c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || isSpace(c) {
			return true
		}
	}
	return false
}

// quoteFrom puts dst[start:] in quotes when it needs them, with backslashes
// before quotes and backslashes.
func quoteFrom(dst []byte, start int, needs func([]byte) bool) []byte {
	s := dst[start:]
	if !needs(s) {
		return dst
	}
	extra := 2 + bytes.Count(s, []byte{'"'}) + bytes.Count(s, []byte{'\\'})
	n := len(dst)
	for k := 0; k < extra; k++ {
		dst = append(dst, 0)
	}
	w := len(dst) - 1
	dst[w] = '"'
	for k := n - 1; k >= start; k-- {
		w--
		c := dst[k]
		dst[w] = c
		if c == '"' || c == '\\' {
			w--
			dst[w] = '\\'
		}
	}
	dst[start] = '"'
	return dst
}

// AppendArrayBinary appends the wire form of an array.
func AppendArrayBinary(dst, form []byte, env *Env) []byte {
	a := Array(form)
	be := binary.BigEndian
	nd := a.NDim()
	dst = be.AppendUint32(dst, uint32(nd))
	flag := uint32(0)
	if a.HasNulls() {
		flag = 1
	}
	dst = be.AppendUint32(dst, flag)
	dst = be.AppendUint32(dst, a.ElemOID())
	for i := 0; i < nd; i++ {
		d := a.Dim(i)
		dst = be.AppendUint32(dst, uint32(d.Len))
		dst = be.AppendUint32(dst, uint32(d.Lower))
	}
	r := a.Reader()
	for i := 0; i < r.N; i++ {
		if r.IsNull(i) {
			dst = be.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		dst = AppendBinary(dst, r.T, elemDatum(r.T, r.Bytes(i)), env)
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// ReadArray appends the form of an array from its wire form.
func ReadArray(dst []byte, elem T, s []byte, env *Env) ([]byte, error) {
	be := binary.BigEndian
	if len(s) < 12 {
		return dst, shortBinary()
	}
	nd, flags, oid := int32(be.Uint32(s)), be.Uint32(s[4:]), be.Uint32(s[8:])
	if nd < 0 {
		return dst, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid number of dimensions: %d", nd)
	}
	if nd > arrayDimsMax {
		return dst, tooManyDims(int(nd))
	}
	if flags > 1 {
		return dst, sqlstate.Errorf(sqlstate.InvalidBinaryRepresentation, "invalid array flags")
	}
	if oid != elem.OID {
		return dst, sqlstate.Errorf(sqlstate.DatatypeMismatch,
			"binary data has array element type %d (%s) instead of expected %d (%s)",
			oid, FormatTypeNoMod(oid), elem.OID, FormatTypeNoMod(elem.OID))
	}
	s = s[12:]
	if len(s) < 8*int(nd) {
		return dst, shortBinary()
	}
	var dims [arrayDimsMax]ArrayDim
	total := int64(1)
	for i := range dims[:nd] {
		n, lower := int32(be.Uint32(s)), int32(be.Uint32(s[4:]))
		s = s[8:]
		if n < 0 || int64(lower)+int64(n) > math.MaxInt32 {
			return dst, sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "array lower bound is too large: %d", lower)
		}
		dims[i] = ArrayDim{n, lower}
		if total *= int64(n); total > arrayElemsMax {
			return dst, arrayTooLarge()
		}
	}
	if nd == 0 || total == 0 {
		if len(s) > 0 {
			return dst, badBinary()
		}
		return append(dst, EmptyArray(oid)...), nil
	}
	if int64(len(s)) < 4*total {
		return dst, shortBinary()
	}
	var b ArrayBuilder
	b.Reset(oid)
	t := elemType(oid, elem.Mod)
	for ; total > 0; total-- {
		v, rest, err := wireField(s)
		if err != nil {
			return dst, err
		}
		s = rest
		if v == nil {
			b.Append(Null)
			continue
		}
		d, err := ParseBinary(t, v, env)
		if err != nil {
			return dst, err
		}
		b.Append(d)
	}
	if len(s) > 0 {
		return dst, badBinary()
	}
	return b.Finish(dst, dims[:nd]...), nil
}

// wireField splits off a length-prefixed field; v is nil for NULL.
func wireField(s []byte) (v, rest []byte, err error) {
	if len(s) < 4 {
		return nil, nil, shortBinary()
	}
	n := int32(binary.BigEndian.Uint32(s))
	s = s[4:]
	if n == -1 {
		return nil, s, nil
	}
	if n < 0 || int(n) > len(s) {
		return nil, nil, shortBinary()
	}
	return s[:n:n], s[n:], nil
}

// CompareArray orders arrays: element by element, NULL above all, then by
// length, then by dimensions and bounds.
func CompareArray(x, y []byte) int {
	a, b := Array(x), Array(y)
	ra, rb := a.Reader(), b.Reader()
	for i := 0; i < ra.N && i < rb.N; i++ {
		an, bn := ra.IsNull(i), rb.IsNull(i)
		if an || bn {
			if an && bn {
				continue
			}
			if an {
				return 1
			}
			return -1
		}
		if c := compareElems(ra.T, ra.Bytes(i), rb.Bytes(i)); c != 0 {
			return c
		}
	}
	if ra.N != rb.N {
		return sign(ra.N - rb.N)
	}
	if c := a.NDim() - b.NDim(); c != 0 {
		return sign(c)
	}
	for i := 0; i < a.NDim(); i++ {
		if c := int(a.Dim(i).Len) - int(b.Dim(i).Len); c != 0 {
			return sign(c)
		}
	}
	for i := 0; i < a.NDim(); i++ {
		if c := int(a.Dim(i).Lower) - int(b.Dim(i).Lower); c != 0 {
			return sign(c)
		}
	}
	return 0
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func compareElems(t T, a, b []byte) int {
	if t.Layout == LayoutView {
		return CompareView(t.OID, a, b)
	}
	return Compare(t, elemDatum(t, a), elemDatum(t, b))
}

func hashElem(t T, b []byte) uint64 {
	if t.Layout == LayoutView {
		return HashView(t.OID, b)
	}
	return Hash(t, elemDatum(t, b))
}

// HashArray hashes an array.
func HashArray(form []byte) uint64 {
	r := Array(form).Reader()
	h := HashInt64(int64(r.N))
	for i := 0; i < r.N; i++ {
		if r.IsNull(i) {
			h = HashCombine(h, HashNull)
		} else {
			h = HashCombine(h, hashElem(r.T, r.Bytes(i)))
		}
	}
	return h
}

// parseVector reads int2vector and oidvector: numbers with white space between.
func parseVector(dst []byte, oid uint32, s []byte) ([]byte, error) {
	var b ArrayBuilder
	b.Reset(ElemOf(oid))
	for t := s; ; {
		for len(t) > 0 && isSpace(t[0]) {
			t = t[1:]
		}
		if len(t) == 0 {
			break
		}
		n := 0
		for n < len(t) && !isSpace(t[n]) {
			n++
		}
		d, err := ParseText(b.t, stringOf(t[:n]), nil)
		if err != nil {
			return dst, err
		}
		b.Append(d)
		t = t[n:]
	}
	return b.Finish(dst, ArrayDim{int32(b.n), 0}), nil
}

func appendVector(dst, form []byte) []byte {
	r := Array(form).Reader()
	for i := 0; i < r.N; i++ {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = AppendInt(dst, elemDatum(r.T, r.Bytes(i)).I)
	}
	return dst
}

// compareVector orders vectors by length, then by elements.
func compareVector(a, b []byte) int {
	if c := Array(a).Len() - Array(b).Len(); c != 0 {
		return sign(c)
	}
	return CompareArray(a, b)
}
