package column

import (
	"syscall"
	"unsafe"
)

const (
	hugePage   = 2 << 20
	adviseHuge = 14 // MADV_HUGEPAGE
)

// hugePages asks for large pages under memory that is read here and there, so that each
// read does not have to look for its page first. It is a hint: nothing depends on it.
func hugePages(w []uint64) {
	if len(w)*8 < 2*hugePage {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), len(w)*8)
	from := -int(uintptr(unsafe.Pointer(&b[0]))) & (hugePage - 1)
	if n := (len(b) - from) &^ (hugePage - 1); n > 0 {
		_ = syscall.Madvise(b[from:from+n], adviseHuge)
	}
}
