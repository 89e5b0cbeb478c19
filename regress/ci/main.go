// Command ci runs the steps of CI and ends with one plain line, "N passed, N
// failed". Arguments before "--" are targets of make, each counted as one; those
// after it are given to `go test -json`, of which test functions and subtests
// without subtests of their own are counted, and a package that does not build,
// or dies, as one failure. A step that fails does not keep the others from
// running. Its exit status is 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

func main() {
	targets, tests := os.Args[1:], []string(nil)
	if i := slices.Index(targets, "--"); i >= 0 {
		targets, tests = targets[:i], targets[i+1:]
	}
	t := newTally()
	for _, target := range targets {
		t.makeTarget(target)
	}
	if len(tests) > 0 {
		t.goTest(tests)
	}
	fmt.Printf("%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		os.Exit(1)
	}
}

// makeTarget runs one target of make.
func (t *tally) makeTarget(target string) {
	began := time.Now()
	cmd := exec.Command("make", "--no-print-directory", target)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	took := time.Since(began).Seconds()
	if err != nil {
		t.failed++
		fmt.Printf("FAIL make %s %.1fs: %v\n", target, took, err)
		return
	}
	t.passed++
	fmt.Printf("ok   make %s %.1fs\n", target, took)
}

// goTest runs go test and counts what it reports.
func (t *tally) goTest(args []string) {
	before := t.failed
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		t.read(out, os.Stdout)
		err = cmd.Wait()
	}
	if err != nil && t.failed == before {
		fmt.Println("FAIL go test:", err)
		t.failed++
	}
}

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// tally keeps the output of what is still running and counts what has ended.
type tally struct {
	passed, failed int
	output         map[string][]string // by package and test
	failedIn       map[string]int      // failed tests by package
	parent         map[string]bool     // tests that have subtests
}

func newTally() *tally {
	return &tally{output: map[string][]string{}, failedIn: map[string]int{}, parent: map[string]bool{}}
}

func (t *tally) read(in io.Reader, out io.Writer) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				_, _ = out.Write(line) // not test2json's: a message of the go command
			} else {
				t.event(e, out)
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *tally) event(e event, out io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "run":
		for i, c := range e.Test {
			if c == '/' {
				t.parent[e.Package+" "+e.Test[:i]] = true
			}
		}
	case "pass", "skip":
		if e.Test == "" {
			if e.Action == "pass" {
				fmt.Fprintf(out, "ok   %s %.1fs\n", e.Package, e.Elapsed)
			}
		} else if e.Action == "pass" && !t.parent[key] {
			t.passed++
		}
		if e.Action == "skip" && e.Test != "" {
			fmt.Fprintf(out, "skip %s %s\n", e.Package, e.Test)
		}
		delete(t.output, key)
	case "fail":
		if e.Test == "" && t.failedIn[e.Package] > 0 {
			fmt.Fprintf(out, "FAIL %s %.1fs\n", e.Package, e.Elapsed)
			return
		}
		if e.Test == "" || !t.parent[key] || t.failedIn[e.Package] == 0 {
			t.failed++
			t.failedIn[e.Package]++
		}
		fmt.Fprintf(out, "FAIL %s %s %.1fs\n", e.Package, e.Test, e.Elapsed)
		for _, s := range t.output[key] {
			fmt.Fprint(out, "     ", s)
		}
		delete(t.output, key)
	}
}
