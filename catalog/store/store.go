// Package store keeps the catalog as keys and values: each object of a
// catalog.Version under its kind and OID, and some numbers. A Delta becomes key
// sets, which travel in the log record of their commit and are then applied to
// Pebble by whoever owns the log; this package has no durability of its own.
//
// A value is a version byte and the object as JSON, so that fields can be added.
// The only secrets among objects are SCRAM verifiers of roles, and those of
// subscriptions, which are sealed.
package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

// Prefix begins all keys of the catalog.
const Prefix = 'c'

const version = 1

// Kinds of objects, the second byte of a key.
const (
	kindNumbers  = 'n'
	kindSchema   = 's'
	kindTable    = 't'
	kindRole     = 'r'
	kindDatabase = 'd'

	kindSubscription = 'u'
	kindTableGroup   = 'g'
)

// KV is a change of one key; a nil value removes it.
type KV struct{ Key, Value []byte }

func key(kind byte, oid uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{Prefix, kind}, oid)
}

type numbers struct {
	Number  uint64
	NextOID uint32
}

// datum is a types.Datum whose bytes survive JSON.
type datum struct {
	Valid bool    `json:",omitempty"`
	I     int64   `json:",omitempty"`
	H     int64   `json:",omitempty"`
	F     float64 `json:",omitempty"`
	S     []byte  `json:",omitempty"`
	Bits  uint64  `json:",omitempty"` // of F, since JSON has no NaN
}

type column struct {
	catalog.Column
	Missing datum
}

type table struct {
	catalog.Table
	Columns []column
}

type role struct {
	catalog.Role
	ValidUntil datum
}

// Sets are the key changes of a delta; after is the catalog with the delta applied.
func Sets(d *catalog.Delta, after *catalog.Version) ([]KV, error) {
	var out []KV
	add := func(kind byte, oid uint32, gone bool, obj any) error {
		kv := KV{Key: key(kind, oid)}
		if !gone {
			v, err := encode(obj)
			if err != nil {
				return err
			}
			kv.Value = v
		}
		out = append(out, kv)
		return nil
	}
	err := add(kindNumbers, 0, false, numbers{after.Number, after.NextOID})
	for oid, o := range d.Schemas {
		if err == nil {
			err = add(kindSchema, oid, o == nil, o)
		}
	}
	for oid, o := range d.Tables {
		if err == nil {
			err = add(kindTable, oid, o == nil, fromTable(o))
		}
	}
	for oid, o := range d.Roles {
		if err == nil {
			err = add(kindRole, oid, o == nil, fromRole(o))
		}
	}
	for oid, o := range d.Databases {
		if err == nil {
			err = add(kindDatabase, oid, o == nil, o)
		}
	}
	for oid, o := range d.Subscriptions {
		if err == nil {
			err = add(kindSubscription, oid, o == nil, o)
		}
	}
	for oid, o := range d.TableGroups {
		if err == nil {
			err = add(kindTableGroup, oid, o == nil, o)
		}
	}
	return out, err
}

func encode(obj any) ([]byte, error) {
	b, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	return append([]byte{version}, b...), nil
}

func decode[T any](v []byte) (*T, error) {
	if len(v) == 0 || v[0] != version {
		return nil, fmt.Errorf("catalog entry has an unknown version")
	}
	o := new(T)
	return o, json.Unmarshal(v[1:], o)
}

func fromTable(t *catalog.Table) *table {
	if t == nil {
		return nil
	}
	s := &table{Table: *t}
	for _, c := range t.Columns {
		s.Columns = append(s.Columns, column{c, fromDatum(c.Missing)})
	}
	return s
}

func (s *table) object() *catalog.Table {
	t := s.Table
	t.Columns = nil
	for _, c := range s.Columns {
		c.Column.Missing = c.Missing.datum()
		t.Columns = append(t.Columns, c.Column)
	}
	return &t
}

