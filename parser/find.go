package parser

import "strings"

// After is the offset just behind the first occurrence of a keyword in sql that
// stands outside parentheses and is not the first word, white space skipped; -1
// when there is none.
func After(sql, keyword string) int {
	lx := lexer{src: sql}
	depth := 0
	for first := true; ; first = false {
		t := lx.next()
		switch t.kind {
		case tokEnd, tokBad:
			return -1
		case tokChar:
			switch sql[t.start] {
			case '(', '[':
				depth++
			case ')', ']':
				depth--
			}
		case tokWord:
			if depth == 0 && !first && strings.EqualFold(sql[t.start:t.end], keyword) {
				return t.end + skipBlank(sql[t.end:])
			}
		}
	}
}
