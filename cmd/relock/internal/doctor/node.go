package doctor

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A node is a server, one of several where the Redis is a cluster, and what it
// tells of itself. What it does not tell is empty.
type node struct {
	addr      string
	info      map[string]string
	slotsInfo string // CLUSTER INFO
	err       error  // it does not answer
}

// ask asks every master.
func (p *Patient) ask(ctx context.Context) []node {
	cluster, ok := p.Rdb.(*redis.ClusterClient)
	if !ok {
		return []node{{info: infoOf(ctx, p.Rdb)}}
	}
	var mu sync.Mutex
	var nodes []node
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		n := node{addr: c.Options().Addr, err: c.Ping(ctx).Err()}
		if n.err == nil {
			n.info = infoOf(ctx, c)
			n.slotsInfo, _ = c.ClusterInfo(ctx).Result()
		}
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		return nil
	})
	if len(nodes) == 0 {
		return []node{{err: err}}
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.addr, b.addr) })
	return nodes
}

func infoOf(ctx context.Context, rdb redis.Cmdable) map[string]string {
	fields := map[string]string{}
	for _, section := range []string{"server", "replication", "memory", "persistence"} {
		text, _ := rdb.Info(ctx, section).Result()
		for line := range strings.Lines(text) {
			if key, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
				fields[key] = value
			}
		}
	}
	return fields
}

// onEach returns a check that finds the worst that check finds on the nodes, and
// says on which where they are not alike.
func (p *Patient) onEach(check func(node) Finding) func(context.Context) Finding {
	return func(context.Context) Finding {
		worst := check(p.nodes[0])
		at, alike := p.nodes[0].addr, true
		for _, n := range p.nodes[1:] {
			f := check(n)
			alike = alike && f == worst
			if worse(f.Level, worst.Level) {
				worst, at = f, n.addr
			}
		}
		if !alike {
			worst.Found = at + ": " + worst.Found
		}
		return worst
	}
}

func (n node) server() Finding {
	if n.err != nil {
		return fail("locks in its slots cannot be had until it is back, or has a successor", "it does not answer: %v", n.err)
	}
	kind, version := "Redis", n.info["redis_version"]
	if v := n.info["valkey_version"]; v != "" {
		kind, version = "Valkey", v
	}
	if version == "" {
		return warn("give the user the right to INFO", "it does not tell its version")
	}
	if major, _, _ := strings.Cut(version, "."); len(major) == 1 && major < "5" {
		return fail("relock needs Redis 5 or later: scripts that ask for the time may write since then", "%s %s", kind, version)
	}
	mode := n.info["redis_mode"]
	if mode == "" {
		mode = "mode unknown"
	}
	return ok("%s %s, %s", kind, version, mode)
}

func (n node) role() Finding {
	if n.info["redis_mode"] == "sentinel" {
		return fail("it only tells where the Redis is: add ?master_name= to its URL", "a sentinel")
	}
	switch n.info["role"] {
	case "master":
		return ok("a primary")
	case "slave":
		return fail("connect to its primary, or through a Sentinel (?master_name=)", "a replica, which takes no writes")
	}
	return ok("not told: taken for a primary")
}

func (n node) persistence() Finding {
	const forgets = "a restart may forget locks (fencing tokens rise all the same); appendonly yes keeps them"
	switch n.info["aof_enabled"] {
	case "1":
		return ok("append-only file")
	case "":
		return warn(forgets, "not told")
	}
	return warn(forgets, "no append-only file")
}

func (n node) eviction() Finding {
	policy, limit := n.info["maxmemory_policy"], n.info["maxmemory"]
	switch {
	case policy == "":
		return warn("make sure that it is noeviction", "not told")
	case policy == "noeviction":
		return ok("noeviction")
	case limit == "0":
		return ok("%s, but no memory limit", policy)
	}
	return warn("locks may be evicted when memory is full: set maxmemory-policy noeviction", "%s below a limit of %s bytes", policy, limit)
}

func (n node) replicas() Finding {
	switch n := n.info["connected_slaves"]; n {
	case "", "0":
		return ok("none")
	default:
		return warn("a failover can lose a lock that was not replicated yet: fence your writes (Guard), consider WithReplicas, min-replicas-to-write or RedLock",
			"%s, replicated asynchronously", n)
	}
}

func (n node) slots() Finding {
	switch {
	case n.slotsInfo == "":
		return warn("give the user the right to CLUSTER INFO", "not told")
	case strings.Contains(n.slotsInfo, "cluster_state:ok") && strings.Contains(n.slotsInfo, "cluster_slots_ok:16384"):
		return ok("all 16384 slots are served")
	}
	return fail("locks in slots that nobody serves cannot be had: redis-cli --cluster check, and fix", "not all slots are served")
}
