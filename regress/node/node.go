// Package node runs a Millrace server inside a test process, and finds other
// servers that tests compare with.
package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/server"
)

// Node is a running server.
type Node struct {
	DSN  string
	HTTP string // address of metrics
	Dir  string
	stop context.CancelFunc
	done chan error
}

// Start runs a server over dir on a free port of the loopback address.
func Start(dir string, memoryBytes int64) (*Node, error) {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{Dir: dir, stop: cancel, done: make(chan error, 1)}
	ready := make(chan [2]net.Addr, 1)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	go func() {
		n.done <- server.Run(ctx, server.Config{
			DataDir: dir, Listen: []string{"127.0.0.1:0"}, HTTP: "127.0.0.1:0", MemoryBytes: memoryBytes, Version: "test", Log: log,
			Ready: func(pg []net.Addr, web net.Addr) { ready <- [2]net.Addr{pg[0], web} },
		}, server.Open)
	}()
	select {
	case a := <-ready:
		n.DSN = fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", a[0])
		n.HTTP = a[1].String()
		return n, nil
	case err := <-n.done:
		cancel()
		return nil, fmt.Errorf("server did not start: %w", err)
	case <-time.After(2 * time.Minute):
		cancel()
		return nil, fmt.Errorf("server did not start in two minutes")
	}
}

// Metric reads one value of the server's metrics.
func (n *Node) Metric(name string) (float64, error) { return Metric(n.HTTP, name) }

// Metric reads one value of /metrics at an address.
func Metric(addr, name string) (float64, error) {
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	for in := bufio.NewScanner(r.Body); in.Scan(); {
		if v, ok := strings.CutPrefix(in.Text(), name+" "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// Stop stops the server cleanly and waits for it.
func (n *Node) Stop() error {
	n.stop()
	return <-n.done
}

// ForTest starts a server for the test and stops it at its end.
func ForTest(t testing.TB) *Node {
	t.Helper()
	n, err := Start(t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return n
}

// Connect opens a connection that ends with the test.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}
