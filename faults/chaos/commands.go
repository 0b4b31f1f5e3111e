package chaos

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/redistest"
)

// Faults that an operator, or another program, brings about by commands.

// prefix begins the keys of all locks.
const prefix = "relock:"

// tell sends one command to each server. What a server refuses is an error: a
// fault that did not happen is not counted.
func (f *Field) tell(ctx context.Context, list []*redistest.Server, args ...any) error {
	var errs []error
	for _, s := range list {
		errs = append(errs, f.admin(s).Do(ctx, args...).Err())
	}
	return errors.Join(errs...)
}

// between two commands a fault lasts for a drawn time.
func (f *Field) lasting(ctx context.Context, w *history.Window, list []*redistest.Server, inject, heal []any, longest time.Duration) error {
	span := f.between(50*time.Millisecond, longest)
	if err := f.tell(ctx, list, inject...); err != nil {
		return err
	}
	w.Hits += len(list)
	_ = wait(ctx, span)
	bounded, cancel := healing(ctx)
	defer cancel()
	return f.tell(bounded, list, heal...)
}

func (f *Field) killSubscriptions(ctx context.Context, w *history.Window) error {
	return f.timeWaiter(ctx, func() error {
		for _, s := range f.Rig.Servers {
			n, err := f.admin(s).Do(ctx, "client", "kill", "type", "pubsub").Int()
			if err != nil {
				return err
			}
			w.Hits += n
		}
		return nil
	})
}

func (f *Field) killClients(ctx context.Context, w *history.Window) error {
	n, err := f.admin(f.server(ctx)).Do(ctx, "client", "kill", "type", "normal", "skipme", "yes").Int()
	w.Hits += n
	return err
}

func (f *Field) flushScripts(ctx context.Context, w *history.Window) error {
	w.Hits++
	return f.tell(ctx, f.some(ctx), "script", "flush")
}

func (f *Field) clientPause(ctx context.Context, w *history.Window) error {
	span, mode, list := f.between(50*time.Millisecond, f.longest()), "all", f.some(ctx)
	if f.chance(50) {
		mode = "write"
	}
	if err := f.tell(ctx, list, "client", "pause", span.Milliseconds(), mode); err != nil {
		return err
	}
	w.Hits += len(list)
	return wait(context.WithoutCancel(ctx), span)
}

func (f *Field) flushAll(ctx context.Context, w *history.Window) error {
	w.Hits++
	return f.tell(ctx, []*redistest.Server{f.server(ctx)}, "flushall")
}

// keyOf is the key of a lock, which is not escaped in the names used here.
func (f *Field) keyOf(name string) string {
	kind := "lock"
	if f.Rig.Topology == rig.Quorum {
		kind = "redlock"
	}
	return prefix + kind + ":{" + name + "}"
}

// atKey runs one command about a held lock, where its key is; it tries until one
// is held.
func (f *Field) atKey(ctx context.Context, w *history.Window, do func(c *redis.Client, key string) (int64, error)) error {
	w.Lock = f.Shared[f.rng.IntN(len(f.Shared))]
	list := []*redistest.Server{f.server(ctx)}
	if f.Rig.Topology == rig.Cluster {
		s, err := f.Rig.Cluster.MasterOf(ctx, w.Lock)
		if err != nil {
			return err
		}
		list[0] = s
	}
	for range 1000 {
		n, err := do(f.admin(list[0]), f.keyOf(w.Lock))
		if err != nil {
			return err
		}
		if w.Hits += int(n); n > 0 {
			return nil
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (f *Field) deleteKey(ctx context.Context, w *history.Window) error {
	return f.atKey(ctx, w, func(c *redis.Client, key string) (int64, error) { return c.Del(ctx, key).Result() })
}

// persistKey takes a lock's TTL away. A renewal gives it a new one.
func (f *Field) persistKey(ctx context.Context, w *history.Window) error {
	return f.atKey(ctx, w, func(c *redis.Client, key string) (int64, error) {
		done, err := c.Persist(ctx, key).Result()
		if done {
			return 1, err
		}
		return 0, err
	})
}

func (f *Field) memoryFull(ctx context.Context, w *history.Window) error {
	return f.lasting(ctx, w, f.some(ctx),
		[]any{"config", "set", "maxmemory", 1}, []any{"config", "set", "maxmemory", 0}, 1500*time.Millisecond)
}

// The workers are the default user, and so are we: what is forbidden them is
// not what heals it.
func (f *Field) forbidScripts(ctx context.Context, w *history.Window) error {
	return f.lasting(ctx, w, f.some(ctx),
		[]any{"acl", "setuser", "default", "-eval", "-evalsha"}, []any{"acl", "setuser", "default", "+@all"}, 1200*time.Millisecond)
}

func (f *Field) forbidChannels(ctx context.Context, w *history.Window) error {
	return f.lasting(ctx, w, f.Rig.Servers,
		[]any{"acl", "setuser", "default", "resetchannels"}, []any{"acl", "setuser", "default", "allchannels"}, 1200*time.Millisecond)
}

// busyScript has a script run for too long, until it is killed.
func (f *Field) busyScript(ctx context.Context, w *history.Window) error {
	s, span := f.server(ctx), f.between(50*time.Millisecond, f.longest())
	over := make(chan struct{})
	go func() {
		defer close(over)
		bounded, cancel := healing(ctx)
		defer cancel()
		_ = f.admin(s).Eval(bounded, "while true do end", nil).Err() // it is killed
	}()
	w.Hits++
	_ = wait(ctx, span)
	heal, cancel := healing(ctx)
	defer cancel()
	err := until(heal, func() error {
		err := f.admin(s).ScriptKill(heal).Err()
		if redis.HasErrorPrefix(err, "NOTBUSY") { // not yet, or its sentinel has killed it
			select {
			case <-over:
				return nil
			default:
			}
		}
		return err
	})
	<-over
	return err
}

// maxClients leaves no room for a new connection, and takes the present ones of
// the workers away now and then.
func (f *Field) maxClients(ctx context.Context, w *history.Window) error {
	list := f.some(ctx)
	for _, s := range list {
		f.admin(s).Ping(ctx) // a connection of ours stays open for the heal
	}
	return f.lasting(ctx, w, list,
		[]any{"config", "set", "maxclients", 1}, []any{"config", "set", "maxclients", 10000}, 1500*time.Millisecond)
}
