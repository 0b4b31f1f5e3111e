//go:build unix

package child

import (
	"os"
	"syscall"
	"time"
)

var more = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, suspend}

const suspend = syscall.SIGTSTP

func stopSelf() { _ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }

// A tree is a command and all that it has started: its process group, and what
// is below whoever adopts its orphans.
type tree struct {
	root int     // pid of the command, and the id of its group
	top  int     // pid of who adopts; not of the tree itself
	lead process // the command, where we have seen it
}

// signal sends sig to the group.
func (t tree) signal(sig os.Signal) {
	if n, ok := sig.(syscall.Signal); ok && (t.led() || t.groupAmong(descendants(t.top))) {
		_ = syscall.Kill(-t.root, n)
	}
}

// signalAll also sends it to what has left the group. Where such a process leads
// a group of its own that whole group gets it, in one go: looking for its members
// one by one would miss those that are just being forked.
//
// A group whose leader has been waited for may be empty, and its number another's:
// it is signalled if one of the tree is in it. Else it is at once, since a look at
// all processes takes its time.
func (t tree) signalAll(sig syscall.Signal) {
	led := t.led()
	if led {
		_ = syscall.Kill(-t.root, sig)
	}
	living := descendants(t.top)
	if !led && t.groupAmong(living) {
		_ = syscall.Kill(-t.root, sig)
	}
	for _, p := range living {
		if p.group != t.root {
			p.signal(sig)
		}
	}
}

// terminate asks all of them to end. Those that are stopped are continued, so
// that they can.
func (t tree) terminate() {
	t.signalAll(syscall.SIGTERM)
	t.signalAll(syscall.SIGCONT)
}

// left tells whether anybody lives.
func (t tree) left() bool { return len(descendants(t.top)) > 0 || inGroup(t.root) }

// Between two looks at a tree that is to end.
const (
	lookFirst = time.Millisecond
	lookLast  = 200 * time.Millisecond
)

// kill kills all of a tree, again and again until none is left, which empty
// tells: a look misses what is forked while it lasts. It asks less often where
// that takes long, as for a process of another user, which we may not kill.
func kill(of func() tree, empty <-chan struct{}) {
	pause := lookFirst
	for {
		of().signalAll(syscall.SIGKILL)
		select {
		case <-empty:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lookLast)
	}
}
