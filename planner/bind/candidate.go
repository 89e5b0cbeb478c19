package bind

import (
	"strings"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

// candidate is a function or operator that a call may mean: its arguments as they
// would be passed.
type candidate struct {
	fn   *fn.Func
	op   *fn.Operator
	args []uint32 // declared types by position of the call's arguments, defaults included
	// order[i] is which of the call's arguments goes to position i; nil for in
	// order. Positions past the call's arguments are defaults.
	order []int
	// variadic is how many arguments are gathered into the last, 0 for none.
	variadic int
	nargs    int // arguments of the call itself
}

// accepts says whether the actual types can be passed by implicit casts.
func (c *candidate) accepts(actual []uint32) bool {
	poly := false
	for i, a := range actual {
		if !canCoerce(a, c.args[i], fn.Implicit) {
			return false
		}
		if (c.args[i] == types.AnyNonArrayOID || c.args[i] == types.AnyCompatibleNonArrayOID) && fn.ElemOf(a) != 0 {
			return false
		}
		poly = poly || fn.IsPoly(c.args[i])
	}
	if poly {
		_, _, ok := concrete(c.args[:len(actual)], 0, actual)
		return ok
	}
	return true
}

// selectCandidate is func_select_candidate: the one that the rules prefer among
// several that accept the arguments, nil when the call is ambiguous.
func selectCandidate(actual []uint32, cands []*candidate) *candidate {
	unknowns := 0
	for _, a := range actual {
		if a == types.UnknownOID {
			unknowns++
		}
	}
	keep := func(score func(*candidate) int) {
		best := -1
		var out []*candidate
		for _, c := range cands {
			switch n := score(c); {
			case n > best:
				best = n
				out = append(out[:0:0], c)
			case n == best:
				out = append(out, c)
			}
		}
		cands = out
	}
	keep(func(c *candidate) int {
		n := 0
		for i, a := range actual {
			if a != types.UnknownOID && c.args[i] == a {
				n++
			}
		}
		return n
	})
	if len(cands) == 1 {
		return cands[0]
	}
	keep(func(c *candidate) int {
		n := 0
		for i, a := range actual {
			if a == types.UnknownOID {
				continue
			}
			if c.args[i] == a {
				n++
				continue
			}
			cat, _ := fn.Category(a)
			if k, pref := fn.Category(c.args[i]); pref && k == cat {
				n++
			}
		}
		return n
	})
	if len(cands) == 1 {
		return cands[0]
	}
	if unknowns == 0 {
		return nil
	}
	// Unknown arguments take the category that all candidates agree on, or string.
	resolved := true
	cat := make([]byte, len(actual))
	pref := make([]bool, len(actual))
	for i, a := range actual {
		if a != types.UnknownOID {
			continue
		}
		conflict := false
		for _, c := range cands {
			k, p := fn.Category(c.args[i])
			switch {
			case cat[i] == 0:
				cat[i], pref[i] = k, p
			case k == cat[i]:
				pref[i] = pref[i] || p
			case k == 'S':
				cat[i], pref[i] = k, p
			default:
				conflict = true
			}
		}
		if conflict && cat[i] != 'S' {
			resolved = false
			break
		}
	}
	if resolved {
		var out []*candidate
		for _, c := range cands {
			ok := true
			for i, a := range actual {
				if a != types.UnknownOID {
					continue
				}
				k, p := fn.Category(c.args[i])
				if k != cat[i] || pref[i] && !p {
					ok = false
				}
			}
			if ok {
				out = append(out, c)
			}
		}
		if len(out) > 0 {
			cands = out
			if len(cands) == 1 {
				return cands[0]
			}
		}
	}
	// Last: all unknown arguments may be of the type that all known ones have.
	if unknowns < len(actual) {
		known := uint32(0)
		for _, a := range actual {
			switch {
			case a == types.UnknownOID || a == known:
			case known == 0:
				known = a
			default:
				return nil
			}
		}
		same := make([]uint32, len(actual))
		for i := range same {
			same[i] = known
		}
		var last *candidate
		for _, c := range cands {
			if c.accepts(same) {
				if last != nil {
					return nil
				}
				last = c
			}
		}
		return last
	}
	return nil
}

// concrete is fn.Concrete where arguments that are all unknown make an
// anycompatible text.
func concrete(decl []uint32, ret uint32, actual []uint32) ([]uint32, uint32, bool) {
	check := ret
	if check == 0 {
		check = types.VoidOID
	}
	out, r, ok := fn.Concrete(decl, check, actual)
	if ok {
		return out, r, true
	}
	compat, known := false, false
	for i, d := range decl {
		switch d {
		case types.AnyCompatibleOID, types.AnyCompatibleArrayOID, types.AnyCompatibleNonArrayOID:
			compat = true
			known = known || actual[i] != types.UnknownOID
		}
	}
	if compat && !known {
		as := append([]uint32(nil), actual...)
		for i, d := range decl {
			switch d {
			case types.AnyCompatibleOID, types.AnyCompatibleNonArrayOID:
				as[i] = types.TextOID
			case types.AnyCompatibleArrayOID:
				as[i] = types.TextArrayOID
			}
		}
		return fn.Concrete(decl, check, as)
	}
	if ret == 0 {
		// Only whether the arguments can agree is asked: all unknown do.
		all := true
		for i, d := range decl {
			if fn.IsPoly(d) && actual[i] != types.UnknownOID {
				all = false
			}
		}
		return out, r, all
	}
	return out, r, false
}

// functionCandidates lists what a call with n arguments, some of them named, may
// mean. spread: a variadic parameter may gather the trailing arguments.
func functionCandidates(name string, n int, given []string, spread bool) []*candidate {
	var out []*candidate
	for _, f := range fn.ByName(name) {
		declared := len(f.Args)
		c := &candidate{fn: f, nargs: n}
		switch {
		case n == declared:
			c.args = f.Args
		case n < declared && n+f.Defaults >= declared:
			c.args = f.Args
		case f.Variadic != 0 && spread && n >= declared:
		default:
			continue
		}
		if f.Variadic != 0 && spread && n >= declared && declared > 0 {
			args := append([]uint32(nil), f.Args[:declared-1]...)
			for len(args) < n {
				args = append(args, f.Variadic)
			}
			c.args, c.variadic = args, n-declared+1
			if f.Variadic == types.AnyOID {
				c.variadic = 0 // VARIADIC "any" takes them as they are
			}
		}
		if len(given) > 0 && !c.place(given) {
			continue
		}
		out = append(out, c)
	}
	return dedupe(out)
}

// place matches named arguments, which come last, with parameters by name.
func (c *candidate) place(given []string) bool {
	if c.variadic > 0 || len(argNames[c.fn.OID]) == 0 {
		return false
	}
	positional := c.nargs - len(given)
	n := len(c.fn.Args)
	c.order = make([]int, n)
	for i := range c.order {
		c.order[i] = -1
		if i < positional {
			c.order[i] = i
		}
	}
	for k, name := range given {
		at := -1
		for i, p := range argNames[c.fn.OID] {
			if p == name && i < n {
				at = i
			}
		}
		if at < 0 || c.order[at] >= 0 {
			return false
		}
		c.order[at] = positional + k
	}
	for i, o := range c.order {
		if o < 0 && i < n-c.fn.Defaults {
			return false
		}
	}
	// Types are matched in the order of the call.
	args := make([]uint32, c.nargs)
	for i, o := range c.order {
		if o >= 0 {
			args[o] = c.fn.Args[i]
		}
	}
	c.args = args
	return true
}

// dedupe drops a variadic candidate where a plain one takes the same arguments.
func dedupe(cs []*candidate) []*candidate {
	out := cs[:0:0]
	for _, c := range cs {
		drop := false
		for _, d := range cs {
			if c == d || len(c.args) < c.nargs || len(d.args) < d.nargs || !sameOIDs(c.args[:c.nargs], d.args[:d.nargs]) {
				continue
			}
			if c.variadic > d.variadic || c.variadic == d.variadic && len(c.args) > len(d.args) {
				drop = true
			}
		}
		if !drop {
			out = append(out, c)
		}
	}
	return out
}

func sameOIDs(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// signature is a call's name and types as errors show them.
func signature(name string, argNames []string, actual []uint32) string {
	var sb strings.Builder
	sb.WriteString(name)
	sb.WriteByte('(')
	for i, a := range actual {
		if i > 0 {
			sb.WriteString(", ")
		}
		if k := i - (len(actual) - len(argNames)); k >= 0 {
			sb.WriteString(argNames[k] + " => ")
		}
		sb.WriteString(types.FormatTypeNoMod(a))
	}
	sb.WriteByte(')')
	return sb.String()
}
