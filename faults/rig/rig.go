package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// Topology is a way to run Redis.
type Topology string

// The topologies.
const (
	Standalone Topology = "standalone"
	AOF        Topology = "aof" // standalone, with an append-only file
	Sentinel   Topology = "sentinel"
	Cluster    Topology = "cluster"
	Quorum     Topology = "quorum" // five independent nodes with append-only files
)

// All are the topologies in the order in which they are run.
var All = []Topology{Standalone, AOF, Sentinel, Cluster, Quorum}

const (
	// Sides is how many proxies each server has.
	Sides = 2
	nodes = 5
)

// Rig is running servers. Create it with [Start].
type Rig struct {
	Topology  Topology
	Servers   []*redistest.Server // that keep locks
	Store     *redistest.Server
	Sentinels *redistest.Sentinels // nil but on Sentinel
	Cluster   *redistest.Cluster   // nil but on Cluster

	proxies [Sides]map[*redistest.Server]*faultproxy.Proxy
	stores  [Sides]*faultproxy.Proxy
	closers []func()
}

// Start starts a topology and its store. The caller ends them by [Rig.Close].
func Start(ctx context.Context, t Topology) (*Rig, error) {
	r := &Rig{Topology: t}
	if err := r.start(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("rig: %s: %w", t, err)
	}
	return r, nil
}

var (
	// A script counts as too slow soon, so that BUSY can be had in a short time.
	common = redistest.WithArgs("--lua-time-limit", "100")
	synced = redistest.WithArgs("--appendonly", "yes", "--appendfsync", "always")
	// Written before the answer, which a kill cannot undo, and never synced: five
	// servers that sync to one disk do little else. With everysec Redis answers
	// before it has written while a sync is slow.
	written = redistest.WithArgs("--appendonly", "yes", "--appendfsync", "no")
)

func (r *Rig) start(ctx context.Context) error {
	if err := r.startServers(ctx); err != nil {
		return err
	}
	var err error
	if r.Store, err = redistest.Start(ctx); err != nil {
		return err
	}
	r.closers = append(r.closers, r.Store.Close)
	for side := range Sides {
		r.proxies[side] = map[*redistest.Server]*faultproxy.Proxy{}
		for _, s := range r.Servers {
			if r.proxies[side][s], err = r.proxy(s); err != nil {
				return err
			}
		}
		if r.stores[side], err = r.proxy(r.Store); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) startServers(ctx context.Context) (err error) {
	switch r.Topology {
	case Standalone:
		return r.startSingle(ctx, 1, common)
	case AOF:
		return r.startSingle(ctx, 1, common, synced)
	case Quorum:
		return r.startSingle(ctx, nodes, common, written)
	case Sentinel:
		if r.Sentinels, err = redistest.StartSentinels(ctx, common); err != nil {
			return err
		}
		r.Servers = r.Sentinels.Data.All()
		r.closers = append(r.closers, r.Sentinels.Close)
	case Cluster:
		if r.Cluster, err = redistest.StartCluster(ctx, common); err != nil {
			return err
		}
		r.Servers = r.Cluster.Nodes
		r.closers = append(r.closers, r.Cluster.Close)
	default:
		return fmt.Errorf("no such topology; there are %v", All)
	}
	return nil
}

func (r *Rig) startSingle(ctx context.Context, n int, opts ...redistest.Option) error {
	for range n {
		s, err := redistest.Start(ctx, opts...)
		if err != nil {
			return err
		}
		r.Servers = append(r.Servers, s)
		r.closers = append(r.closers, s.Close)
	}
	return nil
}

func (r *Rig) proxy(s *redistest.Server) (*faultproxy.Proxy, error) {
	p, err := faultproxy.New(s.Addr())
	if err == nil {
		r.closers = append(r.closers, p.Close)
	}
	return p, err
}

// Close ends all servers and proxies.
func (r *Rig) Close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
}

// Proxy returns the proxy before a server, on one side.
func (r *Rig) Proxy(side int, s *redistest.Server) *faultproxy.Proxy { return r.proxies[side%Sides][s] }

// StoreProxy returns the proxy before the store, on one side.
func (r *Rig) StoreProxy(side int) *faultproxy.Proxy { return r.stores[side%Sides] }

// Through maps the address of each server to that of its proxy, on one side.
func (r *Rig) Through(side int) map[string]string {
	through := map[string]string{r.Store.Addr(): r.StoreProxy(side).Addr()}
	for s, p := range r.proxies[side%Sides] {
		through[s.Addr()] = p.Addr()
	}
	return through
}

// Addrs returns the addresses that a client is given: of the servers, or of the
// sentinels.
func (r *Rig) Addrs() []string {
	if r.Sentinels != nil {
		return r.Sentinels.Addrs()
	}
	addrs := make([]string, len(r.Servers))
	for i, s := range r.Servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Primaries returns the servers that take writes now, or those that did at the
// start where nobody can say.
func (r *Rig) Primaries(ctx context.Context) []*redistest.Server {
	switch r.Topology {
	case Sentinel:
		if s, err := r.Sentinels.Primary(ctx); err == nil {
			return []*redistest.Server{s}
		}
		return r.Servers[:1]
	case Cluster:
		var masters []*redistest.Server
		for _, s := range r.Servers {
			if info, err := s.Info(ctx, "replication"); err == nil && info["role"] == "master" {
				masters = append(masters, s)
			}
		}
		return masters
	}
	return r.Servers
}

// SaveLogs writes the servers' logs into a folder.
func (r *Rig) SaveLogs(dir string) error {
	all := append([]*redistest.Server{r.Store}, r.Servers...)
	if r.Sentinels != nil {
		all = append(all, r.Sentinels.Sentinels...)
	}
	for _, s := range all {
		path := filepath.Join(dir, strings.ReplaceAll(s.Addr(), ":", "-")+".log")
		if err := os.WriteFile(path, []byte(s.LogTail(1_000_000)), 0o600); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
	}
	return nil
}

// Admin returns a client for the harness's own commands to a server. It sends
// nothing twice, and gives up when its context does.
func Admin(s *redistest.Server) *redis.Client {
	return s.Client(func(o *redis.Options) { o.MaxRetries, o.ContextTimeoutEnabled = -1, true })
}
