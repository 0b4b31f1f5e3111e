package behaviour

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// Rig is a real server behind a proxy.
type Rig struct {
	Server *redistest.Server
	Proxy  *faultproxy.Proxy
	Direct *redis.Client
}

// NewRig starts a server, and a proxy before it.
func NewRig(t testing.TB, args ...string) *Rig {
	t.Helper()
	s := redistest.StartT(t, redistest.WithArgs(args...))
	p, err := faultproxy.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &Rig{Server: s, Proxy: p, Direct: s.Client()}
}

// Client returns a Client of its own connections, through the proxy or not.
func (r *Rig) Client(t testing.TB, proxied bool, opts ...relock.Option) *relock.Client {
	t.Helper()
	if !proxied {
		return ClientOn(t, r.Server.Client(), opts...)
	}
	rdb := redis.NewClient(&redis.Options{Addr: r.Proxy.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return ClientOn(t, rdb, opts...)
}

// User makes a user of the server and returns a client in its name.
func (r *Rig) User(t *testing.T, name string, rules ...string) *redis.Client {
	t.Helper()
	args := []any{"acl", "setuser", name, "reset", "on", ">secret", "~*", "&*", "+@all"}
	for _, rule := range rules {
		args = append(args, rule)
	}
	if err := r.Direct.Do(Bg, args...).Err(); err != nil {
		t.Fatal(err)
	}
	return r.Server.Client(func(o *redis.Options) { o.Username, o.Password = name, "secret" })
}

// Logged is a logger and what it was told.
func Logged() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return buf.Write(p)
		}), nil)), func() string {
			mu.Lock()
			defer mu.Unlock()
			return buf.String()
		}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// split is a client whose subscriptions go their own way.
type split struct {
	*redis.Client
	subs *redis.Client
}

func (s split) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return s.subs.Subscribe(ctx, channels...)
}

// SplitClient returns a Client of whose connections only the subscription goes
// through the proxy.
func (r *Rig) SplitClient(t *testing.T, opts ...relock.Option) *relock.Client {
	t.Helper()
	subs := redis.NewClient(&redis.Options{Addr: r.Proxy.Addr()})
	t.Cleanup(func() { _ = subs.Close() })
	return ClientOn(t, split{r.Server.Client(), subs}, opts...)
}