func fromRole(r *catalog.Role) *role {
	if r == nil {
		return nil
	}
	return &role{*r, fromDatum(r.ValidUntil)}
}

// Delta is the inverse of Sets: what key changes do to a catalog. number is the
// catalog's number afterwards, 0 when the changes do not say.
func Delta(kvs []KV) (d *catalog.Delta, number uint64, err error) {
	d = &catalog.Delta{Schemas: map[uint32]*catalog.Schema{}, Tables: map[uint32]*catalog.Table{},
		Roles: map[uint32]*catalog.Role{}, Databases: map[uint32]*catalog.Database{},
		Subscriptions: map[uint32]*catalog.Subscription{}, TableGroups: map[uint32]*catalog.TableGroup{}}
	for _, kv := range kvs {
		if len(kv.Key) != 6 || kv.Key[0] != Prefix {
			return nil, 0, fmt.Errorf("catalog key %q is malformed", kv.Key)
		}
		oid := binary.BigEndian.Uint32(kv.Key[2:])
		switch kv.Key[1] {
		case kindNumbers:
			var n *numbers
			if n, err = decode[numbers](kv.Value); err == nil {
				number, d.NextOID = n.Number, n.NextOID
			}
		case kindSchema:
			err = put(d.Schemas, oid, kv.Value, func(s *catalog.Schema) *catalog.Schema { return s })
		case kindTable:
			err = put(d.Tables, oid, kv.Value, (*table).object)
		case kindRole:
			err = put(d.Roles, oid, kv.Value, func(r *role) *catalog.Role {
				o := r.Role
				o.ValidUntil = r.ValidUntil.datum()
				return &o
			})
		case kindDatabase:
			err = put(d.Databases, oid, kv.Value, func(d *catalog.Database) *catalog.Database { return d })
		case kindSubscription:
			err = put(d.Subscriptions, oid, kv.Value, func(s *catalog.Subscription) *catalog.Subscription { return s })
		case kindTableGroup:
			err = put(d.TableGroups, oid, kv.Value, func(g *catalog.TableGroup) *catalog.TableGroup { return g })
		default:
			err = fmt.Errorf("catalog entry has an unknown kind %q", kv.Key[1])
		}
		if err != nil {
			return nil, 0, fmt.Errorf("catalog key %q: %w", kv.Key, err)
		}
	}
	return d, number, nil
}

func put[S, O any](m map[uint32]*O, oid uint32, v []byte, object func(*S) *O) error {
	if v == nil {
		m[oid] = nil
		return nil
	}
	s, err := decode[S](v)
	if err != nil {
		return err
	}
	m[oid] = object(s)
	return nil
}

// Apply puts key changes into a batch.
func Apply(b *pebble.Batch, kvs []KV) error {
	for _, kv := range kvs {
		var err error
		if kv.Value == nil {
			err = b.Delete(kv.Key, nil)
		} else {
			err = b.Set(kv.Key, kv.Value, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Load reads the whole catalog. ok is false when there is none yet.
func Load(r pebble.Reader) (v *catalog.Version, ok bool, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{Prefix}, UpperBound: []byte{Prefix + 1}})
	if err != nil {
		return nil, false, err
	}
	defer it.Close()
	var kvs []KV
	for it.First(); it.Valid(); it.Next() {
		kvs = append(kvs, KV{append([]byte(nil), it.Key()...), append([]byte(nil), it.Value()...)})
	}
	if err := it.Error(); err != nil {
		return nil, false, err
	}
	if len(kvs) == 0 {
		return nil, false, nil
	}
	d, number, err := Delta(kvs)
	if err != nil {
		return nil, false, err
	}
	v = catalog.NewVersion().Apply(d)
	v.Number = number
	return v, true, nil
}

func fromDatum(d types.Datum) datum {
	s := datum{Valid: d.Valid, I: d.I, H: d.H, S: []byte(d.S)}
	s.setFloat(d.F)
	return s
}
