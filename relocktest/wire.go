package relocktest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

var servers atomic.Uint32

// newAddr names a server, and is dialled by nobody. A RedLock refuses two nodes
// of one address. It is an IP: go-redis resolves a host name even with a Dialer
// of one's own, which leaves the bubble.
func newAddr() string {
	n := servers.Add(1)
	return fmt.Sprintf("127.%d.%d.%d:6379", byte(n>>16), byte(n>>8), byte(n))
}

// A dialler connects one go-redis client with its server.
type dialler struct {
	server  *Server
	refused atomic.Int32
}

// After as many refused dials as its pool is large, go-redis has a goroutine that
// dials once a probeEvery, also for a while after Close.
const (
	poolSize   = 1000
	probeEvery = time.Second
)

func (d *dialler) configure(o *redis.Options) {
	inner := o.Dialer
	o.Addr = d.server.addr
	o.PoolSize, o.PipelinePoolSize = poolSize, -1 // one pool, that never fills
	o.DialerRetries = 1
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.server.dial(ctx, network, addr, inner)
		if err != nil {
			d.refused.Add(1)
		}
		return conn, err
	}
}

// settle waits, after Close, until no goroutine of go-redis is left.
func (d *dialler) settle() {
	if d.refused.Load() >= poolSize {
		<-time.After(probeEvery + time.Millisecond)
	}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (s *Server) dial(ctx context.Context, network, addr string, inner dialFunc) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	conn, err := inner(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, server: s}
	s.links[l] = true
	return l, nil
}

// A link is a connection that the server can end.
type link struct {
	net.Conn
	server  *Server
	severed atomic.Bool
}

// sever ends l as the death of the server would.
func (l *link) sever() {
	l.severed.Store(true)
	_ = l.Conn.Close()
}

func (l *link) Close() error {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	delete(l.server.links, l)
	return l.Conn.Close()
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	return n, l.seen(err)
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	return n, l.seen(err)
}

// seen returns err as a socket would, whose other end has gone.
func (l *link) seen(err error) error {
	if err != nil && l.severed.Load() {
		return io.EOF
	}
	return err
}

// SyscallConn is how go-redis finds out, before it uses a connection again, that
// the other end has gone.
func (l *link) SyscallConn() (syscall.RawConn, error) {
	if l.severed.Load() {
		return nil, io.EOF
	}
	return idle{}, nil
}

// idle is a connection from which nothing is to be read.
type idle struct{}

func (idle) Control(func(fd uintptr)) error    { return nil }
func (idle) Read(func(fd uintptr) bool) error  { return nil }
func (idle) Write(func(fd uintptr) bool) error { return nil }
