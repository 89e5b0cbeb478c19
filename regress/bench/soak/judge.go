package main

import (
	"fmt"
	"slices"
	"time"
)

// What may grow over the second half of a run, by a line fitted through its samples: a
// share of its mean, or this much where that is more. Memtables fill for as long as the
// log has room, so that memory goes up and down in long waves: half of this may the
// least of it (a tenth of the samples is less) be above that of the third before, in the
// last third of the run. What grows for ever does both.
const (
	growth      = 0.10
	memorySlack = 32 << 20
	diskGrowth  = 0.25
	diskSlack   = 128 << 20
	fileSlack   = 64
)

// What may be there at rest beyond what was there before the first client.
const (
	spareGoroutines = 10
	spareOthers     = 5
)

// judge says what is wrong with a server, by samples under load, one from before and
// one at rest after all clients have left.
func judge(all []sample, before, rest sample) []string {
	var bad []string
	flat := func(what string, of func(sample) int64, share, slack float64) {
		half := secondHalf(all)
		if len(half) < 4 {
			bad = append(bad, "too few samples to judge "+what)
			return
		}
		mean, grown := fit(half, of)
		may := max(share*mean, slack)
		n := len(all) / 3
		least, before := low(all[len(all)-n:], of), low(all[len(all)-2*n:len(all)-n], of)
		if grown > may && least-before > may/2 {
			_, first := fit(all[:len(all)-len(half)], of)
			bad = append(bad, fmt.Sprintf("%s grew by %.1f over the second half of the run, where it was %.1f on average (first half: by %.1f), and at its least by %.1f over the last third", what, grown, mean, first, least-before))
		}
	}
	if len(all) > 0 && all[len(all)-1].at >= *settle {
		flat("anonymous memory", func(s sample) int64 { return s.rss }, growth, memorySlack)
		flat("the live heap", func(s sample) int64 { return s.live }, growth, memorySlack)
		flat("the number of goroutines", func(s sample) int64 { return s.goroutines }, growth, spareGoroutines)
		flat("the number of files", func(s sample) int64 { return s.files }, diskGrowth, fileSlack)
		flat("the data directory without its log", func(s sample) int64 { return s.bytes }, diskGrowth, diskSlack)
	} else {
		fmt.Println("too short a run to judge the growth of memory and disk")
	}
	for _, s := range all {
		// The log's cap, with what is written until tablets are flushed.
		if s.log > 3<<30/2 {
			bad = append(bad, fmt.Sprintf("the log has %d MB", s.log>>20))
			break
		}
	}
	if rest.goroutines > before.goroutines+spareGoroutines {
		bad = append(bad, fmt.Sprintf("%d goroutines at rest, %d before", rest.goroutines, before.goroutines))
	}
	if rest.sockets > before.sockets {
		bad = append(bad, fmt.Sprintf("%d sockets at rest, %d before", rest.sockets, before.sockets))
	}
	if rest.others > before.others+spareOthers {
		bad = append(bad, fmt.Sprintf("%d other descriptors at rest, %d before", rest.others, before.others))
	}
	if rest.held > 0 {
		bad = append(bad, fmt.Sprintf("%d deleted files are open or mapped at rest", rest.held))
	}
	return bad
}

// secondHalf is by time.
func secondHalf(all []sample) []sample {
	if len(all) == 0 {
		return nil
	}
	middle := (all[0].at + all[len(all)-1].at) / 2
	i, _ := slices.BinarySearchFunc(all, middle, func(s sample, t time.Duration) int { return int(s.at - t) })
	return all[i:]
}

// fit is the mean of a value and what a least-squares line through it rises from the
// first sample to the last one.
func fit(all []sample, of func(sample) int64) (mean, rise float64) {
	if len(all) == 0 {
		return 0, 0
	}
	var x, y float64
	for _, s := range all {
		x, y = x+s.at.Seconds(), y+float64(of(s))
	}
	n := float64(len(all))
	x, y = x/n, y/n
	var xy, xx float64
	for _, s := range all {
		dx := s.at.Seconds() - x
		xy, xx = xy+dx*(float64(of(s))-y), xx+dx*dx
	}
	if xx == 0 {
		return y, 0
	}
	return y, xy / xx * (all[len(all)-1].at - all[0].at).Seconds()
}

// low is the tenth part of the samples.
func low(all []sample, of func(sample) int64) float64 {
	var v []int64
	for _, s := range all {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return float64(v[len(v)/10])
}
