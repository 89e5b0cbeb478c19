package vec

// Reserve makes room for n bytes, in one piece, in v's own buffers and returns
// it with its place: the caller fills it and points views there. An owner that
// calls Recycle between batches gets the same memory again.
func (v *Vec) Reserve(n int) (mem []byte, buf, off uint32) {
	if n > cap(v.arena)-len(v.arena) {
		c := max(n, arenaBytes, min(2*cap(v.arena), 1<<20))
		v.arena = make([]byte, 0, c)
		if len(v.Bufs) == 0 {
			v.bufMem[0] = v.arena
			v.Bufs = v.bufMem[:]
		} else {
			v.Bufs = append(v.Bufs[:len(v.Bufs):len(v.Bufs)], v.arena)
		}
	}
	o := len(v.arena)
	v.arena = v.arena[:o+n]
	k := len(v.Bufs) - 1
	v.Bufs[k] = v.arena
	return v.arena[o : o+n : o+n], uint32(k), uint32(o)
}

// LendBuf makes b, which v does not own, the only buffer of v. Appending strings
// to v is then not allowed before Reset or Recycle.
func (v *Vec) LendBuf(b []byte) {
	v.arena = nil
	v.bufMem[0] = b
	v.Bufs = v.bufMem[:]
}

// CopyLent is Copy for flat strings whose bytes stay where they are as long as v is
// used: src's buffers become v's, and must be the same for all that is appended to v
// before Reset or Recycle.
func (v *Vec) CopyLent(src *Vec, sel []uint16, n int) {
	if sel != nil {
		n = len(sel)
	}
	base := v.N
	v.Grow(base + n)
	if sel == nil {
		copy(v.Views[base:base+n], src.Views[:n])
	} else {
		for k, i := range sel {
			v.Views[base+k] = src.Views[i]
		}
	}
	v.arena, v.Bufs = nil, src.Bufs
	v.N += n
	v.copyValid(src, sel, n)
}
