// Package codec turns bytes into vectors and vectors into bytes, without a Datum
// in between: the text and binary forms of the wire, and COPY's text, CSV and
// binary formats. Functions are chosen once per column and called per value.
//
// Bounds: nothing here keeps a goroutine; a CopyReader holds at most one
// incomplete line or tuple and what it was last fed. Appenders keep scratch
// space, so each goroutine makes its own.
//
// It imports catalog/types, catalog/sqlstate and storage/vec only.
package codec

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// An Appender reads one value, not NULL, from b and appends it to the flat
// vector v, copying what it keeps. On error v is unchanged.
type Appender func(v *vec.Vec, b []byte) error

// An Encoder appends row i of v, in any form and not NULL, to dst. The caller
// deals with NULLs, lengths and quoting.
type Encoder func(dst []byte, v *vec.Vec, i int) []byte

// push counts a value that was written at v.N.
func push(v *vec.Vec) {
	v.N++
	if v.Valid != nil {
		for len(v.Valid) < vec.Words(v.N) {
			v.Valid = append(v.Valid, ^uint64(0))
		}
		vec.SetBit(v.Valid, v.N-1)
	}
}

// PushBool appends a value to a flat vector.
func PushBool(v *vec.Vec, x bool) {
	if v.N >= len(v.Bits)*64 {
		v.Grow(v.N + 1)
	}
	vec.PutBit(v.Bits, v.N, x)
	push(v)
}

// PushI16 appends a value to a flat vector.
func PushI16(v *vec.Vec, x int16) {
	if v.N >= len(v.I16) {
		v.Grow(v.N + 1)
	}
	v.I16[v.N] = x
	push(v)
}

// PushI32 appends a value to a flat vector.
func PushI32(v *vec.Vec, x int32) {
	if v.N >= len(v.I32) {
		v.Grow(v.N + 1)
	}
	v.I32[v.N] = x
	push(v)
}

// PushI64 appends a value to a flat vector.
func PushI64(v *vec.Vec, x int64) {
	if v.N >= len(v.I64) {
		v.Grow(v.N + 1)
	}
	v.I64[v.N] = x
	push(v)
}

// PushI128 appends a value to a flat vector.
func PushI128(v *vec.Vec, x types.Int128) {
	if v.N >= len(v.I128) {
		v.Grow(v.N + 1)
	}
	v.I128[v.N] = x
	push(v)
}

// PushF32 appends a value to a flat vector.
func PushF32(v *vec.Vec, x float32) {
	if v.N >= len(v.F32) {
		v.Grow(v.N + 1)
	}
	v.F32[v.N] = x
	push(v)
}

// PushF64 appends a value to a flat vector.
func PushF64(v *vec.Vec, x float64) {
	if v.N >= len(v.F64) {
		v.Grow(v.N + 1)
	}
	v.F64[v.N] = x
	push(v)
}

// PushFix appends a value to a flat vector.
func PushFix(v *vec.Vec, x types.Fixed16) {
	if v.N >= len(v.Fix) {
		v.Grow(v.N + 1)
	}
	v.Fix[v.N] = x
	push(v)
}
