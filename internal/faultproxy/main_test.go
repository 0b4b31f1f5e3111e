package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a real server behind a proxy.
type rig struct {
	t      *testing.T
	ctx    context.Context
	server *redistest.Server
	proxy  *faultproxy.Proxy
	direct *redis.Client // does not pass the proxy
}

func newRig(t *testing.T, opts ...redistest.Option) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := redistest.StartT(t, opts...)
	return &rig{t: t, ctx: ctx, server: s, proxy: newProxy(t, s.Addr()), direct: s.Client()}
}

func newProxy(t *testing.T, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(target)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// client connects through the proxy and never sends twice. Its patience is
// set by the context alone.
func (r *rig) client(opts ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{
		Addr: r.proxy.Addr(), MaxRetries: -1, DialerRetries: 1,
		ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1,
	}
	for _, opt := range opts {
		opt(o)
	}
	c := redis.NewClient(o)
	r.t.Cleanup(func() { _ = c.Close() })
	must(r.t, c.Ping(r.ctx).Err())
	return c
}

// short is a context for what is expected to hang.
func (r *rig) short() context.Context { return r.within(50 * time.Millisecond) }

func (r *rig) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	r.t.Cleanup(cancel)
	return ctx
}

// wantValue checks a key on the server itself.
func (r *rig) wantValue(key, want string) {
	r.t.Helper()
	got, err := r.direct.Get(r.ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		r.t.Fatal(err)
	}
	if got != want {
		r.t.Errorf("%s on the server = %q, want %q", key, got, want)
	}
}

func resp2(o *redis.Options) { o.Protocol = 2 }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// raw is a connection without a client library.
type raw struct {
	t *testing.T
	*net.TCPConn
}

func dial(t *testing.T, addr string) raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return raw{t, c.(*net.TCPConn)}
}

func (c raw) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c, s)
	must(c.t, err)
}

// want reads exactly the bytes of s.
func (c raw) want(s string) {
	c.t.Helper()
	buf := make([]byte, len(s))
	n, err := io.ReadFull(c, buf)
	if err != nil || string(buf) != s {
		c.t.Fatalf("read %q, %v; want %q", buf[:n], err, s)
	}
}

// wantEnd reads the end of the stream, as an EOF or a reset.
func (c raw) wantEnd() error {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || isTimeout(err) {
		c.t.Fatalf("read %d bytes, %v; want the end", n, err)
	}
	return err
}
