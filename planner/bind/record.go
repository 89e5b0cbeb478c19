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
// with their schemas, stars and the columns of NATURAL joins spelled out. A nil recorder
// notes nothing.
type recorder struct {
	b      *binder
	tables map[*pg.RangeVar]string
	stars  map[*pg.ResTarget][]*pg.Node
	// oids are the relations that names in FROM mean, and columns what references to
	// columns of these mean.
	oids    map[*pg.RangeVar]uint32
	columns map[*pg.ColumnRef]columnMeant
	// merged are the columns that a join merges, of both sides, and natural the names
	// of those that NATURAL found.
	merged  map[*pg.JoinExpr][]columnMeant
	natural map[*pg.JoinExpr][]string
}

// columnMeant is a column of a relation in FROM: rel is the relation's name there, and
// aliased says that the column has a name that FROM gives it.
type columnMeant struct {
	rel     string
	table   uint32
	id      int32
	aliased bool
}

func newRecorder(b *binder) *recorder {
	return &recorder{b: b, tables: map[*pg.RangeVar]string{}, stars: map[*pg.ResTarget][]*pg.Node{},
		oids: map[*pg.RangeVar]uint32{}, columns: map[*pg.ColumnRef]columnMeant{},
		merged: map[*pg.JoinExpr][]columnMeant{}, natural: map[*pg.JoinExpr][]string{}}
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
	if c := meant(in, i); c.table != 0 {
		r.columns[ref] = c
	}
}

// meant is column i of a relation or join as a column of a relation in FROM, nothing
// when it is none.
func meant(in *rel, i int) columnMeant {
	name, aliased := "", false
	for in != nil && i >= 0 && i < len(in.cols) {
		c := &in.cols[i]
		aliased = aliased || i < in.aliased || name != "" && name != c.name
		if name = c.name; c.src != nil {
			in, i = c.src, c.idx
			continue
		}
		if in.table == nil || i >= len(in.table.Columns) {
			break
		}
		t := &in.table.Columns[i]
		return columnMeant{in.name, in.table.OID, t.ID, aliased || t.Name != name}
	}
	return columnMeant{}
}

// join notes the columns that a join merges.
func (r *recorder) join(x *pg.JoinExpr, using []string, sides ...[]relCol) {
	if r == nil {
		return
	}
	if x.IsNatural {
		r.natural[x] = using
	}
	var all []columnMeant
	for _, name := range using {
		for _, side := range sides {
			for _, c := range side {
				if c.name == name {
					all = append(all, meant(c.src, c.idx))
				}
			}
		}
	}
	r.merged[x] = all
}

// spelled makes a NATURAL join one of the columns that it has found.
func spelled(x *pg.JoinExpr, using []string) {
	x.IsNatural, x.UsingClause = false, nil
	for _, name := range using {
		x.UsingClause = append(x.UsingClause, stringValue(name))
	}
	if len(using) == 0 && x.Jointype != pg.JoinType_JOIN_INNER {
		x.Quals = &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Val: &pg.A_Const_Boolval{Boolval: &pg.Boolean{Boolval: true}}}}}
	}
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

// text writes the query as it was understood: full also with the relations of columns
// that stand alone.
func (r *recorder) text(n *pg.Node, full bool) (string, error) {
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
		case *pg.JoinExpr:
			if using, ok := r.natural[x]; ok {
				spelled(to[i].(*pg.JoinExpr), using)
			}
		case *pg.ColumnRef:
			if c := r.columns[x]; full && c.rel != "" && len(x.Fields) == 1 {
				ref := to[i].(*pg.ColumnRef)
				ref.Fields = []*pg.Node{stringValue(c.rel), ref.Fields[0]}
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

// viewText is the text of a view that is made of a query. Where this reads several
// relations, columns are written with theirs, if that means the same, so that columns
// that are added later do not take their names.
func (b *binder) viewText(t *catalog.Table, n *pg.Node) (string, error) {
	text, err := b.record.text(n, false)
	items := 0
	visitTree(n, func(m proto.Message) bool {
		switch m.(type) {
		case *pg.RangeVar, *pg.RangeSubselect, *pg.RangeFunction:
			items++
		}
		return true
	})
	if err != nil || items < 2 {
		return text, err
	}
	meanings := func(text string) []columnMeant {
		w := *t
		w.ViewText = text
		sel, err := viewQuery(&w)
		if err != nil {
			return nil
		}
		rec, err := b.understood(&w, sel, b.env.Catalog)
		if err != nil {
			return nil
		}
		return rec.meanings(sel)
	}
	full, err := b.record.text(n, true)
	if err != nil || full == text {
		return text, nil
	}
	if was := meanings(text); was == nil || !sameMeanings(was, meanings(full)) {
		return text, nil
	}
	return full, nil
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
