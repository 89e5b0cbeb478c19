package node

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// serveEnv holds the data directory when the test binary is to be a server.
const serveEnv = "MILLRACE_TEST_SERVE"

// Main is the TestMain of packages whose tests kill servers: it runs the tests, or in
// a process of Process the server.
func Main(m *testing.M) {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		flag.Parse()
		os.Exit(m.Run())
	}
	n, err := Start(dir, 1<<30)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.DSN)
	select {} // until killed
}

// Process starts a server over dir in a process of its own, that can be killed. The
// package's TestMain is Main.
func Process(t testing.TB, dir string) (p *exec.Cmd, dsn string) {
	t.Helper()
	p = exec.Command(os.Args[0])
	p.Env = append(os.Environ(), serveEnv+"="+dir)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	dsn, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the server did not start: ", err)
	}
	return p, strings.TrimSpace(dsn)
}
