package redistest

import (
	"context"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// inMemoryAddr is dialled by nobody. It must be an IP: go-redis resolves a
// host name even with a Dialer of one's own, which leaves the bubble.
const inMemoryAddr = "127.0.0.1:6379"

// Embedded starts a miniredis on a free loopback port, whose leases expire by
// the wall clock, and a client of it. Both are closed by Cleanup.
func Embedded(tb testing.TB) (*miniredis.Miniredis, *redis.Client) {
	tb.Helper()
	m := newEmbedded(tb)
	if err := m.Start(); err != nil {
		tb.Fatalf("miniredis: %v", err)
	}
	c := redis.NewClient(&redis.Options{Addr: m.Addr()})
	closeLater(tb, c)
	return m, c
}

// EmbeddedInMemory is [Embedded] without a socket: usable inside a
// testing/synctest bubble, where leases expire in virtual time. Call it inside
// the bubble with the bubble's own T, whose Cleanup closes both before the
// bubble ends; closing them earlier is fine.
func EmbeddedInMemory(tb testing.TB) (*miniredis.Miniredis, *redis.Client) {
	tb.Helper()
	m := newEmbedded(tb)
	c := InMemoryClient(m)
	closeLater(tb, c)
	return m, c
}

// InMemoryClient returns a further client of m that needs no socket. The
// caller closes it, inside the bubble where it was created.
func InMemoryClient(m *miniredis.Miniredis, opts ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{
		Addr:   inMemoryAddr,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	}
	apply(o, opts)
	return redis.NewClient(o)
}

func newEmbedded(tb testing.TB) *miniredis.Miniredis {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	tb.Cleanup(m.Close)
	return m
}

// closeLater closes c by Cleanup. A test may have closed it already.
func closeLater(tb testing.TB, c *redis.Client) {
	tb.Cleanup(func() { _ = c.Close() })
}

func apply[T any](target T, opts []func(T)) {
	for _, opt := range opts {
		opt(target)
	}
}
