package redisengine

import (
	"testing"
	"time"
)

// feed has n answers take so long each, with as many under way as may be.
func (m *limit) feed(n int, took time.Duration) {
	for range n {
		m.observe(took, 1, m.most())
	}
}

func TestHowManyMayBeUnderWay(t *testing.T) {
	const quick = 100 * time.Microsecond
	fresh := func(pool int) *limit {
		m := new(limit)
		m.init(pool)
		return m
	}
	t.Run("two at first, and whatever the pool", func(t *testing.T) {
		for _, pool := range []int{0, 1, 20} {
			if got := fresh(pool).most(); got != 2 {
				t.Errorf("%d of a pool of %d", got, pool)
			}
		}
	})
	t.Run("as many as leave a fifth of the pool, while answers take what the quickest do", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, quick)
		if got := m.most(); got != 16 {
			t.Errorf("got %d, want 16", got)
		}
	})
	t.Run("as many where the server is far", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, 10*time.Millisecond)
		if got := m.most(); got != 16 {
			t.Errorf("got %d, want 16", got)
		}
	})
	t.Run("no more than are of use", func(t *testing.T) {
		m := fresh(20)
		for range 100 {
			m.observe(quick, 1, 1)
		}
		if got := m.most(); got > 3 {
			t.Errorf("got %d, where one was under way", got)
		}
	})
	t.Run("so many that a few wait, where they wait for each other", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, quick)
		m.feed(200, 4*quick)
		if got := m.most(); got != 5 { // of which 15/4 wait
			t.Errorf("got %d, want 5", got)
		}
		m.feed(100, 100*quick)
		if got := m.most(); got != 3 { // with four, nearly four wait; with five, more
			t.Errorf("got %d, want 3", got)
		}
	})
	t.Run("as before where a few wait", func(t *testing.T) {
		m := fresh(20)
		m.feed(4, quick)
		before := m.most()
		m.feed(100, 2*quick)
		if got := m.most(); got != before {
			t.Errorf("got %d after %d", got, before)
		}
	})
	t.Run("one at a time more where not enough wait", func(t *testing.T) {
		m := fresh(20)
		m.feed(2, quick)
		before := m.most()
		m.feed(before, quick*3/2)
		if got := m.most(); got != before {
			t.Errorf("got %d after %d and as many answers", got, before)
		}
		m.feed(2, quick*3/2)
		if got := m.most(); got != before+1 {
			t.Errorf("got %d after %d", got, before)
		}
	})
	t.Run("what each request of a pipeline takes is no wait", func(t *testing.T) {
		m := fresh(20)
		m.feed(1, quick)
		for range 100 {
			m.observe(3*quick, 9, m.most())
		}
		if got := m.most(); got != 16 {
			t.Errorf("got %d, want 16", got)
		}
		for range 200 {
			m.observe(12*quick, 9, m.most())
		}
		if got := m.most(); got != 5 {
			t.Errorf("got %d, want 5", got)
		}
	})
	t.Run("half after one without an answer, and never less than two", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, quick)
		for _, want := range []int{8, 4, 2, 2} {
			m.timedOut()
			if got := m.most(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
	})
	t.Run("the quickest is forgotten where the server has become slower", func(t *testing.T) {
		m := fresh(20)
		m.feed(1, quick)
		m.feed(2*window+100, 10*quick)
		if got := m.most(); got != 16 {
			t.Errorf("got %d, want 16", got)
		}
	})
}
