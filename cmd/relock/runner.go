package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/child"
	"github.com/relock-go/relock/cmd/relock/internal/leash"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// errWaited is the cause of a wait that --wait ended.
var errWaited = errors.New("not acquired in time")

// noticeAfter is how long a wait may last before it is told.
const noticeAfter = time.Second

// releaseWithin bounds the release after the command has ended. Where the lock
// was lost one try has to do: it is gone, or is about to be.
const (
	releaseWithin     = 5 * time.Second
	releaseLostWithin = 500 * time.Millisecond
)

// runner is one relock run.
type runner struct {
	cfg    runConfig
	std    stdio
	report *reporter
	path   string // of the command
	around held
	owner  relock.Owner // that we lock as
	lock   *opened
}

// run takes the lock, runs the command and gives the lock back. Until the
// command has started a signal ends ctx, and with it the wait; from then on
// signals are the command's.
func (r *runner) run(ctx context.Context) int {
	sigs := make(chan os.Signal, 32)
	signal.Notify(sigs, passed(child.Ends)...)
	defer signal.Stop(sigs)
	// The others are nobody's until then. They must not end us, nor must SIGPIPE,
	// for a reader of our output that is gone: the lock would stay, and the command
	// with it. A request to stop (Ctrl-Z) stops us: who waits has no time to lose.
	signal.Notify(make(chan os.Signal, 1), append(passed(func(s os.Signal) bool { return !child.Suspends(s) }), syscall.SIGPIPE)...)

	var err error
	if r.around, err = parseHeld(os.Getenv(envHeld)); err != nil {
		return r.fail(ctx, misuse{err})
	}
	if targets, err := r.cfg.chosen(); err == nil && len(targets) > 1 && r.cfg.atLeast > 0 {
		return r.fail(ctx, misusef("--at-least takes one Redis: a RedLock keeps no lock that was given back"))
	}
	var closeLock func()
	r.lock, closeLock, err = r.cfg.openLock(ctx, r.cfg.name, r.cfg.options()...)
	if err != nil {
		return r.fail(ctx, err)
	}
	lease, err := r.acquire(ctx, r.lock)
	if err != nil {
		defer briefly(closeLock)
		return r.fail(ctx, err)
	}
	r.report.acquired(lease)
	status := r.under(ctx, lease, sigs)
	r.report.ended(status)
	if status != exitLost { // else there is nothing to wait for
		briefly(closeLock)
	}
	return status
}

// briefly waits for f, but not for long: what is left to do for nodes of a
// quorum that do not answer is not worth holding up whoever waits for us.
func briefly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(releaseLostWithin):
	}
}

// passed are those of the signals to pass on that are wanted, but not those that
// were ignored when we were started (nohup): they stay ignored.
func passed(wanted func(os.Signal) bool) []os.Signal {
	var sigs []os.Signal
	for _, s := range child.Passed() {
		if wanted(s) && !signal.Ignored(s) {
			sigs = append(sigs, s)
		}
	}
	return sigs
}

// fail reports why there is no lock. Where a signal ended the wait, that is why.
func (r *runner) fail(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		return bySignal(ctx, exitFailed)
	}
	r.report.failed(explain(err))
	return statusOf(err)
}

// acquire returns a lease that is long enough to start a command under.
func (r *runner) acquire(ctx context.Context, lock *opened) (*relock.Lease, error) {
	if err := r.chooseOwner(ctx, lock); err != nil {
		return nil, err
	}
	ctx = relock.WithOwner(ctx, r.owner)
	if !r.cfg.wait.forever && r.cfg.wait.d == 0 {
		return r.lengthen(ctx, lock.TryLock)
	}
	defer r.noticeWait(ctx, lock)()
	if !r.cfg.wait.forever {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.cfg.wait.d, errWaited)
		defer cancel()
	}
	return r.lengthen(ctx, lock.Lock)
}

// lengthen locks, and renews a grant that is short. One that came by message
// lives no longer than a waiter may be silent, and counts from its last check-in:
// that can be less than the leash wants to have before the end, which would end
// the command before the watchdog has renewed anything. A lease that is lost
// before there is a command is nothing to report: another is waited for.
func (r *runner) lengthen(ctx context.Context, lock func(context.Context) (*relock.Lease, error)) (*relock.Lease, error) {
	term := r.cfg.term()
	for {
		lease, err := lock(ctx)
		if err != nil {
			return nil, err
		}
		if r.cfg.lease > 0 || time.Until(lease.ValidUntil()) >= leash.Needs(r.cfg.grace, term) {
			return lease, nil
		}
		err = lease.Extend(ctx, max(term*9/10, relock.MinTTL))
		if err == nil {
			return lease, nil
		}
		_ = r.release(lease, releaseLostWithin)
		if !errors.Is(err, relock.ErrLost) {
			return nil, err
		}
	}
}

