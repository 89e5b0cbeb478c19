// Package httpapi is what a Millrace process says over HTTP: its health, its
// metrics and, to clients on the same machine, its profiles.
package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// New makes the handler:
//
//	/healthz        200 and "ok" once the server takes queries
//	/metrics        what reg collects, in the Prometheus text form
//	/debug/pprof/   profiles, on loopback only
func New(reg *prometheus.Registry, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}))
	mux.Handle("GET /debug/pprof/", local(pprof.Index))
	mux.Handle("GET /debug/pprof/cmdline", local(pprof.Cmdline))
	mux.Handle("GET /debug/pprof/profile", local(pprof.Profile))
	mux.Handle("GET /debug/pprof/symbol", local(pprof.Symbol))
	mux.Handle("GET /debug/pprof/trace", local(pprof.Trace))
	return mux
}

// local lets only clients of this machine in: profiles show what runs, and cost.
func local(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip, err2 := netip.ParseAddr(host)
		if err != nil || err2 != nil || !ip.Unmap().IsLoopback() {
			http.Error(w, "profiles are served on loopback only", http.StatusForbidden)
			return
		}
		h(w, r)
	})
}
