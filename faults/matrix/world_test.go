package matrix

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// A kind is a lock kind: how it is made of clients, and how many of its nodes a
// fault strikes.
type kind struct {
	name     string
	nodes    int  // independent servers that keep it
	hit      int  // how many of them are struck, the first ones
	outlives bool // the others are a quorum
	lock     func(p *process, name string, opts []relock.LockOption) relock.Locker
}

var (
	mutex = kind{name: "Mutex", nodes: 1, hit: 1, lock: func(p *process, name string, opts []relock.LockOption) relock.Locker {
		return p.clients[0].Mutex(name, opts...)
	}}
	reentrant = kind{name: "Reentrant", nodes: 1, hit: 1, lock: func(p *process, name string, opts []relock.LockOption) relock.Locker {
		return p.clients[0].Reentrant(name, opts...)
	}}
	// A MultiLock has a member on each node, and on a single node two.
	multi    = kind{name: "MultiLock", nodes: 2, hit: 1, lock: multiLock}
	multiOne = kind{name: "MultiLock", nodes: 1, hit: 1, lock: multiLock}

	majority = kind{name: "RedLock, a majority struck", nodes: 3, hit: 2, lock: redLock}
	minority = kind{name: "RedLock, a minority struck", nodes: 3, hit: 1, outlives: true, lock: redLock}

	// red is a RedLock where its nodes are not what fails.
	red = kind{name: "RedLock", nodes: 3, hit: 1, outlives: true, lock: redLock}

	// every is the kinds on servers of their own.
	every = []kind{mutex, reentrant, multi, majority, minority}
	// decided is those that a struck node decides for.
	decided = []kind{mutex, reentrant, multi, majority}
	// plain is the kinds that one deployment keeps.
	plain = []kind{mutex, reentrant, multiOne}
)

func multiLock(p *process, name string, opts []relock.LockOption) relock.Locker {
	first := p.clients[0].Mutex(name, opts...)
	second := p.clients[0].Reentrant(name+"/second", opts...)
	if len(p.clients) > 1 {
		second = p.clients[1].Reentrant(name, opts...)
	}
	m, err := redlock.NewMultiLock(second, first)
	if err != nil {
		panic(err) // its members are not what it takes
	}
	return m
}

func redLock(p *process, name string, opts []relock.LockOption) relock.Locker {
	return p.quorum().Mutex(name, opts...)
}

// A node is a deployment that keeps a lock, or a part of it: one server, or
// what stands for one.
type node struct {
	server *redistest.Server // nil where it is more than one
	proxy  *faultproxy.Proxy // in front of it; nil where there is none
	clock  string            // the file with its clock's offset; "" where it has none
	// connect returns new connections to the node: through the proxy, if there
	// is one, or past it.
	connect func(proxied bool) relock.Redis
}

// A world is one lock of one kind, on nodes of its own, and what befalls them.
type world struct {
	*testing.T
	kind  kind
	name  string // of the lock
	nodes []*node
	last  []relock.Token // the greatest tokens seen, a member each

	// What the only node is, where it is not one server.
	dep       *deployment
	sentinels *redistest.Sentinels
	cluster   *redistest.Cluster
}

// newWorld returns a world on servers that are started with args.
func newWorld(t *testing.T, k kind, args ...string) *world {
	t.Helper()
	w := emptyWorld(t, k)
	for range k.nodes {
		w.nodes = append(w.nodes, behindProxy(t, redistest.StartT(t, redistest.WithArgs(args...))))
	}
	return w
}

// worlds counts names, so that worlds may share servers.
var worlds atomic.Int64

func emptyWorld(t *testing.T, k kind) *world {
	return &world{T: t, kind: k, name: fmt.Sprint("lock-", worlds.Add(1))}
}

// behindProxy makes a node of a server.
func behindProxy(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	p, err := faultproxy.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &node{server: s, proxy: p, connect: func(proxied bool) relock.Redis {
		if !proxied {
			return s.Client()
		}
		rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}}
}

// struck are the nodes that a fault befalls.
func (w *world) struck() []*node { return w.nodes[:w.kind.hit] }

// strike does one thing to each node that the fault befalls.
func (w *world) strike(f func(n *node) error) {
	w.Helper()
	for _, n := range w.struck() {
		if err := f(n); err != nil {
			w.Fatal(err)
		}
	}
}

// command sends one command to each node that the fault befalls.
func (w *world) command(args ...any) {
	w.Helper()
	w.strike(func(n *node) error { _, err := n.server.Do(w.soon(), args...); return err })
}

// key is a key of the lock, of kind "lock", "fence", "queue" and so on, on each
// of its nodes.
func (w *world) key(kind string) string {
	if w.kind.nodes > 2 {
		kind = "red" + kind
	}
	return keyOf(kind, w.name)
}

func keyOf(kind, name string) string {
	if strings.HasPrefix(name, "{") { // it has a tag of its own
		return "relock:" + kind + "::" + name
	}
	return "relock:" + kind + ":{" + name + "}"
}

// names are those of all the locks of this world.
func (w *world) names() []string {
	return []string{w.name, w.name + "/second", w.otherName(), w.otherName() + "/second"}
}

// otherName is the name of a lock in the slot of the world's.
func (w *world) otherName() string {
	if strings.HasPrefix(w.name, "{") {
		return w.name + "-other"
	}
	return "{" + w.name + "}-other"
}

// soon is a context that ends before a test that hangs does.
func (w *world) soon() context.Context { return w.within(20 * time.Second) }

func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(bg, d)
	w.Cleanup(cancel)
	return ctx
}

// A process is what one operating-system process would have: clients of its
// own, and the lock made of them.
type process struct {
	w       *world
	clients []*relock.Client
	red     *redlock.RedLock
}

// behind returns a process whose requests go through the proxies.
func (w *world) behind(opts ...relock.Option) *process { return w.process(true, opts) }

// beside returns a process that the proxies do not concern.
func (w *world) beside(opts ...relock.Option) *process { return w.process(false, opts) }

func (w *world) process(proxied bool, opts []relock.Option) *process {
	w.Helper()
	p := &process{w: w}
	for _, n := range w.nodes {
		p.add(n.connect(proxied), opts)
	}
	return p
}

// clientOptions are those of every client here.
func clientOptions() []relock.Option {
	return []relock.Option{relock.WithCheckInterval(interval), relock.WithCallTimeout(call)}
}

func (p *process) add(rdb relock.Redis, opts []relock.Option) {
	p.w.Helper()
	c, err := relock.New(rdb, append(clientOptions(), opts...)...)
	if err != nil {
		p.w.Fatal(err)
	}
	p.w.Cleanup(func() { _ = c.Close() }) // its server may be gone
	p.clients = append(p.clients, c)
}

// quorum is the process's RedLock.
func (p *process) quorum() *redlock.RedLock {
	if p.red == nil {
		red, err := redlock.New(p.clients, redlock.WithNodeTimeout(nodeTimeout))
		if err != nil {
			panic(err) // its clients are not what it takes
		}
		p.red = red
		if p.w != nil {
			p.w.Cleanup(func() { _ = red.Close() })
		}
	}
	return p.red
}

// lock is the world's lock, as this process has it.
func (p *process) lock(opts ...relock.LockOption) relock.Locker {
	return p.w.kind.lock(p, p.w.name, opts)
}

// another is a lock of the same kind that nobody competes for.
func (p *process) another(opts ...relock.LockOption) relock.Locker {
	return p.w.kind.lock(p, p.w.otherName(), opts)
}
