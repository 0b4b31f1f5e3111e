package redlock

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// chaos decides what becomes of each request, while it lasts.
type chaos struct {
	over atomic.Bool
	down []atomic.Bool // by node: it refuses connections

	mu  sync.Mutex
	rnd *rand.Rand
}

func newChaos(seed uint64, nodes int) *chaos {
	return &chaos{rnd: rand.New(rand.NewPCG(seed, 0)), down: make([]atomic.Bool, nodes)}
}

func (c *chaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rnd.IntN(n)
}

// upTo returns a time up to d.
func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.roll(int(d))) }

// lossy is a node behind a network that loses requests and replies, delivers
// requests long after their sender has given up, and loses messages.
type lossy struct {
	engine.Node
	chaos *chaos
	index int
}

func (l *lossy) Addr() string { return fmt.Sprint("node-", l.index) }

var errRefused = fmt.Errorf("%w: %w", engine.ErrUnsent, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})

// send has do executed, or not, and hands over the reply, or not. What has left
// is executed whenever it arrives, though ctx may be over.
func send[T any](ctx context.Context, l *lossy, do func(context.Context) (T, error)) (T, error) {
	var none T
	if l.chaos.down[l.index].Load() {
		return none, errRefused
	}
	delay, lost, silent := l.chaos.upTo(2*time.Millisecond), false, false
	if !l.chaos.over.Load() {
		switch l.chaos.roll(100) {
		case 0:
			lost = true
		case 1:
			silent = true
		case 2:
			delay = l.chaos.upTo(10 * time.Second)
		case 3:
			delay = l.chaos.upTo(300 * time.Millisecond)
		}
	}
	type reply struct {
		val T
		err error
	}
	replies := make(chan reply, 1)
	if !lost {
		go func() {
			<-time.After(delay)
			val, err := do(context.WithoutCancel(ctx))
			if !silent {
				replies <- reply{val, err}
			}
		}()
	}
	select {
	case r := <-replies:
		return r.val, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
}

func (l *lossy) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	sent := time.Now()
	return send(ctx, l, func(ctx context.Context) (engine.Answer, error) {
		ans, err := l.Node.Acquire(ctx, r)
		ans.Sent = sent
		return ans, err
	})
}

func (l *lossy) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	sent := time.Now()
	return send(ctx, l, func(ctx context.Context) (engine.Answer, error) {
		ans, err := l.Node.Renew(ctx, r)
		ans.Sent = sent
		return ans, err
	})
}

func (l *lossy) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	return send(ctx, l, func(ctx context.Context) (engine.Released, error) { return l.Node.Release(ctx, r) })
}

func (l *lossy) Pulse(ctx context.Context, batch []engine.Pulse) {
	for _, p := range batch {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, l.CallTimeout())
			defer cancel()
			p.Done(l.Renew(ctx, p.Renew))
		}()
	}
}

func (l *lossy) Start(s engine.Sink) { l.Node.Start(&lossySink{s, l.chaos}) }

// lossySink loses messages.
type lossySink struct {
	engine.Sink
	chaos *chaos
}

func (s *lossySink) Deliver(m engine.Message) {
	if s.chaos.over.Load() || s.chaos.roll(5) > 0 {
		s.Sink.Deliver(m)
	}
}
