package plan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FormatJSON writes a plan as EXPLAIN (FORMAT JSON) does: what Format says of a node
// as the members of an object, its children under Plans. more are members of the
// whole, as names and JSON values by turns.
func FormatJSON(n Node, opts FormatOptions, more ...string) string {
	p := &printer{o: opts}
	w := &jsonWriter{}
	w.open("", '[')
	w.open("", '{')
	p.object(w, "Plan", n)
	for i := 0; i+1 < len(more); i += 2 {
		w.raw(more[i], more[i+1])
	}
	w.close('}')
	w.close(']')
	return w.String()
}

// jsonWriter writes indented JSON whose members stay in order.
type jsonWriter struct {
	strings.Builder
	depth int
	some  bool // the present object or array has a member
}

func (w *jsonWriter) next(name string) {
	if w.some {
		w.WriteByte(',')
	}
	if w.depth > 0 {
		w.WriteString("\n" + strings.Repeat("  ", w.depth))
	}
	w.some = true
	if name != "" {
		w.WriteString(jsonText(name) + ": ")
	}
}

func (w *jsonWriter) open(name string, b byte) {
	w.next(name)
	w.WriteByte(b)
	w.depth++
	w.some = false
}

func (w *jsonWriter) close(b byte) {
	w.depth--
	w.WriteString("\n" + strings.Repeat("  ", w.depth))
	w.WriteByte(b)
	w.some = true
}

func (w *jsonWriter) raw(name, v string)  { w.next(name); w.WriteString(v) }
func (w *jsonWriter) text(name, v string) { w.raw(name, jsonText(v)) }

func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("plan: a string that is no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// object writes a node and all below it.
func (p *printer) object(w *jsonWriter, name string, n Node) {
	w.open(name, '{')
	title := p.title(n)
	kind, on, _ := strings.Cut(title, " on ")
	w.text("Node Type", kind)
	switch x := n.(type) {
	case *Scan:
		w.text("Relation Name", x.Table.Name)
		alias := x.Alias
		if alias == "" {
			alias = x.Table.Name
		}
		w.text("Alias", alias)
	case *CTERef:
		w.text("CTE Name", on)
	case *Insert, *Update, *Delete, *Merge:
		w.text("Relation Name", on)
	}
	if e := n.Estimate(); p.o.Costs && e != nil {
		w.raw("Startup Cost", "0.00")
		w.raw("Total Cost", fmt.Sprintf("%.2f", e.Cost))
		w.raw("Plan Rows", fmt.Sprintf("%.0f", e.Rows))
	}
	if p.o.Measure != nil {
		for _, m := range p.o.Measure(n) {
			w.raw(m[0], m[1])
		}
	}
	if p.o.Verbose {
		w.open("Output", '[')
		for _, c := range n.Columns() {
			w.text("", p.col(c))
		}
		w.close(']')
	}
	saved := p.subs
	p.subs = nil
	seen := map[string]int{}
	for _, d := range p.details(n) {
		k, v, _ := strings.Cut(d, ": ")
		if seen[k]++; seen[k] > 1 {
			k += " " + strconv.Itoa(seen[k]) // a name stands once in an object
		}
		w.text(k, v)
	}
	subs := p.subs
	p.subs = saved
	var below []Node
	for _, s := range subs {
		below = append(below, s.Plan)
	}
	for _, c := range n.Children() {
		if _, ok := c.(*Values); ok && len(c.Columns()) == 0 && len(c.(*Values).Rows) == 1 {
			continue // the one empty row under SELECT without FROM
		}
		below = append(below, c)
	}
	if len(below) > 0 {
		w.open("Plans", '[')
		for _, c := range below {
			p.object(w, "", c)
		}
		w.close(']')
	}
	w.close('}')
}
