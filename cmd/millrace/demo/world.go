package demo

// The business: riders order, drivers are dispatched and drive, riders pay or cancel.
// Its time runs in ticks, and each tick one order is placed. What becomes of it, and
// when, follows from its number alone, so that the whole history is a function of the
// tick: a generator that starts again needs to know nothing but where it stopped.

// City is where rides are.
type City struct {
	ID       int
	Name     string
	Country  string
	Zone     string
	Lat, Lon float64
	// Base and PerKM make fares, in cents.
	Base, PerKM int64
}

// Cities are all cities. Lower ones have more rides.
var Cities = []City{
	{1, "London", "GB", "Europe/London", 51.507, -0.128, 350, 195},
	{2, "Paris", "FR", "Europe/Paris", 48.857, 2.352, 300, 170},
	{3, "New York", "US", "America/New_York", 40.713, -74.006, 400, 210},
	{4, "São Paulo", "BR", "America/Sao_Paulo", -23.551, -46.633, 150, 85},
	{5, "Berlin", "DE", "Europe/Berlin", 52.520, 13.405, 320, 180},
	{6, "Hangzhou", "CN", "Asia/Shanghai", 30.274, 120.155, 120, 60},
	{7, "Lagos", "NG", "Africa/Lagos", 6.524, 3.379, 110, 55},
	{8, "Tokyo", "JP", "Asia/Tokyo", 35.676, 139.650, 420, 260},
	{9, "Mumbai", "IN", "Asia/Kolkata", 19.076, 72.878, 90, 45},
	{10, "Amsterdam", "NL", "Europe/Amsterdam", 52.368, 4.904, 340, 190},
	{11, "Toronto", "CA", "America/Toronto", 43.653, -79.383, 330, 165},
	{12, "Zürich", "CH", "Europe/Zurich", 47.377, 8.541, 600, 320},
}

// The sizes of the world, in ticks and numbers.
const (
	firstDrivers = 2000 // at the beginning; one more joins each driverEvery ticks
	driverEvery  = 500
	customers    = 250_000
	lifeMax      = 32_768 // no order lives longer
	badEvery     = 2_000  // ticks between messages that cannot be read
	// positionsPerTick is how many drivers tell where they are.
	positionsPerTick = 4
	// eventsPerTick is how many messages a tick makes, on average.
	eventsPerTick = 10.43
)

// What happens to an order.
const (
	Placed = iota
	Dispatched
	Driving
	Paid
	Cancelled
)

// StatusNames are the values of the column status.
var StatusNames = [...]string{"placed", "dispatched", "driving", "paid", "cancelled"}

// step is one change of an order.
type step struct {
	at     int64 // tick
	status int
}

// ride is all that is to know of an order.
type ride struct {
	id, customer, driver int64
	city                 *City
	meters               int64
	fare, tip            int64 // cents
	card                 bool
	reason               string // of a cancellation
	test                 bool   // an order of the company's own, deleted at its end
	steps                [4]step
	n                    int
}

