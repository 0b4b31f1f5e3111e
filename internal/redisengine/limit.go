package redisengine

import "time"

// A limit says how many requests to a server should be under way at once, each
// on a connection of its own, before others wait to share one.
//
// It is read off what answers take, as TCP Vegas reads a window off round-trip times
// (Brakmo and Peterson, "TCP Vegas: End to end congestion avoidance on a global
// Internet", whose numbers are Linux's). What an answer takes longer than the quickest
// ones do it has spent waiting for others, at the server or for this machine's
// processors: so many of those that are under way wait at a time, and a few that wait
// keep the server busy. Where fewer do, whoever is held back is held back for nothing;
// what is more is answered as soon if it leaves together. So a server that is far is
// sent each request at once, and one that is near many together, whatever the machine.
type limit struct {
	now   int
	cap   int
	quick time.Duration // what the quickest answers of late took
	least time.Duration // of this window
	seen  int           // answers in it

	// A round is as many answers as may be under way. Its quickest speaks for it: others
	// have waited for what has nothing to do with how many are under way.
	round  int
	free   float64 // the share of its time that the least disturbed did not wait
	wanted bool    // about as many were under way as may be
}

const (
	leastSending = 2   // the server has one to work on while the other is read
	window       = 512 // answers after which an older quickest one is forgotten

	// How many wait at a time.
	idle = 1 // so few that twice as many may be under way
	few  = 2 // so few that one more may be
	many = 4 // above it one less should be

	// further is what each further request of a pipeline adds to what it takes, of
	// the quickest answer: so much where a server is near. Where one is far it is
	// less, and then nothing waits anyway.
	further = 0.25
)

func (m *limit) init(pool int) {
	m.now = leastSending
	m.cap = max(leastSending, pool*4/5)
}

func (m *limit) most() int { return m.now }

// observe takes note of the answer to so many requests in one, when so many such
// pipelines were under way.
func (m *limit) observe(took time.Duration, requests, sending int) {
	took = max(took, 1)
	if m.seen++; m.least == 0 || took < m.least {
		m.least = took
	}
	if m.quick == 0 || took < m.quick {
		m.quick = took
	}
	if m.seen == window {
		m.quick, m.least, m.seen = m.least, 0, 0
	}
	m.free = max(m.free, float64(m.quick)*(1+further*float64(requests-1))/float64(took))
	m.wanted = m.wanted || 2*sending > m.now
	if m.round++; m.round >= m.now {
		m.adapt(float64(m.now)*(1-m.free), m.wanted)
		m.round, m.free, m.wanted = 0, 0, false
	}
}

// adapt sets the limit after a round in which so many waited.
func (m *limit) adapt(waiting float64, wanted bool) {
	switch {
	case waiting > many:
		m.now = max(leastSending, m.now-1)
	case waiting < idle && wanted:
		m.now = min(m.cap, 2*m.now)
	case waiting < few && wanted:
		m.now = min(m.cap, m.now+1)
	}
}

// timedOut takes note of one that had no answer in time.
func (m *limit) timedOut() { m.now = max(leastSending, m.now/2) }
