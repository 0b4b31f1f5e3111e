package behaviour

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// ready answers every script at once: what is left is our own work.
type ready struct {
	redis.UniversalClient
	replies map[string][]any // by the script's name on the server
}

func (r ready) Process(_ context.Context, cmd redis.Cmder) error {
	cmd.(interface{ SetVal(any) }).SetVal(r.replies[cmd.Args()[1].(string)])
	return nil
}

func (r ready) Pipeline() redis.Pipeliner { return readyPipeline{ready: r} }

type readyPipeline struct {
	redis.Pipeliner
	ready ready
}

func (p readyPipeline) Process(ctx context.Context, cmd redis.Cmder) error {
	return p.ready.Process(ctx, cmd)
}

func (readyPipeline) Exec(context.Context) ([]redis.Cmder, error) { return nil, nil }

// NewReady returns a client that answers every script at once: what is left is our own
// work.
func NewReady() relock.Redis {
	return ready{replies: map[string][]any{
		ScriptName("acquire.lua"): {int64(1), int64(1_700_000_000_000_000), int64(1), int64(30_000)},
		ScriptName("release.lua"): {int64(1), int64(0), int64(0)},
		ScriptName("renew.lua"):   {int64(1), int64(1_700_000_000_000_000), int64(1), int64(30_000)},
	}}
}
