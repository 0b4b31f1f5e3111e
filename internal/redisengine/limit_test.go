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
			m.observe(quick, 1, 3)
		}
		if got := m.most(); got != 8 {
			t.Errorf("got %d, where three were under way", got)
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
		if got := m.most(); got != 4 { // of which nearly all do
			t.Errorf("got %d, want 4", got)
		}
	})
	t.Run("as before where a few wait", func(t *testing.T) {
		m := fresh(20)
		m.feed(2, quick)
		m.feed(100, 3*quick)
		if got := m.most(); got != 4 { // of which 8/3 wait
			t.Errorf("got %d, want 4", got)
		}
	})
	t.Run("one more in a round where not enough wait", func(t *testing.T) {
		m := fresh(20)
		m.feed(2, quick)
		for _, want := range []int{5, 6} {
			for range want - 1 {
				if got := m.most(); got != want-1 {
					t.Errorf("got %d before the end of a round of %d", got, want-1)
				}
				m.observe(quick*10/7, 1, m.most()) // of four 1.2 wait, of five 1.5
			}
			if got := m.most(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
	})
	t.Run("the quickest of a round speaks for it", func(t *testing.T) {
		m := fresh(20)
		m.feed(100, quick)
		for i := range 320 {
			took := 10 * quick
			if i%16 == 0 {
				took = quick
			}
			m.observe(took, 1, m.most())
		}
		if got := m.most(); got != 16 {
			t.Errorf("got %d, want 16", got)
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
