package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// Env is what a subscription runs in.
type Env struct {
	Store storage.Store
	Log   *slog.Logger
	Types *types.Env
	// Secrets opens what Subscription.Secrets seals.
	Secrets func(*catalog.Subscription) (map[string]string, error)
	// Allowed says whether the subscription's owner may still write the target.
	Allowed func(v *catalog.Version, sub *catalog.Subscription, t *catalog.Table, append bool) error
	// Defaults are the values of columns that messages do not mention; nil for nulls.
	Defaults func(ctx context.Context, t *catalog.Table) ([]types.Datum, error)
	// AddColumns adds columns to the target, and leaves those that are there.
	AddColumns func(ctx context.Context, sub *catalog.Subscription, cols []catalog.Column) error
	// Decoders is how many messages are decoded at a time; 0 for one a core, at most 4.
	Decoders int
}

// Run runs a subscription until ctx ends or something goes wrong. A *StopError and a
// *Lost mean that it should not be started again by itself.
func Run(ctx context.Context, env *Env, oid uint32, stats *Stats) error {
	for {
		err := runOnce(ctx, env, oid, stats)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, errRestart) && !errors.Is(err, ErrReopen) {
			return err
		}
		stats.Restarts.Add(1)
	}
}

// pipeline is one run from stored positions.
type pipeline struct {
	*applier
	environ *Env
	sub     *catalog.Subscription
	source  Source
	buffer  *semaphore.Weighted
	cancel  context.CancelCauseFunc
	cfg     *format.Config

	work, order chan *job
	pool        sync.Pool
	wg          sync.WaitGroup

	lagMu sync.Mutex
	ends  map[Partition]int64 // of the partitions, as the source told last
	next  map[Partition]int64 // after what is committed
	// waiting are the oldest message times of the jobs under way, in their order.
	waiting []int64
}

func runOnce(ctx context.Context, env *Env, oid uint32, stats *Stats) (err error) {
	stats.SetState(StateStarting, "")
	stats.Behind.Store(0)
	v := env.Store.Catalog()
	sub := v.Subscription(oid)
	if sub == nil || !sub.Enabled {
		return nil
	}
	p, err := newPipeline(ctx, env, v, sub, stats)
	if err != nil {
		return err
	}
	ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	if err := p.open(ctx); err != nil {
		return err
	}
	defer p.source.Close()
	defer p.wg.Wait()
	defer p.cancel(nil)

	n := env.Decoders
	if n <= 0 {
		n = min(runtime.GOMAXPROCS(0), 4)
	}
	p.work, p.order = make(chan *job, 64), make(chan *job, 64)
	for range n {
		d, err := p.opt.Format.New(p.cfg)
		if err != nil {
			return err
		}
		p.wg.Go(func() { p.decode(ctx, d) })
	}
	p.wg.Go(func() { p.cancel(p.fetch(ctx)) })
	return p.commits(ctx)
}

func newPipeline(ctx context.Context, env *Env, v *catalog.Version, sub *catalog.Subscription, stats *Stats) (*pipeline, error) {
	secrets, err := env.Secrets(sub)
	if err != nil {
		return nil, err
	}
	opt, err := ParseOptions(sub, secrets)
	if err != nil {
		return nil, &StopError{err.Error()}
	}
	t := v.Table(sub.Target)
	if t == nil || t.Kind != catalog.KindTable {
		return nil, &StopError{fmt.Sprintf("the target table \"%s\" does not exist any more", sub.Options["target"])}
	}
	if err := CheckTarget(t, opt); err != nil {
		return nil, &StopError{err.Error()}
	}
	if err := env.Allowed(v, sub, t, opt.Append); err != nil {
		return nil, &StopError{err.Error()}
	}
	st, err := loadState(env.Store, sub.OID)
	if err != nil {
		return nil, err
	}
	errs := v.Table(sub.ErrorTable)
	if errs == nil {
		errs = &catalog.Table{}
	}
	p := &pipeline{environ: env, sub: sub, buffer: semaphore.NewWeighted(opt.BufferBytes), ends: map[Partition]int64{}, next: map[Partition]int64{},
		applier: &applier{store: env.Store, oid: sub.OID, opt: opt, table: t, errs: errs, env: env.Types, state: st, stats: stats,
			log: env.Log, prefix: NotePrefix(sub.OID)}}
	p.cfg = &format.Config{Table: t, Append: opt.Append, Options: opt.FormatOptions, Env: env.Types, Rescue: -1}
	switch opt.Evolution {
	case EvolveAdd, EvolveStop:
		p.cfg.Unknown = format.ReportUnknown
	case EvolveRescue:
		p.cfg.Unknown, p.cfg.Rescue = format.RescueUnknown, t.Ordinal(opt.Rescued)
		if p.cfg.Rescue < 0 {
			if err := env.AddColumns(ctx, sub, []catalog.Column{{Name: opt.Rescued, T: types.JSONB}}); err != nil {
				return nil, &StopError{err.Error()}
			}
			return nil, errRestart
		}
		if t.Columns[p.cfg.Rescue].T.OID != types.JSONB.OID {
			return nil, &StopError{fmt.Sprintf("column \"%s\" for unknown fields is not of type jsonb", opt.Rescued)}
		}
	}
	if env.Defaults != nil {
		if p.cfg.Defaults, err = env.Defaults(ctx, t); err != nil {
			return nil, &StopError{err.Error()}
		}
	}
	return p, nil
}

