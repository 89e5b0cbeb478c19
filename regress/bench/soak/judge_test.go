package main

import (
	"flag"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// hour is a run of an hour in which nothing is wrong but what change does to its
// samples: memory goes up and down with collections, the log with flushes.
func hour(change func(at float64, s *sample)) []sample {
	r := rand.New(rand.NewPCG(1, 1))
	var all []sample
	for i := range 720 {
		s := sample{at: time.Duration(i) * 5 * time.Second, rss: 300<<20 + r.Int64N(80<<20), live: 90<<20 + r.Int64N(10<<20), goroutines: 70 + r.Int64N(20),
			sockets: 40, files: 60 + r.Int64N(40), bytes: 200<<20 + r.Int64N(60<<20), log: int64(i%200) << 20}
		if i < 100 {
			s.rss -= int64(100-i) << 21 // caches fill
		}
		change(s.at.Hours(), &s)
		all = append(all, s)
	}
	return all
}

func TestJudge(t *testing.T) {
	before := sample{goroutines: 25, sockets: 3, others: 9}
	rest := before
	rest.goroutines, rest.others = 28, 12
	if bad := judge(hour(func(float64, *sample) {}), before, rest); bad != nil {
		t.Fatal("nothing is wrong, but: ", bad)
	}
	if bad := judge(hour(func(at float64, s *sample) { s.rss += int64(math.Mod(at*2.7, 1) * (200 << 20)) }), before, rest); bad != nil {
		t.Fatal("memory comes and goes in waves, but: ", bad)
	}
	for _, c := range []struct {
		says   string
		change func(at float64, s *sample)
	}{
		{"anonymous memory grew", func(at float64, s *sample) { s.rss += int64(at * (80 << 20)) }},
		{"anonymous memory grew", func(at float64, s *sample) { s.rss += int64((at + math.Mod(at*2.7, 1)) * (200 << 20)) }},
		{"the live heap grew", func(at float64, s *sample) { s.live += int64(at * (70 << 20)) }},
		{"the number of goroutines grew", func(at float64, s *sample) { s.goroutines += int64(at * 30) }},
		{"the number of files grew", func(at float64, s *sample) { s.files += int64(at * 200) }},
		{"the data directory without its log grew", func(at float64, s *sample) { s.bytes += int64(at * (400 << 20)) }},
		{"the log has", func(at float64, s *sample) { s.log += int64(at * (2 << 30)) }},
	} {
		if bad := judge(hour(c.change), before, rest); len(bad) != 1 || !strings.Contains(bad[0], c.says) {
			t.Errorf("%s: %v", c.says, bad)
		}
	}
	for _, c := range []struct {
		says   string
		change func(*sample)
	}{
		{"goroutines at rest", func(s *sample) { s.goroutines += 10 }},
		{"sockets at rest", func(s *sample) { s.sockets++ }},
		{"other descriptors at rest", func(s *sample) { s.others += 5 }},
		{"deleted files", func(s *sample) { s.held++ }},
	} {
		r := rest
		c.change(&r)
		if bad := judge(hour(func(float64, *sample) {}), before, r); len(bad) != 1 || !strings.Contains(bad[0], c.says) {
			t.Errorf("%s: %v", c.says, bad)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.at(q); got < want || got > want*11/10 {
			t.Errorf("quantile %v is %v, of %v", q, got, want)
		}
	}
}

// TestBinlogOrder has a follower see what a binlog must not hold.
func TestBinlogOrder(t *testing.T) {
	type change struct{ event, k, v int64 }
	for _, c := range []struct {
		name    string
		wrong   bool
		changes []change
	}{
		{"in order", false, []change{{5, 1, 10}, {3, 1, 10}, {7, 1, 11}, {2, 1, 11}, {5, 1, 12}}},
		{"an update is missing", true, []change{{5, 1, 10}, {3, 1, 11}, {7, 1, 12}}},
		{"an insert twice", true, []change{{5, 1, 10}, {5, 1, 10}}},
		{"a delete is missing", true, []change{{5, 1, 10}, {5, 1, 11}}},
		{"a delete of another row", true, []change{{5, 1, 10}, {2, 1, 9}}},
		{"half an update", true, []change{{5, 1, 10}, {7, 1, 11}}},
	} {
		s := &soak{wrong: map[string]int{}, began: time.Now()}
		f := &follower{s: s, have: map[int64]int64{}, before: map[int64]bool{}}
		for i, g := range c.changes {
			f.take(int64(i), g.event, g.k, g.v)
		}
		if (len(s.order) > 0) != c.wrong {
			t.Errorf("%s: %v", c.name, s.order)
		}
	}
}

func TestCompare(t *testing.T) {
	s := &soak{wrong: map[string]int{}, began: time.Now()}
	k := s.keyed("t", 1)
	k.have[1], k.have[2], k.have[3] = 7, 8, 0
	k.doubt[2], k.doubt[3] = 9, 4
	if !k.compare("test", []int{1, 2, 3}, map[int]int64{1: 7, 2: 9}) || k.have[2] != 9 || k.have[3] != 0 || len(k.doubt) != 0 {
		t.Error("a write without an answer may be there, or not")
	}
	for _, got := range []map[int]int64{{}, {1: 6}, {1: 8}} {
		k.have[1] = 7
		if k.compare("test", []int{1}, got) {
			t.Errorf("7 was acknowledged, and %v is taken for it", got)
		}
	}
}

var faultsOf = flag.String("faults", "", "with a path of millrace: run each fault against it")

// TestFaults does wrong on purpose, against a real server, and wants each to be found.
func TestFaults(t *testing.T) {
	if *faultsOf == "" {
		t.Skip("wants -args -faults bin/millrace")
	}
	bin := t.TempDir() + "/soak"
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range faultNames() {
		out, err := exec.Command(bin, "-millrace", *faultsOf, "-duration", "24s", "-settle", "10s", "-every", "1s", "-rate", "0.5", "-fault", name, "-data-dir", t.TempDir()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), faultSays[name]) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
