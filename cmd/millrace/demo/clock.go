package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// clock says what time it is at a tick. Every run adds a stretch to it, so that the
// time of a tick, once told, stays the same: the update of an order repeats when it was
// placed.
type clock struct {
	stretches []stretch
}

// stretch is the time from one tick on.
type stretch struct {
	Tick           int64   `json:"tick"`
	UnixMicros     int64   `json:"unix_micros"`
	TicksPerSecond float64 `json:"ticks_per_second"`
}

// micros is the time of a tick, µs since 1970.
func (c *clock) micros(tick int64) int64 {
	i := len(c.stretches) - 1
	for i > 0 && c.stretches[i].Tick > tick {
		i--
	}
	s := c.stretches[i]
	return s.UnixMicros + int64(float64(tick-s.Tick)/s.TicksPerSecond*1e6)
}

// progress is what a generator keeps on disk.
type progress struct {
	// Done is the first tick of which some message may not be in the broker yet.
	Done  int64     `json:"done"`
	Clock []stretch `json:"clock"`
}

func loadProgress(dir string) (progress, error) {
	var p progress
	b, err := os.ReadFile(filepath.Join(dir, "generator.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, fmt.Errorf("reading where the last run stopped: %w", err)
	}
	return p, nil
}

func (p progress) save(dir string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "generator.json")
	if err := os.WriteFile(name+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// begin adds a stretch from tick on.
func (c *clock) begin(tick int64, now time.Time, ticksPerSecond float64) {
	us := now.UnixMicro()
	if n := len(c.stretches); n > 0 {
		us = max(us, c.micros(tick)) // never back
	}
	c.stretches = append(c.stretches, stretch{tick, us, ticksPerSecond})
}
