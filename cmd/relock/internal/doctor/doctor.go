// Package doctor looks at a Redis for what locks need of it.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// Level is how well a check went.
type Level string

// The levels, from good to bad. What could not be learned is a warning.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Finding is what one check found, and what to do about it.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Patient is the Redis that is looked at.
type Patient struct {
	*dial.Server
	Prefix string
	TTL    time.Duration // that its locks have

	info map[string]string
}

// Examine runs all checks.
func (p *Patient) Examine(ctx context.Context) []Finding {
	p.info = p.readInfo(ctx)
	checks := []struct {
		name string
		run  func(context.Context) Finding
	}{
		{"server", p.server},
		{"role", p.role},
		{"scripts", p.scripts},
		{"publish", p.publish},
		{"hand-off", p.handOff},
		{"round trip", p.roundTrip},
		{"clock", p.clock},
		{"eviction", p.eviction},
		{"persistence", p.persistence},
		{"replicas", p.replicas},
	}
	var found []Finding
	add := func(name string, run func(context.Context) Finding) {
		ctx, cancel := context.WithTimeout(ctx, 2*dial.AnswerWithin)
		defer cancel()
		f := run(ctx)
		f.Check = name
		found = append(found, f)
	}
	for _, c := range checks {
		add(c.name, c.run)
	}
	if p.Cluster {
		add("cluster", p.slots)
	}
	return found
}

// Worst is the worst level of them.
func Worst(found []Finding) Level {
	worst := OK
	for _, f := range found {
		if f.Level == Fail || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(advice, format string, args ...any) Finding {
	return Finding{Level: Warn, Found: fmt.Sprintf(format, args...), Advice: advice}
}

func fail(advice, format string, args ...any) Finding {
	return Finding{Level: Fail, Found: fmt.Sprintf(format, args...), Advice: advice}
}

// readInfo reads what INFO tells; a server that does not tell has no fields.
func (p *Patient) readInfo(ctx context.Context) map[string]string {
	fields := map[string]string{}
	for _, section := range []string{"server", "replication", "memory", "persistence"} {
		text, err := p.Rdb.Info(ctx, section).Result()
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if key, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
				fields[key] = value
			}
		}
	}
	return fields
}

func (p *Patient) server(context.Context) Finding {
	kind, version := "Redis", p.info["redis_version"]
	if v := p.info["valkey_version"]; v != "" {
		kind, version = "Valkey", v
	}
	if version == "" {
		return warn("give the user the right to INFO", "it does not tell its version")
	}
	if major, _, _ := strings.Cut(version, "."); len(major) == 1 && major < "5" {
		return fail("relock needs Redis 5 or later: scripts that ask for the time may write since then", "%s %s", kind, version)
	}
	mode := p.info["redis_mode"]
	if mode == "" {
		mode = "mode unknown"
	}
	return ok("%s %s, %s", kind, version, mode)
}

func (p *Patient) role(context.Context) Finding {
	switch role := p.info["role"]; role {
	case "master":
		return ok("a primary")
	case "":
		return ok("not told: taken for a primary")
	default:
		return fail("connect to the primary, or through Sentinel (?master_name=)", "a %s, which takes no writes", role)
	}
}

func (p *Patient) persistence(context.Context) Finding {
	const forgets = "a restart may forget locks (fencing tokens rise all the same); appendonly yes keeps them"
	switch p.info["aof_enabled"] {
	case "1":
		return ok("append-only file")
	case "":
		return warn(forgets, "not told")
	}
	return warn(forgets, "no append-only file")
}

func (p *Patient) eviction(context.Context) Finding {
	policy, limit := p.info["maxmemory_policy"], p.info["maxmemory"]
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

func (p *Patient) replicas(context.Context) Finding {
	switch n := p.info["connected_slaves"]; n {
	case "", "0":
		return ok("none")
	default:
		return warn("a failover can lose a lock that was not replicated yet: fence your writes (Guard), consider WithReplicas, min-replicas-to-write or RedLock",
			"%s, replicated asynchronously", n)
	}
}

func (p *Patient) slots(ctx context.Context) Finding {
	text, err := p.Rdb.(*redis.ClusterClient).ClusterInfo(ctx).Result()
	if err != nil {
		return warn("give the user the right to CLUSTER INFO", "%v", err)
	}
	if strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_slots_ok:16384") {
		return ok("all 16384 slots are served")
	}
	return fail("locks in slots that nobody serves cannot be had: redis-cli --cluster check, and fix", "not all slots are served")
}
