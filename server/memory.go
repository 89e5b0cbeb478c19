package server

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/executor/mem"
)

// memoryPlan divides the memory limit. The collector works against goHeap less what
// is mapped, the engine's accounts hold at most account. They overlap, because part
// of what is accounted lies in the Go heap and part in mappings of our own; the
// margin above account is for what nobody accounts: stacks, plans, the catalog,
// buffers of connections, garbage.
type memoryPlan struct {
	limit, goHeap, account int64
}

// memoryBytesMin is the least that a server starts with.
const memoryBytesMin = 64 << 20

// govern keeps the collector's limit at what the limit leaves beside mapped memory,
// until ctx ends: a table that a query maps is memory that the heap may not take.
func (p memoryPlan) govern(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	mem.SetSpare(p.limit / 16)
	tick := time.NewTicker(governEvery)
	defer tick.Stop()
	set, trim := p.goHeap, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if trim++; trim%trimEvery == 0 {
			mem.TrimSpare()
		}
		want := p.heap(mem.Mapped())
		if d := want - set; d > p.limit/64 || d < -p.limit/64 {
			debug.SetMemoryLimit(want)
			set = want
		}
	}
}

// heap is the collector's limit when so much is mapped.
func (p memoryPlan) heap(mapped int64) int64 {
	return max(p.limit-p.limit/16-mapped, p.limit/4)
}

const (
	governEvery = 20 * time.Millisecond
	trimEvery   = 50
)

// planMemory plans for a limit; 0 or less means the default.
func planMemory(limit int64) memoryPlan {
	if limit <= 0 {
		limit = DefaultMemoryBytes()
	}
	limit = max(limit, memoryBytesMin)
	return memoryPlan{limit: limit, goHeap: limit - limit/16, account: limit / 4 * 3}
}

// apply sets the collector. A low frequency is cheap as long as memory is there,
// and the soft limit takes over when it is not. What the environment says counts
// more.
func (p memoryPlan) apply() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(p.goHeap)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

const gcPercent = 200

// DefaultMemoryBytes is 60% of the memory this process may use.
func DefaultMemoryBytes() int64 {
	total := int64(4 << 30)
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) == 3 && f[0] == "MemTotal:" {
				if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					total = kb << 10
				}
			}
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	return total / 10 * 6
}
