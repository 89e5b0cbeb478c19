package eval

import (
	"bytes"
	"regexp/syntax"
	"unicode/utf8"
)

// fastRegex matches the common kind of pattern (literals, character classes that
// treat all of non-ASCII alike, groups, alternatives, repetition) by backtracking
// over bytes, with Go's leftmost-first answers. A repeated class is one step, and
// needs no way back when what follows cannot start with one of its characters. When
// a match takes more steps than a linear engine would, it gives up, and the caller
// asks that engine.
type fastRegex struct {
	code   []fastInst
	ncap   int
	anchor bool   // matches only at the start of the text
	prefix []byte // every match starts with it
	stack  []fastFrame
	caps   []int
	budget int
}

type fastOp uint8

const (
	opLit   fastOp = iota // text
	opClass               // one character of class
	opRep                 // min or more, up to max, of class, greedy or lazy
	opSave                // capture slot n
	opBegin               // start of text
	opEnd                 // end of text
	opSplit               // try x, then y
	opJump                // go on at x
	opAccept
)

type fastInst struct {
	op         fastOp
	lazy       bool
	possessive bool
	all        bool // of opRep: class has every byte
	allBut     int  // of opRep: the one byte that class has not, or -1
	lit        []byte
	class      *[256]bool
	min, max   int // max < 0: no bound
	n          int
	x, y       int
}

type fastFrame struct {
	pc, pos int
	low     int // opRep: the least position to fall back to; restore: the slot
	kind    uint8
}

const (
	frameJump uint8 = iota
	frameRep
	frameLazy
	frameRestore
)

// newFastRegex compiles a pattern in Go's syntax, or returns nil when it is not of
// the kind.
func newFastRegex(pattern string, flags syntax.Flags) *fastRegex {
	re, err := syntax.Parse(pattern, flags)
	if err != nil {
		return nil
	}
	f := &fastRegex{ncap: 2 * (re.MaxCap() + 1)}
	if !f.emit(re.Simplify()) {
		return nil
	}
	f.add(fastInst{op: opAccept})
	f.caps = make([]int, f.ncap)
	f.anchor = f.code[0].op == opBegin
	for _, in := range f.code {
		if in.op == opSave {
			continue
		}
		if in.op == opLit {
			f.prefix = in.lit
		}
		break
	}
	for pc := range f.code {
		in := &f.code[pc]
		if in.op != opRep || in.lazy {
			continue
		}
		out := 0
		in.allBut = -1
		for b, on := range in.class {
			if !on {
				out++
				in.allBut = b
			}
		}
		if in.all = out == 0; out != 1 {
			in.allBut = -1
		}
		var next [256]bool
		if empty := f.first(pc+1, &next, 0); !empty {
			in.possessive = true
			for b := range next {
				if next[b] && in.class[b] {
					in.possessive = false
				}
			}
		}
	}
	return f
}

func (f *fastRegex) add(in fastInst) int {
	f.code = append(f.code, in)
	return len(f.code) - 1
}

