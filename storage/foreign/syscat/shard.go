package syscat

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// anyFuncs are system functions of arguments of any types.
var anyFuncs = map[string]func(f *Functions, ts []types.T, a []types.Datum) (types.Datum, error){
	"hg_shard_id_for_distribution_key": (*Functions).shardOf,
}

// CallAny computes one result; see executor/eval's AnyProvider.
func (f *Functions) CallAny(x *fn.Func, ts []types.T, a []types.Datum) (types.Datum, error) {
	return anyFuncs[x.Name](f, ts, a)
}

// shardOf is the shard, from 0, in which a table has rows with these values of its
// distribution key.
func (f *Functions) shardOf(ts []types.T, a []types.Datum) (types.Datum, error) {
	if !a[0].Valid {
		return types.Null, nil
	}
	oid, err := f.src.Names(f.view).RegOID(types.RegclassOID, a[0].S)
	if err != nil {
		return types.Null, err
	}
	t := f.table(oid)
	if t == nil || t.Kind != catalog.KindTable {
		return types.Null, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a table", a[0].S)
	}
	key := t.Distribution
	if len(key) == 0 {
		key = t.PK
	}
	if len(key) == 0 {
		return types.Null, sqlstate.Errorf(sqlstate.InvalidParameterValue, "table \"%s\" has no distribution key", t.Name)
	}
	if len(key) != len(a)-1 {
		return types.Null, sqlstate.Errorf(sqlstate.InvalidParameterValue, "the distribution key of table \"%s\" has %d columns, not %d", t.Name, len(key), len(a)-1)
	}
	hashes := make([]uint32, len(key))
	for i, o := range key {
		to, from, d := t.Columns[o].T, ts[i+1], a[i+1]
		if d.Valid && from != to {
			if d, err = types.ParseText(to, string(types.AppendText(nil, from, d, nil)), nil); err != nil {
				return types.Null, err
			}
		}
		hashes[i] = types.ShardHash(to, d)
	}
	return types.NewInt(int64(types.ShardOf(max(t.Shards, 1), hashes...))), nil
}
