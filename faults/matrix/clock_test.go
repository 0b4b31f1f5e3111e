package matrix

import (
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// Clocks that step.

var clocks = []fault{
	{
		number: 28,
		name:   "a server's clock steps",
		injection: "gettimeofday of a redis-server by LD_PRELOAD, with an offset that is stepped by +60 s, -1 h, by two hours " +
			"either way on a minority of a RedLock, and by -1 h at each of the places where the clock is read",
		asserted: "forward: the lock is free early, there is a second holder under a greater token, the first is told by its next renewal; " +
			"back: a live holder goes on and unlocks, the lock of a dead one stays until ForceUnlock or the clock; tokens rise; " +
			"no key loses its end; " +
			"a RedLock does without a minority whose clocks are wrong",
		remark: "libfaketime hangs Debian's redis-server. A RedLock of whose nodes a majority is an hour behind its clients is not had: nodes " +
			"refuse a token that is an hour ahead of their clocks",
		checks: []check{
			{of: "60 s forward", kinds: every, world: stepping, run: stepsForward},
			{of: "an hour back", kinds: []kind{mutex, reentrant, multi, minority}, world: stepping, run: stepsBack(-time.Hour)},
			{of: "50 minutes back", kinds: []kind{majority}, world: stepping, run: stepsBack(-50 * time.Minute)},
			{of: "an hour back within a script", kinds: every, world: stepping, run: stepsWithinScripts((*process).lock)},
			{of: "an hour back within a script, of an owner", kinds: []kind{majority, minority}, world: stepping, run: stepsWithinScripts(owners)},
			{of: "two hours forward", kinds: []kind{minority}, world: stepping, run: wrongClocks(2 * time.Hour)},
			{of: "two hours back", kinds: []kind{minority}, world: stepping, run: wrongClocks(-2 * time.Hour)},
		},
	},
	{
		number:    29,
		name:      "a client's wall clock steps",
		injection: "none from outside: a Go process reads its clock without a library to put in between. The source is searched instead",
		asserted: "every instant of a lease has a monotonic reading, which Go compares by; the source takes none away and reads the wall " +
			"clock for tokens alone, where it is a proposal",
		remark: "what a wrong wall clock does to a RedLock's proposals: TestWhatIsFarAheadIsNotFollowed",
		see:    "TestWhatIsFarAheadIsNotFollowed",
		checks: []check{{kinds: sound, run: monotonic}},
	},
}

// preload builds the library that steps a server's clock, once.
var preload = sync.OnceValues(func() (string, error) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "relock-clock-")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() { _ = os.RemoveAll(dir) })
	library := filepath.Join(dir, "clock.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O", "-o", library, "testdata/clock.c").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return library, nil
})

// stepping makes a world of servers whose clocks can be stepped.
func stepping(t *testing.T, k kind) *world {
	t.Helper()
	redistest.Require(t)
	library, err := preload()
	if err != nil {
		redistest.Missing(t, "needs gcc to step a server's clock: %v", err)
	}
	binary, err := redistest.FindServer()
	if err != nil {
		t.Fatal(err)
	}
	w := emptyWorld(t, k)
	for range k.nodes {
		dir := t.TempDir()
		offset, script := filepath.Join(dir, "offset"), filepath.Join(dir, "server")
		run := fmt.Sprintf("#!/bin/sh\nexport LD_PRELOAD=%q RELOCK_CLOCK=%q\nexec %q \"$@\"\n", library, offset, binary)
		// A process that is forked meanwhile would have the script open for writing: it
		// could not be run ("text file busy").
		syscall.ForkLock.RLock()
		err := os.WriteFile(script, []byte(run), 0o700)
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
		n := &node{clock: offset}
		if err := n.stepAfter(0, 0); err != nil {
			t.Fatal(err)
		}
		n.server = redistest.StartT(t, redistest.WithBinary(script))
		n.connect = func(bool) relock.Redis { return n.server.Client() }
		w.nodes = append(w.nodes, n)
	}
	return w
}

// step sets by how much a node's clock is off.
func (n *node) step(d time.Duration) error {
	return n.writeClock(d.Microseconds(), 0, 0)
}

// stepAfter has a node's clock be right, and off by d once it was read that often.
func (n *node) stepAfter(reads int, d time.Duration) error {
	return n.writeClock(0, int64(reads), d.Microseconds())
}

