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
// command relock shows. It is nil for a client that has no single Redis. It is
// for that command alone: its type is internal, and it is no part of what stays
// compatible.
func (c *Client) Inspector() engine.Inspector {
	if c.eng == nil {
		return nil
	}
	return inspector{c.eng, c.host}
}

// inspector asks about one lock until it is answered, as a lock does.
type inspector struct {
	*single
	host *host
}

const scanBatch = 1000

// Names is described in package engine. A lock that is taken and given back
// while the keys are looked through may be missing.
func (s *single) Names(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	found := map[string]bool{}
	scan := func(ctx context.Context, rdb interface {
		Process(context.Context, redis.Cmder) error
	},
	) error {
		for cursor := uint64(0); ; {
			cmd := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", lockPattern(s.set.prefix), "count", scanBatch)
			if err := rdb.Process(ctx, cmd); err != nil {
				return advise(s.rdb, fromServer(err))
			}
			keys, next := cmd.Val()
			mu.Lock()
			for _, key := range keys {
				if name, ours := lockOrQueueName(s.set.prefix, s.space, key); ours {
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
	if cluster, ok := s.rdb.(interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	}); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return scan(ctx, master) })
	} else {
		err = scan(ctx, s.rdb)
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names, err
}

// Statuses is described in package engine.
func (s *single) Statuses(ctx context.Context, names []string) ([]engine.Status, []error) {
	all, errs := make([]engine.Status, 0, len(names)), make([]error, 0, len(names))
	for part := range slices.Chunk(names, maxPipeline) {
		ctx, cancel := context.WithTimeout(ctx, s.set.call)
		got, _ := s.sendAll(ctx, len(part), nil, func(k int) *command { return s.command(&statusScript, part[k]) })
		cancel()
		for _, r := range got {
			var st engine.Status
			err := r.err
			if err == nil {
				rd := readReply(r.val)
				st, err = rd.status(), rd.err
			}
			all, errs = append(all, st), append(errs, err)
		}
	}
	return all, errs
}

// Queue is described in package engine.
func (s *single) Queue(ctx context.Context, name string, most int) (engine.Status, []engine.Waiter, error) {
	c := func() *command { return s.command(&inspectScript, name, most) }
	got := s.run(ctx, c(), repeat(c))
	if got.err != nil {
		return engine.Status{}, nil, got.err
	}
	rd := readReply(got.val)
	st, queue := rd.queue()
	return st, queue, rd.err
}

func (i inspector) Queue(ctx context.Context, name string, most int) (st engine.Status, queue []engine.Waiter, err error) {
	err = i.host.ask(ctx, func(ctx context.Context) (err error) {
		st, queue, err = i.single.Queue(ctx, name, most)
		return err
	})
	return st, queue, err
}

func (i inspector) Force(ctx context.Context, name string, token int64) (freed bool, err error) {
	err = i.host.ask(ctx, func(ctx context.Context) (err error) {
		freed, err = i.single.Force(ctx, name, token)
		return err
	})
	return freed, err
}
