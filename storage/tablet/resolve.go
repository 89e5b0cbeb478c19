package tablet

import (
	"context"

	"github.com/millrace/millrace/storage"
)

// resolveChanged has statements decide again on rows that others replaced after
// they were read, and puts the outcome in the place of the old operations.
func (x *tx) resolveChanged(ctx context.Context, cf *conflictError) error {
	o, s := cf.part.own, cf.part.ops
	// The set gets no more rows by it. A spill that began at the commit would go on beside
	// it, which takes the files that there are.
	o.settling = true
	defer func() { o.settling = false }()
	byChunk := map[int][]uint16{}
	for _, k := range cf.conflicts {
		byChunk[k.Chunk] = append(byChunk[k.Chunk], uint16(k.Row))
	}
	type job struct {
		src  *source
		keys *changeSet
	}
	var jobs []job
	gone := map[uint32]bool{}
	for ci, rows := range byChunk {
		if ci >= len(s.chunks) {
			return errConcurrentUpdate // of rows whose keys are in files
		}
		src, c := s.src[ci], &s.chunks[ci]
		if src == nil || src.resolve == nil || x.opts.Isolation == storage.RepeatableRead {
			return errConcurrentUpdate
		}
		x.dropped += int64(len(rows))
		for _, r := range rows {
			gone[c.Ord[r]] = true
			if to, ok := src.moved[c.Ord[r]]; ok {
				gone[to] = true
			}
		}
		jobs = append(jobs, job{src, &changeSet{keys: compact(c.Keys.Cols, rows, c.Len())}})
	}
	o.remove(gone)

	// What was in the way is stamped, since its writer has let go of the latch; the
	// statement may see it once it is published.
	x.s.marks.WaitApplied(x.s.marks.NewestAppended(), x.s.ctx.Done())
	if err := x.s.log.Wait(x.s.marks.NewestAppended()); err != nil {
		return x.s.broken()
	}
	n, r, err := x.newest(o)
	if err != nil {
		return err
	}
	defer n.Close()
	for _, j := range jobs {
		c, err := resolveRows(ctx, r, o.t, j.src, j.keys.keys)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		if c.shard, err = x.shardsOf(r, c.keys); err != nil {
			return err
		}
		src := *j.src
		src.moved = nil
		n, err := x.addChanges(ctx, o, &src, c)
		if err != nil {
			return err
		}
		x.dropped -= n
	}
	return nil
}