// chooseOwner decides whom to lock as: the owner of --owner, or of the lock of
// this name that is held around us. Whether it is held, and not only a lock of
// that name on another Redis, the server tells. Any other lock is taken by a
// fresh owner.
func (r *runner) chooseOwner(ctx context.Context, lock *opened) error {
	r.owner = relock.NewOwner()
	if r.cfg.owner != "" {
		r.owner = relock.Owner(r.cfg.owner)
		return nil
	}
	outer, ok := r.around[r.cfg.name]
	if !ok {
		return nil
	}
	st, err := lock.Status(ctx)
	if err == nil && st.Held && st.Owner == outer {
		r.owner = outer
	}
	return err
}

// noticeWait reports a wait that lasts, once; the returned function ends that.
func (r *runner) noticeWait(ctx context.Context, lock *opened) func() {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTimer(noticeAfter)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		switch st, err := lock.Status(ctx); {
		case ctx.Err() != nil:
		case err != nil:
			r.report.warn("still trying: " + explain(err))
		case st.Held && st.Owner != r.owner: // else our answer is under way
			r.report.waiting(r.cfg.name, st)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// under runs the command under lease and gives the lease back.
func (r *runner) under(ctx context.Context, lease *relock.Lease, sigs chan os.Signal) int {
	if ctx.Err() != nil { // the signal came with the lock
		r.undo(lease, releaseWithin)
		return bySignal(ctx, exitFailed)
	}
	signal.Notify(sigs, passed(func(os.Signal) bool { return true })...)
	term := r.cfg.term()
	margin := leash.Margin(term)
	c, err := child.Start(r.newCommand(lease), lease.ValidUntil().Add(-margin), margin/2, r.cfg.grace)
	if err != nil && (lease.Err() != nil || errors.Is(err, syscall.ETIMEDOUT)) {
		r.undo(lease, releaseLostWithin)
		r.report.failed("the lock was lost before the command could start")
		return exitLost
	}
	if err != nil {
		r.undo(lease, releaseWithin)
		r.report.failed(fmt.Sprintf("cannot run %s: %v", r.path, errors.Unwrap(err)))
		return child.Missing(err)
	}
	leash := &leash.Leash{Grace: r.cfg.grace, Margin: margin, Sigs: sigs, All: r.cfg.waitAll}
	loss := leash.Follow(c, lease)
	c.Close()
	if loss.Unguarded {
		r.report.warn("the guardian of the command was killed: the command was ended, with all that it had started")
	}
	if loss.Lost {
		r.report.lost(lease, r.why(loss), loss, c.Status())
		_ = r.release(lease, releaseLostWithin)
		return exitLost
	}
	err = r.release(lease, releaseWithin)
	switch {
	case errors.Is(err, relock.ErrLost):
		r.report.lost(lease, "it was gone when it was to be given back", loss, c.Status())
		return exitLost
	case err != nil:
		r.report.warn(fmt.Sprintf("the release of %s was not answered (%s); the lock expires by itself within %v", plain.Quote(lease.Name()), plain.Error(err), term))
	}
	return c.Status()
}

func (r *runner) newCommand(lease *relock.Lease) child.Command {
	return child.Command{
		Path: r.path, Args: r.cfg.command, Env: r.environ(lease),
		Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Isolated: r.cfg.isolate,
	}
}

// environ is the command's. In a namespace of its own our pid is nobody's, or is
// another's.
func (r *runner) environ(lease *relock.Lease) []string {
	env := environ(r.around, lease, r.cfg.lease > 0)
	if r.cfg.isolate {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, envPID+"=") })
	}
	return env
}

// release gives the lease back, whatever has ended meanwhile.
func (r *runner) release(lease *relock.Lease, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return lease.Unlock(ctx)
}

// undo gives back a lease that nothing was run under: then --at-least keeps nothing,
// or a job that nobody ran would be taken for done. Where the owner has the lock by
// another hold as well, its end is that one's. It is freed by the token of the
// lease: of a lock that is another's by now nothing is taken.
func (r *runner) undo(lease *relock.Lease, within time.Duration) {
	if r.cfg.atLeast > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if st, err := r.lock.Status(ctx); err == nil && st.Held && st.Token == lease.Token() && st.Count == 1 {
			_, _ = r.lock.force(ctx, lease.Name(), int64(lease.Token()))
		}
	}
	_ = r.release(lease, within)
}

func (r *runner) why(loss leash.Loss) string {
	switch {
	case loss.Taken:
		return "it was taken away (unlock --force, or its key was deleted)"
	case r.cfg.lease > 0:
		return fmt.Sprintf("its lease of %v is over", r.cfg.lease)
	case loss.Asleep > 0:
		return fmt.Sprintf("relock itself ran %v too late (it was stopped, or the machine was), and could not renew it", brief(loss.Asleep))
	}
	return "Redis did not renew it in time"
}
