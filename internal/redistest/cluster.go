package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	slotCount      = 16384
)

var (
	errNotFormed = errors.New("redistest: the cluster has not formed yet")
	errNoOwner   = errors.New("redistest: no node answers for the slot")
)

// Cluster is a Redis Cluster of three masters with one replica each, whose
// nodes take one and a half seconds of silence for a death.
type Cluster struct {
	// Nodes holds the three first masters, then their replicas in the same
	// order.
	Nodes []*Server

	clients []*redis.ClusterClient
}

// StartCluster starts the nodes and returns when all of them see every slot
// covered and every replica in place. The caller ends them with
// [Cluster.Close].
func StartCluster(ctx context.Context, opts ...Option) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(ctx, opts); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// StartClusterT is [StartCluster] for a test; see [StartT].
func StartClusterT(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	Require(tb)
	c, err := StartCluster(tb.Context(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	closeServersLater(tb, c.Nodes)
	tb.Cleanup(c.closeClients)
	return c
}

// Close ends all nodes and clients.
func (c *Cluster) Close() {
	c.closeClients()
	for _, s := range c.Nodes {
		s.Close()
	}
}

func (c *Cluster) closeClients() {
	for _, one := range c.clients {
		_ = one.Close() // a test may have closed it already
	}
	c.clients = nil
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

// Client returns a cluster client, closed by Close or Cleanup. Not for
// concurrent use.
//
// After a master's death go-redis asks for the new map of slots only when
// [redis.ClusterOptions].ClusterStateReloadInterval, a minute by default, is
// over, or when ReloadState is called: a refused connection is no reason.
func (c *Cluster) Client(opts ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	o := &redis.ClusterOptions{Addrs: c.Addrs()}
	apply(o, opts)
	client := redis.NewClusterClient(o)
	c.clients = append(c.clients, client)
	return client
}

// Slot returns the slot of a key.
func (c *Cluster) Slot(ctx context.Context, key string) (int, error) {
	reply, err := c.ask(ctx, "cluster", "keyslot", key)
	if err != nil {
		return 0, err
	}
	slot, _ := reply.(int64)
	return int(slot), nil
}

// MasterOf returns the server that owns a key's slot.
func (c *Cluster) MasterOf(ctx context.Context, key string) (*Server, error) {
	slot, err := c.Slot(ctx, key)
	if err != nil {
		return nil, err
	}
	return c.MasterOfSlot(ctx, slot)
}

// MasterOfSlot returns the server that owns a slot, as the first node that
// answers sees it.
func (c *Cluster) MasterOfSlot(ctx context.Context, slot int) (*Server, error) {
	reply, err := c.ask(ctx, "cluster", "slots")
	if err != nil {
		return nil, err
	}
	ranges, _ := reply.([]any)
	for _, r := range ranges {
		// {first slot, last slot, {host, port, id}, replicas...}
		f, _ := r.([]any)
		if len(f) > 2 && f[0].(int64) <= int64(slot) && int64(slot) <= f[1].(int64) {
			return byAddr(c.Nodes, f[2])
		}
	}
	return nil, errNoOwner
}

// AwaitOK waits until every node that runs sees the cluster in order and all
// slots covered: after the start, or after a failover.
func (c *Cluster) AwaitOK(ctx context.Context) error {
	return c.onEach(ctx, (*Server).seesOK)
}

// AwaitFailover waits until the cluster names another owner than old for a
// key's slot. Other nodes may not have heard of it yet; see [Cluster.AwaitOK].
func (c *Cluster) AwaitFailover(ctx context.Context, key string, old *Server) error {
	return eventually(ctx, func() error {
		master, err := c.MasterOf(ctx, key)
		if err == nil && master == old {
			err = errNoFailover
		}
		return err
	})
}

// ask sends a command to the first node that answers it.
func (c *Cluster) ask(ctx context.Context, args ...any) (any, error) {
	err := errNoOwner
	for _, s := range c.Nodes {
		if !s.Running() {
			continue
		}
		var reply any
		if reply, err = s.Do(ctx, args...); err == nil {
			return reply, nil
		}
	}
	return nil, err
}

// onEach waits until ok holds on every node that runs.
func (c *Cluster) onEach(ctx context.Context, ok func(*Server, context.Context) error) error {
	for _, s := range c.Nodes {
		err := eventually(ctx, func() error {
			if !s.Running() {
				return nil
			}
			return ok(s, ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) start(ctx context.Context, opts []Option) error {
	node := WithArgs("--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
		"--cluster-replica-validity-factor", "0")
	opts = append([]Option{fastSync, node}, opts...)
	for range 2 * clusterMasters {
		s, err := Start(ctx, append(opts, withOwnDir())...)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, s)
	}
	return c.form(ctx)
}

// form makes the nodes one cluster, in the steps of redis-cli --cluster
// create. They are sent from here so that any server binary will do.
func (c *Cluster) form(ctx context.Context) error {
	for i, s := range c.Nodes[:clusterMasters] {
		if err := s.takeSlots(ctx, i); err != nil {
			return err
		}
	}
	for _, s := range c.Nodes[1:] {
		if _, err := c.Nodes[0].Do(ctx, "cluster", "meet", host, s.Port()); err != nil {
			return err
		}
	}
	if err := c.onEach(ctx, (*Server).knowsAll); err != nil {
		return err
	}
	for i, s := range c.Nodes[clusterMasters:] {
		if err := s.replicate(ctx, c.Nodes[i]); err != nil {
			return err
		}
	}
	if err := c.onEach(ctx, (*Server).seesReplicas); err != nil {
		return err
	}
	return c.AwaitOK(ctx)
}

// takeSlots gives the i-th master its share of the slots and an epoch of its
// own, so that the masters need not settle a clash of epochs first.
func (s *Server) takeSlots(ctx context.Context, i int) error {
	if _, err := s.Do(ctx, "cluster", "set-config-epoch", i+1); err != nil {
		return err
	}
	args := []any{"cluster", "addslots"}
	for slot := i * slotCount / clusterMasters; slot < (i+1)*slotCount/clusterMasters; slot++ {
		args = append(args, slot)
	}
	_, err := s.Do(ctx, args...)
	return err
}

// replicate makes s a replica of master and waits for the data.
func (s *Server) replicate(ctx context.Context, master *Server) error {
	id, err := master.nodeID(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Do(ctx, "cluster", "replicate", id); err != nil {
		return err
	}
	return WaitSync(ctx, master, s)
}

func (s *Server) nodeID(ctx context.Context) (string, error) {
	id, err := s.Do(ctx, "cluster", "myid")
	return fmt.Sprint(id), err
}

func (s *Server) seesOK(ctx context.Context) error {
	reply, err := s.Do(ctx, "cluster", "info")
	if err != nil {
		return err
	}
	info := parseInfo(fmt.Sprint(reply))
	if info["cluster_state"] != "ok" || info["cluster_slots_ok"] != fmt.Sprint(slotCount) {
		return fmt.Errorf("%w: %s: %v", errNotFormed, s.Addr(), info)
	}
	return nil
}

func (s *Server) knowsAll(ctx context.Context) error {
	return s.expectNodes(ctx, " connected", 2*clusterMasters)
}

func (s *Server) seesReplicas(ctx context.Context) error {
	return s.expectNodes(ctx, "slave ", clusterMasters)
}

// expectNodes returns nil if n lines of CLUSTER NODES have the mark and none
// is a handshake under way.
func (s *Server) expectNodes(ctx context.Context, mark string, n int) error {
	reply, err := s.Do(ctx, "cluster", "nodes")
	if err != nil {
		return err
	}
	nodes := fmt.Sprint(reply)
	got := 0
	for line := range strings.Lines(nodes) {
		if strings.Contains(line, mark) {
			got++
		}
	}
	if got != n || strings.Contains(nodes, "handshake") {
		return fmt.Errorf("%w: %s:\n%s", errNotFormed, s.Addr(), nodes)
	}
	return nil
}
