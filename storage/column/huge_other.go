//go:build !linux

package column

// hugePages does nothing here.
func hugePages([]uint64) {}
