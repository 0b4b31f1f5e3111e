// Package server starts the Redis servers of the comparison and reads what they
// counted.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNone is returned when there is no redis-server to start.
var ErrNone = errors.New("no redis-server found: install it (Debian, Ubuntu: apt-get install redis-server; " +
	"macOS: brew install redis; or https://redis.io/docs/latest/operate/oss_and_stack/install/) and run again")

// A Server is a redis-server of ours, with nothing persisted.
type Server struct {
	Addr string
	cmd  *exec.Cmd
	dir  string
	ctl  *redis.Client
}

// Start starts a server on a free port of the loopback interface. The caller
// stops it.
func Start(ctx context.Context) (*Server, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNone
	}
	for attempt := 0; ; attempt++ {
		s, err := startOn(ctx, bin)
		if err == nil || attempt == 4 || ctx.Err() != nil {
			return s, err // redis-server has no port 0: another may have taken the free one
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func startOn(ctx context.Context, bin string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "relock-bench-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", dir, "--logfile", "server.log", "--tcp-backlog", "1024")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for us to handle
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Addr: "127.0.0.1:" + strconv.Itoa(port), cmd: cmd, dir: dir}
	s.ctl = redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1, MaxRetries: -1, DialTimeout: time.Second})
	if err := s.await(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// await returns when the server answers, and is the one we started.
func (s *Server) await(ctx context.Context) error {
	for range 100 {
		info, err := s.ctl.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == strconv.Itoa(s.cmd.Process.Pid) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	log, _ := os.ReadFile(s.dir + "/server.log")
	return fmt.Errorf("redis-server did not start on %s: %s", s.Addr, log)
}

// Stop ends the server.
func (s *Server) Stop() {
	_ = s.ctl.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// Hang stops the server's process without closing its connections, as a machine
// that has stalled would. Wake undoes it.
func (s *Server) Hang() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Wake lets a hung server go on.
func (s *Server) Wake() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Flush deletes every key.
func (s *Server) Flush(ctx context.Context) error { return s.ctl.FlushAll(ctx).Err() }
