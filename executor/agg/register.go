package agg

import (
	"github.com/millrace/millrace/catalog/fn"
)

// reg registers the states of an aggregate by its signature; see fn.BySignature.
func reg(sig string, m func(*Call) (State, error)) {
	f := fn.BySignature(sig)
	if f == nil || f.Kind != fn.Aggregate {
		panic("agg: no aggregate " + sig)
	}
	if makers[f.OID] != nil {
		panic("agg: two states for " + sig)
	}
	makers[f.OID] = m
}

func regWindow(sig string, w WindowFunc) {
	f := fn.BySignature(sig)
	if f == nil || f.Kind != fn.Window {
		panic("agg: no window function " + sig)
	}
	windows[f.OID] = w
}

// Known says whether there are states for an aggregate.
func Known(f *fn.Func) bool { return makers[f.OID] != nil }
