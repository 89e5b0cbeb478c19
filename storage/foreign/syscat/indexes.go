package syscat

import (
	"github.com/millrace/millrace/catalog"
)

// index is the index of a primary or other unique key.
type index struct {
	oid        uint32
	constraint uint32 // 0: an index alone
	name       string
	cols       []int // ordinals
	primary    bool
}

// kind is the constraint's letter.
func (x *index) kind() string {
	if x.primary {
		return "p"
	}
	return "u"
}

// indexesOf are the indexes of a table, that of the primary key first.
func indexesOf(t *catalog.Table) []index {
	var out []index
	if len(t.PK) > 0 {
		out = append(out, index{t.PKOID, t.PKOID + 1, t.PKName, t.PK, true})
	}
	for i := range t.Unique {
		k := &t.Unique[i]
		x := index{k.OID, k.OID + 1, k.Name, t.Ordinals(k), false}
		if k.IndexOnly {
			x.constraint = 0
		}
		out = append(out, x)
	}
	return out
}

// indexByOID finds an index and its table; nil for none.
func (f *Functions) indexByOID(oid uint32) (*catalog.Table, *index) {
	for _, t := range f.view.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			if x.oid == oid {
				return t, &x
			}
		}
	}
	return nil, nil
}
