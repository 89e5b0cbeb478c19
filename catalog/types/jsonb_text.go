package types

// AppendJSONB appends the text of a jsonb, as PostgreSQL prints it.
func AppendJSONB(dst, form []byte) []byte {
	j := JSONNode(form)
	switch j[0] {
	case jbNull:
		return append(dst, "null"...)
	case jbFalse:
		return append(dst, "false"...)
	case jbTrue:
		return append(dst, "true"...)
	case jbNumber:
		return AppendNumeric(dst, j[1:])
	case jbString:
		return AppendJSONString(dst, j[1:])
	case jbArray, jbArrayWide:
		dst = append(dst, '[')
		for i, n := 0, j.word(0); i < n; i++ {
			if i > 0 {
				dst = append(dst, ',', ' ')
			}
			dst = AppendJSONB(dst, j.Elem(i))
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, n := 0, j.word(0); i < n; i++ {
		if i > 0 {
			dst = append(dst, ',', ' ')
		}
		dst = append(AppendJSONString(dst, j.Key(i)), ':', ' ')
		dst = AppendJSONB(dst, j.Value(i))
	}
	return append(dst, '}')
}

// AppendJSONBPretty appends the text of jsonb_pretty.
func AppendJSONBPretty(dst, form []byte) []byte { return appendPretty(dst, JSONNode(form), 0) }

func appendPretty(dst []byte, j JSONNode, depth int) []byte {
	if !j.IsContainer() {
		return AppendJSONB(dst, j)
	}
	indent := func(n int) {
		dst = append(dst, '\n')
		for ; n > 0; n-- {
			dst = append(dst, "    "...)
		}
	}
	object := j.Kind() == JSONObject
	if object {
		dst = append(dst, '{')
	} else {
		dst = append(dst, '[')
	}
	n := j.Len()
	for i := 0; i < n; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		indent(depth + 1)
		if object {
			dst = append(AppendJSONString(dst, j.Key(i)), ':', ' ')
			dst = appendPretty(dst, j.Value(i), depth+1)
		} else {
			dst = appendPretty(dst, j.Elem(i), depth+1)
		}
	}
	indent(depth)
	if object {
		return append(dst, '}')
	}
	return append(dst, ']')
}

// ParseJSONB appends the form of the jsonb that s spells.
func ParseJSONB(dst, s []byte) ([]byte, error) {
	b := jsonBuilders.Get().(*JSONBuilder)
	defer b.release()
	b.Reset()
	var l jsonLex
	l.init(s, true)
	l.str = b.str[:0]
	if err := l.next(); err != nil {
		return dst, err
	}
	if err := l.build(b); err != nil {
		return dst, err
	}
	if l.tok != jsonEnd {
		return dst, l.unexpected("end of input")
	}
	b.str = l.str
	j, err := b.Finish()
	return append(dst, j...), err
}

// build is skipValue that also makes the value.
func (l *jsonLex) build(b *JSONBuilder) error {
	switch l.tok {
	case jsonString:
		b.String(l.str)
		return l.next()
	case jsonNumber:
		start := len(b.buf)
		form, err := ParseNumeric(append(b.buf, jbNumber), l.s[l.start:l.pos])
		if err != nil {
			return err
		}
		b.buf = form
		b.value(start)
		return l.next()
	case jsonTrue, jsonFalse:
		b.Bool(l.tok == jsonTrue)
		return l.next()
	case jsonNull:
		b.Null()
		return l.next()
	case '[':
		if err := l.push(); err != nil {
			return err
		}
		b.BeginArray()
		if err := l.next(); err != nil {
			return err
		}
		if l.tok != ']' {
			for {
				if err := l.build(b); err != nil {
					return err
				}
				if l.tok == ']' {
					break
				}
				if l.tok != ',' {
					return l.unexpected("\",\" or \"]\"")
				}
				if err := l.next(); err != nil {
					return err
				}
			}
		}
		b.End()
		l.depth--
		return l.next()
	case '{':
		if err := l.push(); err != nil {
			return err
		}
		b.BeginObject()
		if err := l.next(); err != nil {
			return err
		}
		for first := true; l.tok != '}' || !first; first = false {
			if l.tok != jsonString {
				return l.unexpected(jsonKeyWanted(first))
			}
			b.Key(l.str)
			if err := l.colon(); err != nil {
				return err
			}
			if err := l.build(b); err != nil {
				return err
			}
			if l.tok == '}' {
				break
			}
			if l.tok != ',' {
				return l.unexpected("\",\" or \"}\"")
			}
			if err := l.next(); err != nil {
				return err
			}
		}
		b.End()
		l.depth--
		return l.next()
	}
	return l.unexpected("JSON value")
}
