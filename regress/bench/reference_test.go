// Package bench loads generated TPC-H and hits data over the wire and checks every
// query against the reference answers in answers/, as README.md describes.
package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/regress/node"
)

// build makes a binary of the kit; gen is a module of its own.
func build(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", dir, err, out)
	}
	return bin
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
}

// TestReference runs all queries at the small scales.
func TestReference(t *testing.T) {
	gen, runner := build(t, "gen"), build(t, "runner")
	n := node.ForTest(t)
	data := t.TempDir()
	for _, s := range []struct {
		suite, answers string
		gen            []string
		long           bool
	}{
		{"tpch", "answers/tpch-sf0.01.json", []string{"tpch", "-sf", "0.01"}, false},
		{"hits", "answers/hits-100k.json", []string{"hits", "-rows", "100000"}, true},
	} {
		t.Run(s.suite, func(t *testing.T) {
			if s.long && testing.Short() {
				t.Skip("long")
			}
			dir := filepath.Join(data, s.suite)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			run(t, gen, append(s.gen, "-out", dir)...)
			run(t, runner, "load", "-kit", ".", "-suite", s.suite, "-dialect", "holo", "-data", dir, "-dsn", n.DSN)
			run(t, runner, "query", "-kit", ".", "-suite", s.suite, "-runs", "1", "-answers", s.answers, "-dsn", n.DSN)
		})
	}
}
