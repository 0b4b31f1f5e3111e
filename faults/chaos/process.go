package chaos

import (
	"context"
	"syscall"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/work"
)

// Faults of the workers themselves.

func (f *Field) proc() int { return f.rng.IntN(len(f.procs)) }

// pastTheLease is longer than any lease may be believed in.
func (f *Field) pastTheLease() time.Duration {
	return f.between(Timing.TTL+50*time.Millisecond, 2*Timing.TTL)
}

// stopWorker stops a worker wherever it is.
func (f *Field) stopWorker(ctx context.Context, w *history.Window) error {
	p, span := f.procs[f.proc()], f.pastTheLease()
	return f.stopFor(ctx, w, p, span)
}

// stopFor stops a worker and lets it go on.
func (f *Field) stopFor(ctx context.Context, w *history.Window, p *Proc, span time.Duration) error {
	w.Worker = p.Job.Worker
	p.Signal(syscall.SIGSTOP)
	defer p.Signal(syscall.SIGCONT)
	w.Hits++
	return wait(ctx, span)
}

// stopInside stops a worker that holds a lock and has read what it is going to
// change, for so long that others have the lock meanwhile.
func (f *Field) stopInside(ctx context.Context, w *history.Window) error {
	p, span := f.procs[f.proc()], f.pastTheLease()
	select {
	case <-p.inside: // of an earlier stay that was given up
	default:
	}
	p.say(work.OrderStay)
	defer p.say(work.OrderGo)
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case w.Note = <-p.inside:
		return f.stopFor(ctx, w, p, span)
	case <-patience.C: // it holds nothing that it changes; the window says so
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// killWorker kills a worker and starts another in its place.
func (f *Field) killWorker(ctx context.Context, w *history.Window) error {
	i, gap := f.proc(), f.between(0, Timing.TTL)
	f.procs[i].Kill()
	w.Hits++
	w.Worker = f.procs[i].Job.Worker
	if err := wait(ctx, gap); err != nil {
		return err
	}
	p, err := f.startWorker(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	f.procs[i] = p
	return nil
}
