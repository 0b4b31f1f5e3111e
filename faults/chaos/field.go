package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// Timing is that of the locks of a run: short, so that many faults fit in.
var Timing = struct{ TTL, Check, Call time.Duration }{1500 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond}

// Field is a rig with workers on it, in which faults strike.
type Field struct {
	Rig     *rig.Rig
	Shared  []string // the locks that all workers contend for
	Windows []history.Window
	Verdict *history.Verdict // what the probes found

	dir    string
	seed   uint64
	only   *regexp.Regexp
	job    work.Job
	procs  []*Proc
	made   int // workers that were started so far
	admins map[*redistest.Server]*redis.Client
	probes *probes
	rng    *rand.Rand // of the fault that strikes now
}

// Config is how large a field is.
type Config struct {
	Workers, Actors, Shared int
	Pause                   time.Duration
	Only                    *regexp.Regexp // the kinds of faults that are injected; nil: all
	Steady                  bool           // every section changes contended data
	Plain                   bool           // and does so without a Guard
}

func (c *Config) contended() (names []string) {
	for i := range c.Shared {
		names = append(names, "shared-"+strconv.Itoa(i))
	}
	return names
}

// NewField starts the workers. Their histories go into dir.
func NewField(ctx context.Context, r *rig.Rig, c Config, seed uint64, dir string) (*Field, error) {
	f := &Field{
		Rig: r, Shared: c.contended(), dir: dir, seed: seed, only: c.Only, Verdict: history.NewVerdict(),
		admins: map[*redistest.Server]*redis.Client{}, rng: rand.New(rand.NewPCG(seed, 0)),
	}
	f.job = work.Job{
		Seed: seed, Topology: r.Topology, Addrs: r.Addrs(), Store: r.Store.Addr(),
		TTL: Timing.TTL, Check: Timing.Check, Call: Timing.Call,
		Shared: f.Shared, Actors: c.Actors, Pause: c.Pause, Steady: c.Steady, Plain: c.Plain,
	}
	var err error
	if f.probes, err = openProbes(f.job, r); err != nil {
		return nil, err
	}
	for range c.Workers {
		p, err := f.startWorker(ctx)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.procs = append(f.procs, p)
	}
	return f, nil
}

func (f *Field) startWorker(ctx context.Context) (*Proc, error) {
	f.made++
	j := f.job
	j.Worker = f.made
	j.Through = f.Rig.Through(f.made)
	j.File = filepath.Join(f.dir, fmt.Sprintf("worker-%d.jsonl", f.made))
	return StartWorker(ctx, j)
}

// Close kills what is left of the workers.
func (f *Field) Close() {
	for _, p := range f.procs {
		p.Kill()
	}
	f.probes.close()
}

// admin returns a client for commands to a server, beside the proxies.
func (f *Field) admin(s *redistest.Server) *redis.Client {
	if f.admins[s] == nil {
		f.admins[s] = rig.Admin(s)
	}
	return f.admins[s]
}

// The draws of a fault. Each is made whatever came before it, so that a seed is
// a schedule.

func (f *Field) between(low, high time.Duration) time.Duration {
	return low + time.Duration(f.rng.Int64N(int64(high-low)+1))
}

func (f *Field) count(low, high int) int { return low + f.rng.IntN(high-low+1) }

func (f *Field) chance(percent int) bool { return f.rng.IntN(100) < percent }

// server draws one that takes writes.
func (f *Field) server(ctx context.Context) *redistest.Server {
	n := f.rng.IntN(1 << 16)
	list := f.Rig.Primaries(ctx)
	if len(list) == 0 {
		list = f.Rig.Servers
	}
	return list[n%len(list)]
}

// some draws several servers, of a quorum fewer than half; one elsewhere.
func (f *Field) some(ctx context.Context) []*redistest.Server {
	n, order := f.count(1, 2), f.rng.Perm(len(f.Rig.Servers))
	if f.Rig.Topology != rig.Quorum {
		return []*redistest.Server{f.server(ctx)}
	}
	var list []*redistest.Server
	for _, i := range order[:n] {
		list = append(list, f.Rig.Servers[i])
	}
	return list
}

// links draws the proxies of one side or both: before every server, or before
// one.
func (f *Field) links(ctx context.Context) []*faultproxy.Proxy {
	side, both, one, which := f.count(0, 1), f.chance(40), f.chance(30), f.server(ctx)
	var list []*faultproxy.Proxy
	for s := range rig.Sides {
		if s != side && !both {
			continue
		}
		for _, server := range f.Rig.Servers {
			if !one || server == which {
				list = append(list, f.Rig.Proxy(s, server))
			}
		}
	}
	return list
}

// longest is for how long a server may hang without its watchers taking it for
// dead, which would be another fault.
func (f *Field) longest() time.Duration {
	switch f.Rig.Topology {
	case rig.Sentinel:
		return 250 * time.Millisecond
	case rig.Cluster:
		return 800 * time.Millisecond
	}
	return 2500 * time.Millisecond
}

// wait waits, or returns why not.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
