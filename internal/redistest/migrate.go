package redistest

import (
	"context"
	"fmt"
)

// migrateTimeout bounds one MIGRATE, in milliseconds.
const migrateTimeout = 5000

// Migration is a slot on its way from one master to another. Its steps are
// the caller's, so that a test can act between them.
type Migration struct {
	Slot     int
	From, To *Server

	cluster *Cluster
	toID    string
}

// Migrate begins to move a slot to another master (SETSLOT IMPORTING and
// MIGRATING). From now on the old owner answers ASK for a key it does not
// have, and TRYAGAIN for several keys of which some have moved.
func (c *Cluster) Migrate(ctx context.Context, slot int, to *Server) (*Migration, error) {
	from, err := c.MasterOfSlot(ctx, slot)
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, fmt.Errorf("redistest: slot %d is at %s already", slot, to.Addr())
	}
	m := &Migration{Slot: slot, From: from, To: to, cluster: c}
	return m, m.begin(ctx)
}

func (m *Migration) begin(ctx context.Context) error {
	fromID, err := m.From.nodeID(ctx)
	if err != nil {
		return err
	}
	if m.toID, err = m.To.nodeID(ctx); err != nil {
		return err
	}
	if err := m.setSlot(ctx, m.To, "importing", fromID); err != nil {
		return err
	}
	return m.setSlot(ctx, m.From, "migrating", m.toID)
}

// Keys returns the slot's keys that are still at the old owner, at most 1000.
func (m *Migration) Keys(ctx context.Context) ([]string, error) {
	reply, err := m.From.Do(ctx, "cluster", "getkeysinslot", m.Slot, 1000)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	keys := make([]string, len(list))
	for i, key := range list {
		keys[i] = fmt.Sprint(key)
	}
	return keys, nil
}

// Move moves one key, with its time to live. A key that the old owner does
// not have is no error.
func (m *Migration) Move(ctx context.Context, key string) error {
	_, err := m.From.Do(ctx, "migrate", host, m.To.Port(), key, 0, migrateTimeout)
	return err
}

// Finish moves the keys that are left and gives the slot to its new owner on
// every master that runs. The new owner learns of it first: it must accept
// the slot before the old one redirects to it.
func (m *Migration) Finish(ctx context.Context) error {
	if err := m.moveRest(ctx); err != nil {
		return err
	}
	for _, s := range append([]*Server{m.To, m.From}, m.cluster.Nodes...) {
		if err := m.settle(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Migration) moveRest(ctx context.Context) error {
	for {
		keys, err := m.Keys(ctx)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := m.Move(ctx, key); err != nil {
				return err
			}
		}
	}
}

// settle tells a node the slot's new owner. Replicas refuse to be told; they
// hear of it from their master.
func (m *Migration) settle(ctx context.Context, s *Server) error {
	if !s.Running() {
		return nil
	}
	info, err := s.Info(ctx, "replication")
	if err != nil || info["role"] != "master" {
		return err
	}
	return m.setSlot(ctx, s, "node", m.toID)
}

func (m *Migration) setSlot(ctx context.Context, s *Server, state, id string) error {
	_, err := s.Do(ctx, "cluster", "setslot", m.Slot, state, id)
	return err
}
