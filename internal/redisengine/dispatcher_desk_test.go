package redisengine

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// A desk is a server that a test answers for: whatever is sent lies on it, and is
// answered by the test. It is a hook, so all that uses it is with BatchingOn.
type desk struct {
	came     chan *sending
	heedless bool // it minds no context, as go-redis does without time limits
	mad      bool // it panics
}

// A sending is a pipeline, or a single command.
type sending struct {
	cmds     []redis.Cmder
	pipeline bool
	answered chan error
}

func (d *desk) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { panic("a desk needs no connection") }
}

func (d *desk) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return d.take(ctx, false, cmd) }
}

func (d *desk) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return d.take(ctx, true, cmds...) }
}

func (d *desk) take(ctx context.Context, pipeline bool, cmds ...redis.Cmder) error {
	if d.mad {
		panic("a hook")
	}
	s := &sending{cmds, pipeline, make(chan error, 1)}
	d.came <- s
	ended := ctx.Done()
	if d.heedless {
		ended = nil
	}
	var err error
	select {
	case err = <-s.answered:
	case <-ended:
		err = ctx.Err()
	}
	for _, cmd := range cmds {
		if err != nil {
			cmd.SetErr(err)
		}
	}
	return err
}

// written has the commands be written to a connection.
func (s *sending) written() *sending {
	for _, word := range s.words() {
		_, _ = word.MarshalBinary()
	}
	return s
}

// carries reports whether a hold's command is in it that is not written yet, and may be.
func (s *sending) carries(hold string) bool {
	return slices.ContainsFunc(s.words(), func(w *last) bool { return w.String() == hold && w.state.Load() == here })
}

// words are the last words of the commands.
func (s *sending) words() []*last {
	all := make([]*last, len(s.cmds))
	for i, cmd := range s.cmds {
		args := cmd.Args()
		all[i] = args[len(args)-1].(*last)
	}
	return all
}

// answer has all of them be answered.
func (s *sending) answer() {
	for _, cmd := range s.written().cmds {
		cmd.(once).SetVal(int64(1))
	}
	s.answered <- nil
}

// fail has them fail as they are.
func (s *sending) fail(err error) { s.answered <- err }

// holds are the holds that the commands are about, which the tests give as their last
// words.
func (s *sending) holds() string {
	all := make([]string, len(s.cmds))
	for i, word := range s.words() {
		all[i] = word.String()
	}
	return strings.Join(all, " ")
}

// A lab is an engine on a desk, in virtual time.
type lab struct {
	t *testing.T
	*desk
	*Engine
	wg sync.WaitGroup
}

const labCall = 3 * time.Second

// inLab runs f, and then holds the dispatcher to having nothing left.
func inLab(t *testing.T, f func(*lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", PoolSize: 20})
		defer func() { _ = rdb.Close() }()
		d := &desk{came: make(chan *sending, 10_000)}
		rdb.AddHook(d)
		l := &lab{t: t, desk: d, Engine: New(rdb, "id", Config{
			Prefix: "p", Call: labCall, Retention: time.Hour, Batching: BatchingOn,
			NewSubscription: func(string, func(string) (engine.Message, error)) Subscription { return nil },
		})}
		f(l)
		l.wg.Wait()
		<-time.After(2 * labCall)
		l.wantIdle()
	})
}

// wantIdle checks that no place is taken, and nothing waits.
func (l *lab) wantIdle() {
	l.t.Helper()
	dispatcher := l.dispatchers.one
	dispatcher.mu.Lock()
	defer dispatcher.mu.Unlock()
	if dispatcher.sending != 0 || dispatcher.stuck != 0 || dispatcher.extra || len(dispatcher.urgent)+len(dispatcher.waiting)+len(dispatcher.under) > 0 {
		l.t.Errorf("%d are under way, %d stuck, an extra one: %v; %d and %d wait, %d carry something",
			dispatcher.sending, dispatcher.stuck, dispatcher.extra, len(dispatcher.urgent), len(dispatcher.waiting), len(dispatcher.under))
	}
	if n := l.sender.under.Load(); n != 0 {
		l.t.Errorf("%d copies are under way", n)
	}
}

// An asked is a request that a test has made.
type asked struct {
	outcome
	cancel context.CancelFunc
	over   chan struct{}
}

// done reports whether it has its outcome.
func (a *asked) done() bool {
	synctest.Wait()
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// ask makes a request, and returns when it waits or has left.
func (l *lab) ask(r *request) *asked {
	if r.name == "" {
		r.name = "name"
	}
	if r.make == nil {
		r.make = func() *command { return newCommand(&statusScript, []any{"k"}, r.hold) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &asked{cancel: cancel, over: make(chan struct{})}
	l.wg.Go(func() {
		defer close(a.over)
		defer cancel()
		a.outcome = l.run(ctx, r)
	})
	synctest.Wait()
	return a
}

func (l *lab) acquire(hold string) *asked { return l.ask(&request{hold: hold}) }

func (l *lab) renew(hold string) *asked { return l.ask(&request{hold: hold, urgent: true}) }

func (l *lab) release(hold string) *asked {
	return l.ask(&request{hold: hold, urgent: true, ends: true})
}

// next is the oldest that lies on the desk and was not looked at.
func (l *lab) next() *sending {
	l.t.Helper()
	synctest.Wait()
	select {
	case s := <-l.came:
		return s
	default:
		l.t.Fatal("nothing was sent")
		return nil
	}
}

// wantNothing checks that nothing else was sent.
func (l *lab) wantNothing(why string) {
	l.t.Helper()
	synctest.Wait()
	select {
	case s := <-l.came:
		l.t.Errorf("%s was sent, %s", s.holds(), why)
	default:
	}
}

// wantHolds checks what was sent together, and in which order.
func (l *lab) wantHolds(s *sending, want string) *sending {
	l.t.Helper()
	if got := s.holds(); got != want {
		l.t.Errorf("%q were sent together, want %q", got, want)
	}
	return s
}

// occupied has as many be under way as may be, and returns them.
func (l *lab) occupied() (under []*sending) {
	l.t.Helper()
	for range leastSending {
		l.acquire("x")
		under = append(under, l.next())
	}
	return under
}

// rest answers whatever comes, until nothing does.
func (l *lab) rest(under ...*sending) {
	for _, s := range under {
		s.answer()
	}
	for {
		synctest.Wait()
		select {
		case s := <-l.came:
			s.answer()
		default:
			return
		}
	}
}
