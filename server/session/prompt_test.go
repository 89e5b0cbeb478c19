package session

import (
	"testing"

	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// uncounted is a store that nobody may ask for statistics.
type uncounted struct {
	storage.Store
	t *testing.T
}

func (s uncounted) Stats(uint32) *stats.Table {
	s.t.Error("statistics were made where nothing may wait")
	return &stats.Table{}
}

// A plan that rests on how large its tables are is none to look at where nothing may
// wait: rows may have to be counted.
func TestPromptCountsNothing(t *testing.T) {
	s := &Session{eng: &Engine{Store: uncounted{t: t}}}
	s.Prompt(true, nil)
	if !s.outgrown(&plan.Statement{Sizes: []plan.Size{{Table: 1}}}) {
		t.Error("a join's plan holds")
	}
	if s.outgrown(&plan.Statement{}) {
		t.Error("a look-up's plan does not hold")
	}
}
