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

// rosterAgain is how often a node that could not be identified is asked again.
const rosterAgain = time.Second

// The roster says which servers the nodes are. Each server keeps an id of its
// own and, once all were seen, the ids of all nodes. So a server that is listed
// twice, a list that differs from that of other processes, and a server that has
// lost its data are found before they are trusted with a vote.
type roster struct {
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

func newRoster(q *quorum) *roster {
	r := &roster{q: q, refused: make([]error, len(q.peers))}
	for i := range r.refused {
		r.refused[i] = errUnidentified
	}
	return r
}

// refuses returns why peer i has no vote, or nil.
func (r *roster) refuses(i int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[i]
}

// order returns the peers that vote by their ids: the same in every process.
func (r *roster) order() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sorted
}

// expel takes the vote of a peer that is not what it was known as.
func (r *roster) expel(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused[i] == nil {
		r.refused[i] = err
		r.sorted = slices.DeleteFunc(slices.Clone(r.sorted), func(j int) bool { return i == j })
	}
}

// ready identifies the nodes. It waits for that only while too few are known.
func (r *roster) ready(ctx context.Context, patience time.Duration) error {
	r.mu.Lock()
	r.refresh(patience)
	enough, running, fatal := len(r.sorted) >= r.q.need, r.running, r.fatal
	r.mu.Unlock()
	if enough || running == nil {
		return fatal
	}
	select {
	case <-running:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.fatal
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
}

// look refreshes what is known, and waits for nothing.
func (r *roster) look(patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh(patience)
}

// refresh asks again who the nodes are if some have no vote: from time to time,
// or at once while there is no quorum. It needs r.mu.
func (r *roster) refresh(patience time.Duration) {
	if r.running != nil || len(r.sorted) == len(r.refused) {
		return
	}
	if len(r.sorted) >= r.q.need && time.Now().Before(r.again) {
		return
	}
	done := make(chan struct{})
	r.running = done
	r.q.tasks.run(func() { r.identify(patience, done) })
}

// identify asks every peer who it is.
func (r *roster) identify(patience time.Duration, done chan struct{}) {
	got := make([]*engine.Enrolment, len(r.q.peers))
	errs := make([]error, len(r.q.peers))
	r.ask(patience, func(ctx context.Context, i int) {
		e, err := r.q.peers[i].node.Enrol(ctx, rand.Text(), "")
		if errs[i] = err; err == nil {
			got[i] = &e
		}
	})
	list, refused, fatal := judge(r.q.addrs(), got)
	for i, err := range errs {
		if err != nil {
			refused[i] = err
		}
	}
	if list != "" {
		r.ask(patience, func(ctx context.Context, i int) {
			if got[i] != nil && refused[i] == nil && got[i].Roster == "" {
				// Whoever fails here is told by the next process.
				_, _ = r.q.peers[i].node.Enrol(ctx, got[i].ID, list)
			}
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused, r.fatal, r.sorted, r.list = refused, fatal, nil, list
	for i := range refused {
		if refused[i] == nil {
			r.q.peers[i].node.Trust(got[i].ID)
			r.sorted = append(r.sorted, i)
		}
	}
	slices.SortFunc(r.sorted, func(a, b int) int { return strings.Compare(got[a].ID, got[b].ID) })
	r.again = time.Now().Add(rosterAgain)
	r.running = nil
	close(done)
}

func (r *roster) ask(patience time.Duration, f func(ctx context.Context, i int)) {
	ctx, cancel := context.WithTimeout(r.q.bg, patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range r.q.peers {
		wg.Go(func() { f(ctx, i) })
	}
	wg.Wait()
}

// judge compares what the nodes remember. It returns the list of ids that they
// are to remember, if all are known and agree; why single nodes are refused; and
// why all are.
func judge(addrs []string, got []*engine.Enrolment) (list string, refused []error, fatal error) {
	refused = make([]error, len(got))
	ids, rosters := map[string]int{}, map[string]int{}
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
			rosters[e.Roster] = i
		}
	}
	known := make([]string, 0, len(ids))
	for id := range ids {
		known = append(known, id)
	}
	slices.Sort(known)
	switch {
	case len(rosters) == 0 && len(known) == len(got):
		return strings.Join(known, ","), refused, nil
	case len(rosters) == 0:
		return "", refused, nil
	case len(rosters) > 1:
		return "", refused, invalid("the nodes belong to different quorums: %s", owners(addrs, rosters))
	}
	for roster, by := range rosters {
		members := strings.Split(roster, ",")
		if len(members) != len(got) {
			return "", refused, invalid("node %s is one of %d nodes, and %d are given", addrs[by], len(members), len(got))
		}
		for id, i := range ids {
			if !slices.Contains(members, id) {
				refused[i] = fmt.Errorf("%w: node %s is not one of those that node %s belongs with: it has lost its data, or is another server",
					engine.ErrForgot, addrs[i], addrs[by])
			}
		}
		list = roster
	}
	return list, refused, nil
}

func owners(addrs []string, rosters map[string]int) string {
	var named []string
	for _, i := range rosters {
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
