package fence_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// holder is one whose token is d ahead of the clock.
func holder(d time.Duration) relock.Sequencer {
	return relock.Sequencer{Name: "profiles", Token: relock.Token(time.Now().Add(d).UnixMicro()), Owner: "web-1/7"}
}

// refused are sequencers that no storage takes.
func refused() map[string]relock.Sequencer {
	all := map[string]relock.Sequencer{"a zero one": {}}
	for name, change := range map[string]func(*relock.Sequencer){
		"of no token":                func(s *relock.Sequencer) { s.Token = 0 },
		"of a negative token":        func(s *relock.Sequencer) { s.Token = -1 },
		"of the greatest token":      func(s *relock.Sequencer) { s.Token = 1<<63 - 1 },
		"of an hour and a minute on": func(s *relock.Sequencer) { *s = holder(time.Hour + time.Minute) },
		"without a name":             func(s *relock.Sequencer) { s.Name = "" },
		"of a long name":             func(s *relock.Sequencer) { s.Name = strings.Repeat("x", relock.MaxName+1) },
		"without an owner":           func(s *relock.Sequencer) { s.Owner = "" },
		"of a long owner":            func(s *relock.Sequencer) { s.Owner = relock.Owner(strings.Repeat("x", relock.MaxOwner+1)) },
	} {
		s := holder(0)
		change(&s)
		all[name] = s
	}
	return all
}

func TestWhatNoLockIssuesIsRefusedUnseen(t *testing.T) {
	for name, s := range refused() {
		err := fence.Check(s)
		if !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("a sequencer %s: got %v, want ErrInvalid", name, err)
		}
		if got, want := errors.Is(err, relock.ErrStaleToken), s.Token <= 0; got != want {
			t.Errorf("a sequencer %s is stale: %v, want %v", name, got, want)
		}
	}
	for _, s := range []relock.Sequencer{
		holder(0), holder(fence.MaxAhead - time.Minute), holder(-24 * 365 * time.Hour),
		{Name: strings.Repeat("x", relock.MaxName), Token: 1, Owner: relock.Owner(strings.Repeat("x", relock.MaxOwner))},
	} {
		if err := fence.Check(s); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
}
