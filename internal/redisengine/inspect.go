package redisengine

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

const scanBatch = 1000

// Names is described in package engine. A lock that is taken and given back
// while the keys are looked through may be missing.
func (s *Engine) Names(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	found := map[string]bool{}
	scan := func(ctx context.Context, rdb interface {
		Process(context.Context, redis.Cmder) error
	},
	) error {
		for cursor := uint64(0); ; {
			cmd := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", lockPattern(s.cfg.Prefix), "count", scanBatch)
			if err := rdb.Process(ctx, cmd); err != nil {
				return advise(s.rdb, FromServer(err))
			}
			keys, next := cmd.Val()
			mu.Lock()
			for _, key := range keys {
				if name, ours := lockOrQueueName(s.cfg.Prefix, s.space, key); ours {
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
func (s *Engine) Statuses(ctx context.Context, names []string) ([]engine.Status, []error) {
	all, errs := make([]engine.Status, 0, len(names)), make([]error, 0, len(names))
	for part := range slices.Chunk(names, maxPipeline) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Call)
		got := s.sendAll(ctx, len(part), nil, func(k int) *command { return s.command(&statusScript, part[k]) })
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
func (s *Engine) Queue(ctx context.Context, name string, most int) (engine.Status, []engine.Waiter, error) {
	c := func() *command { return s.command(&inspectScript, name, most) }
	got := s.run(ctx, &request{make: c})
	if got.err != nil {
		return engine.Status{}, nil, got.err
	}
	rd := readReply(got.val)
	st, queue := rd.queue()
	return st, queue, rd.err
}
