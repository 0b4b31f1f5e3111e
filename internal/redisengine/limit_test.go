package redisengine

import (
	"testing"
	"time"
)

// feed has n answers take so long each, with as many under way as may be.
func (m *limit) feed(n int, took time.Duration) {
	for range n {
		m.observe(took, m.most())
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
			m.observe(quick, 1)
		}
		if got := m.most(); got > 3 {
			t.Errorf("got %d, where one was under way", got)
		}
	})
	t.Run("two where they wait for each other", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, quick)
		m.feed(100, 4*quick)
		if got := m.most(); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
	t.Run("as before where they take a little longer", func(t *testing.T) {
		m := fresh(20)
		m.feed(4, quick)
		before := m.most()
		m.feed(100, quick*5/2)
		if got := m.most(); got != before {
			t.Errorf("got %d after %d", got, before)
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
