package relock

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/redistest"
)

func TestInspectScript(t *testing.T) {
	inspect := func(s *scriptTest, most int) []any {
		s.Helper()
		before := s.contents()
		got := s.mustRun(&inspectScript, s.keys, most)
		s.wantContents(before)
		return got
	}
	runScriptCases(t, []scriptCase{
		{"a free lock has nothing to tell", func(s *scriptTest) {
			s.want(inspect(s, 10), 0, 0, 0, "", 0, 0, 0, 0)
		}},
		{"the holder, and who waits in order, with their ages", func(s *scriptTest) {
			token := s.grant(ask{hold: "h1", owner: "A"})
			s.wait(ask{hold: "h2", owner: "B b", waited: 2 * time.Second})
			s.wait(ask{hold: "h3", owner: "C", waited: 3 * time.Second})
			got := inspect(s, 10)
			s.want(got, 1, 2, anyToken{}, "A", 1, left(testTTL), age(0), 2,
				"h3", age(3000), age(0), testLife, "C", "h2", age(2000), age(0), testLife, "B b")
			if got[2] != token {
				s.Errorf("got token %v, want %d", got[2], token)
			}
		}},
		{"no more waiters than were asked for, but the number of all", func(s *scriptTest) {
			s.grant(ask{hold: "h1", owner: "A"})
			for i := range 3 {
				s.wait(ask{hold: fmt.Sprint("w", i), owner: "B", waited: time.Duration(9-i) * time.Second})
			}
			s.want(inspect(s, 1), 1, 3, anyToken{}, "A", 1, left(testTTL), age(0), 1, "w0", age(9000), age(0), testLife, "B")
		}},
		{"a place without an entry is shown as that", func(s *scriptTest) {
			s.do("zadd", s.queue, s.clock(), "h9")
			s.want(inspect(s, 10), 0, 1, 0, "", 0, 0, 0, 1, "h9", age(0), 0, 0, "")
		}},
		{"what is no lock is refused", func(s *scriptTest) {
			s.do("set", s.lock, "x")
			s.wantErr("WRONGTYPE", func() ([]any, error) { return s.run(&inspectScript, s.keys, 10) })
		}},
	})
}

func TestInspectorFindsLocksOnEveryMaster(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) Redis{
		"embedded":  func(t *testing.T) Redis { _, rdb := redistest.Embedded(t); return rdb },
		"real":      func(t *testing.T) Redis { return redistest.StartT(t).Client() },
		"a cluster": func(t *testing.T) Redis { return redistest.StartClusterT(t).Client() },
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOn(t, start(t), WithPrefix("a[b]*"))
			var want []string
			for i := range 20 {
				m := c.Mutex(fmt.Sprintf("job {%d} %d", i, i))
				want = append(want, m.Name())
				lockOf(t, m)
			}
			free := lockOf(t, c.Mutex("free"))
			unlock(t, free)
			slices.Sort(want)
			in := c.Inspector()
			got, err := in.Names(bg)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("got %q and %v, want %q", got, err, want)
			}
			all, errs := in.Statuses(bg, append(got, "free"))
			for i, st := range all {
				if errs[i] != nil || st.Held != (i < len(want)) {
					t.Errorf("status %d: %+v, %v", i, st, errs[i])
				}
			}
		})
	}
}

func TestInspectorForcesTheTokenItShowed(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	c := clientOn(t, rdb)
	in, m := c.Inspector(), c.Mutex("job")
	first := lockOf(t, m)
	unlock(t, first)
	second := lockOf(t, m)
	if freed, err := in.Force(bg, "job", int64(first.Token())); freed || err != nil {
		t.Errorf("Force of an earlier token: %v, %v; want false", freed, err)
	}
	other := clientOn(t, rdb).Mutex("job") // one of the same client would wait in memory
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = other.Lock(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	awaitWaiters(t, m, 1)
	st, queue, err := in.Queue(bg, "job", 10)
	if err != nil || st.Token != int64(second.Token()) || len(queue) != 1 || queue[0].Owner == "" || queue[0].Life <= 0 {
		t.Errorf("got %+v, %+v, %v", st, queue, err)
	}
	if freed, err := in.Force(bg, "job", st.Token); !freed || err != nil {
		t.Errorf("Force of the token that holds it: %v, %v; want true", freed, err)
	}
}
