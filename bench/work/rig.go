package work

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/server"
)

// Rig is the servers that the works run on.
type Rig struct {
	Main  *server.Server
	Nodes []*server.Server // for quorums
	names atomic.Int64
}

// fresh returns a name that was not used before.
func (r *Rig) fresh(what string) string { return fmt.Sprintf("bench:%s:%d", what, r.names.Add(1)) }

// Warm records what relock sends, for floors, and has a lock of every kind that
// renews renewed once, so that the server knows the scripts: it keeps them when it
// is emptied.
func (r *Rig) Warm(ctx context.Context) error {
	if err := rival.Record(ctx, r.Main.Addr); err != nil {
		return err
	}
	for _, k := range rival.Keeping() {
		if err := r.renewOnce(ctx, k); err != nil {
			return fmt.Errorf("warm-up of %s: %w", k.Name, err)
		}
	}
	return nil
}

func (r *Rig) renewOnce(ctx context.Context, k rival.Kind) error {
	const ttl = 600 * time.Millisecond
	f, err := r.open(ctx, k, 1, func(env *rival.Env) { env.Keep, env.TTL = true, ttl })
	if err != nil {
		return err
	}
	defer f.close()
	held, err := f.locker(0, r.fresh("renewal")).Lock(ctx)
	if err != nil {
		return err
	}
	return errors.Join(rest(ctx, ttl/2), held.Unlock(ctx))
}

// fleet is the clients of one run: as many processes' worth.
type fleet struct {
	rig     *Rig
	kind    rival.Kind
	servers []*server.Server
	clients []rival.Client
	hook    *rival.Hook // of the kinds that have one
}

// open opens n clients of k. It deletes every key first, so that no run finds
// what another has left.
func (r *Rig) open(ctx context.Context, k rival.Kind, n int, set func(*rival.Env)) (*fleet, error) {
	servers := []*server.Server{r.Main}
	if k.Nodes > 0 {
		servers = r.Nodes[:k.Nodes]
	}
	return r.openOn(ctx, servers, k, n, set)
}

func (r *Rig) openOn(ctx context.Context, servers []*server.Server, k rival.Kind, n int, set func(*rival.Env)) (*fleet, error) {
	f := &fleet{rig: r, kind: k, servers: servers, hook: rival.NewHook(k.Commands)}
	env := rival.Env{TTL: rival.TTL, Hook: f.hook}
	for _, s := range servers {
		env.Addrs = append(env.Addrs, s.Addr)
	}
	if set != nil {
		set(&env)
	}
	for _, s := range servers {
		if err := s.Flush(ctx); err != nil {
			return nil, err
		}
	}
	for range n {
		c, err := k.Open(env)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("open: %w", err)
		}
		f.clients = append(f.clients, c)
	}
	return f, nil
}

func (f *fleet) close() {
	for _, c := range f.clients {
		_ = c.Close()
	}
}

// locker returns a locker of the i-th contender: contenders are dealt out to the
// clients in turn.
func (f *fleet) locker(i int, name string) rival.Locker {
	return f.clients[i%len(f.clients)].Locker(name)
}

// usage is what a stretch of work cost.
type usage struct {
	server.Stats
	client time.Duration // CPU of this process
	took   time.Duration
	hook   rival.HookCount
	kind   rival.Kind
}

// commands are those that the rival sent, as its servers counted them.
func (u usage) commands() float64 { return float64(u.Sent(u.kind.Commands)) }

// scripts is how long its servers executed scripts.
func (u usage) scripts() time.Duration { return u.Time["evalsha"] + u.Time["eval"] }

// check fails if a server replied with an error, or a hook did not see what was
// executed.
func (u usage) check() error {
	if err := u.Err(); err != nil || !u.kind.Hooked {
		return err
	}
	return u.hook.Agree(u.Sent(u.kind.Commands))
}

// meter begins a stretch of work. The function it returns ends it, and fails if
// something went wrong meanwhile.
func (f *fleet) meter(ctx context.Context) (func() (usage, error), error) {
	before, err := f.stats(ctx)
	if err != nil {
		return nil, err
	}
	hook, cpu, began := f.hook.Count(), processCPU(), time.Now()
	return func() (usage, error) {
		u := usage{took: time.Since(began), client: processCPU() - cpu, hook: f.hook.Count().Since(hook), kind: f.kind}
		after, err := f.stats(context.WithoutCancel(ctx))
		if err != nil {
			return u, err
		}
		u.Stats = after.Since(before)
		return u, u.check()
	}, nil
}

// stats adds up what the servers have counted.
func (f *fleet) stats(ctx context.Context) (server.Stats, error) {
	var all server.Stats
	for _, s := range f.servers {
		st, err := s.Stats(ctx)
		if err != nil {
			return all, err
		}
		all = all.Plus(st)
	}
	return all, nil
}

func processCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// pair takes and gives back a lock once.
func pair(ctx context.Context, l rival.Locker) error {
	held, err := l.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

// errNotExclusive fails a cell whose rival let two in at once.
var errNotExclusive = errors.New("does not exclude")

// baton is what a lock under test protects: who has it checks that nobody else
// has, and how long it was on its way.
type baton struct {
	inside   atomic.Int64
	overlaps atomic.Int64
	sections atomic.Int64
	passed   atomic.Int64 // when the last unlock began, in ns since epoch
	epoch    time.Time
}

func newBaton() *baton { return &baton{epoch: time.Now()} }

func (b *baton) now() int64 { return int64(time.Since(b.epoch)) }

// take enters the section and returns how long ago the last holder began its
// unlock.
func (b *baton) take() time.Duration {
	now := b.now()
	if b.inside.Add(1) != 1 {
		b.overlaps.Add(1)
	}
	b.sections.Add(1)
	return time.Duration(now - b.passed.Load())
}

// pass leaves the section; unlock follows at once.
func (b *baton) pass() {
	b.inside.Add(-1)
	b.passed.Store(b.now())
}

// check tells whether every section excluded every other.
func (b *baton) check() error {
	if n := b.overlaps.Load(); n > 0 {
		return fmt.Errorf("%w: %d of %d sections overlapped another", errNotExclusive, n, b.sections.Load())
	}
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
