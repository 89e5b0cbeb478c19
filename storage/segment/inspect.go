package segment

import "github.com/millrace/millrace/storage/segment/encoding"

// Usage is what one form of encoding takes of a column of a segment.
type Usage struct {
	Column Column
	Form   string // such as "dict s2"; "dictionary" for that of the whole segment
	Blocks int
	Rows   int
	Bytes  int64
	Raw    int64 // bytes of strings before compression
}

// Usages lists where the file's bytes are, by column and encoding, and what key
// index and filter, the sample and the footer take. Columns end with CSNColumn.
func (r *Reader) Usages() (cols []Usage, index, sample, footer int64, err error) {
	index = int64(r.foot.index.len) + int64(r.foot.filter.len)
	left := r.size - index - int64(r.foot.sample.len)
	for i := range r.foot.columns {
		c := &r.foot.columns[i]
		forms := map[string]*Usage{}
		var order []*Usage
		add := func(form string, rows, bytes, raw int) {
			u := forms[form]
			if u == nil {
				u = &Usage{Column: c.Column, Form: form}
				forms[form] = u
				order = append(order, u)
			}
			u.Blocks++
			u.Rows += rows
			u.Bytes += int64(bytes)
			u.Raw += int64(raw)
			left -= int64(bytes)
		}
		if c.dict.len > 0 {
			add("dictionary", c.dictN, c.dict.len, 0)
		}
		for b := range c.blocks {
			data, err := r.block(i, b)
			if err != nil {
				return nil, 0, 0, 0, err
			}
			form, raw := encoding.Describe(data)
			add(form, r.BlockRows(b), len(data), raw)
		}
		for _, u := range order {
			cols = append(cols, *u)
		}
	}
	return cols, index, int64(r.foot.sample.len), left, nil
}
