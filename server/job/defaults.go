package job

import (
	"context"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// defaults gives the values of columns' constant defaults; a column whose default is
// not constant is refused, for a message that lacks it would get something made up.
func defaults(store storage.Store) func(ctx context.Context, t *catalog.Table) ([]types.Datum, error) {
	return func(_ context.Context, t *catalog.Table) ([]types.Datum, error) {
		var out []types.Datum
		for i, c := range t.Columns {
			if c.DefaultText == "" {
				continue
			}
			if out == nil {
				out = make([]types.Datum, len(t.Columns))
			}
			d, err := constant(store, c)
			if err != nil {
				return nil, err
			}
			out[i] = d
		}
		return out, nil
	}
}

func constant(store storage.Store, c catalog.Column) (types.Datum, error) {
	refused := sqlstate.Unsupported("a subscription to a table whose column \"%s\" has a default that is not constant", c.Name)
	text := "SELECT CAST((" + c.DefaultText + ") AS " + types.FormatType(c.T.OID, c.T.Mod) + ")"
	stmts, err := parser.Parse(text)
	if err != nil || len(stmts) != 1 {
		return types.Null, refused
	}
	session := &eval.Session{Types: types.DefaultEnv}
	fold := func(e expr.Expr) (expr.Expr, error) { return eval.Fold(e, &eval.Env{Session: session}) }
	st, err := bind.Bind(stmts[0], &bind.Env{Catalog: store.Catalog(), Text: text, Types: types.DefaultEnv, SearchPath: []string{"public"},
		Stats: func(uint32) *stats.Table { return &stats.Table{} }, Fold: fold})
	if err != nil {
		return types.Null, err
	}
	p, ok := st.Root.(*plan.Project)
	if !ok || len(p.Exprs) != 1 {
		return types.Null, refused
	}
	e, err := fold(p.Exprs[0].Expr)
	if err != nil {
		return types.Null, err
	}
	k, ok := e.(*expr.Const)
	if !ok {
		return types.Null, refused
	}
	return k.D, nil
}
