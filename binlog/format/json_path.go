package format

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
)

// node is a place in the documents of a subscription: what to do with the value that
// stands there, and with what is inside it.
type node struct {
	col     int  // the column that takes the value, -1 for none
	rows    bool // the elements of this array are rows
	outside bool // around the path of option root: of no interest but for the way
	fields  fields
	kids    []*node // by the slots of fields
	elems   map[int]*node
}

func newNode() *node { return &node{col: -1, fields: fields{byName: map[string]int{}}} }

func (n *node) leaf() bool { return len(n.kids) == 0 && n.elems == nil && !n.rows }

// child is the node of a member, made when missing.
func (n *node) child(name string) *node {
	if i, ok := n.fields.byName[name]; ok {
		return n.kids[i]
	}
	n.fields.byName[name] = len(n.kids)
	k := newNode()
	n.kids = append(n.kids, k)
	return k
}

func (n *node) elem(i int) *node {
	if n.elems == nil {
		n.elems = map[int]*node{}
	}
	if n.elems[i] == nil {
		n.elems[i] = newNode()
	}
	return n.elems[i]
}

// at follows a path, making nodes.
func (n *node) at(path []step) *node {
	for _, s := range path {
		if s.index >= 0 {
			n = n.elem(s.index)
		} else {
			n = n.child(s.name)
		}
	}
	return n
}

// columns lists the columns below and at n.
func (n *node) columns(to []int) []int {
	if n.col >= 0 {
		to = append(to, n.col)
	}
	for _, k := range n.kids {
		to = k.columns(to)
	}
	for _, k := range n.elems {
		to = k.columns(to)
	}
	return to
}

// step is one step of a path: a member, or an element when index >= 0.
type step struct {
	name  string
	index int
}

// arrayIndexMax bounds the indexes of paths.
const arrayIndexMax = 1 << 20

func badPath(path, why string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid path \"%s\": %s", path, why).
		WithHint("A path is like user.address.city, $.tags[0] or $.\"odd name\".")
}

// parsePath reads names with points between them and indexes in brackets, with or
// without a leading $.
func parsePath(path string) ([]step, error) {
	s := strings.TrimSpace(path)
	p := s
	if strings.HasPrefix(p, "$") {
		p = p[1:]
	} else if p != "" && p[0] != '[' {
		p = "." + p
	}
	var steps []step
	for p != "" {
		switch {
		case p[0] == '[':
			end := strings.IndexByte(p, ']')
			if len(p) > 1 && (p[1] == '\'' || p[1] == '"') {
				name, rest, err := quotedName(p[1:], s)
				if err != nil {
					return nil, err
				}
				if !strings.HasPrefix(rest, "]") {
					return nil, badPath(s, "a bracket is not closed")
				}
				steps, p = append(steps, step{name, -1}), rest[1:]
				continue
			}
			if end < 0 {
				return nil, badPath(s, "a bracket is not closed")
			}
			i, err := strconv.ParseUint(strings.TrimSpace(p[1:end]), 10, 32)
			if err != nil || i > arrayIndexMax {
				return nil, badPath(s, "an index must be a whole number")
			}
			steps, p = append(steps, step{"", int(i)}), p[end+1:]
		case p[0] == '.' && len(p) > 1 && (p[1] == '"' || p[1] == '\''):
			name, rest, err := quotedName(p[1:], s)
			if err != nil {
				return nil, err
			}
			steps, p = append(steps, step{name, -1}), rest
		case p[0] == '.':
			p = p[1:]
			end := strings.IndexAny(p, ".[")
			if end < 0 {
				end = len(p)
			}
			if end == 0 {
				return nil, badPath(s, "a name is missing")
			}
			steps, p = append(steps, step{strings.TrimSpace(p[:end]), -1}), p[end:]
		default:
			return nil, badPath(s, "a point or bracket is missing")
		}
	}
	return steps, nil
}

// quotedName reads a name in quotes, doubled inside.
func quotedName(p, path string) (name, rest string, err error) {
	q := p[0]
	var b strings.Builder
	for i := 1; i < len(p); i++ {
		if p[i] != q {
			b.WriteByte(p[i])
			continue
		}
		if i+1 < len(p) && p[i+1] == q {
			b.WriteByte(q)
			i++
			continue
		}
		return b.String(), p[i+1:], nil
	}
	return "", "", badPath(path, "a quote is not closed")
}

// splitPaths reads "column = path, column = path".
func splitPaths(list string) ([][2]string, error) {
	var out [][2]string
	for _, part := range splitOutside(list, ',') {
		if strings.TrimSpace(part) == "" {
			continue
		}
		eq := splitOutside(part, '=')
		if len(eq) != 2 {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for option \"paths\": \"%s\"", strings.TrimSpace(part)).
				WithHint("Write column = path, column = path, ...")
		}
		col := strings.TrimSpace(eq[0])
		if len(col) > 1 && col[0] == '"' {
			name, rest, err := quotedName(col, col)
			if err != nil || rest != "" {
				return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid column name in option \"paths\": %s", col)
			}
			col = name
		}
		out = append(out, [2]string{col, strings.TrimSpace(eq[1])})
	}
	return out, nil
}

// splitOutside splits at a byte that is not inside quotes.
func splitOutside(s string, at byte) []string {
	var out []string
	var quote byte
	from := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == at:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}
