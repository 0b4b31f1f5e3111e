package redisengine

import (
	"fmt"
	"testing"
	"time"
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
