package redisengine

import "time"

// A limit says how many requests to a server should be under way at once, each
// on a connection of its own, before others wait to share one.
//
// It is read off what answers take (as TCP Vegas reads a window off round-trip
// times: Brakmo and Peterson, "TCP Vegas: End to end congestion avoidance on a
// global Internet"). As long as they take what the quickest do, whoever waits
// would wait for nothing: the limit grows. When they take some times that, they
// wait for each other, at the server or for this machine's processors, and would
// be answered as soon if they left together: it shrinks. So a server that is far
// is sent each request at once, and one that is near many together, whatever the
// machine.
type limit struct {
	now   float64
	cap   float64
	quick time.Duration // what the quickest answers of late took
	least time.Duration // of this window
	seen  int           // answers in it
}

const (
	leastSending = 2   // the server has one to work on while the other is read
	window       = 512 // answers after which an older quickest one is forgotten
	freely       = 2   // times the quickest: they do not wait for each other
	crowded      = 3   // they do
)

func (m *limit) init(pool int) {
	m.now = leastSending
	m.cap = float64(max(leastSending, pool*4/5))
}

func (m *limit) most() int { return int(m.now) }

// observe takes note of an answer, when so many were under way.
func (m *limit) observe(took time.Duration, sending int) {
	if m.seen++; m.least == 0 || took < m.least {
		m.least = took
	}
	if m.quick == 0 || took < m.quick {
		m.quick = took
	}
	if m.seen == window {
		m.quick, m.least, m.seen = m.least, 0, 0
	}
	switch {
	case took > crowded*m.quick:
		m.now = max(leastSending, m.now-m.now/8)
	case took < freely*m.quick && 2*sending >= m.most():
		m.now = min(m.cap, m.now+1)
	}
}

// timedOut takes note of one that had no answer in time.
func (m *limit) timedOut() { m.now = max(leastSending, m.now/2) }
