// Package dial finds the Redis that a URL names: a server, the primary that
// Sentinels know of, or a cluster.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

var (
	// ErrUnreachable is returned when no Redis answers at the URL, or when it
	// refuses us.
	ErrUnreachable = errors.New("cannot reach Redis")
	// ErrReadOnly is returned for a replica where a primary is needed.
	ErrReadOnly = errors.New("is a replica, which takes no writes")
	// ErrBadURL is returned when a URL cannot be read.
	ErrBadURL = errors.New("not a Redis URL")
)

// AnswerWithin is how long Redis may take for its first answer.
const AnswerWithin = 3 * time.Second

// A Server is a Redis that has answered.
type Server struct {
	URL     string
	Cluster bool
	Where   string // for people; without credentials
	Rdb     redis.UniversalClient
}

// New returns the server at rawURL, or ErrBadURL; it sends nothing yet. A URL with
// master_name is that of a Sentinel, and one with addr is a cluster's.
func New(rawURL string) (*Server, error) {
	s := &Server{URL: rawURL, Where: hostOf(rawURL), Cluster: hasQuery(rawURL, "addr") && !hasQuery(rawURL, "master_name")}
	var err error
	s.Rdb, err = Connect(rawURL, s.Cluster)
	return s, err
}

// Ask waits for a first answer, or returns ErrUnreachable.
func (s *Server) Ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	if err := s.Rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, s.Where, err)
	}
	return nil
}

// Writable returns ErrReadOnly if the server is a replica. One that does not tell
// is taken for a primary; a cluster's client finds those by itself.
func (s *Server) Writable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	if s.Cluster {
		return nil
	}
	info, err := s.Rdb.Info(ctx, "replication").Result()
	if err == nil && strings.Contains(info, "role:slave") && strings.Contains(info, "slave_read_only:1") {
		return fmt.Errorf("the Redis at %s %w", s.Where, ErrReadOnly)
	}
	return nil
}

// Open connects to rawURL and waits for a first answer. A server is asked whether
// it is a cluster's. It returns ErrBadURL or ErrUnreachable.
func Open(ctx context.Context, rawURL string) (*Server, error) {
	s, err := New(rawURL)
	if err != nil {
		return nil, err
	}
	if err := s.Ask(ctx); err != nil {
		_ = s.Rdb.Close()
		return nil, err
	}
	if !s.Cluster && isCluster(ctx, s.Rdb) {
		_ = s.Rdb.Close()
		s.Cluster = true
		s.Rdb, err = Connect(rawURL, true)
	}
	if s.Cluster {
		s.Where += " (cluster)"
	}
	return s, err
}

// Connect returns a client of rawURL, or ErrBadURL; it sends nothing yet.
func Connect(rawURL string, cluster bool) (redis.UniversalClient, error) {
	redis.SetLogger(&logging.VoidLogger{}) // what matters is in the errors
	switch {
	case hasQuery(rawURL, "master_name"):
		opt, err := redis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, badURL(err)
		}
		return redis.NewFailoverClient(opt), nil
	case cluster:
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

func hasQuery(rawURL, key string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && u.Query().Has(key)
}

// badURL leaves the URL itself out: it may hold a password.
func badURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
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

// isCluster asks a server that has answered. One that does not tell is taken for
// none.
func isCluster(ctx context.Context, rdb redis.UniversalClient) bool {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	info, err := rdb.Info(ctx, "cluster").Result()
	return err == nil && strings.Contains(info, "cluster_enabled:1")
}
