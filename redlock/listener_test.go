package redlock

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// slowAnswers is a node that joins a waiter to its queue at once, and is heard a
// while later.
type slowAnswers struct {
	engine.Node
	index int
	mute  bool        // its messages are lost
	sink  engine.Sink // the node's own
}

const lag = relock.DefaultCheckInterval / 30

func (s *slowAnswers) Addr() string { return fmt.Sprint("node-", s.index) }

func (s *slowAnswers) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := s.Node.Acquire(ctx, r)
	if r.Wait {
		<-time.After(lag)
	}
	return ans, err
}

func (s *slowAnswers) Start(sink engine.Sink) {
	s.sink = sink
	s.Node.Start(deafTo{sink, &s.mute})
}

type deafTo struct {
	engine.Sink
	mute *bool
}

func (d deafTo) Deliver(m engine.Message) {
	if !*d.mute {
		d.Sink.Deliver(m)
	}
}

// The waiter at the coordinator has its vote and queues at the other nodes, which grant to
// it before their first answers are there: the messages are lost with their
// subscriptions. With the new ones those answers are not the last word.
func TestVotesWhoseMessagesAreLostAreAskedForAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var nodes []*slowAnswers
		q, locks := locksOn(t, embedded(t, 3), func(i int, n engine.Node) engine.Node {
			nodes = append(nodes, &slowAnswers{Node: n, index: i})
			return nodes[i]
		})
		m := locks.Mutex("x")
		warm, err := m.Lock(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := warm.Unlock(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		other := &engine.Request{Name: "x", Hold: "other/1", Owner: "other", TTL: time.Hour, Life: time.Hour}
		release := func(i int) {
			rel, err := nodes[i].Release(context.Background(), &engine.Release{Name: "x", Hold: other.Hold})
			if err != nil || rel.Gone {
				t.Fatal(rel, err)
			}
		}
		for _, n := range nodes {
			if ans, err := n.Acquire(context.Background(), other); err != nil || ans.State != engine.Granted {
				t.Fatal(ans, err)
			}
		}
		got := make(chan error, 1)
		go func() {
			lease, err := m.Lock(context.Background())
			if err == nil {
				err = lease.Unlock(context.Background())
			}
			got <- err
		}()
		<-time.After(5 * lag)
		order := q.membership.order()
		release(order[0])
		synctest.Wait() // it has been told, and its requests to the others are under way
		for _, i := range order[1:] {
			nodes[i].mute = true
			release(i)
			synctest.Wait()
			nodes[i].sink.CheckIn()
		}
		start := time.Now()
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 6*lag {
			t.Errorf("had the lock %v after the new subscriptions, want at once", took)
		}
	})
}
