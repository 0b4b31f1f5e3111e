package leash

import (
	"context"
	"os"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/child"
)

// Lease is what a leash needs of a relock.Lease.
type Lease interface {
	Context() context.Context
	Err() error
	ValidUntil() time.Time
}

// Command is what a leash needs of a child.Child.
type Command interface {
	Done() <-chan struct{}
	Empty() <-chan struct{}
	Orphaned() <-chan struct{}
	Overdue() bool
	Until(t time.Time, patience, grace time.Duration)
	Pass(sig os.Signal)
	Terminate()
	Kill()
	Clear(grace time.Duration)
}

// Leash holds a command to its lease.
type Leash struct {
	Grace  time.Duration    // between asking and killing
	Margin time.Duration    // between killing and the end of the validity
	Sigs   <-chan os.Signal // passed on to the command
	All    bool             // wait for all that the command has started
}

// Loss is why a command was ended. The zero value says that it was not.
type Loss struct {
	Lost      bool
	Taken     bool          // the lease had ended before its time: somebody took it away
	Killed    bool          // the command did not end when it was asked to
	Asleep    time.Duration // so much later than it was to this process has run
	Unguarded bool          // not lost: the guardian of the command was killed
}

// Follow returns when the command has ended. A command whose lease is lost, or
// about to be, is asked to end, and killed with all that it has started before
// the lock can be had by another. Should this process not do so, since it was
// killed or stopped, the command's guardian does.
//
// Time is read at every turn and not only by timers: after a stop of this
// process (SIGSTOP) the first thing that wakes it sees how late it is. After one of
// the machine, it does not: the clock stands still with it (a laptop that sleeps,
// a virtual machine that is suspended), and the lease looks as long as before.
func (l *Leash) Follow(c Command, lease Lease) Loss {
	s := schedule{grace: l.Grace, margin: l.Margin}
	var loss Loss
	asked := false // we were, by a signal that is passed on
	lost, over := lease.Context().Done(), c.Done()
	if l.All {
		over = c.Empty()
	}
	again, told := time.Now(), time.Time{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-over:
			return l.over(c, lease, loss, asked, l.asleep(again))
		case <-c.Orphaned():
			return l.over(c, lease, loss, asked, l.asleep(again))
		case sig := <-l.Sigs:
			c.Pass(sig)
			if child.Ends(sig) { // what ignores it is cleared once the command has ended
				asked, over = true, c.Done()
			}
		case <-timer.C:
		case <-lost:
			lost = nil
		}
		until, err := lease.ValidUntil(), lease.Err()
		if !until.Equal(told) {
			c.Until(until.Add(-l.Margin), l.Margin/2, l.Grace)
			told = until
		}
		now := time.Now()
		asleep := l.asleep(again)
		var do action
		do, again = s.next(now, until, err != nil)
		switch do {
		case nothing:
			again = earlier(again, now.Add(until.Sub(now)/2))
		case term:
			loss = Loss{Lost: true, Taken: err != nil && now.Before(until), Asleep: asleep}
			c.Terminate()
		case kill:
			if !loss.Lost {
				loss = Loss{Lost: true, Taken: err != nil && now.Before(until), Asleep: asleep}
			}
			loss.Killed = true
			c.Kill()
		}
		timer.Reset(time.Until(again))
	}
}

// earlier returns the earlier of when something is due and of when to look whether
// the lease was renewed: the guardian is to hear of that long before the end that
// it knows, not at the last moment, when a busy machine may be too late. Each look
// takes half of what is left, and the margin at the end of it bounds how many.
func earlier(due, look time.Time) time.Time {
	if look.Before(due) {
		return look
	}
	return due
}

// asleep is how much too late it is for what was to be done then, or 0 where
// that is what a busy system takes.
func (l *Leash) asleep(then time.Time) time.Duration {
	if late := time.Since(then); late > max(l.Margin, leastAsleep) {
		return late
	}
	return 0
}

const leastAsleep = 20 * time.Millisecond

// clearWithin bounds how long what is left of an interrupted command may take to
// end.
const clearWithin = time.Second

// over is called when the command has ended. What it has started ends with it if
// the lease is lost, or if we were asked to end (a shell's background jobs ignore
// an interrupt): the lock is about to be another's. A lease that was lost unseen
// is lost.
func (l *Leash) over(c Command, lease Lease, loss Loss, asked bool, asleep time.Duration) Loss {
	select {
	case <-c.Orphaned(): // the command's end may be heard of first
		c.Kill()
		loss.Unguarded = true
	default:
	}
	if loss.Lost {
		c.Kill()
		return loss
	}
	if asked {
		c.Clear(min(l.Grace, clearWithin))
	}
	if lease.Err() != nil || c.Overdue() {
		c.Kill()
		return Loss{Lost: true, Taken: time.Now().Before(lease.ValidUntil()) && !c.Overdue(), Killed: c.Overdue(), Asleep: asleep}
	}
	return loss
}
