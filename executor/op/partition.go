package op

import (
	"sync"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// spillParts is the number of partitions of a join or an aggregation that spills.
const spillParts = 64

// forcedRows is how many rows or groups a lane keeps when spilling is forced.
const forcedRows = 2

// The bits of a hash that choose the partition are not those that choose the slot
// in a table of its rows: the high ones for groups, low ones for joins.
const (
	joinShift  = 20
	groupShift = 58
)

// partitions are the spill files of rows by the hash of their keys. Lanes write
// beside each other; reading begins when all have written.
type partitions struct {
	run   *Run
	shift uint
	ts    []types.T
	mu    [spillParts]sync.Mutex
	files [spillParts]*mem.File
}

func newPartitions(run *Run, ts []types.T, shift uint) *partitions {
	return &partitions{run: run, ts: ts, shift: shift}
}

func typesOfBatch(b *vec.Batch) []types.T {
	ts := make([]types.T, len(b.Cols))
	for i, c := range b.Cols {
		ts[i] = c.T
	}
	return ts
}

// splitter cuts batches by partition; a lane has one.
type splitter struct {
	hash  []uint64
	count [spillParts + 1]int
	sel   []uint16
}

// cut orders rows by partition: those of partition i are sel[count[i]:count[i+1]].
func (s *splitter) cut(hash []uint64, shift uint, rows []uint16) {
	clear(s.count[:])
	for _, h := range hash {
		s.count[h>>(shift&63)&(spillParts-1)+1]++
	}
	for i := range spillParts {
		s.count[i+1] += s.count[i]
	}
	s.sel = grown(s.sel, len(rows))
	at := s.count
	for k, h := range hash {
		i := h >> (shift & 63) & (spillParts - 1)
		s.sel[at[i]] = rows[k]
		at[i]++
	}
}

// write writes the rows in sel (or 0..n-1) of the columns to their partitions; keys
// decide which.
func (p *partitions) write(s *splitter, keys, cols []*vec.Vec, sel []uint16, n int) error {
	s.hash = grown(s.hash, len(physicalRows(sel, n)))
	hashKeys(s.hash, keys, sel, n)
	return p.writeHashed(s, s.hash, cols, sel, n)
}

func physicalRows(sel []uint16, n int) []uint16 {
	if sel != nil {
		return sel
	}
	return identityFor(n)
}

// writeHashed is write with the rows' hashes.
func (p *partitions) writeHashed(s *splitter, hash []uint64, cols []*vec.Vec, sel []uint16, n int) error {
	s.cut(hash, p.shift, physicalRows(sel, n))
	b := vec.Batch{Cols: cols, N: n}
	for i := range spillParts {
		b.Sel = s.sel[s.count[i]:s.count[i+1]]
		if len(b.Sel) == 0 {
			continue
		}
		if err := p.append(i, &b); err != nil {
			return err
		}
	}
	return nil
}

func (p *partitions) append(i int, b *vec.Batch) error {
	p.mu[i].Lock()
	defer p.mu[i].Unlock()
	if p.files[i] == nil {
		f, err := p.run.Spill.Create()
		if err != nil {
			return err
		}
		p.files[i] = f
	}
	return p.files[i].Append(func(dst []byte) []byte { return vec.AppendSerial(dst, b) })
}

// writeRows writes all rows of a store, whose columns keys are the keys.
func (p *partitions) writeRows(s *splitter, r *Rows, keys []int) error {
	b := &vec.Batch{Cols: make([]*vec.Vec, len(r.T))}
	for i := range b.Cols {
		b.Cols[i] = &vec.Vec{}
	}
	ks := make([]*vec.Vec, len(keys))
	for from := 0; from < r.N; from += vec.Size {
		n := min(vec.Size, r.N-from)
		for c, v := range b.Cols {
			r.View(c, from, n, v)
		}
		for i, k := range keys {
			ks[i] = b.Cols[k]
		}
		if err := p.write(s, ks, b.Cols, nil, n); err != nil {
			return err
		}
		if err := p.run.Interrupted(); err != nil {
			return err
		}
	}
	return nil
}

// finish ends writing.
func (p *partitions) finish() error {
	for _, f := range p.files {
		if f != nil {
			if err := f.Finish(); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop removes the file of partition i.
func (p *partitions) drop(i int) {
	_ = p.files[i].Close()
	p.files[i] = nil
}

func (p *partitions) close() {
	if p == nil {
		return
	}
	for i := range p.files {
		p.drop(i)
	}
}

// none says whether partition i has no rows.
func (p *partitions) none(i int) bool { return p == nil || p.files[i] == nil }

// partReader reads a spill file of serial batches, in batches of about vec.Size rows.
type partReader struct {
	r    *mem.Reader
	part *vec.Batch
	held bool // part is read and not yet given
	out  *vec.Batch
}

// read opens partition i; nil when it has no rows.
func (p *partitions) read(i int) (*partReader, error) {
	if p.files[i] == nil {
		return nil, nil
	}
	r, err := p.files[i].NewReader()
	if err != nil {
		return nil, err
	}
	return newPartReader(r, p.ts), nil
}

func newPartReader(r *mem.Reader, ts []types.T) *partReader {
	return &partReader{r: r, part: vec.NewBatch(ts), out: vec.NewBatch(ts)}
}

// next is the next batch, nil at the end.
func (r *partReader) next() (*vec.Batch, error) {
	for i, c := range r.out.Cols {
		c.Recycle(r.part.Cols[i].T)
	}
	r.out.N, r.out.Sel = 0, nil
	for {
		if !r.held {
			frame, err := r.r.Next()
			if err != nil {
				return nil, err
			}
			if frame == nil {
				break
			}
			if err := r.part.DecodeSerial(frame); err != nil {
				return nil, err
			}
		}
		r.held = r.out.N+r.part.N > vec.Size
		if r.held {
			break
		}
		r.out.Append(r.part)
	}
	if r.out.N == 0 {
		return nil, nil
	}
	return r.out, nil
}

func (r *partReader) close() {
	if r != nil {
		_ = r.r.Close()
	}
}
