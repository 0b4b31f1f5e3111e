//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

var more = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGTSTP}

func isSuspend(sig os.Signal) bool { return sig == syscall.SIGTSTP }

func stopSelf() { _ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }

// apart gives the command a process group of its own. A signal sent to us, or
// to our group by a terminal, then reaches it once: when we pass it on.
func apart(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
}

// A tree is a command and what it has started.
type tree struct {
	root   int       // its pid, and the id of its group
	known  []process // seen outside of the group when they were last looked for
	looked bool
}

func (t *tree) signal(sig os.Signal) {
	if n, ok := sig.(syscall.Signal); ok {
		_ = syscall.Kill(-t.root, n) // fails when all of them are gone
	}
}

func (t *tree) signalAll(sig syscall.Signal) {
	t.signal(sig)
	for _, p := range t.known {
		p.signal(sig)
	}
}

// terminate also remembers who is there: once a parent is gone, those that have
// left the group cannot be found any more.
func (t *tree) terminate() {
	t.look()
	t.signalAll(syscall.SIGTERM)
	t.signalAll(syscall.SIGCONT)
}

// kill kills all of them. Those that were looked for before die at once: looking
// takes time on a busy system, and the lock is about to be another's. Else the
// group is stopped first, so that it does nothing while others are looked for.
func (t *tree) kill() {
	if !t.looked {
		t.signal(syscall.SIGSTOP)
		t.look()
	}
	t.signalAll(syscall.SIGKILL)
}

// left tells whether anybody is in the group.
func (t *tree) left() bool { return syscall.Kill(-t.root, 0) == nil && inGroup(t.root) }

// look adds what has left the group since the last look.
func (t *tree) look() {
	t.looked = true
	for _, p := range descendants(t.root) {
		if p.group != t.root && !contains(t.known, p) {
			t.known = append(t.known, p)
		}
	}
}

func contains(all []process, p process) bool {
	for _, q := range all {
		if q.pid == p.pid && q.started == p.started {
			return true
		}
	}
	return false
}