// CheckTarget says whether a table can be the target of a subscription, and whether
// the format's options fit it.
func CheckTarget(t *catalog.Table, o *Options) error {
	switch {
	case !o.Append && len(t.PK) == 0:
		return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "table \"%s\" has no primary key", t.Name).
			WithHint("Upserts find rows by the primary key. Use mode = 'append' for a table without one.")
	case len(t.Checks) > 0:
		return sqlstate.Unsupported("a subscription to table \"%s\", which has CHECK constraints", t.Name)
	}
	for _, c := range t.Columns {
		if c.GeneratedText != "" || c.Identity == 'a' {
			return sqlstate.Unsupported("a subscription to table \"%s\", whose column \"%s\" is generated", t.Name, c.Name)
		}
	}
	if i := t.Ordinal(o.Rescued); o.Evolution == EvolveRescue && i >= 0 && t.Columns[i].T.OID != types.JSONB.OID {
		return sqlstate.Errorf(sqlstate.DatatypeMismatch, "column \"%s\" for unknown fields is not of type jsonb", o.Rescued)
	}
	_, err := o.Format.New(&format.Config{Table: t, Append: o.Append, Options: o.FormatOptions, Env: &types.Env{}, Rescue: -1})
	return err
}

// open connects to the source, and notes where partitions begin that are new: what
// "latest" means is settled once.
func (p *pipeline) open(ctx context.Context) error {
	u, tr, err := parseConn(p.sub.Conn)
	if err != nil {
		return err
	}
	p.source, err = tr.Open(ctx, &OpenConfig{Conn: u, Publications: p.sub.Publications, Options: p.opt, Stored: p.state.positions,
		Log: p.log, Trouble: func(err error) {
			if err != nil {
				p.stats.SetState(StateRetrying, err.Error())
			} else {
				p.stats.SetState(StateStreaming, "")
			}
		}})
	if err != nil {
		return err
	}
	x := p.store.Begin(storage.TxnOptions{})
	defer x.Rollback()
	for part, pos := range p.source.Partitions() {
		p.next[part] = pos.Next
		if p.state.positions[part] != pos {
			x.Note(positionKey(p.prefix, part), pos.append(nil))
			p.state.positions[part] = pos
		}
	}
	if _, err := x.Commit(ctx); err != nil {
		p.source.Close()
		return err
	}
	p.stats.SetState(StateStreaming, "")
	return nil
}

// fetch turns what the source has into jobs.
func (p *pipeline) fetch(ctx context.Context) error {
	for {
		runs, err := p.source.Fetch(ctx)
		if err != nil {
			return err
		}
		if len(runs) > 0 {
			p.stats.LastReceipt.Store(micros(time.Now()))
		}
		var j *job
		for i := range runs {
			r := &runs[i]
			for from := 0; from < len(r.Messages) || from == 0; {
				if j == nil {
					j = &job{decoded: make(chan struct{})}
				}
				to := min(len(r.Messages), from+jobMessages-len(j.msgs))
				j.add(r, from, to)
				if from = to; len(j.msgs) == jobMessages {
					if err := p.send(ctx, j); err != nil {
						return err
					}
					j = nil
				}
				if from == 0 {
					break
				}
			}
		}
		if j != nil {
			if err := p.send(ctx, j); err != nil {
				return err
			}
		}
	}
}

