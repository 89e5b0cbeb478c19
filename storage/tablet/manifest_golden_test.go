package tablet

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/column"
)

var rewriteManifest = flag.Bool("rewrite-manifest", false, "write the manifest's golden file")

// goldenEdits are the content of golden/manifest.1: every field there is.
func goldenEdits() []*edit {
	return []*edit{
		{Table: 16384, Gen: 5, Switch: true, F: 4},
		{Table: 16384, Log: true, Gen: 5, Switch: true, F: 4},
		{Table: 16384, Shard: 1, Gen: 5, Add: []column.SegmentInfo{{File: "000000000001.seg", Size: 1000, Rows: 10, Settled: true, Full: true}}, Deletes: "000000000002.del", F: 40},
		{Table: 16384, Log: true, Shard: 1, Gen: 5, Add: []column.SegmentInfo{
			{File: "000000000003.seg", Size: 2000, Rows: 20},
			{File: "000000000004.seg", Size: 3000, Rows: 30, Base: 50, CSN: 90, Time: 1700000000000000}}, F: 90},
		{Table: 16384, Log: true, Shard: 1, Gen: 5, Drop: []string{"000000000003.seg"}, F: 90, Floor: 39},
		{Table: 16390, Dropped: true},
		{Table: 16390, Log: true, Dropped: true},
	}
}

// TestManifestGolden pins the manifest's bytes, and what they are read as.
func TestManifestGolden(t *testing.T) {
	const path = "golden/manifest.1"
	got := []byte(manifestHeader)
	want := manifestState{}
	var err error
	for _, e := range goldenEdits() {
		if got, err = appendManifestFrame(got, e); err != nil {
			t.Fatal(err)
		}
		want.apply(e)
	}
	if *rewriteManifest {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, got) {
		t.Fatalf("the manifest's bytes changed (%v); a change needs a new version", err)
	}
	d := blob.NewMem().Root()
	if err := blob.WriteFile(d, manifestName, b); err != nil {
		t.Fatal(err)
	}
	m, err := openManifest(d)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.state, want) {
		t.Errorf("read as %+v", m.state)
	}
	log := m.state[tabletsOf{16384, true}].shards[1]
	if len(log.Segments) != 1 || log.Segments[0].Time == 0 || log.Floor != 39 || log.F != 90 {
		t.Errorf("%+v", log)
	}
}
