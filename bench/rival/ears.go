package rival

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ears hear who is next, on a channel of a client's own.
type ears struct {
	rdb     redis.UniversalClient
	pubsub  *redis.PubSub
	channel string

	mu      sync.Mutex
	waiting map[string]chan struct{} // by hold
}

func openEars(env Env, prefix string) (*ears, error) {
	e := &ears{rdb: env.dial(), channel: prefix + rand.Text(), waiting: map[string]chan struct{}{}}
	e.pubsub = e.rdb.Subscribe(context.Background(), e.channel)
	if _, err := e.pubsub.Receive(context.Background()); err != nil {
		_ = e.Close()
		return nil, err
	}
	go e.listen()
	return e, nil
}

func (e *ears) listen() {
	for {
		msg, err := e.pubsub.ReceiveMessage(context.Background())
		if err != nil {
			return
		}
		e.mu.Lock()
		heard := e.waiting[msg.Payload]
		delete(e.waiting, msg.Payload)
		e.mu.Unlock()
		if heard != nil {
			close(heard)
		}
	}
}

// expect returns what is closed when hold is named.
func (e *ears) expect(hold string) <-chan struct{} {
	heard := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[hold] = heard
	return heard
}

// forget says that hold will not be named.
func (e *ears) forget(hold string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, hold)
}

func (e *ears) Close() error {
	_ = e.pubsub.Close()
	return e.rdb.Close()
}

func await(ctx context.Context, heard <-chan struct{}) error {
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
