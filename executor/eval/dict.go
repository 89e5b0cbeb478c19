package eval

import (
	"sync/atomic"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// dictCache holds a call's results over dictionaries.
type dictCache struct {
	byID map[uint64]*dictResult
	last *dictResult
}

// dictResult is a call's result for every value of one dictionary.
type dictResult struct {
	id    uint64
	seen  int // rows met so far
	ready bool
	nulls []uint64 // codes whose result is null; nil: none
	dict  *vec.Dictionary
	truth []uint8 // bool results by code
	owner *node   // holds the memory
}

// dictsKept bounds the dictionaries remembered by one call; segments come and go.
const dictsKept = 16

// dictAlways is a dictionary size worth computing at once; larger ones wait until
// as many rows have come by as half the dictionary has values.
const dictAlways = 1024

// derivedID numbers dictionaries made here, apart from those of storage.
var derivedID atomic.Uint64

func (d *dictCache) find(dict *vec.Dictionary) *dictResult {
	if d.last != nil && d.last.id == dict.ID {
		return d.last
	}
	if d.byID == nil {
		d.byID = make(map[uint64]*dictResult)
	}
	r := d.byID[dict.ID]
	if r == nil {
		if len(d.byID) >= dictsKept {
			clear(d.byID)
		}
		r = &dictResult{id: dict.ID}
		d.byID[dict.ID] = r
	}
	d.last = r
	return r
}

// evalDict computes the call over the dictionary of argument k, once, and keeps
// the codes. ok is false when the dictionary is not worth it yet.
func (o *callOp) evalDict(n *node, s *scope, k int) (*vec.Vec, bool, error) {
	v := o.call.Args[k]
	values := v.Dict.Values
	if v.Dict.ID == 0 || values.N == 0 {
		return nil, false, nil
	}
	r := o.dicts.find(v.Dict)
	if !r.ready {
		r.seen += s.rows()
		if values.N > dictAlways && r.seen*2 < values.N {
			return nil, false, nil
		}
		if err := o.fillDict(n, r, k, values); err != nil {
			return nil, false, err
		}
		o.call.Args[k] = v
	}
	out := &n.out
	out.T, out.N, out.Valid = n.t, s.n, v.Valid
	if r.nulls != nil {
		w := n.ownValid(s.n)
		for i := range w {
			w[i] = ^uint64(0)
		}
		if v.Valid != nil {
			copy(w, v.Valid)
		}
		for i, code := range v.Codes[:s.n] {
			if vec.Bit(r.nulls, int(code)) {
				vec.ClearBit(w, i)
			}
		}
		out.Valid = w
	}
	if n.t.Layout == types.LayoutBool {
		out.Form, out.Dict, out.Codes = vec.Flat, nil, nil
		out.Bits = growTo(out.Bits, words(s.n))
		truthOf(out.Bits, r.truth, v.Codes[:s.n])
		if out.Valid != nil {
			kernel.And(out.Bits, out.Valid)
		}
		return out, true, nil
	}
	out.Form, out.Dict, out.Codes = vec.Dict, r.dict, v.Codes
	if len(out.Valid) > 0 && r.nulls != nil {
		// The code under a null is 0 by contract.
		out.Codes = o.zeroCodes(v.Codes[:s.n], out.Valid)
	}
	return out, true, nil
}

func (o *callOp) zeroCodes(codes []uint32, valid []uint64) []uint32 {
	o.codes = growTo(o.codes, len(codes))
	copy(o.codes, codes)
	kernel.ZeroInvalid(o.codes, valid)
	return o.codes
}

// truthOf sets bit i to truth[codes[i]].
func truthOf(dst []uint64, truth []uint8, codes []uint32) {
	for w := range dst {
		c := codes[w<<6:]
		if len(c) > 64 {
			c = c[:64]
		}
		var x uint64
		for j, code := range c {
			x |= uint64(truth[code]) << (uint(j) & 63)
		}
		dst[w] = x
	}
}

// fillDict runs the loop over all values of a dictionary into memory of its own.
func (o *callOp) fillDict(n *node, r *dictResult, k int, values *vec.Vec) error {
	own := &node{p: n.p, t: n.t}
	out := own.flat(values.N)
	saved := o.call.node
	o.call.node = own
	o.call.Args[k] = values
	o.call.N, o.call.Sel, o.call.Dense = values.N, nil, o.m.dense
	_, err := o.run(own, out)
	o.call.node = saved
	if err != nil {
		return err
	}
	r.owner, r.ready = own, true
	if out.Valid != nil {
		r.nulls = make([]uint64, words(values.N))
		copy(r.nulls, out.Valid)
		kernel.Not(r.nulls, values.N)
		out.Valid = nil
	}
	if n.t.Layout == types.LayoutBool {
		r.truth = make([]uint8, values.N)
		for i := range r.truth {
			if vec.Bit(out.Bits, i) {
				r.truth[i] = 1
			}
		}
		return nil
	}
	r.dict = &vec.Dictionary{Values: out, ID: 1<<63 | derivedID.Add(1)}
	return nil
}
