package lifecycle

import (
	"context"

	"github.com/relock-go/relock/internal/engine"
)

// patient is an inspector that asks about one lock until it is answered, as a lock
// does.
type patient struct {
	engine.Inspector
	manager *Manager
}

// Inspector returns one that asks as often as the manager does.
func (m *Manager) Inspector(in engine.Inspector) engine.Inspector { return patient{in, m} }

func (p patient) Queue(ctx context.Context, name string, most int) (st engine.Status, queue []engine.Waiter, err error) {
	err = p.manager.ask(ctx, func(ctx context.Context) (err error) {
		st, queue, err = p.Inspector.Queue(ctx, name, most)
		return err
	})
	return st, queue, err
}

func (p patient) Force(ctx context.Context, name string, token int64) (freed bool, err error) {
	err = p.manager.ask(ctx, func(ctx context.Context) (err error) {
		freed, err = p.Inspector.Force(ctx, name, token)
		return err
	})
	return freed, err
}
