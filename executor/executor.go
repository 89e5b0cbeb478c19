// Package executor runs plans. It is the contract that server uses: Start turns a
// plan into a running Query, whose batches are the result. The machinery is in the
// sub-packages: build (plan nodes to pipelines), op (operators), eval (expressions),
// agg (aggregate states), sched (workers), mem (memory, spill files), ddl.
package executor

import (
	"context"

	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/planner/plan"
)

// Env is what a query runs with; see build.Env.
type Env = build.Env

// Settings are knobs for a query; see build.Settings.
type Settings = build.Settings

// Query is a running query; see build.Query.
type Query = build.Query

// NodeProfile is what EXPLAIN ANALYZE tells of a plan node; see build.NodeProfile.
type NodeProfile = build.NodeProfile

// Start builds the plan and makes it ready to run. The query ends with ctx, and must
// be closed; env.Snapshot is closed after it.
func Start(ctx context.Context, root plan.Node, env *Env) (*Query, error) {
	return build.Start(ctx, root, env)
}
