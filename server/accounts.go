package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/tablet"
)

// accounts is the tree of memory accounts: queries reserve what they take, up to their
// share and to what is left; what storage holds is measured and charged beside them.
type accounts struct {
	store         *tablet.Store
	root, queries *mem.Account
	memtables     *mem.Account // with the filters of keys
	cache         *mem.Account
	rowMemtables  *mem.Account
	rowCache      *mem.Account

	mu   sync.Mutex // measuring
	stop chan struct{}
	done sync.WaitGroup
}

// queryShare is the part of the accounts that queries may have, in sixteenths; 3 are for
// memtables and 2 for strings of compressed blocks, and each part bounds itself. What
// they take beyond them is less for queries.
const queryShare = 11

// chargeEvery is how often storage is measured while queries hold memory.
const chargeEvery = 200 * time.Millisecond

func newAccounts(limit int64, s *tablet.Store) *accounts {
	root := mem.NewRoot(limit)
	a := &accounts{store: s, root: root, queries: root.Child("queries", limit/16*queryShare), memtables: root.Child("memtables", 0),
		cache: root.Child("block cache", 0), rowMemtables: root.Child("row memtables", 0), rowCache: root.Child("row cache", 0), stop: make(chan struct{})}
	a.measure()
	a.done.Add(1)
	go a.run()
	return a
}

// run measures until close.
func (a *accounts) run() {
	defer a.done.Done()
	tick := time.NewTicker(chargeEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			if a.queries.Used() > 0 {
				a.measure()
			}
		}
	}
}

func (a *accounts) measure() {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.store.MemoryUse()
	a.memtables.Set(u.Memtables + u.Filters)
	a.cache.Set(u.Cache)
	a.rowMemtables.Set(u.RowMemtables)
	a.rowCache.Set(u.RowCache)
}

func (a *accounts) close() {
	close(a.stop)
	a.done.Wait()
}

var accountBytes = prometheus.NewDesc("millrace_account_bytes", "Memory accounted, by account; server is the sum.", []string{"account"}, nil)

// Describe implements prometheus.Collector.
func (a *accounts) Describe(out chan<- *prometheus.Desc) { out <- accountBytes }

// Collect implements prometheus.Collector.
func (a *accounts) Collect(out chan<- prometheus.Metric) {
	a.measure()
	for _, x := range []*mem.Account{a.root, a.queries, a.memtables, a.cache, a.rowMemtables, a.rowCache} {
		out <- prometheus.MustNewConstMetric(accountBytes, prometheus.GaugeValue, float64(x.Used()), x.Name())
	}
}
