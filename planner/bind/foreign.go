package bind

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

const invalidForeignKey = sqlstate.Code("42830")

// constraintNames are the names that a table's constraints have.
func constraintNames(t *catalog.Table) map[string]bool {
	out := map[string]bool{}
	if t.PKName != "" {
		out[t.PKName] = true
	}
	for _, k := range t.Unique {
		if !k.IndexOnly {
			out[k.Name] = true
		}
	}
	for _, k := range t.Checks {
		out[k.Name] = true
	}
	for _, k := range t.Foreign {
		out[k.Name] = true
	}
	return out
}

// foreign resolves a FOREIGN KEY constraint, which is recorded and not enforced. A
// reference to the table itself has RefTable 0 as long as it has no OID.
func (d *tableDef) foreign(c *pg.Constraint, cols []string) error {
	b, t := d.b, d.t
	ref := t
	if rv := c.Pktable; rv.Relname != t.Name || rv.Schemaname != "" {
		var err error
		if ref, err = b.relation(rv.Schemaname, rv.Relname, -1); err != nil {
			return err
		}
		if ref.Kind != catalog.KindTable {
			return b.errf(-1, sqlstate.WrongObjectType, "referenced relation \"%s\" is not a table", ref.Name)
		}
		b.use(ref, "x")
		switch {
		case t.Temp == catalog.NotTemp && ref.Temp != catalog.NotTemp:
			return b.errf(-1, sqlstate.InvalidTableDefinition, "constraints on permanent tables may reference only permanent tables")
		case t.Temp != catalog.NotTemp && ref.Temp == catalog.NotTemp:
			return b.errf(-1, sqlstate.InvalidTableDefinition, "constraints on temporary tables may reference only temporary tables")
		}
	}
	k := catalog.ForeignKey{Name: c.Conname, RefTable: ref.OID, OnUpdate: letterOr(c.FkUpdAction, 'a'), OnDelete: letterOr(c.FkDelAction, 'a'),
		Match: letterOr(c.FkMatchtype, 's'), Deferrable: c.Deferrable, Deferred: c.Initdeferred}
	find := func(t *catalog.Table, name string) (*catalog.Column, error) {
		o := t.Ordinal(name)
		if o < 0 {
			return nil, b.errf(-1, sqlstate.UndefinedColumn, "column \"%s\" referenced in foreign key constraint does not exist", name)
		}
		return &t.Columns[o], nil
	}
	var own, their []*catalog.Column
	for _, n := range cols {
		col, err := find(t, n)
		if err != nil {
			return err
		}
		own = append(own, col)
		k.Columns = append(k.Columns, col.ID)
	}
	if len(c.PkAttrs) == 0 {
		if len(ref.PK) == 0 {
			return b.errf(-1, sqlstate.UndefinedObject, "there is no primary key for referenced table \"%s\"", ref.Name)
		}
		for _, o := range ref.PK {
			their = append(their, &ref.Columns[o])
		}
	} else {
		key := map[int]bool{}
		for _, n := range names(c.PkAttrs) {
			col, err := find(ref, n)
			if err != nil {
				return err
			}
			key[ref.Ordinal(n)] = true
			their = append(their, col)
		}
		match := len(key) == len(ref.PK) && len(their) == len(ref.PK) && len(ref.PK) > 0
		for _, o := range ref.PK {
			match = match && key[o]
		}
		ids := map[int32]bool{}
		for o := range key {
			ids[ref.Columns[o].ID] = true
		}
		for i := range ref.Unique {
			match = match || len(their) == len(key) && sameSet(ref.Unique[i].Columns, ids)
		}
		if !match {
			return b.errf(-1, invalidForeignKey, "there is no unique constraint matching given keys for referenced table \"%s\"", ref.Name)
		}
	}
	if len(own) != len(their) {
		return b.errf(-1, invalidForeignKey, "number of referencing and referenced columns for foreign key disagree")
	}
	if k.Name == "" {
		k.Name = d.free(t.Name + "_" + strings.Join(cols, "_") + "_fkey")
	}
	for i, col := range their {
		k.RefColumns = append(k.RefColumns, col.ID)
		if !comparable(own[i].T, col.T) {
			return b.errf(-1, sqlstate.DatatypeMismatch, "foreign key constraint \"%s\" cannot be implemented", k.Name).
				WithDetail("Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.", own[i].Name, col.Name,
					types.FormatType(own[i].T.OID, own[i].T.Mod), types.FormatType(col.T.OID, col.T.Mod))
		}
	}
	if err := d.named(k.Name, c.Location); err != nil {
		return err
	}
	t.Foreign = append(t.Foreign, k)
	return nil
}

func letterOr(s string, none byte) byte {
	if s == "" || s == " " {
		return none
	}
	return s[0]
}

// comparable says whether a foreign key may compare two types: of one category, as
// the integers and numeric, or the texts.
func comparable(a, b types.T) bool {
	if a.OID == b.OID {
		return true
	}
	x, y := types.Lookup(a.OID), types.Lookup(b.OID)
	return x != nil && y != nil && x.Category == y.Category && (x.Category == 'N' || x.Category == 'S' || x.Category == 'D')
}

// deferrable takes DEFERRABLE and the like after a foreign key; other constraints are
// checked when rows are written.
func (d *tableDef) deferrable(c *pg.Constraint) error {
	if c.Contype == pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE || c.Contype == pg.ConstrType_CONSTR_ATTR_IMMEDIATE || d.lastForeign {
		return nil
	}
	return d.b.unsupported(c.Location, "a deferrable constraint")
}
