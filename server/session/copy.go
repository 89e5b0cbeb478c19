package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// copy runs COPY in either direction, over the protocol or with a file.
func (s *Session) copy(ctx context.Context, p *prepared, u *plan.Copy, out pgwire.Results) error {
	s.open(s.block || s.implicit)
	if err := s.mayUse(p.plan); err != nil {
		return err
	}
	if err := s.follows(u.From); err != nil {
		return err
	}
	if u.Tuples > 0 {
		return s.insertTuples(ctx, p, u, out)
	}
	if u.From && build.Looks(u.Insert) {
		// A run of rows must see what the runs before it wrote.
		if err := s.txn.Extend(); err != nil {
			return err
		}
	}
	if u.From {
		return s.copyIn(ctx, p, u, out)
	}
	return s.copyOut(ctx, p, u, out)
}

func copyFormat(u *plan.Copy) byte {
	if u.Options["format"] == "binary" {
		return 1
	}
	return 0
}

// copyOptions are the statement's options as the codec takes them.
func copyOptions(u *plan.Copy) []codec.CopyOption {
	var out []codec.CopyOption
	for k, v := range u.Options {
		out = append(out, codec.CopyOption{Name: k, HasValue: true, Value: v})
	}
	for k, v := range u.Lists {
		o := codec.CopyOption{Name: k, IsList: true, List: v}
		if len(v) == 1 && v[0] == "*" {
			o.Star, o.List, o.HasValue, o.Value = true, nil, true, "*"
		}
		out = append(out, o)
	}
	return out
}

func (s *Session) copyIn(ctx context.Context, p *prepared, u *plan.Copy, out pgwire.Results) error {
	if s.set.on("transaction_read_only") {
		return sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute COPY FROM in a read-only transaction")
	}
	cols := make([]codec.CopyColumn, len(u.Columns))
	ts := make([]types.T, len(u.Columns))
	for i, o := range u.Columns {
		cols[i], ts[i] = codec.CopyColumn{Name: u.Table.Columns[o].Name, T: u.Table.Columns[o].T}, u.Table.Columns[o].T
	}
	opts, err := codec.ParseCopyOptions(copyOptions(u), true)
	if err != nil {
		return err
	}
	rd, err := codec.NewCopyReader(u.Table.Name, cols, opts, s.Env())
	if err != nil {
		return err
	}
	src, _, err := s.copyFile(u)
	if err != nil {
		return err
	}
	if f, ok := src.(*fileSource); ok {
		defer f.f.Close()
	} else if src, err = out.CopyIn(copyFormat(u), len(u.Columns)); err != nil {
		return err
	}
	feed := &copyFeed{src: src, rd: rd, types: ts}
	rows, err := s.insertFeed(ctx, u.Insert, feed)
	if err != nil {
		return err
	}
	return out.CommandComplete(fmt.Sprintf("COPY %d", rows))
}

// insertFeed inserts a client's rows in runs of some blocks' worth: one plan run
// each, all in the same transaction. While one run is inserted the next is parsed;
// the parsing stays on this goroutine, since it waits for the client. An error of
// earlier rows goes before one of later rows. A stream of less than a run starts
// no goroutine.
func (s *Session) insertFeed(ctx context.Context, ins *plan.Insert, feed *copyFeed) (rows int64, err error) {
	var running chan insertResult // of the run that is being inserted
	wait := func() error {
		if running == nil {
			return nil
		}
		r := <-running
		running = nil
		if r.panicked != nil {
			panic(r.panicked)
		}
		rows += r.rows
		return r.err
	}
	defer func() {
		// A panic of the parser still leaves nothing behind that uses the session.
		if running != nil {
			<-running
		}
	}()
	for {
		batches, err := feed.run(ctx)
		if failed := wait(); failed != nil {
			return rows, failed
		}
		if err != nil || len(batches) == 0 {
			return rows, err
		}
		if feed.ended {
			n, err := s.insertBatches(ctx, ins, batches)
			if rows += n; err != nil {
				return rows, err
			}
			continue // the parser may hold more than a run
		}
		done := make(chan insertResult, 1)
		running = done
		go func() {
			var r insertResult
			defer func() {
				if p := recover(); p != nil {
					r.panicked = fmt.Errorf("%v\n%s", p, debug.Stack())
				}
				done <- r
			}()
			r.rows, r.err = s.insertBatches(ctx, ins, batches)
		}()
	}
}

