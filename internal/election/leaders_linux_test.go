package election_test

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// Elections of processes on a real server, which are killed and stopped.

// A field is candidates, and what they have told.
type field struct {
	t          *testing.T
	server     *redistest.Server
	settings   string
	ttl        time.Duration
	candidates []*candidate

	mu    sync.Mutex
	lines []line
	last  map[*candidate]line // that a term of it began
	heard chan struct{}       // closed at the next line
}

// A candidate is one process.
type candidate struct {
	cmd  *exec.Cmd
	read chan struct{} // closed when all that it told was read
}

func newField(t *testing.T, n int, ttl time.Duration) *field {
	t.Helper()
	redistest.Slow(t, "leases of processes that are killed have to run out")
	t.Parallel()
	f := &field{t: t, server: redistest.StartT(t), ttl: ttl, last: map[*candidate]line{}, heard: make(chan struct{})}
	text, err := json.Marshal(settings{f.server.Addr(), filepath.Join(t.TempDir(), "leads"), ttl})
	if err != nil {
		t.Fatal(err)
	}
	f.settings = string(text)
	f.candidates = make([]*candidate, n)
	t.Cleanup(func() {
		for _, c := range f.candidates {
			f.kill(c)
		}
	})
	for i := range n {
		f.candidates[i] = f.start()
	}
	f.await("all stand", func() bool { return f.count(ready) >= n })
	return f
}

// start starts a candidate.
func (f *field) start() *candidate {
	f.t.Helper()
	c := &candidate{cmd: exec.Command(os.Args[0]), read: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), settingsEnv+"="+f.settings)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also where it is stopped
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil { // the last may be half of one
				f.hear(c, l)
			}
		}
	}()
	return c
}

// kill kills a candidate (kill -9), once.
func (f *field) kill(c *candidate) {
	if c == nil || c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Kill()
	<-c.read
	_ = c.cmd.Wait()
}

// restart kills the i-th candidate and starts another in its place.
func (f *field) restart(i int) {
	f.t.Helper()
	f.kill(f.candidates[i])
	f.candidates[i] = f.start()
}

func (f *field) hear(c *candidate, l line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, l)
	if l.What == begins || l.What == beside {
		f.last[c] = l
	}
	close(f.heard)
	f.heard = make(chan struct{})
}

// await waits until what was told makes cond true.
func (f *field) await(what string, cond func() bool) {
	f.t.Helper()
	timeout := time.After(time.Minute)
	for {
		f.mu.Lock()
		ok, heard := cond(), f.heard
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-heard:
		case <-timeout:
			f.t.Fatalf("never: %s", what)
		}
	}
}

// count is how often that was told. It needs f.mu.
func (f *field) count(what string) (n int) {
	for _, l := range f.lines {
		if l.What == what {
			n++
		}
	}
	return n
}

// leader waits for one whose token is above that, and that has written.
func (f *field) leader(above relock.Token) (i int, token relock.Token) {
	f.t.Helper()
	f.await("a leader that writes", func() bool {
		for _, l := range slices.Backward(f.lines) {
			if l.What != writes || l.Token <= above {
				continue
			}
			token = l.Token
			i = slices.IndexFunc(f.candidates, func(c *candidate) bool { return f.last[c].Token == token })
			return i >= 0
		}
		return false
	})
	return i, token
}

// check checks what all have told, and what was written.
func (f *field) check() {
	t := f.t
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var believed []line
	terms := map[relock.Token]bool{}
	for _, l := range f.lines {
		if l.What == believes {
			believed = append(believed, l)
			terms[l.Token] = true
		}
	}
	slices.SortStableFunc(believed, func(a, b line) int { return int(a.At - b.At) })
	gap := time.Duration(0)
	for i, l := range believed[1:] {
		if l.Token < believed[i].Token {
			t.Errorf("the leader of token %d believes that it leads %v after that of token %d has begun", l.Token, time.Duration(l.At-believed[i].At), believed[i].Token)
		}
		if l.Token != believed[i].Token {
			gap = max(gap, time.Duration(l.At-believed[i].At))
		}
	}
	accepted, err := f.server.Client().LRange(behaviour.Bg, "writes", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for i := range accepted[1:] {
		if accepted[i+1] < accepted[i] { // tokens are microseconds, of 16 digits each
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d fenced writes of earlier leaders were accepted after one of a later", late)
	}
	t.Logf("%d terms, %d losses, %d times two functions at once, %d fenced writes accepted, %d of earlier leaders refused and %d accepted; longest without a leader %v: %v over the TTL of %v",
		len(terms), f.count(lost), f.count(beside), len(accepted), f.count(refused), late, gap, gap-f.ttl, f.ttl)
}

// wantAlone checks that no function ran beside another. A leader may lose its lease on
// a machine that does not let it run for most of a TTL; its successor's function can
// begin before its own has noticed, and no other can.
func (f *field) wantAlone() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lines {
		if before := f.termBefore(l.Token); l.What == beside && !f.lost(before) {
			f.t.Errorf("the function of token %d ran beside another, and the term before it, of token %d, was not lost", l.Token, before)
		}
	}
}

// termBefore is the token of the last term before that one. It needs f.mu.
func (f *field) termBefore(token relock.Token) (before relock.Token) {
	for _, l := range f.lines {
		if l.Token < token {
			before = max(before, l.Token)
		}
	}
	return before
}

// lost tells whether that term was told to be lost. It needs f.mu.
func (f *field) lost(token relock.Token) bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return l.What == lost && l.Token == token })
}

// anyOf is the leader, as often as not, and else any candidate.
func (f *field) anyOf() int {
	if rand.IntN(2) == 0 {
		return rand.IntN(len(f.candidates))
	}
	i, _ := f.leader(0)
	return i
}

// during calls step again and again, for that long by default or in full, at random
// times that are at most apart.
func during(short, full, apart time.Duration, step func()) {
	for end := time.Now().Add(behaviour.Scaled(short, full)); time.Now().Before(end); {
		<-time.After(rand.N(apart))
		step()
	}
}

// Of three processes the leader is killed again and again; another leads, under a
// greater token.
func TestLeadersOfThreeProcessesAreKilled(t *testing.T) {
	f := newField(t, 3, time.Second)
	token := relock.Token(0)
	for range behaviour.Scaled(2, 20) {
		var i int
		i, token = f.leader(token)
		f.restart(i)
	}
	f.leader(token)
	f.check()
	f.wantAlone()
}

func TestLeadersKilledAtRandom(t *testing.T) {
	f := newField(t, 5, time.Second)
	f.leader(0)
	during(4*time.Second, 10*time.Minute, f.ttl, func() { f.restart(f.anyOf()) })
	f.check()
	f.wantAlone()
}

// A leader that is stopped past its TTL believes in its lease no more when it runs
// again, and what it writes then is refused.
func TestLeadersStoppedAtRandom(t *testing.T) {
	f := newField(t, 5, time.Second)
	i, token := f.leader(0)
	f.stopped(i, func() { _, token = f.leader(token) })
	f.await("a late write is refused", func() bool { return f.count(refused) > 0 })
	during(2*time.Second, 10*time.Minute, f.ttl/2, func() {
		f.stopped(f.anyOf(), func() { <-time.After(rand.N(2 * f.ttl)) })
	})
	f.check()
}

// stopped stops the i-th candidate while meanwhile runs, and waits until its term,
// if it had one and has lost it, is over.
func (f *field) stopped(i int, meanwhile func()) {
	f.t.Helper()
	c := f.candidates[i]
	_ = c.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = c.cmd.Process.Signal(syscall.SIGCONT) }()
	meanwhile()
}
