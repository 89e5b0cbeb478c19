package bind

import (
	"math"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

func sessionStmt(tag string, s *plan.Session) (*plan.Statement, error) {
	return &plan.Statement{Tag: tag, Utility: s}, nil
}

// session binds what server/session runs by itself.
func (b *binder) session(st parser.Stmt) (*plan.Statement, error) {
	switch x := st.Node.GetNode().(type) {
	case *pg.Node_TransactionStmt:
		return b.transaction(x.TransactionStmt)
	case *pg.Node_VariableSetStmt:
		return b.set(x.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return sessionStmt("SHOW", &plan.Session{Kind: plan.ShowVar, Name: strings.ToLower(x.VariableShowStmt.Name)})
	case *pg.Node_PrepareStmt:
		return b.prepare(st, x.PrepareStmt)
	case *pg.Node_ExecuteStmt:
		return b.execute(x.ExecuteStmt)
	case *pg.Node_DeallocateStmt:
		tag, opts := "DEALLOCATE", map[string]string{}
		if x.DeallocateStmt.Name == "" {
			tag, opts["all"] = "DEALLOCATE ALL", "true"
		}
		return sessionStmt(tag, &plan.Session{Kind: plan.Deallocate, Name: x.DeallocateStmt.Name, Options: opts})
	case *pg.Node_DeclareCursorStmt:
		return b.declare(st, x.DeclareCursorStmt)
	case *pg.Node_FetchStmt:
		return b.fetch(x.FetchStmt)
	case *pg.Node_ClosePortalStmt:
		tag, opts := "CLOSE CURSOR", map[string]string{}
		if x.ClosePortalStmt.Portalname == "" {
			tag, opts["all"] = "CLOSE CURSOR ALL", "true"
		}
		return sessionStmt(tag, &plan.Session{Kind: plan.CloseCursor, Name: x.ClosePortalStmt.Portalname, Options: opts})
	case *pg.Node_DiscardStmt:
		what := strings.ToLower(strings.TrimPrefix(x.DiscardStmt.Target.String(), "DISCARD_"))
		return sessionStmt("DISCARD "+strings.ToUpper(what), &plan.Session{Kind: plan.DiscardAll, Name: what})
	case *pg.Node_ListenStmt:
		return sessionStmt("LISTEN", &plan.Session{Kind: plan.Listen, Name: x.ListenStmt.Conditionname})
	case *pg.Node_UnlistenStmt:
		return sessionStmt("UNLISTEN", &plan.Session{Kind: plan.Unlisten, Name: x.UnlistenStmt.Conditionname})
	case *pg.Node_NotifyStmt:
		return sessionStmt("NOTIFY", &plan.Session{Kind: plan.Notify, Name: x.NotifyStmt.Conditionname, Args: []string{x.NotifyStmt.Payload}})
	case *pg.Node_CheckPointStmt:
		return sessionStmt("CHECKPOINT", &plan.Session{Kind: plan.Checkpoint})
	case *pg.Node_ConstraintsSetStmt:
		return sessionStmt("SET CONSTRAINTS", &plan.Session{Kind: plan.SetConstraints})
	case *pg.Node_LockStmt:
		return b.lock(x.LockStmt)
	case *pg.Node_AlterRoleSetStmt:
		return nil, b.unsupported(-1, "ALTER ROLE ... SET")
	case *pg.Node_AlterDatabaseSetStmt:
		return nil, b.unsupported(-1, "ALTER DATABASE ... SET")
	case *pg.Node_AlterSystemStmt:
		return nil, b.unsupported(-1, "ALTER SYSTEM")
	}
	return nil, b.unsupported(-1, "statement %s", strings.TrimSuffix(strings.TrimPrefix(nodeName(st.Node), "Node_"), "Stmt"))
}

// shareLock is PostgreSQL's number of the weakest lock of a table that keeps others
// from writing.
const shareLock = 5

func (b *binder) lock(s *pg.LockStmt) (*plan.Statement, error) {
	u := &plan.Session{Kind: plan.LockTable, NoWait: s.Nowait}
	for _, n := range s.Relations {
		rv := n.GetRangeVar()
		t, err := b.relation(rv.Schemaname, rv.Relname, rv.Location)
		if err != nil {
			return nil, err
		}
		if t.Kind == catalog.KindTable && s.Mode >= shareLock {
			u.Tables = append(u.Tables, t)
		}
	}
	return sessionStmt("LOCK TABLE", u)
}

// transactionModes reads ISOLATION LEVEL, READ ONLY and DEFERRABLE.
func transactionModes(opts []*pg.Node) map[string]string {
	out := map[string]string{}
	for _, n := range opts {
		d := n.GetDefElem()
		v, _ := optionText(d)
		switch d.Defname {
		case "transaction_isolation":
			out["isolation"] = v
		case "transaction_read_only":
			out["read_only"] = onOff(v)
		case "transaction_deferrable":
			out["deferrable"] = onOff(v)
		}
	}
	return out
}

func onOff(v string) string {
	if v == "0" || v == "false" || v == "" {
		return "off"
	}
	return "on"
}

func (b *binder) transaction(t *pg.TransactionStmt) (*plan.Statement, error) {
	s := &plan.Session{Name: t.SavepointName, Options: transactionModes(t.Options), Chain: t.Chain}
	tag := ""
	switch t.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN:
		s.Kind, tag = plan.Begin, "BEGIN"
	case pg.TransactionStmtKind_TRANS_STMT_START:
		s.Kind, tag = plan.Begin, "START TRANSACTION"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		s.Kind, tag = plan.Commit, "COMMIT"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		s.Kind, tag = plan.Rollback, "ROLLBACK"
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		s.Kind, tag = plan.Savepoint, "SAVEPOINT"
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		s.Kind, tag = plan.Release, "RELEASE"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		s.Kind, tag = plan.RollbackTo, "ROLLBACK"
	default:
		return nil, b.unsupported(-1, "two-phase commit")
	}
	return sessionStmt(tag, s)
}

// set binds SET and RESET.
func (b *binder) set(s *pg.VariableSetStmt) (*plan.Statement, error) {
	u := &plan.Session{Name: strings.ToLower(s.Name), Local: s.IsLocal}
	switch s.Kind {
	case pg.VariableSetKind_VAR_SET_MULTI:
		u.Kind = plan.SetTransaction
		u.Name = strings.ToLower(s.Name)
		if u.Name == "transaction snapshot" {
			u.Text = s.Args[0].GetAConst().GetSval().GetSval()
			return sessionStmt("SET", u)
		}
		u.Options = transactionModes(s.Args)
		if u.Name == "session characteristics" {
			u.Options["session"] = "true"
		}
		return sessionStmt("SET", u)
	case pg.VariableSetKind_VAR_RESET:
		u.Kind = plan.ResetVar
		return sessionStmt("RESET", u)
	case pg.VariableSetKind_VAR_RESET_ALL:
		u.Kind, u.Name = plan.ResetVar, "all"
		return sessionStmt("RESET", u)
	case pg.VariableSetKind_VAR_SET_DEFAULT:
		u.Kind = plan.ResetVar
		return sessionStmt("SET", u)
	case pg.VariableSetKind_VAR_SET_CURRENT:
		return nothing("SET"), nil
	}
	u.Kind = plan.SetVar
	for _, n := range s.Args {
		if tc := n.GetTypeCast(); tc != nil && u.Name == "timezone" {
			// SET TIME ZONE INTERVAL '...' HOUR TO MINUTE
			t, err := b.typeName(tc.TypeName)
			if err != nil {
				return nil, err
			}
			e, err := b.literal(tc.Arg.GetAConst().GetSval().GetSval(), t, location(tc.Arg))
			if err != nil {
				return nil, err
			}
			months, days, us := e.(*expr.Const).D.Fixed16().IntervalParts()
			if months != 0 || days != 0 {
				return nil, b.errf(-1, sqlstate.InvalidParameterValue, "cannot specify months or days in time zone interval")
			}
			u.Args = append(u.Args, zoneText(us))
			continue
		}
		v, ok := argText(n)
		if !ok {
			return nil, b.unsupported(location(n), "a value of this kind in SET")
		}
		u.Args = append(u.Args, v)
	}
	return sessionStmt("SET", u)
}

// zoneText writes an offset east of Greenwich as a POSIX zone, whose sign is the
// other way round.
func zoneText(us int64) string {
	sign := "-"
	if us < 0 {
		sign, us = "+", -us
	}
	m := us / 60e6
	return "<" + map[string]string{"-": "+", "+": "-"}[sign] + two(m/60) + ":" + two(m%60) + ">" + sign + two(m/60) + ":" + two(m%60)
}

func two(n int64) string {
	s := itoa(int(n))
	if len(s) < 2 {
		return "0" + s
	}
	return s
}

// inner is the text of the statement inside PREPARE or DECLARE: what follows the
// keyword outside parentheses.
func (b *binder) inner(st parser.Stmt, keyword string) (string, int, error) {
	text := st.Text(b.env.Text)
	off := parser.After(text, keyword)
	if off < 0 {
		return "", 0, sqlstate.Errorf(sqlstate.InternalError, "no %s in statement", keyword)
	}
	return text[off:], st.Offset + off, nil
}

func (b *binder) prepare(st parser.Stmt, s *pg.PrepareStmt) (*plan.Statement, error) {
	u := &plan.Session{Kind: plan.Prepare, Name: s.Name}
	for _, n := range s.Argtypes {
		t, err := b.typeName(n.GetTypeName())
		if err != nil {
			return nil, err
		}
		u.ParamTs = append(u.ParamTs, t)
		u.Args = append(u.Args, types.FormatTypeNoMod(t.OID))
	}
	switch s.Query.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
	default:
		return nil, b.errf(-1, sqlstate.SyntaxError, "utility statements cannot be prepared")
	}
	var err error
	if u.Text, u.Offset, err = b.inner(st, "as"); err != nil {
		return nil, err
	}
	return sessionStmt("PREPARE", u)
}