func (f *fastRegex) emit(re *syntax.Regexp) bool {
	if len(f.code) > 500 {
		return false
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			for _, r := range re.Rune {
				c := &[256]bool{}
				if r >= utf8.RuneSelf {
					return false
				}
				c[lowerByte(byte(r))], c[upperByte(byte(r))] = true, true
				f.add(fastInst{op: opClass, class: c})
			}
			return true
		}
		f.add(fastInst{op: opLit, lit: []byte(string(re.Rune))})
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		c := classOf(re)
		if c == nil {
			return false
		}
		f.add(fastInst{op: opClass, class: c})
	case syntax.OpBeginText:
		f.add(fastInst{op: opBegin})
	case syntax.OpEndText:
		f.add(fastInst{op: opEnd})
	case syntax.OpCapture:
		f.add(fastInst{op: opSave, n: 2 * re.Cap})
		if !f.emit(re.Sub[0]) {
			return false
		}
		f.add(fastInst{op: opSave, n: 2*re.Cap + 1})
	case syntax.OpConcat:
		for _, s := range re.Sub {
			if !f.emit(s) {
				return false
			}
		}
	case syntax.OpAlternate:
		var ends []int
		for i, s := range re.Sub {
			split := -1
			if i < len(re.Sub)-1 {
				split = f.add(fastInst{op: opSplit})
				f.code[split].x = split + 1
			}
			if !f.emit(s) {
				return false
			}
			if split >= 0 {
				ends = append(ends, f.add(fastInst{op: opJump}))
				f.code[split].y = len(f.code)
			}
		}
		for _, e := range ends {
			f.code[e].x = len(f.code)
		}
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		sub := re.Sub[0]
		lazy := re.Flags&syntax.NonGreedy != 0
		least := 0
		if re.Op == syntax.OpPlus {
			least = 1
		}
		if c := classOf(sub); c != nil {
			most := -1
			if re.Op == syntax.OpQuest {
				most = 1
			}
			f.add(fastInst{op: opRep, class: c, min: least, max: most, lazy: lazy})
			return true
		}
		if re.Op != syntax.OpQuest && canBeEmpty(sub) {
			return false
		}
		start := len(f.code)
		split := -1
		if re.Op != syntax.OpPlus {
			split = f.add(fastInst{op: opSplit})
		}
		if !f.emit(sub) {
			return false
		}
		switch re.Op {
		case syntax.OpStar:
			f.add(fastInst{op: opJump, x: start})
		case syntax.OpPlus:
			split = f.add(fastInst{op: opSplit})
		}
		in := &f.code[split]
		body, out := split+1, len(f.code)
		if re.Op == syntax.OpPlus {
			body = start
		}
		in.x, in.y = body, out
		if lazy {
			in.x, in.y = out, body
		}
	default:
		return false
	}
	return true
}

// classOf is the bytes that a one-character expression takes, those above 127
// standing for all of non-ASCII; nil when it is another expression or tells
// characters beyond ASCII apart.
func classOf(re *syntax.Regexp) *[256]bool {
	c := &[256]bool{}
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		for b := range c {
			c[b] = b != '\n' || re.Op == syntax.OpAnyChar
		}
		return c
	case syntax.OpLiteral:
		if len(re.Rune) != 1 || re.Rune[0] >= utf8.RuneSelf {
			return nil
		}
		b := byte(re.Rune[0])
		c[b] = true
		if re.Flags&syntax.FoldCase != 0 {
			c[lowerByte(b)], c[upperByte(b)] = true, true
		}
		return c
	case syntax.OpCharClass:
		beyond := false
		for i := 0; i+1 < len(re.Rune); i += 2 {
			lo, hi := re.Rune[i], re.Rune[i+1]
			if hi >= utf8.RuneSelf {
				if lo > utf8.RuneSelf || hi != utf8.MaxRune {
					return nil
				}
				beyond = true
			}
			for r := lo; r <= hi && r < utf8.RuneSelf; r++ {
				c[r] = true
			}
		}
		if beyond {
			for b := utf8.RuneSelf; b < 256; b++ {
				c[b] = true
			}
		}
		return c
	}
	return nil
}

func canBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return canBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, s := range re.Sub {
			if !canBeEmpty(s) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if canBeEmpty(s) {
				return true
			}
		}
		return false
	}
	return true
}

// first adds the bytes that a match from pc on can start with, and says whether it
// can also go on without one (or whether that is not known).
func (f *fastRegex) first(pc int, set *[256]bool, depth int) (empty bool) {
	if depth > 20 {
		return true
	}
	for {
		in := &f.code[pc]
		switch in.op {
		case opLit:
			set[in.lit[0]] = true
			return false
		case opClass:
			for b, on := range in.class {
				set[b] = set[b] || on
			}
			return false
		case opRep:
			for b, on := range in.class {
				set[b] = set[b] || on
			}
			if in.min > 0 {
				return false
			}
			pc++
		case opSave:
			pc++
		case opJump:
			pc = in.x
		case opSplit:
			if f.first(in.x, set, depth+1) {
				return true
			}
			pc = in.y
			depth++
			if depth > 20 {
				return true
			}
		case opEnd:
			// At the end of the text no byte follows, so no byte of a class can.
			return false
		default:
			return true
		}
	}
}

