package session

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

var explainColumns = []pgwire.Column{{Name: "QUERY PLAN", T: types.Text}}

// explain shows a plan and, with ANALYZE, what running it took.
func (s *Session) explain(ctx context.Context, p *prepared, u *plan.Explain, q *portal, out pgwire.Results) error {
	inJSON := u.Format == "json"
	if u.Format != "" && u.Format != "text" && !inJSON {
		return sqlstate.Unsupported("EXPLAIN (FORMAT %s)", u.Format)
	}
	// The objects and what else was assumed of them are with the whole statement.
	if err := s.mayUse(p.plan); err != nil {
		return err
	}
	inner, params := &prepared{sql: p.sql, stmt: p.stmt, plan: u.Stmt}, q.params
	var named *prepared // the statement of EXPLAIN EXECUTE
	if x, ok := u.Stmt.Utility.(*plan.Session); ok && x.Kind == plan.Execute {
		var err error
		if named, params, err = s.executed(x); err != nil {
			return err
		}
		if !named.empty {
			if err := s.mayUse(named.plan); err != nil {
				return err
			}
			st, err := s.plan(named, false) // not one whose constants are parameters
			if err != nil {
				return err
			}
			inner = &prepared{sql: named.sql, stmt: named.stmt, plan: st}
		}
	}
	if inner.plan.Root == nil {
		if inJSON {
			return sendJSON(out, q, "[\n  \"Utility Statement\"\n]")
		}
		return sendLines(out, q, []string{"Utility Statement"})
	}
	opts := plan.FormatOptions{Costs: u.Costs, Verbose: u.Verbose}
	if !u.Analyze {
		fast := fastPath(inner.plan)
		if inJSON {
			var more []string
			if fast != "" {
				more = []string{"Fast Path", fast}
			}
			return sendJSON(out, q, plan.FormatJSON(inner.plan.Root, opts, more...))
		}
		lines := plan.Format(inner.plan.Root, opts)
		if fast != "" {
			lines = append(lines, "Fast Path: "+fast)
		}
		return sendLines(out, q, lines)
	}
	if inner.plan.Writes && s.set.quick().readOnly {
		return sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", strings.Fields(inner.plan.Tag)[0])
	}
	s.open(s.block || s.implicit)
	if err := s.follows(inner.plan.Writes); err != nil {
		return err
	}
	s.temps.wrote = s.temps.wrote || len(s.temps.onCommit) > 0 && inner.plan.Writes
	started := time.Now()
	snap, err := s.txn.Snapshot()
	if err != nil {
		return err
	}
	if named != nil && !holds(inner.plan, snap) {
		st, err := s.plan(named, true)
		if err != nil {
			snap.Close()
			return err
		}
		inner.plan = st
	} else if named == nil && !holds(p.plan, snap) {
		st, err := s.plan(p, true)
		if err != nil {
			snap.Close()
			return err
		}
		inner.plan = st.Utility.(*plan.Explain).Stmt
	}
	x, err := s.startRoot(ctx, inner.plan.Root, snap, params, func(e *build.Env) { e.Profile = true })
	if err != nil {
		snap.Close()
		return err
	}
	_, _, err = x.send(ctx, 0, func(*vec.Batch) error { return nil })
	took := time.Since(started)
	prof := x.query.Profile()
	peak := x.query.Memory()
	x.close()
	if err != nil {
		return err
	}
	if inJSON {
		opts.Measure = func(n plan.Node) [][2]string {
			p, ok := prof[n]
			if !ok {
				return nil
			}
			m := [][2]string{{"Actual Rows", strconv.FormatInt(p.Rows, 10)}}
			if u.Timing {
				m = append(m, [2]string{"Actual Total Time", fmt.Sprintf("%.3f", float64(p.Time.Microseconds())/1000)})
			}
			if p.SplitsTotal > 0 {
				m = append(m, [2]string{"Blocks Read", strconv.Itoa(p.Splits)}, [2]string{"Blocks", strconv.Itoa(p.SplitsTotal)})
			}
			return m
		}
		return sendJSON(out, q, plan.FormatJSON(inner.plan.Root, opts, "Peak Memory Usage", strconv.FormatInt((peak+1023)/1024, 10),
			"Execution Time", fmt.Sprintf("%.3f", float64(took.Microseconds())/1000)))
	}
	opts.Annotate = func(n plan.Node) string {
		p, ok := prof[n]
		if !ok {
			return ""
		}
		line := fmt.Sprintf("(actual rows=%d", p.Rows)
		if u.Timing {
			line += fmt.Sprintf(" time=%.3f ms", float64(p.Time.Microseconds())/1000)
		}
		if p.SplitsTotal > 0 {
			line += fmt.Sprintf(" blocks=%d of %d", p.Splits, p.SplitsTotal)
		}
		return line + ")"
	}
	lines := plan.Format(inner.plan.Root, opts)
	lines = append(lines, fmt.Sprintf("Memory: %d kB", (peak+1023)/1024))
	if u.Summary || u.Timing {
		lines = append(lines, fmt.Sprintf("Execution Time: %.3f ms", float64(took.Microseconds())/1000))
	}
	return sendLines(out, q, lines)
}

// fastPath says how a plan is run that needs no pipeline, "" for one that does, or reads no
// table.
func fastPath(st *plan.Statement) string {
	switch {
	case build.NewDirect(st) != nil:
		return "rows of values"
	case build.NewQuickChange(st) != nil:
		return "change by key"
	case st.Writes || len(st.Assume) > 0:
		return ""
	}
	if q := build.NewQuick(st.Root); q != nil && q.Table() != nil {
		return q.Reading()
	}
	return ""
}

func sendJSON(out pgwire.Results, q *portal, text string) error {
	q.cols = []pgwire.Column{{Name: "QUERY PLAN", T: types.JSON}}
	if err := sendText(out, q, [][]string{{text}}); err != nil {
		return err
	}
	return out.CommandComplete("EXPLAIN")
}

func sendLines(out pgwire.Results, q *portal, lines []string) error {
	rows := make([][]string, len(lines))
	for i, l := range lines {
		rows[i] = []string{l}
	}
	q.cols = explainColumns
	if err := sendText(out, q, rows); err != nil {
		return err
	}
	return out.CommandComplete("EXPLAIN")
}