// execute binds EXECUTE: its arguments are constants by now. Those of type unknown
// keep their text.
func (b *binder) execute(s *pg.ExecuteStmt) (*plan.Statement, error) {
	u := &plan.Session{Kind: plan.Execute, Name: s.Name}
	q := &query{b: b, clause: clauseExecute}
	var want []types.T
	if b.env.Prepared != nil {
		if ts, ok := b.env.Prepared(s.Name); ok && len(ts) == len(s.Params) {
			want = ts
		}
	}
	for i, n := range s.Params {
		e, err := q.expr(n)
		if err != nil {
			return nil, err
		}
		if want != nil {
			out, ok, err := b.coerce(e, want[i], fn.Assignment, location(n))
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, b.errf(location(n), sqlstate.DatatypeMismatch, "parameter $%d of type %s cannot be coerced to the expected type %s",
					i+1, types.FormatTypeNoMod(e.Type().OID), types.FormatTypeNoMod(want[i].OID)).
					WithHint("You will need to rewrite or cast the expression.")
			}
			e = asType(out, want[i])
		}
		c, ok := e.(*expr.Const)
		if !ok {
			if b.env.Fold == nil || hasColumns(e) {
				return nil, b.unsupported(location(n), "an EXECUTE argument that is not constant")
			}
			if e, err = b.env.Fold(e); err != nil {
				return nil, err
			}
			if c, ok = e.(*expr.Const); !ok {
				return nil, b.unsupported(location(n), "an EXECUTE argument that is not constant")
			}
		}
		u.Params = append(u.Params, c.D)
		u.ParamTs = append(u.ParamTs, c.T)
	}
	return sessionStmt("EXECUTE", u)
}