// find is the leftmost match at or after from: the bounds of it and of its groups.
// done is false when the engine gave up.
func (f *fastRegex) find(s []byte, from int) (loc []int, done bool) {
	f.budget = 32*(len(s)-from) + 1000
	for at := from; at <= len(s); at++ {
		if f.anchor && at > 0 {
			return nil, true
		}
		if len(f.prefix) > 0 {
			k := bytes.Index(s[at:], f.prefix)
			if k < 0 {
				return nil, true
			}
			at += k
		} else if at > from && at < len(s) && s[at]&0xC0 == 0x80 {
			continue
		}
		ok, done := f.try(s, at)
		if !done {
			return nil, false
		}
		if ok {
			return f.caps, true
		}
	}
	return nil, true
}

// try matches at one place.
func (f *fastRegex) try(s []byte, at int) (ok, done bool) {
	for i := range f.caps {
		f.caps[i] = -1
	}
	f.stack = f.stack[:0]
	pc, pos := 0, at
	for {
		if f.budget--; f.budget < 0 {
			return false, false
		}
		in := &f.code[pc]
		fail := false
		switch in.op {
		case opLit:
			if len(s)-pos < len(in.lit) || string(s[pos:pos+len(in.lit)]) != string(in.lit) {
				fail = true
				break
			}
			pos += len(in.lit)
			pc++
		case opClass:
			if pos >= len(s) || !in.class[s[pos]] {
				fail = true
				break
			}
			pos += runeLen(s, pos)
			pc++
		case opRep:
			start := pos
			n := 0
			for n < in.min && pos < len(s) && in.class[s[pos]] {
				pos += runeLen(s, pos)
				n++
			}
			if n < in.min {
				fail = true
				break
			}
			low := pos
			if in.lazy {
				if (in.max < 0 || n < in.max) && pos < len(s) && in.class[s[pos]] {
					f.stack = append(f.stack, fastFrame{pc, pos, n, frameLazy})
				}
				pc++
				break
			}
			switch {
			case in.max < 0 && in.all:
				pos = len(s)
			case in.max < 0 && in.allBut >= 0:
				if k := bytes.IndexByte(s[pos:], byte(in.allBut)); k >= 0 {
					pos += k
				} else {
					pos = len(s)
				}
			case in.max < 0:
				for pos < len(s) && in.class[s[pos]] {
					pos++
				}
			default:
				for n < in.max && pos < len(s) && in.class[s[pos]] {
					pos += runeLen(s, pos)
					n++
				}
			}
			f.budget -= (pos - start) >> 4
			if pos > low && !in.possessive {
				f.stack = append(f.stack, fastFrame{pc, pos, low, frameRep})
			}
			pc++
		case opSave:
			f.stack = append(f.stack, fastFrame{in.n, f.caps[in.n], 0, frameRestore})
			f.caps[in.n] = pos
			pc++
		case opBegin:
			fail = pos != 0
			pc++
		case opEnd:
			fail = pos != len(s)
			pc++
		case opSplit:
			f.stack = append(f.stack, fastFrame{in.y, pos, 0, frameJump})
			pc = in.x
		case opJump:
			pc = in.x
		case opAccept:
			f.caps[0], f.caps[1] = at, pos
			return true, true
		}
		for fail {
			n := len(f.stack)
			if n == 0 {
				return false, true
			}
			fr := &f.stack[n-1]
			switch fr.kind {
			case frameRestore:
				f.caps[fr.pc] = fr.pos
				f.stack = f.stack[:n-1]
			case frameJump:
				pc, pos = fr.pc, fr.pos
				f.stack = f.stack[:n-1]
				fail = false
			case frameRep:
				f.budget--
				p := fr.pos - 1
				for p > fr.low && s[p]&0xC0 == 0x80 {
					p--
				}
				pc, pos = fr.pc+1, p
				if p <= fr.low {
					f.stack = f.stack[:n-1]
				} else {
					fr.pos = p
				}
				fail = false
			default: // one more of a lazy repetition
				in := &f.code[fr.pc]
				p := fr.pos + runeLen(s, fr.pos)
				fr.low++
				pc, pos = fr.pc+1, p
				if (in.max < 0 || fr.low < in.max) && p < len(s) && in.class[s[p]] {
					fr.pos = p
				} else {
					f.stack = f.stack[:n-1]
				}
				fail = false
			}
			if f.budget < 0 {
				return false, false
			}
		}
	}
}

func runeLen(s []byte, i int) int {
	if s[i] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRune(s[i:])
	return n
}