// insertResult is how a run of rows was inserted.
type insertResult struct {
	rows     int64
	err      error
	panicked error
}

// insertBatches runs a COPY's insert over rows at hand.
func (s *Session) insertBatches(ctx context.Context, ins *plan.Insert, batches []*vec.Batch) (int64, error) {
	snap, err := s.txn.Snapshot()
	if err != nil {
		return 0, err
	}
	x, err := s.startRoot(ctx, ins, snap, nil, func(e *build.Env) { e.Inputs = map[int][]*vec.Batch{0: batches} })
	if err != nil {
		snap.Close()
		return 0, err
	}
	defer x.close()
	if _, _, err := x.send(ctx, 0, func(*vec.Batch) error { return nil }); err != nil {
		return 0, err
	}
	return x.query.RowsAffected(), nil
}

// copyFeed turns the client's stream into batches.
type copyFeed struct {
	src   pgwire.CopySource
	rd    *codec.CopyReader
	types []types.T
	sets  [2][]*vec.Batch // of the run at hand and the one before
	ended bool
}

// copyRunBatches is how many batches are inserted at a time.
const copyRunBatches = 32

// run yields the next batches of parsed rows, none at the end. They are reused by
// the next call but one.
func (f *copyFeed) run(ctx context.Context) ([]*vec.Batch, error) {
	f.sets[0], f.sets[1] = f.sets[1], f.sets[0]
	for i := 0; i < copyRunBatches; i++ {
		if i == len(f.sets[0]) {
			f.sets[0] = append(f.sets[0], vec.NewBatch(f.types))
		}
		b := f.sets[0][i]
		b.Reset()
		if err := f.fill(ctx, b); err != nil {
			return nil, err
		}
		if b.N == 0 {
			return f.sets[0][:i], nil
		}
	}
	return f.sets[0], nil
}

// fill reads up to a full batch.
func (f *copyFeed) fill(ctx context.Context, batch *vec.Batch) error {
	for batch.N < vec.Size {
		full, err := f.rd.Next(batch, vec.Size)
		if err != nil {
			return err
		}
		if full || f.ended {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := f.src.Next()
		if errors.Is(err, io.EOF) {
			f.ended = true
			f.rd.Finish()
			continue
		}
		if err != nil {
			return err
		}
		f.rd.Feed(b)
	}
	return nil
}

func (s *Session) copyOut(ctx context.Context, p *prepared, u *plan.Copy, out pgwire.Results) error {
	var cols []codec.CopyColumn
	for i, c := range u.Query.Columns() {
		if u.Names != nil {
			c.Name = u.Names[i] // the optimizer keeps columns, not their names
		}
		cols = append(cols, codec.CopyColumn{Name: c.Name, T: c.T})
	}
	opts, err := codec.ParseCopyOptions(copyOptions(u), false)
	if err != nil {
		return err
	}
	w, err := codec.NewCopyWriter(cols, opts, s.Env())
	if err != nil {
		return err
	}
	snap, err := s.txn.Snapshot()
	if err != nil {
		return err
	}
	x, err := s.startRoot(ctx, u.Query, snap, nil, nil)
	if err != nil {
		snap.Close()
		return err
	}
	defer x.close()
	_, sink, err := s.copyFile(u)
	if err != nil {
		return err
	}
	if f, ok := sink.(*fileSink); ok {
		defer f.f.Close() // of no effect after a success
	} else if sink, err = out.CopyOut(copyFormat(u), len(cols)); err != nil {
		return err
	}
	var buf []byte
	if buf = w.AppendHeader(buf[:0]); len(buf) > 0 {
		if _, err := sink.Write(buf); err != nil {
			return err
		}
	}
	n, _, err := x.send(ctx, 0, func(b *vec.Batch) error {
		for k := 0; k < b.Rows(); k++ {
			buf = w.AppendRow(buf[:0], b.Cols, b.Row(k))
			if _, err := sink.Write(buf); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if buf = w.AppendTrailer(buf[:0]); len(buf) > 0 {
		if _, err := sink.Write(buf); err != nil {
			return err
		}
	}
	if err := sink.Close(); err != nil {
		return err
	}
	return out.CommandComplete(fmt.Sprintf("COPY %d", n))
}
