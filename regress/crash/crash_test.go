package crash

import (
	"flag"
	"runtime"
	"sync"
	"testing"
)

var (
	seedFlag = flag.Uint64("seed", 1, "first seed")
	count    = flag.Int("n", schedules, "number of schedules")
)

// TestSchedules runs schedules of consecutive seeds. One that failed is run again
// by `go test ./regress/crash -args -seed N -n 1`; with several workers its course differs from run to run.
func TestSchedules(t *testing.T) {
	first := *seedFlag
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for seed := range seeds {
				if err := Run(seed); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := range *count {
		if t.Failed() {
			break
		}
		seeds <- first + uint64(i)
	}
	close(seeds)
	wg.Wait()
}
