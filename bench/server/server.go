// Package server is the Redis servers of the comparison, and what they counted.
package server

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// ErrNone is returned when there is no redis-server to start.
var ErrNone = errors.New("no redis-server found: install it (Debian, Ubuntu: apt-get install redis-server; " +
	"macOS: brew install redis; or https://redis.io/docs/latest/operate/oss_and_stack/install/) and run again")

// A Server is a redis-server of ours, with nothing persisted.
type Server struct {
	Addr   string
	server *redistest.Server
	ctl    *redis.Client // the one connection by which we ask it
}

// Start starts a server on a free port of the loopback interface. The caller
// stops it.
func Start(ctx context.Context) (*Server, error) {
	if _, err := redistest.FindServer(); err != nil {
		return nil, ErrNone
	}
	s, err := redistest.Start(ctx, redistest.WithArgs("--tcp-backlog", "1024"))
	if err != nil {
		return nil, err
	}
	return newServer(s), nil
}

func newServer(s *redistest.Server) *Server {
	ctl := redis.NewClient(&redis.Options{Addr: s.Addr(), PoolSize: 1, MaxRetries: -1, DialTimeout: time.Second})
	return &Server{s.Addr(), s, ctl}
}

// Cluster is a Redis Cluster of three masters, each with a replica.
type Cluster struct {
	Masters []*Server
	cluster *redistest.Cluster
}

// StartCluster starts one. The caller stops it.
func StartCluster(ctx context.Context) (*Cluster, error) {
	if _, err := redistest.FindServer(); err != nil {
		return nil, ErrNone
	}
	started, err := redistest.StartCluster(ctx, redistest.WithArgs("--tcp-backlog", "1024"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{cluster: started}
	for _, s := range started.Nodes[:len(started.Nodes)/2] {
		c.Masters = append(c.Masters, newServer(s))
	}
	return c, nil
}

// Stop ends the cluster.
func (c *Cluster) Stop() {
	for _, s := range c.Masters {
		_ = s.ctl.Close()
	}
	c.cluster.Close()
}

// PID returns the server's process.
func (s *Server) PID(ctx context.Context) (int, error) {
	info, err := s.ctl.InfoMap(ctx, "server").Result()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["Server"]["process_id"])
}

// Stop ends the server.
func (s *Server) Stop() {
	_ = s.ctl.Close()
	s.server.Close()
}

// Hang stops the server's process without closing its connections, as a machine
// that has stalled would. Wake undoes it.
func (s *Server) Hang() error { return s.server.Pause() }

// Wake lets a hung server go on.
func (s *Server) Wake() error { return s.server.Resume() }

// Flush deletes every key.
func (s *Server) Flush(ctx context.Context) error { return s.ctl.FlushAll(ctx).Err() }
