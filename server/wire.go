package server

import (
	"context"
	"errors"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/server/pgwire"
)

// Open ties storage, catalog, planner, executor and sessions into an engine.
func Open(context.Context, Options) (Engine, error) {
	return nil, errors.New("this build has no engine")
}

// encoder finds how a type is sent.
func encoder(t types.T, format int16, _ *types.Env) (pgwire.Encoder, error) {
	return nil, sqlstate.Unsupported("type %d in format %d", t.OID, format)
}
