package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// frameEvery is how often the view is redrawn.
const frameEvery = 100 * time.Millisecond

// run is one demo, from the parent's side. Only the goroutine of Run touches it.
type run struct {
	cfg    Config
	view   *View
	crew   *crew
	scene  *scene
	status *watcher

	began     time.Time
	ready     int
	finishing bool
	grants    map[int64]*grant
	sections  []int // by worker
	deposited int64
	claims    claims
	used      counts
	losses    int
	failures  []string
}

// Run runs the demo and returns its summary; whether all is well is in
// Summary.OK. An error says why there is none: dial.ErrBadURL, dial.ErrUnreachable, the
// cause of ctx, or what went wrong. No worker is left in any case.
func Run(ctx context.Context, cfg Config, view *View) (*Summary, error) {
	srv, err := openServer(ctx, cfg.Redis, cfg.TLS)
	if err != nil {
		return nil, err
	}
	defer srv.close()
	id := rand.Text()[:8]
	led := newLedger(srv.rdb, id)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		_ = led.remove(ctx) // else it expires
	}()
	before, counted := srv.scriptCalls(ctx)
	status, err := watch(ctx, srv, lockName(id))
	if err != nil {
		return nil, err
	}
	defer status.close()
	crew, err := hire(cfg, srv, id)
	if err != nil {
		return nil, err
	}
	r := &run{
		cfg: cfg, view: view, crew: crew, status: status,
		grants: map[int64]*grant{}, claims: newClaims(), sections: make([]int, cfg.Workers),
	}
	r.scene = newScene(cfg, crew, r.say)
	view.intro(cfg, srv.where)
	err = r.loop(ctx)
	view.end()
	if err != nil {
		crew.dismiss()
		return nil, err
	}
	status.close()
	acct, history, err := led.all(ctx)
	if err != nil {
		return nil, err
	}
	ours := r.used
	ours.add(status.counts())
	sum := r.summary(acct, history)
	if now, ok := srv.scriptCallsSince(ctx, before, ours); ok && counted {
		sum.compare(ours, now)
	}
	return sum, nil
}

// loop lets the workers work, and returns when all have finished and exited.
func (r *run) loop(ctx context.Context) error {
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	atMost := r.cfg.Duration + 5*r.cfg.TTL + 20*time.Second
	limit := time.NewTimer(atMost)
	defer limit.Stop()
	for r.crew.left > 0 {
		var err error
		select {
		case e := <-r.crew.events:
			err = r.take(e)
		case now := <-tick.C:
			err = r.tick(now)
		case <-limit.C:
			err = fmt.Errorf("not finished after %v", atMost)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) elapsed() time.Duration { return time.Since(r.began) }

func (r *run) say(format string, args ...any) {
	r.view.say(r.elapsed(), fmt.Sprintf(format, args...))
}

func (r *run) tick(now time.Time) error {
	if r.ready < r.cfg.Workers {
		return nil
	}
	if err := r.scene.tick(now, r.elapsed()); err != nil {
		return err
	}
	if !r.finishing && r.elapsed() >= r.cfg.Duration && r.scene.ended() {
		r.finishing = true
		r.crew.tellAll(finish)
	}
	r.view.show(r.frame())
	return nil
}

func (r *run) take(e event) error {
	switch e.Kind {
	case ready:
		if r.ready++; r.ready == r.cfg.Workers {
			r.began = time.Now()
			r.crew.tellAll(begin)
		}
	case acquired:
		r.grants[e.Token] = &grant{
			token: e.Token, worker: e.Worker, goroutine: e.Goroutine, arrived: e.At - e.Waited, acquired: e.At,
		}
	case released, lost:
		r.closeSection(e)
	case refused:
		r.claims.refused[e.Token] = true
	case failed:
		r.failures = append(r.failures, fmt.Sprintf("worker %d, goroutine %d: %s", e.Worker, e.Goroutine, plain.Error(errors.New(e.Text))))
		if e.Unsure {
			r.claims.unsure[e.Token] = true
		}
	case done:
		r.used.add(e.Counts)
		r.crew.closeOrders(e.Worker)
	case exited:
		r.crew.left--
		if e.Text != "" || !r.finishing {
			return r.died(e)
		}
	}
	return r.scene.hears(e)
}

func (r *run) died(e event) error {
	switch {
	case e.Text != "":
		return fmt.Errorf("worker %d ended: %s", e.Worker, e.Text)
	case len(r.failures) > 0:
		return fmt.Errorf("worker %d gave up: %s", e.Worker, r.failures[len(r.failures)-1])
	}
	return fmt.Errorf("worker %d ended before it was told to", e.Worker)
}

func (r *run) closeSection(e event) {
	if e.Kind == lost {
		r.losses++
	} else if g := r.grants[e.Token]; g != nil {
		g.unlocked = e.At
	}
	if e.Amount == 0 {
		return
	}
	r.claims.acked[e.Token] = e.Amount
	r.deposited += e.Amount
	r.sections[e.Worker-1]++
}

// frame is what the view shows of now.
func (r *run) frame() frame {
	f := frame{elapsed: r.elapsed(), deposited: r.deposited, sections: r.sections}
	if r.scene.frozen() {
		f.stopped, f.stoppedFor = r.scene.worker, time.Since(r.scene.stopped)
	}
	if st, ok := r.status.last(); ok {
		f.status = st
		if g := r.grants[int64(st.Token)]; st.Held && g != nil {
			f.worker, f.goroutine = g.worker, g.goroutine
		}
	}
	return f
}

// allGrants returns the grants by token.
func (r *run) allGrants() []grant {
	all := make([]grant, 0, len(r.grants))
	for _, g := range r.grants {
		all = append(all, *g)
	}
	slices.SortFunc(all, byToken)
	return all
}
