package vec

import (
	"unsafe"

	"github.com/millrace/millrace/catalog/types"
)

// Values is the slice of a vector that holds elements of type E.
func Values[E any](v *Vec) []E {
	var z E
	switch any(z).(type) {
	case int16:
		return *(*[]E)(unsafe.Pointer(&v.I16))
	case int32:
		return *(*[]E)(unsafe.Pointer(&v.I32))
	case int64:
		return *(*[]E)(unsafe.Pointer(&v.I64))
	case types.Int128:
		return *(*[]E)(unsafe.Pointer(&v.I128))
	case float32:
		return *(*[]E)(unsafe.Pointer(&v.F32))
	case float64:
		return *(*[]E)(unsafe.Pointer(&v.F64))
	case types.Fixed16:
		return *(*[]E)(unsafe.Pointer(&v.Fix))
	case View:
		return *(*[]E)(unsafe.Pointer(&v.Views))
	}
	panic("vec: no such element type")
}
