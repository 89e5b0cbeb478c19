package store

import (
	"math"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(f) }

// TestRoundTrip stores deltas one after another and loads the same catalog.
func TestRoundTrip(t *testing.T) {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, ok, err := Load(db); ok || err != nil {
		t.Fatal(ok, err)
	}
	v := catalog.NewVersion()
	table := &catalog.Table{OID: 16384, Schema: 2200, Name: "t", Owner: 10, PK: []int{0}, PKName: "t_pkey", Shards: 2,
		Distribution: []int{0}, Clustering: []catalog.SortColumn{{Ordinal: 1, Desc: true}}, Props: map[string]string{"a": "b"},
		Columns: []catalog.Column{
			{ID: 1, Attr: 1, Name: "a", T: types.Int4, NotNull: true},
			{ID: 2, Attr: 2, Name: "b", T: types.Bytea, Missing: types.NewString("\xff\x00x")},
			{ID: 3, Attr: 3, Name: "c", T: types.Float8, Missing: types.NewFloat(math.Inf(-1))},
			{ID: 4, Attr: 4, Name: "d", T: types.Decimal(20, 3), Missing: types.NewI128(types.Int128{Lo: 5, Hi: -1})},
		},
		Checks: []catalog.Check{{OID: 5, Name: "x", Text: "a > 0"}}, ACL: []catalog.ACLItem{{Role: 0, Grantor: 10, Privileges: "r"}},
		SchemaVersion: 3, NextColumnID: 5, RelType: 16386}
	for _, d := range []*catalog.Delta{
		catalog.Bootstrap(1),
		{Tables: map[uint32]*catalog.Table{16384: table, 16390: {OID: 16390, Name: "gone", Schema: 2200}}, NextOID: 16400},
		{Roles: map[uint32]*catalog.Role{16400: {OID: 16400, Name: "r", Password: "SCRAM-SHA-256$4096:x", ValidUntil: types.NewInt(7),
			Config: map[string]string{"search_path": "x"}, MemberOf: []uint32{10}}}, NextOID: 16401},
		{Tables: map[uint32]*catalog.Table{16390: nil}},
		{Subscriptions: map[uint32]*catalog.Subscription{16401: {OID: 16401, Name: "s", Owner: 10, Enabled: true, Conn: "kafka://u:***@h",
			Secrets: []byte{0, 255}, Publications: []string{"a", "b"}, Options: map[string]string{"format": "json"}, Target: 16384, Version: 2},
			16402: {OID: 16402, Name: "gone"}}, NextOID: 16403},
		{Subscriptions: map[uint32]*catalog.Subscription{16402: nil}},
	} {
		v = v.Apply(d)
		kvs, err := Sets(d, v)
		if err != nil {
			t.Fatal(err)
		}
		b := db.NewBatch()
		if err := Apply(b, kvs); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		got, ok, err := Load(db)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if got.Number != v.Number || got.NextOID != v.NextOID || !reflect.DeepEqual(got.Tables(), v.Tables()) ||
			!reflect.DeepEqual(got.Roles(), v.Roles()) || !reflect.DeepEqual(got.Schemas(), v.Schemas()) ||
			!reflect.DeepEqual(got.Databases(), v.Databases()) || !reflect.DeepEqual(got.Subscriptions(), v.Subscriptions()) {
			t.Fatalf("the stored catalog differs after delta %+v", d)
		}
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("cs\x00\x00\x00\x01"), []byte("\x01{\"OID\":1}"))
	f.Add([]byte("ct\x00\x00\x00\x01"), []byte("\x01{\"Columns\":[{\"ID\":1}]}"))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		_, _, _ = Delta([]KV{{k, v}})
	})
}
