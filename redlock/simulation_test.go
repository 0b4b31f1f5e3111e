package redlock

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// Processes contend for one lock, in virtual time, on nodes that fail and by a
// network that loses, delays and reorders. What must hold whatever happens: no
// two owners believe in the lock at one time, and whoever gets it has a greater
// token than every other owner before. When the faults are over, everybody gets
// the lock, and no key of it stays. RELOCK_FULL=1 makes it twenty seeds.
func TestSimulation(t *testing.T) {
	seed := flag.Lookup("seed").Value.(flag.Getter).Get().(uint64)
	runs := uint64(1)
	if os.Getenv("RELOCK_FULL") != "" {
		runs = 20
	}
	for i := range runs {
		for _, nodes := range []int{3, 5} {
			t.Run(fmt.Sprint(nodes, " nodes, -seed=", seed+i), func(t *testing.T) {
				inBubble(t, func(t *testing.T) { newSimulation(t, seed+i, nodes).run() })
			})
		}
	}
}

const simulatedTTL = 5 * time.Second

type simulation struct {
	*testing.T
	*chaos
	servers   []*miniredis.Miniredis
	processes []*relock.Client
	quorums   []*quorum

	mu       sync.Mutex
	holder   *relock.Lease // the last that was granted and not given back
	owner    relock.Owner  // of last
	last     relock.Token  // the greatest token had
	previous relock.Token  // the greatest had by another owner
	had      int
}

func newSimulation(t *testing.T, seed uint64, nodes int) *simulation {
	s := &simulation{T: t, chaos: newChaos(seed, nodes), servers: embedded(t, nodes)}
	for range 4 {
		s.processes = append(s.processes, s.process())
	}
	return s
}

func (s *simulation) process() *relock.Client {
	q, locks := locksOn(s.T, s.servers, func(i int, n engine.Node) engine.Node { return &lossy{n, s.chaos, i} })
	s.quorums = append(s.quorums, q)
	return locks
}

func (s *simulation) run() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range s.down {
		wg.Go(func() { s.flap(ctx, i) })
	}
	for _, p := range s.processes {
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					s.section(ctx, p)
				}
			})
		}
	}
	wg.Wait()
	s.over.Store(true)
	s.settle()
}

// flap has a node go down and come back. A majority may be down at one time.
func (s *simulation) flap(ctx context.Context, i int) {
	for ctx.Err() == nil {
		<-time.After(s.upTo(40 * time.Second))
		s.down[i].Store(true)
		<-time.After(s.upTo(5 * time.Second))
		s.down[i].Store(false)
	}
}

// section takes the lock in one of the ways there are, and gives it back, or
// lets it end.
func (s *simulation) section(ctx context.Context, p *relock.Client) {
	ctx, cancel := context.WithTimeout(ctx, s.upTo(20*time.Second))
	defer cancel()
	var l relock.Locker
	switch s.roll(4) {
	case 0:
		l = p.Mutex("x", relock.WithLease(simulatedTTL))
	case 1:
		l = p.Reentrant("x", relock.WithTTL(simulatedTTL))
		ctx = relock.WithOwner(ctx, "shared") // by several processes
	default:
		l = p.Mutex("x", relock.WithTTL(simulatedTTL))
	}
	get := l.Lock
	if s.roll(4) == 0 {
		get = l.TryLock
	}
	lease, err := get(ctx)
	if err != nil {
		<-time.After(s.upTo(100 * time.Millisecond))
		return
	}
	s.enter(lease)
	hold := s.upTo(200 * time.Millisecond)
	if s.roll(20) == 0 {
		hold = s.upTo(2 * simulatedTTL)
	}
	<-time.After(hold)
	s.leave(lease)
	_ = lease.Unlock(context.Background())
}

// enter checks what must hold when a lock is granted.
func (s *simulation) enter(l *relock.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.Err() != nil {
		return
	}
	s.had++
	if h := s.holder; h != nil && h.Owner() != l.Owner() && h.Err() == nil {
		s.Errorf("%s has the lock under %v until %v, and %s under %v", h.Owner(), h.Token(), h.ValidUntil(), l.Owner(), l.Token())
	}
	if l.Owner() != s.owner {
		s.owner, s.previous = l.Owner(), s.last
	}
	if l.Token() <= s.previous {
		s.Errorf("token %v of %s after %v", l.Token(), l.Owner(), s.previous)
	}
	s.last = max(s.last, l.Token())
	if h := s.holder; h == nil || h.Owner() != l.Owner() || l.ValidUntil().After(h.ValidUntil()) {
		s.holder = l
	}
}

func (s *simulation) leave(l *relock.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == l {
		s.holder = nil
	}
}

// settle checks what must hold when the faults are over.
func (s *simulation) settle() {
	for _, p := range s.processes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		lease, err := p.Mutex("x", relock.WithTTL(simulatedTTL)).Lock(ctx)
		cancel()
		if err != nil {
			s.Errorf("the faults are over: %v", err)
			continue
		}
		s.enter(lease)
		s.leave(lease)
		if err := lease.Unlock(context.Background()); err != nil && !errors.Is(err, relock.ErrLost) {
			s.Errorf("the faults are over: Unlock: %v", err)
		}
	}
	<-time.After(time.Minute)
	for i, m := range s.servers {
		for _, key := range m.Keys() {
			if strings.Contains(key, "redlock:") || strings.Contains(key, "redqueue:") || strings.Contains(key, "redwaiters:") {
				s.Errorf("node %d: %s is left behind", i, key)
			}
		}
	}
	for i, q := range s.quorums {
		q.mu.Lock()
		if len(q.drivers)+len(q.owned) > 0 {
			s.Errorf("process %d has %d requests and %d tokens of owners left", i, len(q.drivers), len(q.owned))
		}
		q.mu.Unlock()
		for n, p := range q.peers {
			if late := p.late.Load(); late != 0 {
				s.Errorf("process %d counts %d answers of node %d as late", i, late, n)
			}
		}
	}
	s.Logf("%d sections", s.had)
}
