package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/redistest"
)

// Faults of the servers' processes.

// healWithin bounds what must happen for a fault to be over.
const healWithin = 60 * time.Second

// healing is a context for the end of a fault, which must be reached though the
// run is over.
func healing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), healWithin)
}

func (f *Field) killAndRestart(ctx context.Context, w *history.Window) error {
	list, down := f.some(ctx), f.between(20*time.Millisecond, 1200*time.Millisecond)
	return f.killFor(ctx, w, list, down)
}

func (f *Field) killFor(ctx context.Context, w *history.Window, list []*redistest.Server, down time.Duration) error {
	for _, s := range list {
		s.Kill()
		w.Hits++
	}
	err := wait(ctx, down)
	heal, cancel := healing(ctx)
	defer cancel()
	for _, s := range list {
		err = errors.Join(err, s.Restart(heal))
	}
	return err
}

func (f *Field) stopServer(ctx context.Context, w *history.Window) error {
	list, span := f.some(ctx), f.between(50*time.Millisecond, f.longest())
	return f.stopServers(ctx, w, list, span)
}

func (f *Field) stopServers(ctx context.Context, w *history.Window, list []*redistest.Server, span time.Duration) error {
	var errs []error
	for _, s := range list {
		errs = append(errs, s.Pause())
		w.Hits++
	}
	errs = append(errs, wait(ctx, span))
	for _, s := range list {
		errs = append(errs, s.Resume())
	}
	return errors.Join(errs...)
}

// most draws a majority of the nodes.
func (f *Field) most() []*redistest.Server {
	var list []*redistest.Server
	for _, i := range f.rng.Perm(len(f.Rig.Servers))[:len(f.Rig.Servers)/2+1] {
		list = append(list, f.Rig.Servers[i])
	}
	return list
}

func (f *Field) stopMajority(ctx context.Context, w *history.Window) error {
	list, span := f.most(), f.between(100*time.Millisecond, 2500*time.Millisecond)
	return f.stopServers(ctx, w, list, span)
}

func (f *Field) killMajority(ctx context.Context, w *history.Window) error {
	list, down := f.most(), f.between(20*time.Millisecond, 1200*time.Millisecond)
	return f.killFor(ctx, w, list, down)
}

// failover kills a primary; the replicas are in order, but replication is
// asynchronous.
func (f *Field) failover(ctx context.Context, w *history.Window) error {
	old := f.server(ctx)
	return f.failOver(ctx, w, old)
}

func (f *Field) failOver(ctx context.Context, w *history.Window, old *redistest.Server) error {
	heal, cancel := healing(ctx)
	defer cancel()
	slot, err := f.slotOf(heal, old)
	if err != nil {
		return err
	}
	old.Kill()
	w.Hits++
	w.Failover = true
	err = f.awaitFailover(heal, old, slot)
	again, cancel := healing(ctx) // also when nobody has taken over
	defer cancel()
	if err := errors.Join(err, old.Restart(again)); err != nil {
		return err
	}
	return f.settle(again)
}

// failoverWithoutData cuts the replicas off, lets locks be taken that they do
// not have, and kills the primary.
func (f *Field) failoverWithoutData(ctx context.Context, w *history.Window) error {
	old, span := f.server(ctx), f.between(50*time.Millisecond, 300*time.Millisecond)
	heal, cancel := healing(ctx)
	defer cancel()
	cut := f.detachReplicas
	if f.Rig.Topology == rig.Cluster {
		cut = f.starveReplicas
	}
	if err := cut(heal, old, span); err != nil {
		return err
	}
	return f.failOver(ctx, w, old)
}

// detachReplicas has the replicas follow nobody. Their sentinels set them right
// again once the primary is dead.
func (f *Field) detachReplicas(ctx context.Context, old *redistest.Server, span time.Duration) error {
	for _, s := range f.Rig.Servers {
		if s == old || !s.Running() {
			continue
		}
		if err := f.admin(s).Do(ctx, "replicaof", "127.0.0.1", 1).Err(); err != nil {
			return fmt.Errorf("detach a replica: %w", err)
		}
	}
	return wait(ctx, span)
}

// starveReplicas cuts the connections to the replicas as often as they come
// back: in a cluster REPLICAOF is refused.
func (f *Field) starveReplicas(ctx context.Context, old *redistest.Server, span time.Duration) error {
	for end := time.Now().Add(span); time.Now().Before(end); {
		if err := f.admin(old).Do(ctx, "client", "kill", "type", "replica").Err(); err != nil {
			return fmt.Errorf("cut off a replica: %w", err)
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// plannedFailover is the one that an operator asks for.
func (f *Field) plannedFailover(ctx context.Context, w *history.Window) error {
	old := f.server(ctx)
	heal, cancel := healing(ctx)
	defer cancel()
	slot, err := f.slotOf(heal, old)
	if err != nil {
		return err
	}
	if f.Rig.Topology == rig.Sentinel {
		err = rig.Admin(f.Rig.Sentinels.Sentinels[0]).Do(heal, "sentinel", "failover", redistest.SentinelName).Err()
	} else {
		err = f.askReplica(heal, old)
	}
	if err != nil {
		w.Note = err.Error() // INPROG, NOGOODSLAVE: it is too soon after the last one
		return nil
	}
	w.Hits++
	w.Failover = true
	if err := f.awaitFailover(heal, old, slot); err != nil {
		return err
	}
	return f.settle(heal)
}

// settle returns when all servers have their roles after a failover.
func (f *Field) settle(ctx context.Context) error {
	if err := f.demote(ctx); err != nil {
		return err
	}
	return f.awaitOrder(ctx)
}

// migrateSlot moves the slot of a contended lock, and leaves it half moved for a
// while.
func (f *Field) migrateSlot(ctx context.Context, w *history.Window) error {
	name, span, n := f.Shared[f.rng.IntN(len(f.Shared))], f.between(0, 500*time.Millisecond), f.rng.IntN(1<<16)
	w.Note = name
	heal, cancel := healing(ctx)
	defer cancel()
	slot, err := f.Rig.Cluster.Slot(heal, name)
	if err != nil {
		return err
	}
	from, err := f.Rig.Cluster.MasterOfSlot(heal, slot)
	if err != nil {
		return err
	}
	var others []*redistest.Server
	for _, s := range f.Rig.Primaries(heal) {
		if s != from {
			others = append(others, s)
		}
	}
	m, err := f.Rig.Cluster.Migrate(heal, slot, others[n%len(others)])
	if err != nil {
		return err
	}
	w.Hits++
	keys, err := m.Keys(heal)
	if err == nil && len(keys) > 1 {
		err = m.Move(heal, keys[n%len(keys)])
	}
	_ = wait(ctx, span)
	return errors.Join(err, m.Finish(heal))
}
