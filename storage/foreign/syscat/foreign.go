package syscat

import (
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

// foreignDef is the definition of a foreign key. It ends in NOT VALID: nobody has
// seen to it that the rows keep it.
func (f *Functions) foreignDef(t *catalog.Table, k *catalog.ForeignKey) string {
	list := func(t *catalog.Table, ids []int32) string {
		var cols []string
		for _, id := range ids {
			if c := t.ColumnByID(id); c != nil {
				cols = append(cols, quoteIdent(c.Name))
			}
		}
		return "(" + strings.Join(cols, ", ") + ")"
	}
	ref := f.view.Catalog().Table(k.RefTable)
	if ref == nil {
		return ""
	}
	name, _ := (names{f}).RegName(types.RegclassOID, ref.OID)
	s := "FOREIGN KEY " + list(t, k.Columns) + " REFERENCES " + name + list(ref, k.RefColumns)
	if k.Match == 'f' {
		s += " MATCH FULL"
	}
	actions := map[byte]string{'r': "RESTRICT", 'c': "CASCADE", 'n': "SET NULL", 'd': "SET DEFAULT"}
	if a := actions[k.OnUpdate]; a != "" {
		s += " ON UPDATE " + a
	}
	if a := actions[k.OnDelete]; a != "" {
		s += " ON DELETE " + a
	}
	if k.Deferrable {
		s += " DEFERRABLE"
	}
	if k.Deferred {
		s += " INITIALLY DEFERRED"
	}
	return s + " NOT VALID"
}
