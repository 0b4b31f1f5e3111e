package behaviour

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// Bubble is a server in virtual time whose clients can be cut off from it.
type Bubble struct {
	T      *testing.T
	Server *miniredis.Miniredis
	Rdb    *redis.Client
}

// InBubble runs f in virtual time.
func InBubble(t *testing.T, f func(*Bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { Pass(time.Minute) }) // what go-redis does after Close has an end too
		m, rdb := redistest.EmbeddedInMemory(t)
		f(&Bubble{t, m, rdb})
	})
}

// Client returns a Client and its wire.
func (b *Bubble) Client(opts ...relock.Option) (*relock.Client, *Wire) {
	var w Wire
	rdb := redistest.InMemoryClient(b.Server, func(o *redis.Options) {
		dial := o.Dialer
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if w.Silent.Load() {
				// A handshake that hangs blocks go-redis on a mutex, which stops
				// virtual time.
				return nil, syscall.ECONNREFUSED
			}
			conn, err := dial(ctx, network, addr)
			return &wired{conn, &w}, err
		}
	})
	b.T.Cleanup(func() { _ = rdb.Close() })
	return ClientOn(b.T, rdb, opts...), &w
}

// Wire is what a client's connections have in common.
type Wire struct {
	Silent atomic.Bool  // nothing that is written arrives, and no new connection is had
	Writes atomic.Int64 // requests, or pipelines of them
	Lag    atomic.Int64 // nanoseconds that whatever the server says is on its way
}

// CutOff has nothing arrive from here on.
func (w *Wire) CutOff() { w.Silent.Store(true) }

type wired struct {
	net.Conn
	wire *Wire
}

func (c *wired) Write(p []byte) (int, error) {
	c.wire.Writes.Add(1)
	if c.wire.Silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *wired) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if lag := c.wire.Lag.Load(); lag > 0 {
		Pass(time.Duration(lag))
	}
	return n, err
}

// Pass lets d of virtual time go by.
func Pass(d time.Duration) { <-time.After(d) }

// TTL is what a lock has that asks for none.
const TTL = 30 * time.Second

// Behind has c wait for a lock that is handed on by message, one second late,
// and returns its lease and when the server granted it.
func (b *Bubble) Behind(opts ...relock.LockOption) (lease *relock.Lease, since time.Time) {
	b.T.Helper()
	holder, _ := b.Client()
	c, wire := b.Client()
	had := LockOf(b.T, holder.Mutex("a"))
	got := make(chan *relock.Lease, 1)
	go func() { got <- LockOf(b.T, c.Mutex("a", opts...)) }()
	Pass(time.Second)
	wire.Lag.Store(int64(time.Second))
	since = time.Now()
	Unlock(b.T, had)
	lease = <-got
	wire.Lag.Store(0)
	return lease, since
}

// WantKept checks that the lock is kept now, and for how long.
func (b *Bubble) WantKept(c *relock.Client, name string, left time.Duration) {
	b.T.Helper()
	st, err := c.Mutex(name).Status(Bg)
	if err != nil {
		b.T.Fatal(err)
	}
	if !st.Held || st.Owner != relock.KeptOwner || st.Count != 1 || st.TTL > left+time.Millisecond || st.TTL < left-10*time.Millisecond {
		b.T.Errorf("got %+v, want a lock that is kept for %v", st, left)
	}
}

// WantFree checks that nobody has the lock.
func (b *Bubble) WantFree(c *relock.Client, name string) {
	b.T.Helper()
	synctest.Wait()
	if st, err := c.Mutex(name).Status(Bg); err != nil || st.Held {
		b.T.Errorf("got %+v, %v, want the lock free", st, err)
	}
}

// Clients returns n Clients and their wires.
func (b *Bubble) Clients(n int) (clients []*relock.Client, wires []*Wire) {
	for range n {
		c, w := b.Client()
		clients, wires = append(clients, c), append(wires, w)
	}
	return clients, wires
}

// Waiters is how many are in the queue of the lock "a".
func (b *Bubble) Waiters(c *relock.Client) int {
	b.T.Helper()
	st, err := c.Mutex("a").Status(Bg)
	if err != nil {
		b.T.Fatal(err)
	}
	return st.Waiters
}
