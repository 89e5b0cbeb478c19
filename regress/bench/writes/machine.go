package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// machine is what the cores did until a moment, or between two: a stall of a server that
// could not run is no stall of its own.
type machine struct {
	at    time.Time
	ticks []float64     // user, nice, system, idle, iowait, irq, softirq, steal
	short time.Duration // in which some thread waited for a core
	took  string
}

func lookAtMachine() (m machine) {
	m.at = time.Now()
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for _, f := range strings.Fields(line)[min(1, len(strings.Fields(line))):] {
		n, _ := strconv.ParseFloat(f, 64)
		m.ticks = append(m.ticks, n)
	}
	pressure, _ := os.ReadFile("/proc/pressure/cpu")
	if _, total, ok := strings.Cut(string(pressure), "total="); ok {
		total, _, _ = strings.Cut(total, "\n")
		us, _ := strconv.ParseInt(total, 10, 64)
		m.short = time.Duration(us) * time.Microsecond
	}
	return m
}

// until is what the cores did up to then, of which the server took so many seconds.
func (m machine) until(then machine, server float64) machine {
	if len(m.ticks) < 8 || len(then.ticks) < 8 {
		m.took = "unknown"
		return m
	}
	var all float64
	d := make([]float64, 8)
	for i := range d {
		d[i] = then.ticks[i] - m.ticks[i]
		all += d[i]
	}
	wall := then.at.Sub(m.at)
	m.took = fmt.Sprintf("cores busy %.0f%%, taken by the host %.1f%%; the server used %.2f cores; a thread had to wait for a core %.0f%% of the time",
		100*(all-d[3]-d[4]-d[7])/all, 100*d[7]/all, server/wall.Seconds(), 100*(then.short-m.short).Seconds()/wall.Seconds())
	return m
}

func (m machine) String() string { return m.took }
