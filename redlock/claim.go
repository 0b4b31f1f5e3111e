package redlock

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A claim is what one hold of the host has at the nodes. It lives until the hold
// was released and every node has been told.
type claim struct {
	q    *quorum
	hold string

	mu      sync.Mutex
	lanes   []lane
	busy    int  // lanes that are
	try     *try // the one that counts; nil: none
	refused bool // a try was told that the lock is taken
	ended   bool // released by the host
	passing bool // a try that waits for nothing was refused: the host may never say more
	gone    bool // forgotten; another claim takes its place
	last    *try // the one that was ended
	done    func(engine.Answer, error)
	changed chan struct{} // closed and replaced at each change; nil: nobody looks
	after   []func()      // to be called without mu
}

// A try is one attempt at the quorum, under a hold id of its own: the late
// release of one that was given up cannot free another.
type try struct {
	id       string
	req      engine.Request // the host's, as of its last call
	phase    phase
	gate     int  // the peer that is queued at first; -1: none
	waited   bool // there
	votes    []vote
	proposal engine.Proposal
	rounds   int
	spread   bool          // once held, it has been asked for the votes it lacks
	since    time.Time     // of the phase
	answer   engine.Answer // once held
	leave    bool          // once ended: what it holds stays
}

// phase is how far a try has come.
//
//	asking ----------------------> held
//	queued -> collecting --------> held
//
// Each may fail instead, and gives back what it has.
type phase int

const (
	asking     phase = iota // all nodes, and no queue is joined
	queued                  // at the gate only
	collecting              // has the gate's vote, and waits at the others
	held
)

// A vote is what a try has at one node.
type vote struct {
	state     voteState
	asked     bool      // a request left, or may have
	under     int       // requests under way
	knocked   bool      // a message came, or may have been lost, while one was
	late      bool      // and waited for in vain
	unsure    bool      // a request has no answer, and may take effect late
	mayHave   bool      // the node may count or queue the try
	counts    bool      // it was there when the try was won, or nobody can have had the lock since
	end       time.Time // until then it has the hold, if it forgets nothing
	proposal  engine.Proposal
	askedAt   time.Time
	ans       engine.Answer
	err       error
	returned  returnState
	returnErr error
}

type voteState int

const (
	unasked voteState = iota
	granted
	waiting
	refused
	failed
)

type returnState int

const (
	notReturned returnState = iota
	returning
	given
	gone
)

func (v *vote) pending() bool { return v.under > 0 && !v.late }

// locked runs f under c.mu, and then what f left to be called without it.
func (c *claim) locked(f func()) {
	c.mu.Lock()
	f()
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, g := range after {
		g()
	}
}

// signal wakes who waits for a change. It needs c.mu.
func (c *claim) signal() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// change returns a channel that is closed at the next change. It needs c.mu.
func (c *claim) change() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// tidy forgets a claim that is over. It needs c.mu.
func (c *claim) tidy() {
	if (c.ended || c.passing) && c.busy == 0 {
		c.gone = true
		c.q.forget(c)
	}
}

// begin makes a new try. It needs c.mu.
func (c *claim) begin(r *engine.Request) *try {
	t := &try{
		id:  c.hold + "/" + strconv.FormatUint(c.q.tries.Add(1), 36),
		req: *r, gate: -1, votes: make([]vote, len(c.q.peers)),
		since: time.Now(), proposal: c.q.propose(r),
	}
	c.try = t
	return t
}

// claimOf returns the hold that a try's id belongs to.
func claimOf(id string) string {
	hold, _, _ := strings.Cut(id, "/")
	return hold
}

// finish answers whoever waits for the outcome. A grant that nobody waits for
// is delivered. It needs c.mu.
func (c *claim) finish(ans engine.Answer, err error) {
	done := c.done
	c.done = nil
	switch {
	case done != nil:
		c.after = append(c.after, func() { done(ans, err) })
	case err == nil && ans.State == engine.Granted && !c.ended:
		m := engine.Message{Name: c.try.req.Name, Hold: c.hold, Token: ans.Token, Left: ans.Left, Sent: ans.Sent}
		c.after = append(c.after, func() { c.q.sink.Deliver(m) })
	case err != nil && !c.ended:
		c.after = append(c.after, func() { c.q.sink.CheckIn() }) // it is to try again
	}
}

// drop ends the try and gives back what it has. It needs c.mu.
func (c *claim) drop() {
	t := c.try
	if t == nil {
		return
	}
	c.try, c.last = nil, t
	for i := range t.votes {
		c.giveBack(t, i)
	}
}

// fail drops the try and says why. It needs c.mu.
func (c *claim) fail(v verdict) {
	t := c.try
	ans, err := engine.Answer{}, error(nil)
	if v == taken {
		c.refused, c.passing = true, !t.req.Wait
		ans, _ = t.inTheWay()
		ans.State = engine.Taken
	} else {
		err = t.quorumError(c.q)
	}
	c.drop()
	c.finish(ans, err)
	c.tidy()
}

// inTheWay describes the holder that most nodes name, and says how many do. Of
// its token some may not have heard.
func (t *try) inTheWay() (best engine.Answer, n int) {
	votes, tokens := map[string]int{}, map[string]int64{}
	for i := range t.votes {
		v := &t.votes[i]
		if v.state != refused && v.state != waiting {
			continue
		}
		votes[v.ans.Owner]++
		tokens[v.ans.Owner] = max(tokens[v.ans.Owner], v.ans.Token)
		if votes[v.ans.Owner] > n {
			best, n = v.ans, votes[v.ans.Owner]
		}
	}
	best.Token = tokens[best.Owner]
	return best, n
}

// errTaken is a node that has another holder, where too few answered to say that
// the lock is taken: it must not pass for [relock.ErrNotAcquired].
var errTaken = errors.New("held by another on this node")

func (t *try) quorumError(q *quorum) error {
	e := newNoQuorumError(q.need)
	for i := range t.votes {
		v := &t.votes[i]
		switch {
		case v.state == granted:
			e.Acquired++
		case v.state == refused, v.state == waiting:
			e.Nodes[q.peers[i].addr] = errTaken
		case v.err != nil:
			e.Nodes[q.peers[i].addr] = v.err
		default:
			e.Nodes[q.peers[i].addr] = lateError{q.set.patience(t.req.TTL)}
		}
	}
	return e
}