func (b *binder) declare(st parser.Stmt, s *pg.DeclareCursorStmt) (*plan.Statement, error) {
	const binary, scroll, noScroll, hold = 1, 2, 4, 0x20
	u := &plan.Session{Kind: plan.DeclareCursor, Name: s.Portalname, Options: map[string]string{}}
	for _, o := range []struct {
		bit  int32
		name string
	}{{binary, "binary"}, {scroll, "scroll"}, {noScroll, "no_scroll"}, {hold, "hold"}} {
		if s.Options&o.bit != 0 {
			u.Options[o.name] = "true"
		}
	}
	if s.Query.GetSelectStmt() == nil {
		return nil, b.unsupported(-1, "DECLARE CURSOR for a data-modifying statement")
	}
	var err error
	if u.Text, u.Offset, err = b.inner(st, "for"); err != nil {
		return nil, err
	}
	return sessionStmt("DECLARE CURSOR", u)
}

func (b *binder) fetch(s *pg.FetchStmt) (*plan.Statement, error) {
	u := &plan.Session{Kind: plan.FetchCursor, Name: s.Portalname, Count: s.HowMany, Options: map[string]string{}}
	tag := "FETCH"
	if s.Ismove {
		u.Kind, tag = plan.MoveCursor, "MOVE"
	}
	u.Options["direction"] = strings.ToLower(strings.TrimPrefix(s.Direction.String(), "FETCH_"))
	if s.HowMany == math.MaxInt64 {
		u.Options["all"] = "true"
	}
	return sessionStmt(tag, u)
}
