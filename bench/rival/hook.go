package rival

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A Hook counts the commands that it is shown, as the hook of a go-redis client.
type Hook struct {
	seen     atomic.Int64
	answered atomic.Int64
	commands []string
}

// NewHook returns a hook that counts the named commands.
func NewHook(commands []string) *Hook { return &Hook{commands: commands} }

// HookCount is what a hook has counted.
type HookCount struct{ Seen, Answered int64 }

// Count returns what was counted until now.
func (h *Hook) Count() HookCount { return HookCount{h.seen.Load(), h.answered.Load()} }

// Since returns what was counted between before and c.
func (c HookCount) Since(before HookCount) HookCount {
	return HookCount{c.Seen - before.Seen, c.Answered - before.Answered}
}

// Agree fails if the hook was not shown what the server has executed. Of a command
// without an answer it is not known whether it was.
func (c HookCount) Agree(executed int64) error {
	if executed < c.Answered || executed > c.Seen {
		return fmt.Errorf("the server executed %d commands, and the client's hook saw %d, of which %d were answered", executed, c.Seen, c.Answered)
	}
	return nil
}

// DialHook implements redis.Hook.
func (h *Hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (h *Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.note(cmd, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			h.note(cmd, cmd.Err())
		}
		return err
	}
}

func (h *Hook) note(cmd redis.Cmder, err error) {
	if !slices.Contains(h.commands, cmd.Name()) {
		return
	}
	h.seen.Add(1)
	var reply redis.Error
	if err == nil || errors.As(err, &reply) {
		h.answered.Add(1)
	}
}

// hooked is env with a hook, and plain without.
func hooked(env Env) Env {
	if env.Hook == nil {
		env.Hook = NewHook([]string{"evalsha", "eval"})
	}
	return env
}

func plain(env Env) Env {
	env.Hook = nil
	return env
}