// writeClock writes the file in place: the server has it in its memory.
func (n *node) writeClock(numbers ...int64) error {
	f, err := os.OpenFile(n.clock, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return binary.Write(f, binary.NativeEndian, numbers)
}

// step steps the clocks of the struck nodes, and waits until that is seen.
func (w *world) step(d time.Duration) {
	w.Helper()
	w.strike(func(n *node) error { return n.step(d) })
	for _, n := range w.struck() {
		rdb := n.server.Client()
		w.await("the clock has stepped", func() bool {
			off := time.Since(rdb.Time(bg).Val()) + d
			return off.Abs() < 5*time.Second
		})
	}
}

func stepsForward(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
	w.step(time.Minute)
	start := time.Now()
	if w.kind.outlives {
		w.wantKept(lease)
		w.wantTaken(other)
		w.unlock(lease)
	} else {
		next := w.hold(w.behind().lock(relock.WithTTL(long)))
		w.wantLostWithin(lease, start, renewal(told))
		w.unlock(next)
	}
	w.wantFree(other, 0)
	w.step(0) // and back: the counter is ahead of the clock by now
	w.wantFree(other, 0)
	w.wantFree(w.behind(), 0)
}

func stepsBack(d time.Duration) func(w *world) {
	return func(w *world) {
		holder, other := w.behind(), w.behind()
		w.unlock(w.hold(other.lock()))
		lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
		w.step(d)
		w.wantKept(lease)
		w.wantTaken(other)
		w.unlock(lease)
		w.wantFree(w.behind(), 0)
		w.step(0)
		dead := w.hold(w.behind().lock(relock.WithLease(short)))
		w.step(d)
		w.wantLostAtDeadline(dead) // and released, in the background
		w.wantFree(other, 0)
		w.step(0)
		w.wantFree(w.behind(), 0)
	}
}

// owners is the lock of a RedLock as an owner has it that may hold it elsewhere.
func owners(p *process, opts ...relock.LockOption) relock.Locker {
	return p.quorum().Reentrant(p.w.name, opts...)
}

// stepsWithinScripts has the clock step back at every place of a script where it
// is read: a key may not lose its end by that.
func stepsWithinScripts(lock func(*process, ...relock.LockOption) relock.Locker) func(*world) {
	const reads = 60 // as many as Lock, Extend and Unlock make of it, and more
	return func(w *world) {
		holder := w.behind()
		w.unlock(w.hold(holder.lock()))
		for after := range reads {
			w.strike(func(n *node) error { return n.stepAfter(after+1, -time.Hour) })
			ctx := relock.WithOwner(w.soon(), "owner")
			if lease, err := lock(holder, relock.WithLease(long)).TryLock(ctx); err == nil {
				_ = lease.Extend(w.soon(), 2*long) // the hold may have ended
				w.wantEnds(after + 1)
				_ = lease.Unlock(w.soon())
			}
			w.wantEnds(after + 1)
			w.step(0)
			w.wantFree(holder, long)
		}
	}
}

// wantEnds checks that the lock, if it is there, has an end.
func (w *world) wantEnds(reads int) {
	w.Helper()
	for _, n := range w.struck() {
		if n.server.Client().PTTL(bg, w.key("lock")).Val() == -1 {
			w.Fatalf("after %d reads of the clock: a key without an end", reads)
		}
	}
}

// wrongClocks has nodes be wrong from the beginning, so that they agree with no
// token that the others accept.
func wrongClocks(d time.Duration) func(w *world) {
	return func(w *world) {
		w.step(d)
		for range 3 {
			p := w.behind()
			lease := w.hold(p.lock(relock.WithTTL(told)))
			w.wantTaken(w.behind())
			w.wantKept(lease)
			w.unlock(lease)
		}
		w.wantFree(w.behind(), 0)
	}
}

// wallClock is what reads or makes instants without a monotonic reading.
var wallClock = []string{
	"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "In", "Round", "Truncate", "Date", "AddDate", "Parse", "ParseInLocation",
}

// tokensAlone are the places that may: proposals of tokens, and text for people.
var tokensAlone = []string{"errors.go: Round", "internal/lifecycle/close.go: Round", "redlock/arithmetic.go: UnixMicro", "redlock/quorum.go: UnixMicro"}

func monotonic(w *world) {
	lease := w.hold(w.behind().lock(relock.WithTTL(long / 3)))
	for range 2 {
		if until := lease.ValidUntil().String(); !strings.Contains(until, " m=") {
			w.Errorf("valid until %s, which has no monotonic reading", until)
		}
		w.wantKept(lease)
	}
	w.unlock(lease)
	root := os.DirFS("../..")
	for _, dir := range []string{".", "redlock", "internal/engine", "internal/lifecycle", "internal/lifecycle/queue", "internal/redisengine"} {
		files, err := fs.Glob(root, dir+"/*.go")
		if err != nil || len(files) == 0 {
			w.Fatalf("no source in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, use := range wallClockUses(w, root, name) {
				if !slices.Contains(tokensAlone, use) {
					w.Errorf("%s: reads the wall clock, or takes a monotonic reading away", use)
				}
			}
		}
	}
}

// wallClockUses lists the calls in a file that wallClock names.
func wallClockUses(w *world, root fs.FS, name string) (uses []string) {
	w.Helper()
	source, err := fs.ReadFile(root, name)
	if err != nil {
		w.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
	if err != nil {
		w.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(wallClock, f.Sel.Name) {
				uses = append(uses, filepath.ToSlash(name)+": "+f.Sel.Name)
			}
		}
		return true
	})
	return uses
}
