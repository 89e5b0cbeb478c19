package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// maxColumns is PostgreSQL's bound.
const maxColumns = 1600

// creationSchema is the schema that a new relation goes to. For a temporary one it may
// not be there yet, and has no OID then.
func (b *binder) creationSchema(rv *pg.RangeVar) (*catalog.Schema, error) {
	if rv.Catalogname != "" && rv.Catalogname != b.env.Database {
		return nil, b.errf(rv.Location, sqlstate.FeatureNotSupported, "cross-database references are not implemented: \"%s.%s.%s\"", rv.Catalogname, rv.Schemaname, rv.Relname)
	}
	temp := rv.Relpersistence == "t"
	if rv.Schemaname == "pg_temp" || rv.Schemaname != "" && rv.Schemaname == b.env.Temp {
		if rv.Relpersistence == "u" {
			return nil, b.errf(-1, sqlstate.InvalidTableDefinition, "only temporary relations may be created in temporary schemas")
		}
		return b.tempSchema(rv)
	}
	if rv.Schemaname != "" {
		s := b.env.Catalog.SchemaNamed(rv.Schemaname)
		if s == nil {
			return nil, b.errf(rv.Location, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", rv.Schemaname)
		}
		if catalog.IsTempSchema(s.Name) {
			return nil, b.errf(-1, sqlstate.InvalidTableDefinition, "cannot create relations in temporary schemas of other sessions")
		}
		if temp {
			return nil, b.errf(-1, sqlstate.InvalidTableDefinition, "cannot create temporary relation in non-temporary schema")
		}
		return s, b.ownSchema(s, rv)
	}
	if temp {
		return b.tempSchema(rv)
	}
	for _, name := range b.env.SearchPath {
		if name == "$user" {
			name = b.env.User
		}
		if name == b.env.Temp && name != "" {
			return b.tempSchema(rv)
		}
		if s := b.env.Catalog.SchemaNamed(name); s != nil {
			if catalog.IsTempSchema(s.Name) {
				return nil, b.errf(-1, sqlstate.InvalidTableDefinition, "cannot create relations in temporary schemas of other sessions")
			}
			return s, b.ownSchema(s, rv)
		}
	}
	return nil, b.errf(rv.Location, sqlstate.InvalidSchemaName, "no schema has been selected to create in")
}

// tempSchema is the schema of the session's temporary relations.
func (b *binder) tempSchema(rv *pg.RangeVar) (*catalog.Schema, error) {
	if b.env.Temp == "" {
		return nil, b.unsupported(rv.Location, "a temporary table")
	}
	if s := b.env.Catalog.SchemaNamed(b.env.Temp); s != nil {
		return s, nil
	}
	return &catalog.Schema{Name: b.env.Temp}, nil
}

// tempKind is what makes a new relation of a schema a temporary one, and what it asks
// for at commits.
func (b *binder) tempKind(sc *catalog.Schema, on pg.OnCommitAction) (catalog.Temp, error) {
	if sc.Name != b.env.Temp || sc.Name == "" {
		if on != pg.OnCommitAction_ONCOMMIT_NOOP && on != pg.OnCommitAction_ON_COMMIT_ACTION_UNDEFINED {
			return 0, b.errf(-1, sqlstate.InvalidTableDefinition, "ON COMMIT can only be used on temporary tables")
		}
		return catalog.NotTemp, nil
	}
	switch on {
	case pg.OnCommitAction_ONCOMMIT_DELETE_ROWS:
		return catalog.TempDelete, nil
	case pg.OnCommitAction_ONCOMMIT_DROP:
		return catalog.TempDrop, nil
	}
	return catalog.TempKeep, nil
}

func (b *binder) ownSchema(s *catalog.Schema, rv *pg.RangeVar) error {
	switch s.OID {
	case catalog.PgCatalogOID, catalog.InformationSchemaOID, catalog.HologresSchemaOID:
		return b.errf(-1, sqlstate.InsufficientPrivilege, "permission denied to create \"%s.%s\"", s.Name, rv.Relname).
			WithDetail("System catalog modifications are currently disallowed.")
	}
	return nil
}

// createTable binds CREATE TABLE.
func (b *binder) createTable(s *pg.CreateStmt) (*plan.Statement, error) {
	sc, err := b.creationSchema(s.Relation)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Partspec != nil:
		return nil, b.unsupported(-1, "a partitioned table")
	case s.Partbound != nil:
		return nil, b.unsupported(-1, "PARTITION OF")
	case len(s.InhRelations) > 0:
		return nil, b.unsupported(-1, "INHERITS")
	case s.OfTypename != nil:
		return nil, b.unsupported(-1, "CREATE TABLE OF a type")
	case s.AccessMethod != "" && s.AccessMethod != "heap":
		return nil, b.errf(-1, sqlstate.UndefinedObject, "access method \"%s\" does not exist", s.AccessMethod)
	}
	t := &catalog.Table{Name: s.Relation.Relname, Schema: sc.OID, Kind: catalog.KindTable, SchemaVersion: 1}
	if t.Temp, err = b.tempKind(sc, s.Oncommit); err != nil {
		return nil, err
	}
	d := &tableDef{b: b, t: t}
	var constraints []*pg.Constraint
	for _, n := range s.TableElts {
		switch x := n.GetNode().(type) {
		case *pg.Node_ColumnDef:
			if err := d.column(x.ColumnDef); err != nil {
				return nil, err
			}
		case *pg.Node_Constraint:
			constraints = append(constraints, x.Constraint)
		case *pg.Node_TableLikeClause:
			if err := d.like(x.TableLikeClause); err != nil {
				return nil, err
			}
		default:
			return nil, b.unsupported(-1, "table element %s", nodeName(n))
		}
	}
	for _, c := range constraints {
		if err := d.constraint(c, ""); err != nil {
			return nil, err
		}
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if err := b.applyOptions(t, s.Options); err != nil {
		return nil, err
	}
	if len(t.Distribution) == 0 && len(t.PK) > 0 {
		t.Distribution = append([]int(nil), t.PK...)
	}
	if len(t.Unique) > 0 {
		if err := b.takesUnique(t, d.uniqueAt); err != nil {
			return nil, err
		}
	}
	return &plan.Statement{Tag: "CREATE TABLE", Writes: true,
		Utility: &plan.CreateTable{Table: t, SchemaName: sc.Name, IfNotExists: s.IfNotExists, Unlogged: s.Relation.Relpersistence == "u", Sequences: d.seqs}}, nil
}

// tableDef is a table while its definition is read.
type tableDef struct {
	b *binder
	t *catalog.Table
	// exprs are what can be bound only when all columns are known.
	exprs    []func() error
	names    map[string]bool // of constraints
	seqs     []plan.ColumnSequence
	uniqueAt int32 // where a UNIQUE constraint stands
	// lastForeign: the constraint before was a FOREIGN KEY.
	lastForeign bool
}

// columnDef makes a column of its definition, constraints left out.
func (b *binder) columnDef(c *pg.ColumnDef) (catalog.Column, error) {
	col := catalog.Column{Name: c.Colname, ID: 0}
	if c.TypeName == nil {
		return col, b.errf(c.Location, sqlstate.InvalidTableDefinition, "column \"%s\" has no type", c.Colname)
	}
	t, err := types.T{}, error(nil)
	if typ := serialColumn(c); typ != 0 {
		if len(c.TypeName.ArrayBounds) > 0 {
			return col, b.errf(c.TypeName.Location, sqlstate.FeatureNotSupported, "array of serial is not implemented")
		}
		t, col.NotNull = types.Of(typ, -1), true
	} else if t, err = b.typeName(c.TypeName); err != nil {
		return col, err
	}
	if info := types.Lookup(t.OID); info == nil || info.Kind == 'p' || t.OID == types.UnknownOID {
		return col, b.errf(-1, sqlstate.InvalidTableDefinition, "column \"%s\" has pseudo-type %s", c.Colname, types.FormatTypeNoMod(t.OID))
	}
	col.T = t
	if c.CollClause != nil {
		if err := b.collation(names(c.CollClause.Collname), c.CollClause.Location); err != nil {
			return col, err
		}
	}
	if strings.HasPrefix(c.Colname, "hg_") {
		return col, b.errf(c.Location, sqlstate.InvalidColumnDefinition, "column name \"%s\" must not begin with \"hg_\"", c.Colname)
	}
	return col, nil
}

// serialColumn is the type of the values of a serial column; 0 for other columns.
func serialColumn(c *pg.ColumnDef) uint32 {
	if ns := names(c.TypeName.GetNames()); len(ns) == 1 {
		return serialType(ns[0])
	}
	return 0
}

func (d *tableDef) column(c *pg.ColumnDef) error {
	col, err := d.b.columnDef(c)
	if err != nil {
		return err
	}
	if err := d.add(col, c.Location); err != nil {
		return err
	}
	if typ := serialColumn(c); typ != 0 {
		d.seqs = append(d.seqs, serial(c.Colname, typ))
	}
	for _, n := range c.Constraints {
		if err := d.constraint(n.GetConstraint(), c.Colname); err != nil {
			return err
		}
	}
	return nil
}

func (d *tableDef) add(col catalog.Column, loc int32) error {
	t := d.t
	if t.Ordinal(col.Name) >= 0 {
		return d.b.errf(-1, sqlstate.DuplicateColumn, "column \"%s\" specified more than once", col.Name)
	}
	if systemColumn(col.Name) {
		return d.b.errf(-1, sqlstate.DuplicateColumn, "column name \"%s\" conflicts with a system column name", col.Name)
	}
	if len(t.Columns) >= maxColumns {
		return d.b.errf(-1, sqlstate.TooManyColumns, "tables can have at most %d columns", maxColumns)
	}
	t.NextColumnID = max(t.NextColumnID, 1)
	col.ID = t.NextColumnID
	col.Attr = int16(t.NextColumnID)
	t.NextColumnID++
	t.Columns = append(t.Columns, col)
	return nil
}

func systemColumn(name string) bool {
	switch name {
	case "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid":
		return true
	}
	return false
}

// like copies another table's columns.
func (d *tableDef) like(l *pg.TableLikeClause) error {
	b := d.b
	src, err := b.relation(l.Relation.Schemaname, l.Relation.Relname, l.Relation.Location)
	if err != nil {
		return err
	}
	b.use(src, "r")
	const comments, constraints, defaults, generated, identities, indexes = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6
	for i := range src.Columns {
		c := &src.Columns[i]
		n := catalog.Column{Name: c.Name, T: types.Of(c.T.OID, c.T.Mod), NotNull: c.NotNull}
		if l.Options&defaults != 0 {
			n.DefaultText = c.DefaultText
		}
		if l.Options&generated != 0 {
			n.GeneratedText = c.GeneratedText
		}
		if from := b.env.Catalog.Table(c.Sequence); l.Options&identities != 0 && c.Identity != 0 && from != nil {
			n.Identity = c.Identity
			s := plan.ColumnSequence{Column: c.Name, Seq: *from.Seq}
			s.Seq.Last, s.Seq.Called = s.Seq.Start, false
			d.seqs = append(d.seqs, s)
		}
		if l.Options&comments != 0 {
			n.Comment = c.Comment
		}
		if err := d.add(n, -1); err != nil {
			return err
		}
	}
	base := len(d.t.Columns) - len(src.Columns)
	if l.Options&constraints != 0 {
		d.t.Checks = append(d.t.Checks, src.Checks...)
	}
	if l.Options&indexes != 0 && len(src.PK) > 0 {
		for _, o := range src.PK {
			d.t.PK = append(d.t.PK, base+o)
		}
	}
	if l.Options&indexes != 0 {
		for i := range src.Unique {
			k := catalog.UniqueKey{IndexOnly: src.Unique[i].IndexOnly}
			for _, o := range src.Ordinals(&src.Unique[i]) {
				k.Columns = append(k.Columns, d.t.Columns[base+o].ID)
			}
			d.t.Unique = append(d.t.Unique, k)
		}
	}
	return nil
}

// constraint reads a column's (column is its name) or a table's constraint.
func (d *tableDef) constraint(c *pg.Constraint, column string) error {
	b, t := d.b, d.t
	ord := t.Ordinal(column)
	defer func() {
		if !strings.HasPrefix(c.Contype.String(), "CONSTR_ATTR") {
			d.lastForeign = c.Contype == pg.ConstrType_CONSTR_FOREIGN
		}
	}()
	switch c.Contype {
	case pg.ConstrType_CONSTR_NULL:
		if t.Columns[ord].NotNull || t.Columns[ord].Identity != 0 {
			return b.errf(c.Location, sqlstate.SyntaxError, "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"", column, t.Name)
		}
	case pg.ConstrType_CONSTR_NOTNULL:
		t.Columns[ord].NotNull = true
	case pg.ConstrType_CONSTR_DEFAULT:
		if t.Columns[ord].Identity != 0 {
			return b.errf(c.Location, sqlstate.SyntaxError, "both default and identity specified for column \"%s\" of table \"%s\"", column, t.Name)
		}
		if t.Columns[ord].DefaultText != "" || d.sequenced(column) {
			return b.errf(c.Location, sqlstate.SyntaxError, "multiple default values specified for column \"%s\" of table \"%s\"", column, t.Name)
		}
		text, err := b.defaultText(c.RawExpr, &t.Columns[ord])
		if err != nil {
			return err
		}
		t.Columns[ord].DefaultText = text
	case pg.ConstrType_CONSTR_GENERATED:
		d.exprs = append(d.exprs, func() error {
			text, err := b.generatedText(c.RawExpr, t, ord)
			t.Columns[ord].GeneratedText = text
			return err
		})
	case pg.ConstrType_CONSTR_CHECK:
		if c.Conname != "" {
			if err := d.named(c.Conname, c.Location); err != nil {
				return err
			}
		}
		d.exprs = append(d.exprs, func() error {
			ck, err := b.checkText(c.Conname, c.RawExpr, t)
			if err != nil {
				return err
			}
			if c.Conname == "" {
				ck.Name = d.free(ck.Name)
				if err := d.named(ck.Name, c.Location); err != nil {
					return err
				}
			}
			t.Checks = append(t.Checks, ck)
			return nil
		})
	case pg.ConstrType_CONSTR_PRIMARY:
		if len(t.PK) > 0 {
			return b.errf(c.Location, sqlstate.InvalidTableDefinition, "multiple primary keys for table \"%s\" are not allowed", t.Name)
		}
		cols := names(c.Keys)
		if column != "" {
			cols = []string{column}
		}
		pk, err := b.primaryKey(t, cols, c.Location)
		if err != nil {
			return err
		}
		t.PK = pk
		if t.PKName = c.Conname; t.PKName == "" {
			t.PKName = d.free(t.Name + "_pkey")
		}
		for _, o := range pk {
			t.Columns[o].NotNull = true
		}
	case pg.ConstrType_CONSTR_UNIQUE:
		cols := names(c.Keys)
		if column != "" {
			cols = []string{column}
		}
		return d.unique(c, cols)
	case pg.ConstrType_CONSTR_FOREIGN:
		cols := names(c.FkAttrs)
		if column != "" {
			cols = []string{column}
		}
		d.exprs = append(d.exprs, func() error { return d.foreign(c, cols) })
	case pg.ConstrType_CONSTR_EXCLUSION:
		return b.unsupported(c.Location, "an EXCLUDE constraint")
	case pg.ConstrType_CONSTR_IDENTITY:
		return d.identity(c, ord)
	case pg.ConstrType_CONSTR_ATTR_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_DEFERRED, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
		return d.deferrable(c)
	default:
		return b.unsupported(c.Location, "a deferrable constraint")
	}
	return nil
}

// sequenced says whether a column has a sequence by now.
func (d *tableDef) sequenced(column string) bool {
	for _, s := range d.seqs {
		if s.Column == column {
			return true
		}
	}
	return false
}

func (d *tableDef) identity(c *pg.Constraint, ord int) error {
	b, col := d.b, &d.t.Columns[ord]
	switch {
	case col.Identity != 0:
		return b.errf(c.Location, sqlstate.SyntaxError, "multiple identity specifications for column \"%s\" of table \"%s\"", col.Name, d.t.Name)
	case col.DefaultText != "" || d.sequenced(col.Name):
		return b.errf(c.Location, sqlstate.SyntaxError, "both default and identity specified for column \"%s\" of table \"%s\"", col.Name, d.t.Name)
	}
	s, err := b.identity(col, c.Options)
	if err != nil {
		return err
	}
	col.Identity, col.NotNull = c.GeneratedWhen[0], true
	d.seqs = append(d.seqs, s)
	return nil
}

func (d *tableDef) named(name string, loc int32) error {
	if d.names == nil {
		d.names = map[string]bool{}
	}
	if d.names[name] {
		return d.b.errf(loc, sqlstate.DuplicateObject, "constraint \"%s\" for relation \"%s\" already exists", name, d.t.Name)
	}
	d.names[name] = true
	return nil
}

// free makes a constraint's name unique in the table, as PostgreSQL does by numbers.
func (d *tableDef) free(name string) string {
	for i := 0; ; i++ {
		n := name
		if i > 0 {
			n = name + itoa(i)
		}
		if !d.names[n] {
			return n
		}
	}
}

// finish binds what needed all columns.
func (d *tableDef) finish() error {
	for _, f := range d.exprs {
		if err := f(); err != nil {
			return err
		}
	}
	if len(d.t.PK) > 0 && d.t.PKName == "" {
		d.t.PKName = d.t.Name + "_pkey"
	}
	d.finishUnique()
	for _, o := range d.t.PK {
		if d.t.Columns[o].GeneratedText != "" {
			return d.b.unsupported(-1, "a generated column in a primary key")
		}
	}
	return nil
}

// primaryKey resolves the columns of a key.
func (b *binder) primaryKey(t *catalog.Table, cols []string, loc int32) ([]int, error) {
	var pk []int
	for _, name := range cols {
		o := t.Ordinal(name)
		if o < 0 {
			return nil, b.errf(loc, sqlstate.UndefinedColumn, "column \"%s\" named in key does not exist", name)
		}
		if contains(pk, o) {
			return nil, b.errf(loc, sqlstate.DuplicateColumn, "column \"%s\" appears twice in primary key constraint", name)
		}
		if err := keyable(&t.Columns[o]); err != nil {
			return nil, b.locate(err, loc)
		}
		pk = append(pk, o)
	}
	if len(pk) > 32 {
		return nil, b.errf(loc, sqlstate.TooManyColumns, "cannot use more than 32 columns in an index")
	}
	return pk, nil
}

// defaultText checks a default and writes it as SQL.
func (b *binder) defaultText(n *pg.Node, c *catalog.Column) (string, error) {
	if err := b.fixRelations(n); err != nil {
		return "", err
	}
	q := &query{b: b, clause: clauseDefault}
	e, err := q.expr(n)
	if err != nil {
		return "", err
	}
	if _, ok, err := b.coerce(e, c.T, fn.Assignment, location(n)); err != nil {
		return "", err
	} else if !ok {
		return "", b.errf(-1, sqlstate.DatatypeMismatch, "column \"%s\" is of type %s but default expression is of type %s",
			c.Name, types.FormatTypeNoMod(c.T.OID), types.FormatTypeNoMod(e.Type().OID)).
			WithHint("You will need to rewrite or cast the expression.")
	}
	return parser.DeparseExpr(n)
}

// generatedText checks a generation expression and writes it as SQL.
func (b *binder) generatedText(n *pg.Node, t *catalog.Table, ord int) (string, error) {
	c := &t.Columns[ord]
	if c.DefaultText != "" {
		return "", b.errf(-1, sqlstate.SyntaxError, "both default and generation expression specified for column \"%s\" of table \"%s\"", c.Name, t.Name)
	}
	q := &query{b: b, clause: clauseGenerated}
	row := q.rowRel(t.Name, t, b.rowColumns(q, t))
	q.ns = []*rel{row}
	e, err := q.expr(n)
	if err != nil {
		return "", err
	}
	self := -1
	expr.Walk(e, func(e expr.Expr) bool {
		if x, ok := e.(*expr.Column); ok {
			for i := range row.cols {
				if row.cols[i].e.(*expr.Column).ID == x.ID && (t.Columns[i].GeneratedText != "" || i == ord) {
					self = i
				}
			}
		}
		return true
	})
	if self >= 0 {
		return "", b.errf(location(n), sqlstate.InvalidColumnReference, "cannot use generated column \"%s\" in column generation expression", t.Columns[self].Name).
			WithDetail("A generated column cannot reference another generated column.")
	}
	if expr.Volatility(e) != fn.Immutable {
		return "", b.errf(-1, sqlstate.InvalidObjectDefinition, "generation expression is not immutable")
	}
	if _, err := b.assignable(e, c.T, c.Name, location(n)); err != nil {
		return "", err
	}
	return parser.DeparseExpr(ownColumns(n))
}

// checkText checks a CHECK constraint and writes it as SQL. Without a name it gets
// one of the table and the column, when it uses but one.
func (b *binder) checkText(name string, n *pg.Node, t *catalog.Table) (catalog.Check, error) {
	q := &query{b: b}
	q.ns = []*rel{q.rowRel(t.Name, t, b.rowColumns(q, t))}
	e, err := q.condition(n, clauseCheck, "CHECK")
	if err != nil {
		return catalog.Check{}, err
	}
	if hasSubquery(e) {
		return catalog.Check{}, b.errf(location(n), sqlstate.FeatureNotSupported, "cannot use subquery in check constraint")
	}
	if name == "" {
		used := map[int]bool{}
		expr.Columns(e, used)
		name = t.Name + "_check"
		if len(used) == 1 {
			for id := range used {
				name = t.Name + "_" + b.cols[id].col.Name + "_check"
			}
		}
	}
	text, err := parser.DeparseExpr(ownColumns(n))
	return catalog.Check{Name: name, Text: text}, err
}

// resultTable makes the columns of a table or view of a query's output.
func (b *binder) resultTable(t *catalog.Table, cols []plan.Column, colNames []string) error {
	if len(colNames) > len(cols) {
		return b.errf(-1, sqlstate.SyntaxError, "too many column names were specified")
	}
	d := &tableDef{b: b, t: t}
	for i, c := range cols {
		name := c.Name
		if i < len(colNames) {
			name = colNames[i]
		}
		if c.T.OID == types.RecordOID || c.T.OID == types.VoidOID {
			return b.errf(-1, sqlstate.InvalidTableDefinition, "column \"%s\" has pseudo-type %s", name, types.FormatTypeNoMod(c.T.OID))
		}
		if err := d.add(catalog.Column{Name: name, T: types.Of(c.T.OID, c.T.Mod)}, -1); err != nil {
			return err
		}
	}
	return nil
}

// createTableAs binds CREATE TABLE AS and SELECT INTO.
func (b *binder) createTableAs(q *pg.Node, into *pg.IntoClause, ifNotExists bool) (*plan.Statement, error) {
	sc, err := b.creationSchema(into.Rel)
	if err != nil {
		return nil, err
	}
	sel := q.GetSelectStmt()
	if sel == nil {
		return nil, b.unsupported(-1, "CREATE TABLE AS EXECUTE")
	}
	r, err := b.bindQuery(sel, nil, false)
	if err != nil {
		return nil, err
	}
	t := &catalog.Table{Name: into.Rel.Relname, Schema: sc.OID, Kind: catalog.KindTable, SchemaVersion: 1}
	if t.Temp, err = b.tempKind(sc, into.OnCommit); err != nil {
		return nil, err
	}
	if err := b.resultTable(t, r.cols, names(into.ColNames)); err != nil {
		return nil, err
	}
	if err := b.applyOptions(t, into.Options); err != nil {
		return nil, err
	}
	node, _, err := b.retype(&query{b: b}, r.node, r.cols, t.Types(), fn.Assignment, -1)
	if err != nil {
		return nil, err
	}
	tag := "SELECT"
	if into.SkipData {
		tag = "CREATE TABLE AS"
	}
	return &plan.Statement{Tag: tag, Writes: true,
		Utility: &plan.CreateTable{Table: t, SchemaName: sc.Name, IfNotExists: ifNotExists, Unlogged: into.Rel.Relpersistence == "u",
			Query: exact(node, len(t.Columns)), WithNoData: into.SkipData}}, nil
}

func (b *binder) selectInto(s *pg.SelectStmt, into *pg.IntoClause) (*plan.Statement, error) {
	s.IntoClause = nil
	defer func() { s.IntoClause = into }()
	return b.createTableAs(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: s}}, into, false)
}

