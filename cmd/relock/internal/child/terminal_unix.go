//go:build unix

package child

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A terminal is lent to the command's group while it runs: job control in small.
// What is typed then goes to the command alone. Where the output is piped on, a
// reader of that pipe shares the terminal with us, so it is kept: an interrupt
// comes to us, and is passed on.
type terminal struct {
	fd    int
	group int // ours
	quit  chan struct{}
	ended chan struct{}
}

// lend gives the terminal to c if it is ours. c may have been stopped before,
// for having used it too early: it is continued.
func lend(c *Child, cmd Command) *terminal {
	in, out := int(cmd.Files[0].Fd()), int(cmd.Files[1].Fd())
	ours := unix.Getpgrp()
	if !foreground(in, ours) || !foreground(out, ours) {
		return nil
	}
	// A group in the background that takes the terminal back is stopped, unless
	// it ignores this. The command has been started and does not inherit it.
	signal.Ignore(syscall.SIGTTOU)
	t := &terminal{fd: in, group: ours, quit: make(chan struct{}), ended: make(chan struct{})}
	t.give(c.root)
	c.tree().signal(syscall.SIGCONT)
	go t.follow(c)
	return t
}

func foreground(fd, group int) bool {
	got, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && got == group
}

func (t *terminal) give(group int) {
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

// follow stops our group when the command is stopped (Ctrl-Z), as a shell
// expects of a job, and lends the terminal again when we are continued. When the
// command has ended the terminal is ours again, though we wait for what it has left:
// an interrupt comes to us, and is passed on.
func (t *terminal) follow(c *Child) {
	defer close(t.ended)
	for {
		select {
		case <-c.stops:
		case <-c.done:
			t.reclaim()
			return
		case <-t.quit:
			return
		}
		if !isStopped(c.root) {
			continue
		}
		t.give(t.group)
		_ = syscall.Kill(0, syscall.SIGSTOP)
		// From here on we go on: the shell has sent SIGCONT, with fg or with bg.
		if foreground(t.fd, t.group) {
			t.give(c.root)
		}
		c.tree().signal(syscall.SIGCONT)
	}
}

// takeBack is called when the command has ended.
func (t *terminal) takeBack() {
	if t == nil {
		return
	}
	close(t.quit)
	<-t.ended
	t.reclaim()
	signal.Reset(syscall.SIGTTOU)
}

func (t *terminal) reclaim() {
	if got, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && got != t.group {
		t.give(t.group)
	}
}
