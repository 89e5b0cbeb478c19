package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// statement dispatches on a statement's kind.
func (b *binder) statement(st parser.Stmt) (*plan.Statement, error) {
	switch x := st.Node.GetNode().(type) {
	case *pg.Node_SelectStmt:
		if into := x.SelectStmt.IntoClause; into != nil {
			return b.selectInto(x.SelectStmt, into)
		}
		r, err := b.bindQuery(x.SelectStmt, nil, false)
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Root: exact(r.node, len(r.cols)), Columns: r.cols, Tag: "SELECT"}, nil
	case *pg.Node_InsertStmt:
		if st.Tuples > 0 {
			return b.tuples(x.InsertStmt, st.Tuples)
		}
		n, cols, err := b.insert(x.InsertStmt, nil)
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Root: n, Columns: cols, Tag: "INSERT 0", Writes: true}, nil
	case *pg.Node_UpdateStmt:
		n, cols, err := b.update(x.UpdateStmt, nil)
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Root: n, Columns: cols, Tag: "UPDATE", Writes: true}, nil
	case *pg.Node_DeleteStmt:
		n, cols, err := b.delete(x.DeleteStmt, nil)
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Root: n, Columns: cols, Tag: "DELETE", Writes: true}, nil
	case *pg.Node_MergeStmt:
		n, err := b.merge(x.MergeStmt)
		if err != nil {
			return nil, err
		}
		return &plan.Statement{Root: n, Tag: "MERGE", Writes: true}, nil
	}
	return b.utility(st)
}
