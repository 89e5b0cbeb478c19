// Package simd has the twins of a few loops of package kernel in wide registers,
// by simd/archsimd, which exists when the go command runs with GOEXPERIMENT=simd
// on amd64; without it the package is empty. Only kernel imports it.
//
// Rules learnt the hard way: shift by broadcast vectors (ShiftAllRight emits a
// legacy SSE move inside AVX code); clear the upper halves before returning, or
// the next scalar float operation pays; load through array pointers. AVX2 only:
// it has no 64-bit multiply, minimum or unsigned compare.
package simd
