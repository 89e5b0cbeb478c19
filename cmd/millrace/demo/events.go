package demo

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/catalog/types"
)

// The topics. Those of three parts are a database's tables as a change stream writes
// them; the others are the apps' own events.
const (
	topicCities    = "ride.public.cities"
	topicDrivers   = "ride.public.drivers"
	topicOrders    = "ride.public.orders"
	topicPayments  = "ride.payments"
	topicPositions = "ride.positions"
)

// partitions says how many each topic has.
var partitions = map[string]int32{topicCities: 1, topicDrivers: 2, topicOrders: 2, topicPayments: 2, topicPositions: 2}

// place is where in the history a message stands: its tick, and its number in it. It
// travels in a header, so that the broker's log says how far the generator came.
type place struct{ tick, n int64 }

const placeHeader = "place"

func (p place) bytes() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(p.tick)), uint32(p.n))
}

func readPlace(b []byte) (place, bool) {
	if len(b) != 12 {
		return place{}, false
	}
	return place{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))}, true
}

func (p place) after(q place) bool { return p.tick > q.tick || p.tick == q.tick && p.n > q.n }

// writer spells what happens as messages.
type writer struct {
	clock *clock
	emit  func(r *kgo.Record)
	at    place
}

// send emits a message under a key; the value nil is a tombstone.
func (w *writer) send(topic string, key int64, jsonKey string, value []byte) {
	r := &kgo.Record{Topic: topic, Value: value, Partition: int32(mix(uint64(key), 99) % uint64(partitions[topic]))}
	if jsonKey != "" {
		r.Key = fmt.Appendf(nil, `{"%s":%d}`, jsonKey, key)
	}
	r.Headers = []kgo.RecordHeader{{Key: placeHeader, Value: w.at.bytes()}}
	w.at.n++
	w.emit(r)
}

// tick sends the messages of the world's next tick.
func (w *writer) tick(world *World) {
	w.at = place{tick: world.tick}
	now := w.clock.micros(world.tick)
	if world.tick == 0 {
		w.snapshot(now)
	} else if world.tick%driverEvery == 0 {
		w.driver("c", drivers(world.tick), 0, world.tick, now)
	}
	tick := world.next(func(c change) {
		w.order(c, now)
		switch c.status {
		case Dispatched:
			w.driver("u", c.driver, c.id, c.steps[0].at, now)
		case Paid:
			w.driver("u", c.driver, 0, c.steps[0].at, now)
			w.payment(c, now)
		case Cancelled:
			if c.n == 3 {
				w.driver("u", c.driver, 0, c.steps[0].at, now)
			}
		}
	})
	for k := range int64(positionsPerTick) {
		w.position(tick, k, now)
	}
	if bad(tick) { // as from a phone whose battery died
		w.send(topicPositions, 1, "", []byte(`{"driver_id":1,"at":"2026-0`))
	}
}

// snapshot is what the database held when its change stream began.
func (w *writer) snapshot(now int64) {
	for i := range Cities {
		c := &Cities[i]
		after := fmt.Appendf(nil, `{"city_id":%d,"name":%s,"country":"%s","time_zone":"%s","lat":%.3f,"lon":%.3f}`,
			c.ID, types.AppendJSONString(nil, []byte(c.Name)), c.Country, c.Zone, c.Lat, c.Lon)
		w.send(topicCities, int64(c.ID), "city_id", envelope("r", "cities", nil, after, now))
	}
	for id := range int64(firstDrivers) {
		w.driver("r", id+1, 0, 0, now)
	}
}

// envelope is a Debezium change event, as the connector for PostgreSQL writes it
// without schemas.
func envelope(op, table string, before, after []byte, now int64) []byte {
	b := make([]byte, 0, 320+len(before)+len(after))
	image := func(name string, image []byte) {
		b = append(b, name...)
		if image == nil {
			b = append(b, "null"...)
		} else {
			b = append(b, image...)
		}
	}
	image(`{"before":`, before)
	image(`,"after":`, after)
	snapshot := "false"
	if op == "r" {
		snapshot = "true"
	}
	b = append(b, `,"source":{"version":"3.0.0.Final","connector":"postgresql","name":"ride","ts_ms":`...)
	b = strconv.AppendInt(b, now/1000, 10)
	b = append(b, `,"snapshot":"`...)
	b = append(b, snapshot...)
	b = append(b, `","db":"ride","schema":"public","table":"`...)
	b = append(b, table...)
	b = append(b, `"},"op":"`...)
	b = append(b, op...)
	b = append(b, `","ts_ms":`...)
	b = strconv.AppendInt(b, now/1000, 10)
	return append(b, '}')
}

