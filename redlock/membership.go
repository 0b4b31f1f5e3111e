package redlock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// identifyAgain is how often a node that could not be identified is asked again.
const identifyAgain = time.Second

// The membership says which servers the nodes are. Each server keeps an id of its
// own and, once all were seen, the ids of all nodes. So a server that is listed
// twice, a list that differs from that of other processes, and a server that has
// lost its data are found before they are trusted with a vote.
type membership struct {
	q *quorum

	mu      sync.Mutex
	refused []error // by peer: why it has no vote
	fatal   error   // why nothing can be locked
	sorted  []int   // the peers that vote, in the order of their ids
	list    string  // the ids of all nodes; "" until they are known
	again   time.Time
	running chan struct{} // closed at the end of the pass that is under way
}

var errUnidentified = errors.New("not identified yet")

func newMembership(q *quorum) *membership {
	m := &membership{q: q, refused: make([]error, len(q.peers))}
	for i := range m.refused {
		m.refused[i] = errUnidentified
	}
	return m
}

// refuses returns why peer i has no vote, or nil.
func (m *membership) refuses(i int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused[i]
}

// order returns the peers that vote by their ids: the same in every process.
func (m *membership) order() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sorted
}

// expel takes the vote of a peer that is not what it was known as.
func (m *membership) expel(i int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused[i] == nil {
		m.refused[i] = err
		m.sorted = slices.DeleteFunc(slices.Clone(m.sorted), func(j int) bool { return i == j })
	}
}

// ready identifies the nodes. It waits for that only while too few are known.
func (m *membership) ready(ctx context.Context, patience time.Duration) error {
	m.mu.Lock()
	m.refresh(patience)
	enough, running, fatal := len(m.sorted) >= m.q.need, m.running, m.fatal
	m.mu.Unlock()
	if enough || running == nil {
		return fatal
	}
	select {
	case <-running:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.fatal
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
}

// look refreshes what is known, and waits for nothing.
func (m *membership) look(patience time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(patience)
}

// refresh asks again who the nodes are if some have no vote: from time to time,
// or at once while there is no quorum. It needs m.mu.
func (m *membership) refresh(patience time.Duration) {
	if m.running != nil || len(m.sorted) == len(m.refused) {
		return
	}
	if len(m.sorted) >= m.q.need && time.Now().Before(m.again) {
		return
	}
	done := make(chan struct{})
	m.running = done
	m.q.tasks.run(func() { m.identify(patience, done) })
}

// identify asks every peer who it is.
func (m *membership) identify(patience time.Duration, done chan struct{}) {
	got := make([]*engine.Enrolment, len(m.q.peers))
	errs := make([]error, len(m.q.peers))
	m.ask(patience, func(ctx context.Context, i int) {
		e, err := m.q.peers[i].node.Enrol(ctx, rand.Text(), "")
		if errs[i] = err; err == nil {
			got[i] = &e
		}
	})
	list, refused, fatal := judge(m.q.addrs(), got)
	for i, err := range errs {
		if err != nil {
			refused[i] = err
		}
	}
	if list != "" {
		m.ask(patience, func(ctx context.Context, i int) {
			if got[i] != nil && refused[i] == nil && got[i].Roster == "" {
				// Whoever fails here is told by the next process.
				_, _ = m.q.peers[i].node.Enrol(ctx, got[i].ID, list)
			}
		})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused, m.fatal, m.sorted, m.list = refused, fatal, nil, list
	for i := range refused {
		if refused[i] == nil {
			m.q.peers[i].node.Trust(got[i].ID)
			m.sorted = append(m.sorted, i)
		}
	}
	slices.SortFunc(m.sorted, func(a, b int) int { return strings.Compare(got[a].ID, got[b].ID) })
	m.again = time.Now().Add(identifyAgain)
	m.running = nil
	close(done)
}

func (m *membership) ask(patience time.Duration, f func(ctx context.Context, i int)) {
	ctx, cancel := context.WithTimeout(m.q.bg, patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range m.q.peers {
		wg.Go(func() { f(ctx, i) })
	}
	wg.Wait()
}

// judge compares what the nodes remember. It returns the list of ids that they
// are to remember, if all are known and agree; why single nodes are refused; and
// why all are.
func judge(addrs []string, got []*engine.Enrolment) (list string, refused []error, fatal error) {
	refused = make([]error, len(got))
	ids, lists := map[string]int{}, map[string]int{}
	for i, e := range got {
		if e == nil {
			refused[i] = errUnidentified
			continue
		}
		if j, twice := ids[e.ID]; twice {
			return "", refused, invalid("nodes %s and %s are one server", addrs[j], addrs[i])
		}
		ids[e.ID] = i
		if e.Roster != "" {
			lists[e.Roster] = i
		}
	}
	known := make([]string, 0, len(ids))
	for id := range ids {
		known = append(known, id)
	}
	slices.Sort(known)
	switch {
	case len(lists) == 0 && len(known) == len(got):
		return strings.Join(known, ","), refused, nil
	case len(lists) == 0:
		return "", refused, nil
	case len(lists) > 1:
		return "", refused, invalid("the nodes belong to different quorums: %s", owners(addrs, lists))
	}
	for known, by := range lists {
		members := strings.Split(known, ",")
		if len(members) != len(got) {
			return "", refused, invalid("node %s is one of %d nodes, and %d are given", addrs[by], len(members), len(got))
		}
		for id, i := range ids {
			if !slices.Contains(members, id) {
				refused[i] = fmt.Errorf("%w: node %s is not one of those that node %s belongs with: it has lost its data, or is another server",
					engine.ErrForgot, addrs[i], addrs[by])
			}
		}
		list = known
	}
	return list, refused, nil
}

func owners(addrs []string, lists map[string]int) string {
	var named []string
	for _, i := range lists {
		named = append(named, addrs[i])
	}
	slices.Sort(named)
	return strings.Join(named, " and ")
}

func (q *quorum) addrs() []string {
	all := make([]string, len(q.peers))
	for i, p := range q.peers {
		all[i] = p.addr
	}
	return all
}
