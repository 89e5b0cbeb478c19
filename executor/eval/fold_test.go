package eval_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
)

// What is much longer than what it is made of does not become a constant of a plan,
// which no query is charged for; a long list does.
func TestFoldLarge(t *testing.T) {
	repeat := fn.ByName("repeat")[0]
	text := func(s string) expr.Expr { return &expr.Const{T: types.Text, D: types.NewString(s)} }
	call := func(n int64) expr.Expr {
		return &expr.Call{Fn: repeat, Args: []expr.Expr{text("x"), &expr.Const{T: types.Int4, D: types.NewInt(n)}}, T: types.Text}
	}
	list := &expr.Cast{Arg: text("{" + strings.Repeat("1,", 50000) + "1}"), T: types.Of(types.ArrayOf(types.Int8OID), -1), Kind: expr.CastIO}
	for _, x := range []struct {
		name string
		e    expr.Expr
		kept bool
	}{{"short", call(1000), true}, {"long", call(1 << 20), false}, {"list", list, true}} {
		got, err := eval.Fold(x.e, &eval.Env{})
		if err != nil {
			t.Fatal(err)
		}
		if _, kept := got.(*expr.Const); kept != x.kept {
			t.Errorf("%s: kept is %v", x.name, kept)
		}
	}
}
