package eval

import (
	"math/bits"

	"github.com/millrace/millrace/catalog/sqlstate"
)

func initBytes() {
	outside := func(i, n int64) error {
		return sqlstate.Errorf(sqlstate.ArraySubscriptError, "index %d out of valid range, 0..%d", i, n-1)
	}
	reg("get_byte", impl{loop: each(func(c *Call, i int) error {
		s, k := c.Bytes(0, i), int64(c.I32(1, i))
		if k < 0 || k >= int64(len(s)) {
			return outside(k, int64(len(s)))
		}
		c.Out.I32[i] = int32(s[k])
		return nil
	})})
	reg("set_byte", impl{loop: each(func(c *Call, i int) error {
		s, k := c.Bytes(0, i), int64(c.I32(1, i))
		if k < 0 || k >= int64(len(s)) {
			return outside(k, int64(len(s)))
		}
		b := c.Begin()
		n := len(b)
		b = append(b, s...)
		b[n+int(k)] = byte(c.I32(2, i))
		c.End(i, b)
		return nil
	})})
	reg("get_bit(bytea,int8)", impl{loop: each(func(c *Call, i int) error {
		s, k := c.Bytes(0, i), c.I64(1, i)
		if k < 0 || k >= 8*int64(len(s)) {
			return outside(k, 8*int64(len(s)))
		}
		c.Out.I32[i] = int32(s[k>>3] >> (k & 7) & 1)
		return nil
	})})
	reg("set_bit(bytea,int8,int4)", impl{loop: each(func(c *Call, i int) error {
		s, k, v := c.Bytes(0, i), c.I64(1, i), c.I32(2, i)
		if k < 0 || k >= 8*int64(len(s)) {
			return outside(k, 8*int64(len(s)))
		}
		if v != 0 && v != 1 {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "new bit must be 0 or 1")
		}
		b := c.Begin()
		n := len(b)
		b = append(b, s...)
		p := &b[n+int(k>>3)]
		*p = *p&^(1<<(k&7)) | byte(v)<<(k&7)
		c.End(i, b)
		return nil
	})})
	reg("bit_count(bytea)", impl{loop: total(func(c *Call, i int) {
		n := 0
		for _, b := range c.Bytes(0, i) {
			n += bits.OnesCount8(b)
		}
		c.Out.I64[i] = int64(n)
	})})
}
