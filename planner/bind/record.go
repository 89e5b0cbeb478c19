package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/parser"
)

// recorder notes how a view's query was understood, so that its text can be
// written with names that do not depend on the session or on later changes: tables
// with their schemas, stars spelled out. A nil recorder notes nothing.
type recorder struct {
	b      *binder
	tables map[*pg.RangeVar]string
	stars  map[*pg.ResTarget][]*pg.Node
	// oids are the relations that names in FROM mean, and columns what references to
	// columns of these mean.
	oids    map[*pg.RangeVar]uint32
	columns map[*pg.ColumnRef]columnMeant
}

// columnMeant is a column of a relation in FROM: rel is the relation's name there.
type columnMeant struct {
	rel   string
	table uint32
	id    int32
}

func newRecorder(b *binder) *recorder {
	return &recorder{b: b, tables: map[*pg.RangeVar]string{}, stars: map[*pg.ResTarget][]*pg.Node{},
		oids: map[*pg.RangeVar]uint32{}, columns: map[*pg.ColumnRef]columnMeant{}}
}

func (r *recorder) table(rv *pg.RangeVar, t *catalog.Table) {
	if r != nil {
		r.tables[rv] = r.b.schemaName(t)
		r.oids[rv] = t.OID
	}
}

// column notes that ref means column i of a relation or join.
func (r *recorder) column(ref *pg.ColumnRef, in *rel, i int) {
	if r == nil {
		return
	}
	for in != nil && i >= 0 && i < len(in.cols) && in.cols[i].src != nil {
		in, i = in.cols[i].src, in.cols[i].idx
	}
	if in == nil || in.table == nil || i < 0 || i >= len(in.table.Columns) || in.table.Columns[i].Name != in.cols[i].name {
		return // not a column of a relation, or one by another name
	}
	r.columns[ref] = columnMeant{in.name, in.table.OID, in.table.Columns[i].ID}
}

func (r *recorder) star(rt *pg.ResTarget, ts []target) {
	if r == nil {
		return
	}
	seen := map[[2]string]bool{}
	for _, t := range ts {
		k := [2]string{t.qualifier, t.name}
		if seen[k] {
			return // columns of one name cannot be spelled out, nor can they change
		}
		seen[k] = true
	}
	for _, t := range ts {
		ref := &pg.ColumnRef{}
		name := t.name
		if t.qualifier != "" {
			ref.Fields = append(ref.Fields, stringValue(t.qualifier))
			name = t.source
		}
		ref.Fields = append(ref.Fields, stringValue(name))
		r.stars[rt] = append(r.stars[rt], &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{
			Val: &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: ref}},
		}}})
	}
}

func stringValue(s string) *pg.Node {
	return &pg.Node{Node: &pg.Node_String_{String_: &pg.String{Sval: s}}}
}

// text writes the query as it was understood.
func (r *recorder) text(n *pg.Node) (string, error) {
	c := proto.Clone(n).(*pg.Node)
	// The clone's nodes come in the same order as the original's.
	var from, to []proto.Message
	visitTree(n, func(m proto.Message) bool { from = append(from, m); return true })
	visitTree(c, func(m proto.Message) bool { to = append(to, m); return true })
	if len(from) != len(to) {
		return "", sqlstate.Errorf(sqlstate.InternalError, "a copied tree differs")
	}
	stars := map[*pg.ResTarget][]*pg.Node{}
	for i, m := range from {
		switch x := m.(type) {
		case *pg.RangeVar:
			if s, ok := r.tables[x]; ok && x.Schemaname == "" {
				to[i].(*pg.RangeVar).Schemaname = s
			}
		case *pg.ResTarget:
			if list, ok := r.stars[x]; ok {
				stars[to[i].(*pg.ResTarget)] = list
			}
		}
	}
	for _, m := range to {
		sel, ok := m.(*pg.SelectStmt)
		if !ok {
			continue
		}
		var list []*pg.Node
		for _, t := range sel.TargetList {
			if s, ok := stars[t.GetResTarget()]; ok {
				list = append(list, s...)
			} else {
				list = append(list, t)
			}
		}
		sel.TargetList = list
	}
	return parser.Deparse(c)
}

// viewQuery parses a view's text.
func viewQuery(t *catalog.Table) (*pg.SelectStmt, error) {
	stmts, err := parser.Parse(t.ViewText)
	if err != nil {
		return nil, err
	}
	if len(stmts) == 1 {
		if s := stmts[0].Node.GetSelectStmt(); s != nil {
			return s, nil
		}
	}
	return nil, sqlstate.Errorf(sqlstate.InternalError, "the text of view \"%s\" is not one query", t.Name)
}
