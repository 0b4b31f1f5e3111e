package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2"
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
	s := &server{at: at, where: "an embedded one at " + m.Addr(), stop: m.Close}
	s.rdb, err = at.Connect(false)
	return s, err
}

func (s *server) close() {
	_ = s.rdb.Close()
	s.stop()
}

// scriptCalls returns how many scripts the server says it was sent, by anybody;
// 0 where it does not say, or where one node of many would.
func (s *server) scriptCalls(ctx context.Context) int64 {
	if s.cluster {
		return 0
	}
	stats, err := s.rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(stats) {
		for _, verb := range []string{"eval", "evalsha"} {
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+verb+":calls="); ok {
				calls, _, _ := strings.Cut(rest, ",")
				n, _ := strconv.ParseInt(calls, 10, 64)
				total += n
			}
		}
	}
	return total
}
