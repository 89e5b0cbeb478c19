package demo

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// history is the messages of a range of ticks, by a generator that starts at the first.
func history(from, to int64) []*kgo.Record {
	c := &clock{}
	c.begin(0, time.Unix(1_790_000_000, 0), 500)
	var out []*kgo.Record
	w := &writer{clock: c, emit: func(r *kgo.Record) { out = append(out, r) }}
	world := NewWorld(from)
	for world.tick < to {
		w.tick(world)
	}
	return out
}

// A generator that starts in the middle writes what one from the beginning would.
func TestResume(t *testing.T) {
	all := history(0, 2500)
	for _, from := range []int64{1, 500, 2321} {
		var want []*kgo.Record
		for _, r := range all {
			if p, _ := readPlace(r.Headers[0].Value); p.tick >= from {
				want = append(want, r)
			}
		}
		got := history(from, 2500)
		if len(got) != len(want) {
			t.Fatalf("from %d: %d messages, want %d", from, len(got), len(want))
		}
		for i := range got {
			if got[i].Topic != want[i].Topic || got[i].Partition != want[i].Partition || !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
				t.Fatalf("from %d, message %d: %s\nwant %s", from, i, got[i].Value, want[i].Value)
			}
		}
	}
}

// Replaying the messages into maps gives what the model says.
func TestModel(t *testing.T) {
	const ticks = 8_000
	records := history(0, ticks)
	if n := float64(len(records)-firstDrivers-len(Cities)) / ticks; n < eventsPerTick*0.95 || n > eventsPerTick*1.05 {
		t.Errorf("%.2f messages a tick; eventsPerTick says %.2f", n, eventsPerTick)
	}
	type row struct {
		Status string `json:"status"`
		Fare   string `json:"fare"`
	}
	var got Totals
	orders, drivers, cities := map[string]row{}, map[string]bool{}, map[string]bool{}
	parse := func(s string) int64 {
		n, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, r := range records {
		var ev struct {
			Op    string
			After *row
		}
		if r.Value != nil && !json.Valid(r.Value) {
			got.Bad++
			continue
		}
		switch r.Topic {
		case topicCities:
			cities[string(r.Key)] = true
		case topicDrivers:
			drivers[string(r.Key)] = true
		case topicOrders:
			if r.Value == nil {
				delete(orders, string(r.Key))
				continue
			}
			if err := json.Unmarshal(r.Value, &ev); err != nil {
				t.Fatal(err)
			}
			if _, there := orders[string(r.Key)]; there != (ev.Op != "c") {
				t.Fatalf("%s of an order that exists: %v", r.Value, there)
			}
			if ev.Op == "d" {
				delete(orders, string(r.Key))
				got.Deleted++
			} else {
				orders[string(r.Key)] = *ev.After
			}
		case topicPayments:
			var p struct{ Amount, Tip json.Number }
			if err := json.Unmarshal(r.Value, &p); err != nil {
				t.Fatal(err)
			}
			got.Payments++
			got.PaidCents += parse(p.Amount.String()) + parse(p.Tip.String())
		case topicPositions:
			got.Positions++
		}
	}
	got.Orders, got.Drivers, got.Cities = int64(len(orders)), int64(len(drivers)), int64(len(cities))
	for _, o := range orders {
		for i, s := range StatusNames {
			if s == o.Status {
				got.ByStatus[i]++
			}
		}
		got.FareCents += parse(o.Fare)
	}
	if want := Model(ticks); got != want {
		t.Errorf("messages give %+v\nthe model says %+v", got, want)
	}
	if got.Deleted == 0 || got.Bad == 0 || got.ByStatus[Driving] == 0 {
		t.Errorf("a dull world: %+v", got)
	}
}

// Times once told stay the same, and never go back.
func TestClock(t *testing.T) {
	c := &clock{}
	c.begin(0, time.Unix(1000, 0), 100)
	a, b := c.micros(50), c.micros(500)
	c.begin(400, time.Unix(2000, 0), 1000)
	if c.micros(50) != a || c.micros(399) >= c.micros(400) || c.micros(500) == b {
		t.Error("the clock of the first run changed, or the second has none")
	}
	c.begin(800, time.Unix(1, 0), 1000)
	if c.micros(800) < c.micros(799) {
		t.Error("the clock went back")
	}
}
