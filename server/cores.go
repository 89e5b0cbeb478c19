package server

import (
	"os"
	"runtime"
)

// cores is how many cores the process may use, as the runtime found it.
var cores = runtime.GOMAXPROCS(0)

// spareProcessors is how many of the runtime's processors stand beside those that
// queries and loads keep busy.
const spareProcessors = 2

// addProcessors gives the runtime more processors than there are cores. With one each, a
// goroutine that comes back from the log's sync or from a socket while all are busy waits
// until the runtime takes one away, some 10 ms, and a commit has several such waits; with
// spare ones it has a thread, and the kernel decides, at once, in favour of who slept.
// What the environment says counts more.
func addProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cores + spareProcessors)
	}
}

func workers(n int) int {
	if n <= 0 {
		return cores
	}
	return n
}
