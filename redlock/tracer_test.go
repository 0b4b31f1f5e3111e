package redlock_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// heard is a tracer of how calls end and of what is released.
type heard struct {
	mu       sync.Mutex
	ends     []relock.AcquireEnd
	released []relock.ReleaseEnd
}

func (h *heard) TraceAcquireStart(ctx context.Context, _ relock.AcquireStart) context.Context {
	return ctx
}

func (h *heard) TraceAcquireEnd(_ context.Context, e relock.AcquireEnd) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, e)
}

func (h *heard) TraceReleaseStart(ctx context.Context, _ relock.ReleaseStart) context.Context {
	return ctx
}

func (h *heard) TraceReleaseEnd(_ context.Context, e relock.ReleaseEnd) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = append(h.released, e)
}

// tracedClients returns a client on each of n embedded servers, and who is told
// of it.
func tracedClients(t *testing.T, n int) (clients []*relock.Client, told []*heard) {
	t.Helper()
	for range n {
		_, rdb := redistest.Embedded(t)
		h := &heard{}
		c, err := relock.New(rdb, relock.WithTracer(h))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		clients, told = append(clients, c), append(told, h)
	}
	return clients, told
}

func TestARedLocksHoldIsOneEventOfItsFirstClientsTracer(t *testing.T) {
	clients, told := tracedClients(t, 3)
	r, err := redlock.New(clients)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lease, err := r.Mutex("a").Lock(bg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Stats(), (relock.Stats{Held: 1, Acquired: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := r.Mutex("a").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
	if err := lease.Unlock(bg); err != nil {
		t.Error(err)
	}
	if got, want := r.Stats(), (relock.Stats{Acquired: 1, NotAcquired: 1, Released: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	first := told[0]
	if len(first.ends) != 2 || !first.ends[0].Quorum || first.ends[0].Token != lease.Token() || first.ends[1].Err == nil || len(first.released) != 1 {
		t.Errorf("got %+v and %+v, want a lock, a try and a release of a quorum", first.ends, first.released)
	}
	for i, h := range told[1:] {
		if len(h.ends)+len(h.released) > 0 {
			t.Errorf("the tracer of client %d was told too: %+v", i+1, h.ends)
		}
	}
	for i, c := range clients {
		if got := c.Stats(); got != (relock.Stats{}) {
			t.Errorf("client %d: got %+v, want nothing", i, got)
		}
	}
}

func TestAMultiLocksEventsAreThoseOfItsMembers(t *testing.T) {
	clients, told := tracedClients(t, 2)
	m, err := redlock.NewMultiLock(clients[0].Mutex("a"), clients[0].Mutex("b"), clients[1].Mutex("c"))
	if err != nil {
		t.Fatal(err)
	}
	lease, err := m.Lock(bg)
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Unlock(bg); err != nil {
		t.Error(err)
	}
	for i, want := range [][]string{{"a", "b"}, {"c"}} {
		var names, released []string
		for _, e := range told[i].ends {
			names = append(names, e.Name)
		}
		for _, e := range told[i].released {
			released = append(released, e.Name)
		}
		slices.Sort(names)
		slices.Sort(released)
		if !slices.Equal(names, want) || !slices.Equal(released, want) {
			t.Errorf("client %d: got %q had and %q released, want %q", i, names, released, want)
		}
		n := uint64(len(want))
		if got, want := clients[i].Stats(), (relock.Stats{Acquired: n, Released: n}); got != want {
			t.Errorf("client %d: got %+v, want %+v", i, got, want)
		}
	}
	taken, err := clients[0].Mutex("b").Lock(bg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
	// Its two members there were asked for by one request: neither was granted.
	if got, want := clients[0].Stats(), (relock.Stats{Held: 1, Acquired: 3, Released: 2, NotAcquired: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := taken.Unlock(bg); err != nil {
		t.Error(err)
	}
}
