package job

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/binlog/ingest"
	"github.com/millrace/millrace/storage/foreign/syscat"
)

// epoch2000 is PostgreSQL's epoch in Unix microseconds.
const epoch2000 = 946684800_000_000

// Info tells how a subscription is doing; nil for one not known yet.
func (s *Supervisor) Info(oid uint32) *syscat.SubscriptionInfo {
	st := s.Stats(oid)
	if st == nil {
		return nil
	}
	i := &syscat.SubscriptionInfo{Messages: st.Messages.Load(), Bytes: st.Bytes.Load(), Rows: st.Rows.Load(), Deletes: st.Deletes.Load(),
		Errors: st.Errors.Load(), Skipped: st.Skipped.Load(), Commits: st.Commits.Load(), Restarts: st.Restarts.Load(), LagMessages: st.Lag.Load(),
		LastSend: st.LastSend.Load(), LastReceipt: st.LastReceipt.Load(), LastCommit: st.LastCommit.Load()}
	i.State, i.LastError = st.State()
	if since := st.Behind.Load(); i.LagMessages > 0 && since > 0 {
		i.LagMillis = max(float64(time.Now().UnixMicro()-epoch2000-since)/1000, 0)
	}
	for _, q := range []struct {
		h   *ingest.Histogram
		q   float64
		out *float64
	}{{&st.Commit, 0.5, &i.CommitP50}, {&st.Commit, 0.99, &i.CommitP99}, {&st.Fresh, 0.5, &i.FreshP50}, {&st.Fresh, 0.99, &i.FreshP99}} {
		*q.out = -1
		if d, ok := q.h.Quantile(q.q); ok {
			*q.out = float64(d.Microseconds()) / 1000
		}
	}
	return i
}

// Collector gives the subscriptions' metrics, labelled by their names.
func (s *Supervisor) Collector() prometheus.Collector { return collector{s} }

type collector struct{ s *Supervisor }

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_subscription_"+name, help, []string{"subscription"}, nil)
}

var (
	up       = desc("up", "1 while the subscription streams.")
	lagMsgs  = desc("lag_messages", "Messages in the source that are not applied.")
	lagSecs  = desc("lag_seconds", "Age of the newest message applied, 0 when nothing is behind.")
	counters = []struct {
		d   *prometheus.Desc
		get func(*syscat.SubscriptionInfo) int64
	}{
		{desc("messages_total", "Messages applied."), func(i *syscat.SubscriptionInfo) int64 { return i.Messages }},
		{desc("bytes_total", "Bytes of messages applied."), func(i *syscat.SubscriptionInfo) int64 { return i.Bytes }},
		{desc("rows_total", "Rows inserted or upserted."), func(i *syscat.SubscriptionInfo) int64 { return i.Rows }},
		{desc("deletes_total", "Rows deleted."), func(i *syscat.SubscriptionInfo) int64 { return i.Deletes }},
		{desc("errors_total", "Messages that could not be applied."), func(i *syscat.SubscriptionInfo) int64 { return i.Errors }},
		{desc("skipped_total", "Messages without a change."), func(i *syscat.SubscriptionInfo) int64 { return i.Skipped }},
		{desc("commits_total", "Commits."), func(i *syscat.SubscriptionInfo) int64 { return i.Commits }},
		{desc("restarts_total", "Times the work began anew."), func(i *syscat.SubscriptionInfo) int64 { return i.Restarts }},
	}
	commitTime = prometheus.NewDesc("millrace_subscription_commit_seconds", "Time of commits.", []string{"subscription"}, nil)
	freshTime  = prometheus.NewDesc("millrace_subscription_freshness_seconds", "Time from a message's own time until its rows are visible.", []string{"subscription"}, nil)
)

// Describe implements prometheus.Collector: the set is not known beforehand.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, sub := range c.s.store.Catalog().Subscriptions() {
		i, st := c.s.Info(sub.OID), c.s.Stats(sub.OID)
		if i == nil || st == nil {
			continue
		}
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, sub.Name)
		}
		on := 0.0
		if i.State == ingest.StateStreaming {
			on = 1
		}
		gauge(up, on)
		gauge(lagMsgs, float64(i.LagMessages))
		gauge(lagSecs, i.LagMillis/1000)
		for _, k := range counters {
			out <- prometheus.MustNewConstMetric(k.d, prometheus.CounterValue, float64(k.get(i)), sub.Name)
		}
		for d, h := range map[*prometheus.Desc]*ingest.Histogram{commitTime: &st.Commit, freshTime: &st.Fresh} {
			sum, n := h.Total()
			q := map[float64]float64{}
			for _, at := range []float64{0.5, 0.99} {
				if t, ok := h.Quantile(at); ok {
					q[at] = t.Seconds()
				}
			}
			out <- prometheus.MustNewConstSummary(d, uint64(n), sum.Seconds(), q, sub.Name)
		}
	}
}
