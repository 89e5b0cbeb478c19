package kernel

import "unsafe"

// Prefetch has the processor load the line of memory that p is in. Nobody waits for it,
// where a load would keep what comes after it from being done with.
//
//go:noescape
func Prefetch(p unsafe.Pointer)
