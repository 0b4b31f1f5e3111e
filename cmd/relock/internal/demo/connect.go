package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// server is the Redis of a run.
type server struct {
	url     string
	cluster bool
	where   string // for people; without credentials
	rdb     redis.UniversalClient
	stop    func()
}

const answerWithin = 3 * time.Second

// openServer starts an embedded server, or finds the one at rawURL. It returns
// ErrBadURL or ErrUnreachable.
func openServer(ctx context.Context, rawURL string) (*server, error) {
	redis.SetLogger(&logging.VoidLogger{})
	if rawURL == "" {
		return embedded()
	}
	s := &server{url: rawURL, stop: func() {}}
	single, err := connect(rawURL, false)
	if err != nil {
		return nil, err
	}
	s.rdb, s.where = single, hostOf(rawURL)
	s.cluster, err = isCluster(ctx, single)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, s.where, err)
	}
	if s.cluster {
		_ = single.Close()
		s.where += " (cluster)"
		s.rdb, err = connect(rawURL, true)
	}
	return s, err
}

func embedded() (*server, error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start an embedded Redis on loopback: %w", err)
	}
	m.ClockTTL(true)
	s := &server{url: "redis://" + m.Addr(), where: "an embedded one at " + m.Addr(), stop: m.Close}
	var err error
	s.rdb, err = connect(s.url, false)
	return s, err
}

func (s *server) close() {
	_ = s.rdb.Close()
	s.stop()
}

// connect returns a client of rawURL; it sends nothing yet.
func connect(rawURL string, cluster bool) (redis.UniversalClient, error) {
	if cluster {
		opt, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, badURL(err)
		}
		return redis.NewClusterClient(opt), nil
	}
	opt, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, badURL(err)
	}
	return redis.NewClient(opt), nil
}

// badURL leaves the URL itself out: it may hold a password.
func badURL(err error) error {
	if quoted, ok := errors.AsType[*url.Error](err); ok {
		err = quoted.Err
	}
	return fmt.Errorf("%w: %s", ErrBadURL, strings.TrimPrefix(err.Error(), "redis: "))
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "the URL"
	}
	if u.Host == "" {
		return u.Path // of a unix socket
	}
	return u.Host
}

// isCluster asks the server, and so shows that it can be reached.
func isCluster(ctx context.Context, rdb redis.UniversalClient) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return false, err
	}
	info, err := rdb.Info(ctx, "cluster").Result()
	return err == nil && strings.Contains(info, "cluster_enabled:1"), nil
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