// createView binds CREATE VIEW.
func (b *binder) createView(s *pg.ViewStmt) (*plan.Statement, error) {
	if s.View.Relpersistence == "u" {
		return nil, b.errf(-1, sqlstate.SyntaxError, "views cannot be unlogged because they do not have storage")
	}
	sc, err := b.creationSchema(s.View)
	if err != nil {
		return nil, err
	}
	if s.WithCheckOption != pg.ViewCheckOption_NO_CHECK_OPTION && s.WithCheckOption != pg.ViewCheckOption_VIEW_CHECK_OPTION_UNDEFINED {
		return nil, b.unsupported(-1, "WITH CHECK OPTION")
	}
	sel := s.Query.GetSelectStmt()
	if sel == nil {
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "views must not contain data-modifying statements in WITH")
	}
	if sel.IntoClause != nil {
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "views must not contain SELECT INTO")
	}
	b.record = newRecorder(b)
	r, err := b.bindQuery(sel, nil, false)
	if err != nil {
		return nil, err
	}
	if b.modifies {
		return nil, b.errf(-1, sqlstate.FeatureNotSupported, "views must not contain data-modifying statements in WITH")
	}
	if len(b.params) > 0 {
		return nil, b.errf(-1, sqlstate.UndefinedParameter, "there is no parameter $1")
	}
	if sc.Name != b.env.Temp {
		for _, o := range b.objects {
			if u := b.env.Catalog.Table(o.Table); u != nil && u.Temp != 0 && o.View == 0 {
				// What rests on a temporary relation is one itself.
				if s.View.Schemaname != "" {
					return nil, b.errf(-1, sqlstate.InvalidTableDefinition, "cannot create temporary relation in non-temporary schema")
				}
				if sc, err = b.tempSchema(s.View); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	t := &catalog.Table{Name: s.View.Relname, Schema: sc.OID, Kind: catalog.KindView, SchemaVersion: 1}
	if t.Temp, err = b.tempKind(sc, 0); err != nil {
		return nil, err
	}
	if len(s.Aliases) > len(r.cols) {
		return nil, b.errf(-1, sqlstate.SyntaxError, "CREATE VIEW specifies more column names than columns")
	}
	if err := b.resultTable(t, r.cols, names(s.Aliases)); err != nil {
		return nil, err
	}
	if t.ViewText, err = b.viewText(t, s.Query); err != nil {
		return nil, err
	}
	if s.Replace {
		if old := b.env.Catalog.TableNamed(sc.OID, t.Name); old != nil && old.Kind == catalog.KindView {
			if err := b.replaces(old, t); err != nil {
				return nil, err
			}
		}
	}
	return &plan.Statement{Tag: "CREATE VIEW", Writes: true, Utility: &plan.CreateView{Table: t, Replace: s.Replace}}, nil
}

// replaces checks that a view's new definition keeps the columns of the old one.
func (b *binder) replaces(old, t *catalog.Table) error {
	if len(t.Columns) < len(old.Columns) {
		return b.errf(-1, sqlstate.InvalidTableDefinition, "cannot drop columns from view")
	}
	for i := range old.Columns {
		o, n := &old.Columns[i], &t.Columns[i]
		if o.Name != n.Name {
			return b.errf(-1, sqlstate.InvalidTableDefinition, "cannot change name of view column \"%s\" to \"%s\"", o.Name, n.Name).
				WithHint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
		}
		if o.T.OID != n.T.OID || o.T.Mod != n.T.Mod {
			return b.errf(-1, sqlstate.InvalidTableDefinition, "cannot change data type of view column \"%s\" from %s to %s", o.Name,
				types.FormatType(o.T.OID, o.T.Mod), types.FormatType(n.T.OID, n.T.Mod))
		}
	}
	return nil
}
