package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Server is one real server process on a loopback port. Create it with
// [Start] or [StartT]. Its methods may be called from several goroutines at
// once.
type Server struct {
	config config
	port   int
	base   string // temporary folder: the log, and the data by default
	dir    string

	mu      sync.Mutex // guards proc and clients
	proc    *process
	clients []*redis.Client
}

// Start starts a server with no persistence and waits until it answers. ctx
// bounds the start only. The caller ends it with [Server.Close].
func Start(ctx context.Context, opts ...Option) (*Server, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c}
	if err := s.makeDirs(); err != nil {
		return nil, err
	}
	if err := s.startOnFreePort(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// StartT is [Start] for a test: see [Require] for what happens without a
// server binary. The server is closed by Cleanup, and its log is shown if the
// test failed.
func StartT(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	Require(tb)
	s, err := Start(tb.Context(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.closeAfter(tb) })
	return s
}

func (s *Server) closeAfter(tb testing.TB) {
	if tb.Failed() {
		tb.Logf("log of %s:\n%s", s.Addr(), s.LogTail(20))
	}
	s.Close()
}

// Addr returns "127.0.0.1:port", the same for the server's life.
func (s *Server) Addr() string { return address(s.port) }

// Port returns the port that it listens on.
func (s *Server) Port() int { return s.port }

// Dir returns the folder of its data.
func (s *Server) Dir() string { return s.dir }

// Running reports whether its process exists, paused or not.
func (s *Server) Running() bool {
	p := s.process()
	return p != nil && p.running()
}

// Client returns a new client of the server, closed by [Server.Close]. It has
// go-redis's defaults where opts do not say otherwise.
func (s *Server) Client(opts ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: s.Addr()}
	apply(o, opts)
	c := redis.NewClient(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
	return c
}

// Do runs one command on a connection of its own, bounded by ctx and never
// sent twice.
func (s *Server) Do(ctx context.Context, args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{
		Addr: s.Addr(), Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	defer c.Close()
	reply, err := c.Do(ctx, args...).Result()
	if err != nil {
		return nil, fmt.Errorf("redistest: %s: %v: %w", s.Addr(), args[0], err)
	}
	return reply, nil
}

// Info returns the fields of one section of INFO.
func (s *Server) Info(ctx context.Context, section string) (map[string]string, error) {
	info, err := s.Do(ctx, "info", section)
	if err != nil {
		return nil, err
	}
	return parseInfo(fmt.Sprint(info)), nil
}

// LogTail returns the last n lines of the server's log, those of earlier runs
// included.
func (s *Server) LogTail(n int) string {
	log, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// logPath is outside the data folder, which a test may remove.
func (s *Server) logPath() string { return filepath.Join(s.base, "server.log") }

func (s *Server) confPath() string { return filepath.Join(s.base, "server.conf") }

func (s *Server) makeDirs() error {
	base, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return err
	}
	s.base, s.dir = base, s.config.dir
	if s.dir != "" {
		return nil
	}
	s.dir = filepath.Join(base, "data")
	return os.Mkdir(s.dir, 0o700)
}
