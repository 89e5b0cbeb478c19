package httpapi

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_test"})
	g.Set(7)
	reg.MustRegister(g)
	h := New(reg, slog.New(slog.DiscardHandler))
	cases := []struct {
		method, path, remote string
		code                 int
		has                  string
	}{
		{"GET", "/healthz", "10.0.0.1:5", 200, "ok"},
		{"POST", "/healthz", "10.0.0.1:5", 405, ""},
		{"GET", "/metrics", "10.0.0.1:5", 200, "millrace_test 7"},
		{"GET", "/debug/pprof/", "127.0.0.1:5", 200, "goroutine"},
		{"GET", "/debug/pprof/", "[::1]:5", 200, "goroutine"},
		{"GET", "/debug/pprof/", "10.0.0.1:5", 403, "loopback"},
		{"GET", "/debug/pprof/cmdline", "10.0.0.1:5", 403, "loopback"},
		{"GET", "/nothing", "127.0.0.1:5", 404, ""},
	}
	for _, c := range cases {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.RemoteAddr = c.remote
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %s from %s: %d %.60q, want %d with %q", c.method, c.path, c.remote, w.Code, w.Body.String(), c.code, c.has)
		}
	}
}
