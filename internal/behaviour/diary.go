package behaviour

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/relock-go/relock"
)

// Diary is a tracer with every part: it writes down what it is told.
type Diary struct {
	mu     sync.Mutex
	Lines  []string
	last   map[string]any // by the first word of its line
	Client *relock.Client // if set, it is asked at every event
}

// DiaryKey is what a Diary puts the name of a lock under.
type DiaryKey struct{}

// write has a line of what and e; hold ids are told apart by their context.
func (d *Diary) write(ctx context.Context, what string, e any) {
	if d.Client != nil {
		d.Client.Stats()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if by, ok := ctx.Value(DiaryKey{}).(string); ok {
		what += " of " + by
	}
	d.Lines = append(d.Lines, what)
	if d.last == nil {
		d.last = map[string]any{}
	}
	d.last[what] = e
}

// TraceAcquireStart puts the name of the lock into the context.
func (d *Diary) TraceAcquireStart(ctx context.Context, e relock.AcquireStart) context.Context {
	d.write(ctx, "start", e)
	return context.WithValue(ctx, DiaryKey{}, e.Name)
}

// TraceAcquireEnd notes it.
func (d *Diary) TraceAcquireEnd(ctx context.Context, e relock.AcquireEnd) { d.write(ctx, "end", e) }

// TraceGrant notes it.
func (d *Diary) TraceGrant(ctx context.Context, e relock.Granted) { d.write(ctx, "grant", e) }

// TraceHandOff notes it.
func (d *Diary) TraceHandOff(ctx context.Context, e relock.Granted) { d.write(ctx, "hand-off", e) }

// TraceRenew notes it.
func (d *Diary) TraceRenew(ctx context.Context, e relock.Renewed) { d.write(ctx, "renew", e) }

// TraceLost notes it.
func (d *Diary) TraceLost(ctx context.Context, e relock.Lost) { d.write(ctx, "lost", e) }

// TraceEnd notes it.
func (d *Diary) TraceEnd(ctx context.Context, e relock.Ended) { d.write(ctx, "ended", e) }

// TraceForce notes it.
func (d *Diary) TraceForce(ctx context.Context, e relock.Forced) { d.write(ctx, "force", e) }

// TraceReleaseStart adds nothing to the context.
func (d *Diary) TraceReleaseStart(ctx context.Context, e relock.ReleaseStart) context.Context {
	d.write(ctx, "release", e)
	return ctx
}

// TraceReleaseEnd notes it.
func (d *Diary) TraceReleaseEnd(ctx context.Context, e relock.ReleaseEnd) {
	d.write(ctx, "released", e)
}

// Wants compares what was written since the last time.
func (d *Diary) Wants(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.Lines, want) {
		t.Errorf("got events %q, want %q", d.Lines, want)
	}
	d.Lines = nil
}

// Event returns the last event of a line.
func Event[E any](t *testing.T, d *Diary, line string) (e E) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.last[line].(E)
	if !ok {
		t.Errorf("got no event %q, but %q", line, d.Lines)
	}
	return e
}

// WantStats compares.
func WantStats(t *testing.T, what string, got, want relock.Stats) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// LossOnly is a tracer with one part.
type LossOnly struct{ Lost []string }

// TraceLost notes it.
func (l *LossOnly) TraceLost(_ context.Context, e relock.Lost) { l.Lost = append(l.Lost, e.Name) }
