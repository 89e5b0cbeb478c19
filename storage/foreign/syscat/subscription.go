package syscat

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/catalog"
)

// SubscriptionInfo is a row of pg_stat_subscription. Times are µs since 2000, 0 for
// none; durations are ms, below 0 for none.
type SubscriptionInfo struct {
	State, LastError                         string
	Messages, Bytes, Rows, Deletes           int64
	Errors, Skipped, Commits, Restarts       int64
	LagMessages                              int64
	LagMillis                                float64
	CommitP50, CommitP99, FreshP50, FreshP99 float64
	LastSend, LastReceipt, LastCommit        int64
}

func pgSubscription(_ *Source, v View) []row {
	var out []row
	for _, s := range v.Catalog().Subscriptions() {
		var opts []string
		for _, k := range slices.Sorted(maps.Keys(s.Options)) {
			opts = append(opts, k+"="+s.Options[k])
		}
		out = append(out, row{"oid": s.OID, "subdbid": uint32(catalog.PostgresDatabaseOID), "subskiplsn": "0/0", "subname": s.Name, "subowner": s.Owner,
			"subenabled": s.Enabled, "subbinary": false, "substream": "f", "subtwophasestate": "d", "subdisableonerr": s.Options["on_error"] != "dead_letter",
			"subconninfo": s.Conn, "subsynccommit": "on", "subpublications": s.Publications, "suborigin": "any",
			"subpasswordrequired": len(s.Secrets) > 0, "subrunasowner": true,
			"subtarget": s.Target, "suberrortable": s.ErrorTable, "suboptions": opts})
	}
	return out
}

func pgStatSubscription(_ *Source, v View) []row {
	var out []row
	for _, s := range v.Catalog().Subscriptions() {
		r := row{"subid": s.OID, "subname": s.Name, "relid": s.Target}
		i := v.Subscription(s.OID)
		if i == nil {
			out = append(out, r)
			continue
		}
		maps.Copy(r, row{"state": i.State, "messages": i.Messages, "bytes": i.Bytes, "rows": i.Rows, "deletes": i.Deletes, "errors": i.Errors,
			"skipped": i.Skipped, "commits": i.Commits, "restarts": i.Restarts, "lag_messages": i.LagMessages, "lag_ms": i.LagMillis,
			"last_msg_send_time": stamp(i.LastSend), "last_msg_receipt_time": stamp(i.LastReceipt), "latest_end_time": stamp(i.LastCommit)})
		if i.LastError != "" {
			r["last_error"] = i.LastError
		}
		for k, ms := range map[string]float64{"commit_p50_ms": i.CommitP50, "commit_p99_ms": i.CommitP99, "freshness_p50_ms": i.FreshP50, "freshness_p99_ms": i.FreshP99} {
			if ms >= 0 {
				r[k] = ms
			}
		}
		out = append(out, r)
	}
	return out
}
