package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/redistest"
)

// Who is a primary, and until when nobody is sure.

var errRoles = errors.New("chaos: the servers have not taken up their roles yet")

// slotOf returns a slot that a master of a cluster has; 0 elsewhere.
func (f *Field) slotOf(ctx context.Context, s *redistest.Server) (int, error) {
	if f.Rig.Topology != rig.Cluster {
		return 0, nil
	}
	// The first slots of the three shares, which no migration here moves.
	for _, slot := range []int{0, 5461, 10922} {
		master, err := f.Rig.Cluster.MasterOfSlot(ctx, slot)
		if err != nil {
			return 0, err
		}
		if master == s {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("%w: %s has no slot", errRoles, s.Addr())
}

func (f *Field) awaitFailover(ctx context.Context, old *redistest.Server, slot int) error {
	if f.Rig.Topology == rig.Sentinel {
		_, err := f.Rig.Sentinels.AwaitFailover(ctx, old)
		return err
	}
	return until(ctx, func() error {
		now, err := f.Rig.Cluster.MasterOfSlot(ctx, slot)
		if err == nil && now == old {
			err = errRoles
		}
		return err
	})
}

// demote has the other servers follow a new primary. Their sentinels would, after
// some ten seconds.
func (f *Field) demote(ctx context.Context) error {
	if f.Rig.Topology != rig.Sentinel {
		return nil
	}
	now, err := f.Rig.Sentinels.Primary(ctx)
	if err != nil {
		return err
	}
	for _, s := range f.Rig.Servers {
		if s == now {
			continue
		}
		if err := f.admin(s).Do(ctx, "replicaof", "127.0.0.1", now.Port()).Err(); err != nil {
			return err
		}
	}
	return nil
}

// askReplica has a replica of a cluster's master take over from it.
func (f *Field) askReplica(ctx context.Context, old *redistest.Server) error {
	for _, s := range f.Rig.Servers {
		info, err := s.Info(ctx, "replication")
		if err == nil && info["role"] == "slave" && info["master_port"] == fmt.Sprint(old.Port()) {
			return f.admin(s).Do(ctx, "cluster", "failover").Err()
		}
	}
	return errRoles
}

// awaitOrder returns when every server has one role, as all see it, and every
// replica its data: after that no acknowledged lock is lost without a fault.
func (f *Field) awaitOrder(ctx context.Context) error {
	if f.Rig.Topology == rig.Cluster {
		if err := f.Rig.Cluster.AwaitOK(ctx); err != nil {
			return err
		}
		return until(ctx, func() error { return f.linked(ctx, 3) })
	}
	return until(ctx, func() error {
		if err := f.linked(ctx, 1); err != nil {
			return err
		}
		return f.sentinelsAgree(ctx)
	})
}

// linked returns nil if there are so many primaries and all other servers follow
// one of them.
func (f *Field) linked(ctx context.Context, primaries int) error {
	var follow []string
	ports := map[string]bool{}
	for _, s := range f.Rig.Servers {
		info, err := s.Info(ctx, "replication")
		switch {
		case err != nil:
			return err
		case info["role"] == "master":
			ports[fmt.Sprint(s.Port())] = true
		case info["master_link_status"] == "up":
			follow = append(follow, info["master_port"])
		}
	}
	for _, port := range follow {
		if !ports[port] {
			return errRoles
		}
	}
	if len(ports) != primaries || len(ports)+len(follow) != len(f.Rig.Servers) {
		return errRoles
	}
	return nil
}

// sentinelsAgree returns nil if all sentinels name one primary and take neither
// it nor a replica for dead: the next failover has somewhere to go.
func (f *Field) sentinelsAgree(ctx context.Context) error {
	named := map[string]bool{}
	for _, one := range f.Rig.Sentinels.Sentinels {
		m, err := f.admin(one).Do(ctx, "sentinel", "master", redistest.SentinelName).Result()
		if err != nil {
			return err
		}
		fields, _ := m.(map[any]any)
		if flags := fmt.Sprint(fields["flags"]); flags != "master" {
			return fmt.Errorf("%w: %s", errRoles, flags)
		}
		named[fmt.Sprint(fields["port"])] = true
		replicas, err := f.admin(one).Do(ctx, "sentinel", "replicas", redistest.SentinelName).Slice()
		if err != nil {
			return err
		}
		for _, r := range replicas {
			one, _ := r.(map[any]any)
			if flags := fmt.Sprint(one["flags"]); strings.Contains(flags, "down") {
				return fmt.Errorf("%w: a replica is %s", errRoles, flags)
			}
		}
	}
	if len(named) != 1 {
		return errRoles
	}
	return nil
}

// until asks again until ok returns nil.
func until(ctx context.Context, ok func() error) error {
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