func cents(v int64) string {
	return strconv.FormatInt(v/100, 10) + "." + fmt.Sprintf("%02d", v%100)
}

// order sends a change of an order.
func (w *writer) order(c change, now int64) {
	row := fmt.Appendf(make([]byte, 0, 320), `{"order_id":%d,"customer_id":%d,"city_id":%d,"status":"%s","distance_m":%d,"fare":"%s","created_at":%d,"updated_at":%d`,
		c.id, c.customer, c.city.ID, StatusNames[c.status], c.meters, cents(c.fare), w.clock.micros(c.steps[0].at), now)
	if c.status != Placed && !(c.status == Cancelled && c.n == 2) {
		row = fmt.Appendf(row, `,"driver_id":%d`, c.driver)
	} else {
		row = append(row, `,"driver_id":null`...)
	}
	if c.status == Cancelled {
		row = fmt.Appendf(row, `,"cancel_reason":"%s"`, c.reason)
	} else {
		row = append(row, `,"cancel_reason":null`...)
	}
	row = append(row, '}')
	op := "u"
	if c.first {
		op = "c"
	}
	w.send(topicOrders, c.id, "order_id", envelope(op, "orders", nil, row, now))
	if c.test && c.status >= Paid {
		key := fmt.Appendf(nil, `{"order_id":%d}`, c.id)
		w.send(topicOrders, c.id, "order_id", envelope("d", "orders", key, nil, now))
		w.send(topicOrders, c.id, "order_id", nil)
	}
}

var (
	firstNames = []string{"Ada", "Bruno", "Chen", "Dalia", "Efe", "Fatou", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lin", "Mira", "Noor", "Otto", "Priya"}
	lastNames  = []string{"Alvarez", "Bakker", "Costa", "Diallo", "Eze", "Fischer", "García", "Haddad", "Ito", "Jansen", "Kaya", "Li", "Müller", "Novak", "Okafor", "Patel"}
	vehicles   = []string{"sedan", "hatchback", "van", "electric", "motorbike"}
)

// driver sends a driver's row; order is what they drive, 0 for none.
func (w *writer) driver(op string, id, order, joined, now int64) {
	x := mix(uint64(id), ofDriver+100)
	status, current := "available", "null"
	if order != 0 {
		status, current = "busy", strconv.FormatInt(order, 10)
	}
	row := fmt.Appendf(make([]byte, 0, 256), `{"driver_id":%d,"name":"%s %s","city_id":%d,"vehicle":"%s","rating":"%s","status":"%s","current_order_id":%s,"updated_at":%d}`,
		id, firstNames[x%16], lastNames[x>>8%16], Cities[x>>16%uint64(len(Cities))].ID, vehicles[x>>24%uint64(len(vehicles))],
		cents(400+int64(mix(uint64(joined), uint64(id))%100)), status, current, now)
	w.send(topicDrivers, id, "driver_id", envelope(op, "drivers", nil, row, now))
}

// payment sends a payment as the payment service writes it.
func (w *writer) payment(c change, now int64) {
	at := time.UnixMicro(now).UTC().Format("2006-01-02T15:04:05.000000Z")
	b := fmt.Appendf(make([]byte, 0, 200), `{"payment_id":%d,"order_id":%d,"amount":%s,"tip":%s,"paid_at":"%s",`, c.id, c.id, cents(c.fare), cents(c.tip), at)
	if c.card {
		x := mix(uint64(c.customer), 7)
		b = fmt.Appendf(b, `"method":"card","card":{"brand":"%s","last4":"%04d"}}`, []string{"visa", "mastercard", "amex"}[x%3], x>>8%10000)
	} else {
		b = append(b, `"method":"cash","card":null}`...)
	}
	w.send(topicPayments, c.id, "payment_id", b)
}

// position sends where a driver is, as the phone writes it.
func (w *writer) position(tick, k, now int64) {
	x := mix(uint64(tick*positionsPerTick+k), ofWhere)
	id := int64(x%uint64(drivers(tick))) + 1
	c := &Cities[mix(uint64(id), ofDriver+100)>>16%uint64(len(Cities))]
	s := mix(x, ofSpeed)
	b := fmt.Appendf(make([]byte, 0, 200), `{"driver_id":%d,"at":%d,"gps":{"lat":%.5f,"lon":%.5f},"speed_kmh":%d.%d,"device":{"os":"%s","app":"7.%d","battery":%d}}`,
		id, now/1000, c.Lat+float64(x>>20%2000)/1e4-0.1, c.Lon+float64(x>>40%2000)/1e4-0.1, s%70, s>>8%10,
		[]string{"android", "ios"}[s>>16%2], s>>20%12, s>>30%100)
	w.send(topicPositions, id, "", b)
}
