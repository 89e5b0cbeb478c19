package row

import (
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

// While somebody reads a new sample, the old one is what others get.
func TestStatsMeanwhile(t *testing.T) {
	tab := &catalog.Table{OID: 16400, Name: "t", PK: []int{0}, Columns: []catalog.Column{{ID: 1, Name: "k", T: types.Int8, NotNull: true}}}
	tb := New(Config{DB: openDB(t), Table: tab})
	tb.From(0)
	var c StatsCache
	first := c.Get(tab, []*Tablet{tb})
	if first == nil || c.Get(tab, []*Tablet{tb}) != first {
		t.Fatal("nothing is kept")
	}
	tb.changed.Add(1000)
	c.sampling.Lock()
	if c.Get(tab, []*Tablet{tb}) != first {
		t.Error("another sample, although one is being read")
	}
	c.sampling.Unlock()
	if c.Get(tab, []*Tablet{tb}) == first {
		t.Error("no new sample after many changes")
	}
}
