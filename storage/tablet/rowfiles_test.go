package tablet

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// TestRowFiles flushes rows into files that overlap, and they become one level by
// themselves, and when asked.
func TestRowFiles(t *testing.T) {
	s := openMem(t, blob.NewMem())
	defer s.Close()
	tab := createWith(t, s, "kv", true, map[string]string{"orientation": catalog.OrientationRow})
	write := func(files int) string {
		want := ""
		for f := range files {
			x := s.Begin(storage.TxnOptions{})
			rows := make([]kv, 50)
			for i := range rows {
				rows[i] = kv{i*7%50 + f, fmt.Sprintf("%d of %d", i, f)}
			}
			if _, err := x.Write(bg, &storage.Mutation{Table: tab, Op: storage.OpUpsert, Rows: rowsBatch(tab, rows)}); err != nil {
				t.Fatal(err)
			}
			if _, err := x.Commit(bg); err != nil {
				t.Fatal(err)
			}
			if err := s.flushCatalog(); err != nil {
				t.Fatal(err)
			}
			want = contents(t, s, tab)
		}
		return want
	}
	levels := func(most int64, want string) {
		t.Helper()
		if m := s.RowMetrics(); m.ReadAmp > most || m.Files == 0 || m.Bytes == 0 || m.Flushes == 0 {
			t.Errorf("%+v", m)
		}
		if got := contents(t, s, tab); got != want {
			t.Error("rows changed")
		}
	}
	want := write(3)
	if err := s.Compact(bg, tab.OID); err != nil {
		t.Fatal(err)
	}
	levels(2, want) // the catalog may have a file above
	want = write(3)
	s.opts.SettleAfter = 0
	var q rowQuiet
	for range 2 {
		if err := q.settle(bg, s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	levels(2, want)
}
