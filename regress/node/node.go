// Package node runs a Millrace server inside a test process, and finds other
// servers that tests compare with.
package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
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
	case <-time.After(30 * time.Second):
		cancel()
		return nil, fmt.Errorf("server did not start in 30 s")
	}
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
