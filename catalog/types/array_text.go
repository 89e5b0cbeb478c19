package types

import (
	"bytes"
	"strconv"

	"github.com/millrace/millrace/catalog/sqlstate"
)

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
	special := bytes.Count(s, []byte{'"'}) + bytes.Count(s, []byte{'\\'})
	return quoteTail(dst, start, special, func(byte) byte { return '\\' })
}

// quoteTail puts dst[start:] in quotes, with an escape before each of its special
// characters, which are quotes and backslashes.
func quoteTail(dst []byte, start, special int, escape func(byte) byte) []byte {
	n := len(dst)
	for k := special + 2; k > 0; k-- {
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
			dst[w] = escape(c)
		}
	}
	dst[start] = '"'
	return dst
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
