package demo

import (
	"fmt"
	"time"
)

// A scene is the stop of one worker inside its section:
//
//	planned -> asked -> stopped -> overtaken -> resumed -> over
//
// The worker says that it has read the account and stays there; only then is it
// stopped. It is woken when somebody else has written under a later token, which
// takes the end of its lease. The order to go on is in its pipe before it wakes:
// the first thing it does is look at its lease.
type scene struct {
	crew   *crew
	say    func(format string, args ...any)
	worker int
	start  time.Duration // into the run
	atMost time.Duration // for the whole of it
	ttl    time.Duration

	state   act
	began   time.Time
	stopped time.Time
	resumed time.Time
	token   int64
	told    event // lag
	refused bool
}

type act int

const (
	planned act = iota
	asked
	stopped
	overtaken
	resumed
	over
	off // left out
)

func newScene(cfg Config, c *crew, say func(string, ...any)) *scene {
	s := &scene{
		crew: c, say: say, worker: min(2, cfg.Workers),
		start: cfg.Duration * 3 / 10, ttl: cfg.TTL, atMost: 5*cfg.TTL + 10*time.Second,
	}
	if cfg.leftOut() != "" {
		s.state = off
	}
	return s
}

func (s *scene) ended() bool { return s.state == over || s.state == off }

// frozen tells whether the worker is stopped right now.
func (s *scene) frozen() bool { return s.state == stopped || s.state == overtaken }

// tick does what is due at now, elapsed into the run.
func (s *scene) tick(now time.Time, elapsed time.Duration) error {
	switch {
	case s.state == planned && elapsed >= s.start:
		s.state, s.began = asked, now
		s.crew.tell(s.worker, hold)
	case s.state == overtaken && now.Sub(s.stopped) >= s.ttl*3/2:
		return s.wake(now)
	case s.state > planned && s.state < over && now.Sub(s.began) > s.atMost:
		return fmt.Errorf("stopping worker %d took more than %v", s.worker, s.atMost)
	}
	return nil
}

// hears takes what a worker told.
func (s *scene) hears(e event) error {
	switch {
	case e.Kind == inside:
		if err := s.crew.stop(s.worker); err != nil {
			return fmt.Errorf("stop worker %d: %w", s.worker, err)
		}
		s.state, s.token, s.stopped = stopped, e.Token, time.Now()
		s.say("worker %d has read the account under token %d, and is stopped right there (SIGSTOP)", s.worker, s.token)
	case s.state == stopped && e.Amount > 0 && e.Token > s.token:
		s.state = overtaken
		s.say("its lease ran out: worker %d took over after %v, and wrote under token %d",
			e.Worker, round(time.Since(s.stopped)), e.Token)
	case e.Kind == lag:
		s.told = e
		s.say("worker %d goes on (SIGCONT) after %v in which it did not run; %s",
			s.worker, round(time.Duration(e.Frozen)), s.leaseSays())
	case e.Kind == refused && e.Token == s.token:
		s.refused = true
		s.say("its late write under token %d is refused: a later holder has been there", s.token)
	case e.Token == s.token && (e.Kind == released || e.Kind == lost):
		s.state = over
	}
	return nil
}

func (s *scene) wake(now time.Time) error {
	s.crew.tell(s.worker, resume)
	s.state, s.resumed = resumed, now
	return s.crew.goOn(s.worker)
}

func (s *scene) leaseSays() string {
	if s.told.Ended {
		return "its lease says at once that it is lost"
	}
	return "its lease still says that it holds the lock"
}

// problems is what did not go as it should, once the scene has ended.
func (s *scene) problems() []string {
	if s.state == off {
		return nil
	}
	var p []string
	if !s.refused {
		p = append(p, "no stale write was refused")
	}
	if !s.told.Ended {
		p = append(p, "the stopped holder's lease did not say at once that it was lost")
	}
	if time.Duration(s.told.Frozen) < s.ttl {
		p = append(p, fmt.Sprintf("the holder was stopped for %v only, which is not past its lease", round(time.Duration(s.told.Frozen))))
	}
	return p
}

func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