// send hands a job to the decoders and, in its place, to the commits. It waits while
// too much is under way.
func (p *pipeline) send(ctx context.Context, j *job) error {
	p.lag(j, false)
	j.tracked = min(max(j.bytes, 1), p.opt.BufferBytes)
	if err := p.buffer.Acquire(ctx, j.tracked); err != nil {
		return context.Cause(ctx)
	}
	for _, c := range []chan *job{p.order, p.work} {
		select {
		case c <- j:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *pipeline) decode(ctx context.Context, d format.Decoder) {
	take := func() *format.Changes {
		if c, ok := p.pool.Get().(*format.Changes); ok {
			return c
		}
		return format.NewChanges(p.table)
	}
	for {
		select {
		case j := <-p.work:
			p.decodeJob(j, d, take)
		case <-ctx.Done():
			return
		}
	}
}

// decodeJob contains a panic of a decoder: it is our fault, and must not bring down
// the server.
func (p *pipeline) decodeJob(j *job, d format.Decoder, take func() *format.Changes) {
	defer close(j.decoded)
	defer func() {
		if r := recover(); r != nil {
			p.log.Error("decoder panicked", "subscription", p.sub.Name, "panic", r, "stack", stack())
			j.err = sqlstate.Errorf(sqlstate.InternalError, "decoder failed: %v", r)
		}
	}()
	j.decode(d, p.table, take)
}

func stack() string {
	b := make([]byte, 16<<10)
	return string(b[:runtime.Stack(b, false)])
}

// commits gathers decoded jobs and commits them, until that fails or the context ends.
func (p *pipeline) commits(ctx context.Context) error {
	for {
		batch, err := p.gather(ctx)
		if err != nil {
			return err
		}
		if err := p.commitBatch(ctx, batch); err != nil {
			return err
		}
		for _, j := range batch {
			p.finish(j)
		}
	}
}

// gather waits for jobs until a batch is full or its first job has waited long
// enough.
func (p *pipeline) gather(ctx context.Context) ([]*job, error) {
	var batch []*job
	var rows int
	var bytes int64
	var due <-chan time.Time
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		var j *job
		select {
		case j = <-p.order:
		case <-due:
			return batch, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		select {
		case <-j.decoded:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if j.err != nil {
			return nil, j.err
		}
		batch = append(batch, j)
		rows, bytes = rows+max(j.rows, len(j.msgs)), bytes+j.bytes
		if rows >= p.opt.BatchRows || bytes >= p.opt.BatchBytes {
			return batch, nil
		}
		if due == nil {
			timer = time.NewTimer(p.opt.BatchTime)
			due = timer.C
		}
	}
}

// commitBatch commits jobs up to the first with fields that need a decision.
func (p *pipeline) commitBatch(ctx context.Context, batch []*job) error {
	var spans []span
	for _, j := range batch {
		if len(j.unknown) == 0 {
			spans = append(spans, span{j, 0, len(j.msgs)})
			continue
		}
		first := len(j.msgs)
		for _, f := range j.unknown {
			first = min(first, int(f.Msg))
		}
		if first > 0 {
			spans = append(spans, span{j, 0, first})
		}
		if len(spans) > 0 {
			if err := p.commit(ctx, spans); err != nil {
				return err
			}
		}
		return p.evolve(ctx, j, first)
	}
	if len(spans) == 0 {
		return nil
	}
	return p.commit(ctx, spans)
}

// evolve settles what becomes of fields without a column.
func (p *pipeline) evolve(ctx context.Context, j *job, first int) error {
	if p.opt.Evolution == EvolveStop {
		name := ""
		for _, f := range j.unknown {
			if int(f.Msg) == first {
				name = f.Name
			}
		}
		part := j.parts[j.part[first]]
		return &StopError{fmt.Sprintf("%s: field \"%s\" is not a column of table \"%s\"", placeOf(part, j.offset[first]), name, p.table.Name)}
	}
	var cols []catalog.Column
	seen := map[string]bool{}
	for _, f := range j.unknown {
		if !seen[f.Name] {
			seen[f.Name] = true
			cols = append(cols, catalog.Column{Name: f.Name, T: f.Type})
		}
	}
	if err := p.environ.AddColumns(ctx, p.sub, cols); err != nil {
		part := j.parts[j.part[first]]
		return &StopError{fmt.Sprintf("%s: column \"%s\" could not be added: %v", placeOf(part, j.offset[first]), cols[0].Name, err)}
	}
	return errRestart
}

// finish gives back what a committed job held.
func (p *pipeline) finish(j *job) {
	p.lag(j, true)
	if j.newest > p.stats.LastSend.Load() {
		p.stats.LastSend.Store(j.newest)
	}
	for _, c := range j.changes {
		if c.Rows.N <= 2*jobMessages { // larger ones are not kept
			c.Reset()
			p.pool.Put(c)
		}
	}
	p.buffer.Release(j.tracked)
}

// lag sums up how far what is committed is behind the ends of the partitions, when a
// job is on its way or done.
func (p *pipeline) lag(j *job, done bool) {
	p.lagMu.Lock()
	defer p.lagMu.Unlock()
	if done {
		p.waiting = slices.Delete(p.waiting, 0, 1)
	} else {
		p.waiting = append(p.waiting, j.oldest)
	}
	behind := int64(0)
	if len(p.waiting) > 0 {
		behind = p.waiting[0]
	}
	p.stats.Behind.Store(behind)
	for i := range j.ends {
		e := &j.ends[i]
		p.ends[e.Partition] = max(p.ends[e.Partition], e.last)
		if done {
			p.next[e.Partition] = e.pos.Next
		}
	}
	var n int64
	for part, last := range p.ends {
		n += max(last-p.next[part], 0)
	}
	p.stats.Lag.Store(n)
}
