package parser

import "strings"

// The C parser builds and serialises trees recursively and has no limit of its
// own there: some 10,000 chained operators overflow its stack and the process is
// gone. checkDepth bounds the depth of the tree from the text, before it is parsed.
//
// A tree grows deep by open parentheses and by chains of left-associative
// operators, and the lists between commas lie side by side. So the bound is, over
// the open parentheses, one each and the operators since the last comma; the
// chains that commas do not end (UNION, JOIN) count on their own. It may be too
// high, never too low.
const (
	maxDepth = 4900
	// Every level takes two bytes at least.
	safeLength = 2 * maxDepth
)

func checkDepth(sql string) error {
	if len(sql) <= safeLength {
		return nil
	}
	type frame struct{ ops, sets int }
	stack := make([]frame, 1, 64)
	total := 0 // over all frames
	lx := lexer{src: sql}
	for {
		t := lx.next()
		switch t.kind {
		case tokEnd:
			return nil
		case tokBad:
			return nil // the parser says what is wrong
		}
		top := &stack[len(stack)-1]
		add := 0
		switch t.kind {
		case tokChar:
			switch sql[t.start] {
			case '(', '[':
				stack = append(stack, frame{})
				total++
			case ')', ']':
				if len(stack) > 1 {
					total -= top.ops + top.sets + 1
					stack = stack[:len(stack)-1]
				}
			case ',':
				total -= top.ops
				top.ops = 0
			case ';':
				stack = append(stack[:0], frame{})
				total = 0
			}
		case tokOp:
			add = 1
		case tokWord:
			switch w := sql[t.start:t.end]; len(w) {
			case 2:
				if strings.EqualFold(w, "or") {
					total -= top.ops
					top.ops = 0
				} else if strings.EqualFold(w, "is") || strings.EqualFold(w, "at") {
					add = 1
				}
			case 3:
				if strings.EqualFold(w, "and") {
					total -= top.ops
					top.ops = 0
				} else if strings.EqualFold(w, "not") {
					add = 1
				}
			case 4:
				if strings.EqualFold(w, "join") {
					top.sets++
					total++
				} else if strings.EqualFold(w, "case") {
					add = 2
				}
			case 5, 6, 7, 9:
				switch {
				case strings.EqualFold(w, "union"), strings.EqualFold(w, "except"), strings.EqualFold(w, "intersect"):
					total -= top.ops
					top.ops = 0
					top.sets++
					total++
				case strings.EqualFold(w, "collate"), strings.EqualFold(w, "isnull"), strings.EqualFold(w, "notnull"):
					add = 1
				}
			}
		}
		if add > 0 {
			top = &stack[len(stack)-1]
			top.ops += add
			total += add
		}
		if total > maxDepth {
			return tooDeep()
		}
	}
}
