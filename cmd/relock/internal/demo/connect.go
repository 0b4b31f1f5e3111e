package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	resp "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// server is the Redis of a run.
type server struct {
	at      *dial.Target
	cluster bool
	where   string // for people; without credentials
	rdb     redis.UniversalClient
	stop    func()
	counted *atomic.Int64 // the scripts that an embedded one was sent; nil: it is none
}

const answerWithin = dial.AnswerWithin

// openServer starts an embedded server, or finds the one at rawURL. It returns
// dial.ErrBadURL or dial.ErrUnreachable.
func openServer(ctx context.Context, rawURL string, files dial.TLS) (*server, error) {
	if rawURL == "" {
		return embedded()
	}
	at, err := dial.Parse(rawURL, files)
	if err != nil {
		return nil, err
	}
	s, err := dial.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	return &server{at: at, cluster: s.Cluster, where: s.Where, rdb: s.Rdb, stop: func() {}}, nil
}

func embedded() (*server, error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start an embedded Redis on loopback: %w", err)
	}
	m.ClockTTL(true)
	at, err := dial.Parse("redis://"+m.Addr(), dial.TLS{})
	if err != nil {
		return nil, err
	}
	s := &server{at: at, where: "an embedded one at " + m.Addr(), stop: m.Close, counted: &atomic.Int64{}}
	m.Server().SetPreHook(func(_ *resp.Peer, cmd string, _ ...string) bool {
		if isScript(strings.ToLower(cmd)) {
			s.counted.Add(1)
		}
		return false
	})
	s.rdb, err = at.Connect(false)
	return s, err
}

func (s *server) close() {
	_ = s.rdb.Close()
	s.stop()
}

// scriptCalls returns how many scripts the server says it was sent, by anybody,
// and false where it does not say.
func (s *server) scriptCalls(ctx context.Context) (int64, bool) {
	if s.counted != nil {
		return s.counted.Load(), true
	}
	cluster, many := s.rdb.(*redis.ClusterClient)
	if !many {
		n, err := scriptCallsOf(ctx, s.rdb)
		return n, err == nil
	}
	var total atomic.Int64
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		n, err := scriptCallsOf(ctx, master)
		total.Add(n)
		return err
	})
	return total.Load(), err == nil
}

func scriptCallsOf(ctx context.Context, rdb redis.Cmdable) (total int64, err error) {
	stats, err := rdb.Info(ctx, "commandstats").Result()
	for line := range strings.Lines(stats) {
		for _, verb := range []string{"eval", "evalsha"} {
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+verb+":calls="); ok {
				calls, _, _ := strings.Cut(rest, ",")
				n, _ := strconv.ParseInt(calls, 10, 64)
				total += n
			}
		}
	}
	return total, err
}

// scriptCallsSince returns how many scripts the server was sent since it said
// before. What we have sent and given up may still be on its way to it.
func (s *server) scriptCallsSince(ctx context.Context, before int64, ours counts) (int64, bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for patience := 100; ; patience-- {
		n, ok := s.scriptCalls(ctx)
		if !ok || patience == 0 || ours.holds(n-before) {
			return n - before, ok
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, false
		}
	}
}
