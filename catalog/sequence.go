package catalog

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/types"
)

// SequenceColumns are what a scan of a sequence gives.
func SequenceColumns() []Column {
	return []Column{
		{ID: 1, Attr: 1, Name: "last_value", T: types.Int8, NotNull: true},
		{ID: 2, Attr: 2, Name: "log_cnt", T: types.Int8, NotNull: true},
		{ID: 3, Attr: 3, Name: "is_called", T: types.Bool, NotNull: true},
	}
}

// SequenceBounds are the least and the greatest value of a sequence's type, by
// whether it ascends.
func SequenceBounds(typ uint32, ascending bool) (lo, hi int64) {
	lo, hi = -1<<63, 1<<63-1
	switch typ {
	case types.Int2OID:
		lo, hi = -1<<15, 1<<15-1
	case types.Int4OID:
		lo, hi = -1<<31, 1<<31-1
	}
	if ascending {
		return 1, hi
	}
	return lo, -1
}

// NextvalText is the default expression that takes values of a sequence. It names
// the sequence by OID, so that it survives renaming and search paths.
func NextvalText(oid uint32) string { return "nextval(" + RegclassText(oid) + ")" }

// RegclassText is a relation as a constant in the text of an expression.
func RegclassText(oid uint32) string {
	return "'" + strconv.FormatUint(uint64(oid), 10) + "'::regclass"
}

// UsesRelation says whether an expression's text has a relation as a constant.
func UsesRelation(text string, oid uint32) bool { return strings.Contains(text, RegclassText(oid)) }