// mix is a hash of a number; salts make independent ones.
func mix(x, salt uint64) uint64 {
	x += salt*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Salts.
const (
	ofCustomer = iota + 1
	ofDriver
	ofCity
	ofMeters
	ofPath
	ofWait
	ofTip
	ofWhere
	ofSpeed
)

// span is a wait of lo ticks or more: mostly short, with a long tail up to hi.
func span(x uint64, lo, hi int64) int64 {
	n := lo
	for x&1 == 1 && n < hi/2 { // doubles half of the time
		n *= 2
		x >>= 1
	}
	return n + int64(x>>8%uint64(n))
}

// drivers is how many drivers there are at a tick.
func drivers(tick int64) int64 { return firstDrivers + tick/driverEvery }

// rideAt is the order placed at a tick; its number is the tick + 1.
func rideAt(tick int64) ride {
	x := uint64(tick)
	r := ride{id: tick + 1, customer: int64(mix(x, ofCustomer)%customers) + 1, driver: int64(mix(x, ofDriver)%uint64(drivers(tick))) + 1}
	c := mix(x, ofCity)
	// The smaller of two draws: the first cities have more rides.
	r.city = &Cities[min(c%uint64(len(Cities)), c>>32%uint64(len(Cities)))]
	r.meters = 600 + int64(mix(x, ofMeters)%14_000)
	r.fare = r.city.Base + r.city.PerKM*r.meters/1000
	path, wait := mix(x, ofPath)%1000, mix(x, ofWait)
	r.test = path < 5
	at := tick
	add := func(status int, d int64) {
		at += d
		r.steps[r.n] = step{at, status}
		r.n++
	}
	add(Placed, 0)
	if path >= 900 { // nobody came, or the rider did not want to wait
		add(Cancelled, span(wait, 10, 512))
		r.reason = "no driver"
		return r
	}
	add(Dispatched, span(wait, 4, 256))
	if path >= 850 {
		add(Cancelled, span(wait>>20, 8, 512))
		r.reason = "rider"
		return r
	}
	add(Driving, span(wait>>20, 10, 1024))
	add(Paid, span(wait>>40, 20, 8192))
	r.card = path%4 != 0
	if t := mix(x, ofTip); t%3 == 0 {
		r.tip = int64(t>>32%500) + 50
	}
	return r
}

// World walks through the ticks.
type World struct {
	tick int64
	due  [][]ride // by tick modulo lifeMax: orders with a step then
}

// NewWorld is the world as it is before a tick.
func NewWorld(tick int64) *World {
	w := &World{tick: tick, due: make([][]ride, lifeMax)}
	for t := max(0, tick-lifeMax); t < tick; t++ {
		w.plan(rideAt(t))
	}
	return w
}

// plan notes when an order has steps that are still to come.
func (w *World) plan(r ride) {
	for _, s := range r.steps[:r.n] {
		if s.at >= w.tick {
			w.due[s.at%lifeMax] = append(w.due[s.at%lifeMax], r)
		}
	}
}

// change is what happens to one order in a tick.
type change struct {
	ride
	status int
	first  bool
}

// Next calls f for each change of the tick, and goes on to the next one.
func (w *World) next(f func(c change)) (tick int64) {
	tick = w.tick
	w.plan(rideAt(tick))
	slot := &w.due[tick%lifeMax]
	for _, r := range *slot {
		for i, s := range r.steps[:r.n] {
			if s.at == tick {
				f(change{r, s.status, i == 0})
			}
		}
	}
	*slot = (*slot)[:0]
	w.tick++
	return tick
}

// Totals is what the tables hold after a number of ticks: the model that a run is
// checked against.
type Totals struct {
	Orders, Drivers, Cities, Payments, Positions, Bad int64
	ByStatus                                          [5]int64
	FareCents, PaidCents                              int64 // of all orders; of payments with tips
	Deleted                                           int64
}

// Model replays the world from the beginning.
func Model(ticks int64) Totals {
	t := Totals{Cities: int64(len(Cities)), Drivers: drivers(max(ticks-1, 0))}
	if ticks == 0 {
		return Totals{}
	}
	w := NewWorld(0)
	for range ticks {
		tick := w.next(func(c change) {
			if !c.first {
				t.ByStatus[lastStatus(c)]--
			} else {
				t.Orders++
				t.FareCents += c.fare
			}
			t.ByStatus[c.status]++
			if c.status == Paid {
				t.Payments++
				t.PaidCents += c.fare + c.tip
			}
			if c.test && c.status >= Paid {
				t.Deleted++
				t.Orders--
				t.ByStatus[c.status]--
				t.FareCents -= c.fare
			}
		})
		t.Positions += positionsPerTick
		if bad(tick) {
			t.Bad++
		}
	}
	return t
}

// lastStatus is what the order was before the change.
func lastStatus(c change) int {
	for i, s := range c.steps[:c.n] {
		if s.status == c.status {
			return c.steps[i-1].status
		}
	}
	return Placed
}

// bad says whether a tick has a message that cannot be read.
func bad(tick int64) bool { return tick%badEvery == badEvery/2 }
