//go:build !(goexperiment.simd && amd64)

package kernel

func both() []bool { return []bool{false} }

func withAccel(_ bool, f func()) { f() }
