// Package dial finds the Redis that a URL names: a server, the primary that
// Sentinels know of, or a cluster.
package dial

import (
	"context"
	"errors"
	"fmt"
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
)

// What matters of what go-redis logs is in its errors. Its logger is no part of a
// client, and is read by all that are at work: it is set before there is any.
func init() { redis.SetLogger(&logging.VoidLogger{}) }

// AnswerWithin is how long Redis may take for its first answer.
const AnswerWithin = 3 * time.Second

// A Server is a Redis that has answered.
type Server struct {
	*Target
	Cluster bool
	Where   string // for people
	Rdb     redis.UniversalClient
}

// New returns the server of t; it sends nothing yet.
func New(t *Target) (*Server, error) {
	s := &Server{Target: t, Where: t.Where, Cluster: t.cluster}
	var err error
	s.Rdb, err = t.Connect(s.Cluster)
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

// Open connects to t and waits for a first answer. A server is asked whether it
// is a cluster's. It returns ErrBadURL or ErrUnreachable.
func Open(ctx context.Context, t *Target) (*Server, error) {
	s, err := New(t)
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
		s.Rdb, err = t.Connect(true)
	}
	if s.Cluster {
		s.Where += " (cluster)"
	}
	return s, err
}

// Connect returns a client of t, or ErrBadURL; it sends nothing yet.
func (t *Target) Connect(cluster bool) (redis.UniversalClient, error) {
	connect, err := t.connector(cluster)
	if err != nil {
		return nil, err
	}
	return connect(), nil
}

// isCluster asks a server that has answered. One that does not tell is taken for
// none.
func isCluster(ctx context.Context, rdb redis.UniversalClient) bool {
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	info, err := rdb.Info(ctx, "cluster").Result()
	return err == nil && strings.Contains(info, "cluster_enabled:1")
}
