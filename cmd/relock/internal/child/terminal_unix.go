//go:build unix

package child

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A terminal is lent to the command's group while we are in the foreground: job
// control in small. What is typed then goes to the command alone. Where the output
// is piped on, a reader of that pipe shares the terminal with us, so it is kept: an
// interrupt comes to us, and is passed on.
type terminal struct {
	fd    int
	group int // ours
	quit  chan struct{}
	ended chan struct{}
}

// lend gives the terminal to c, now or when we come to the foreground. If c was
// stopped before, for having used it too early, its guardian tells.
func lend(c *Child, cmd Command) *terminal {
	t := &terminal{fd: int(cmd.Files[0].Fd()), group: unix.Getpgrp(), quit: make(chan struct{}), ended: make(chan struct{})}
	if user(t.fd) < 0 || user(int(cmd.Files[1].Fd())) < 0 {
		return nil
	}
	// A group in the background that takes the terminal back is stopped, unless
	// it ignores this. The command has been started and does not inherit it.
	signal.Ignore(syscall.SIGTTOU)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	t.pass(c)
	go t.follow(c, continued)
	return t
}

// user is the group that has the terminal of this session, or -1 where fd is none.
func user(fd int) int {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

func (t *terminal) give(group int) {
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

// pass gives the terminal to the command if it is ours to lend.
func (t *terminal) pass(c *Child) {
	if user(t.fd) == t.group {
		t.give(c.root)
	}
}

// resume has a command that was stopped go on, and not before the terminal is its own.
func (t *terminal) resume(c *Child) {
	t.pass(c)
	c.tree().signal(syscall.SIGCONT)
}

// follow stops our group when the command is stopped (Ctrl-Z), as a shell
// expects of a job, and lends the terminal again when we are continued (fg): not
// before, though this thread runs on until all are stopped. When the command has
// ended the terminal is ours again, though we wait for what it has left: an
// interrupt comes to us, and is passed on.
func (t *terminal) follow(c *Child, continued chan os.Signal) {
	defer close(t.ended)
	defer signal.Stop(continued)
	for {
		select {
		case by := <-c.stops:
			t.stopped(c, by)
		case <-continued:
			t.resume(c)
		case <-c.done:
			t.reclaim(c)
			return
		case <-t.quit:
			return
		}
	}
}

// stopped stops us, too, unless the command has only used a terminal that it has by
// now or can have: a shell does not tell a job in the background that fg was said.
func (t *terminal) stopped(c *Child, by syscall.Signal) {
	got := user(t.fd)
	switch {
	case (by == syscall.SIGTTIN || by == syscall.SIGTTOU) && (got == t.group || got == c.root):
		t.resume(c)
	case isStopped(c.root):
		t.reclaim(c)
		_ = syscall.Kill(0, syscall.SIGSTOP)
		if os.Getpid() == 1 { // which no signal of its own namespace stops
			t.resume(c)
		}
	}
}

// takeBack is called when the command has ended.
func (t *terminal) takeBack(c *Child) {
	if t == nil {
		return
	}
	close(t.quit)
	<-t.ended
	t.reclaim(c)
	signal.Reset(syscall.SIGTTOU)
}

// reclaim takes the terminal from the command, or from nobody: a group that the
// command gave it to, and that is gone. Any other has it because we are in the
// background: a shell that does not get its terminal back takes that for the end.
func (t *terminal) reclaim(c *Child) {
	got := user(t.fd)
	if got > 0 && (got == c.root || syscall.Kill(-got, 0) == syscall.ESRCH) {
		t.give(t.group)
	}
}
