package relock

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// Inspector returns a view of all the locks on the client's Redis: what the
// command relock shows. It is nil for a client that has no single Redis.
func (c *Client) Inspector() engine.Inspector {
	if c.eng == nil {
		return nil
	}
	return inspector{c.host, c.eng}
}

type inspector struct {
	host *host
	eng  *single
}

const scanBatch = 1000

// Names is described in package engine. A lock that is taken and given back
// while the keys are looked through may be missing.
func (i inspector) Names(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	found := map[string]bool{}
	scan := func(ctx context.Context, rdb interface {
		Process(context.Context, redis.Cmder) error
	},
	) error {
		for cursor := uint64(0); ; {
			cmd := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", lockPattern(i.eng.set.prefix), "count", scanBatch)
			if err := rdb.Process(ctx, cmd); err != nil {
				return fromServer(err)
			}
			keys, next := cmd.Val()
			mu.Lock()
			for _, key := range keys {
				if name, ours := lockOrQueueName(i.eng.set.prefix, key); ours {
					found[name] = true
				}
			}
			mu.Unlock()
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	var err error
	if cluster, ok := i.eng.rdb.(interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	}); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return scan(ctx, master) })
	} else {
		err = scan(ctx, i.eng.rdb)
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names, err
}

// Statuses is described in package engine.
func (i inspector) Statuses(ctx context.Context, names []string) ([]engine.Status, []error) {
	all, errs := make([]engine.Status, 0, len(names)), make([]error, 0, len(names))
	for part := range slices.Chunk(names, maxPipeline) {
		commands := make([]*command, len(part))
		for k, name := range part {
			commands[k] = i.eng.command(&statusScript, name)
		}
		ctx, cancel := context.WithTimeout(ctx, i.host.set.call)
		vals, failures := runAll(ctx, i.eng.rdb, commands)
		cancel()
		for k, val := range vals {
			var st engine.Status
			err := fromServer(failures[k])
			if err == nil {
				rd := readReply(val)
				st, err = rd.status(), rd.err
			}
			all, errs = append(all, st), append(errs, err)
		}
	}
	return all, errs
}

// Queue is described in package engine.
func (i inspector) Queue(ctx context.Context, name string, most int) (engine.Status, []engine.Waiter, error) {
	var st engine.Status
	var queue []engine.Waiter
	err := i.host.ask(ctx, func(ctx context.Context) error {
		val, err := i.eng.run(ctx, i.eng.command(&inspectScript, name, most))
		if err != nil {
			return err
		}
		rd := readReply(val)
		st, queue = rd.queue()
		return rd.err
	})
	return st, queue, err
}

// Force is described in package engine.
func (i inspector) Force(ctx context.Context, name string, token int64) (bool, error) {
	var freed bool
	err := i.host.ask(ctx, func(ctx context.Context) (err error) {
		freed, err = i.eng.Force(ctx, name, token)
		return err
	})
	return freed, err
}
