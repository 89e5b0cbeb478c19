//go:build goexperiment.simd && amd64

package kernel

import "github.com/millrace/millrace/storage/vec/kernel/simd"

// both lists the settings of accelerated that this machine can run.
func both() []bool {
	if simd.Available() {
		return []bool{false, true}
	}
	return []bool{false}
}

func withAccel(on bool, f func()) {
	old := accelerated
	accelerated = on
	f()
	accelerated = old
}
