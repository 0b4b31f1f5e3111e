// Package child runs a command so that it can be ended with all that it has
// started: in a process group of its own, which every signal is sent to, and on
// Linux with what has left that group found by its parents.
//
// On a terminal the command's group is its foreground group, so that what is
// typed there (Ctrl-C, Ctrl-Z, input) reaches the command as if nothing stood in
// between, and reaches nobody twice.
package child

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A Child is a command that was started. It is safe for concurrent use.
type Child struct {
	cmd  *exec.Cmd
	tree tree
	tty  *terminal // nil: its standard input and output are no terminal
	done chan struct{}
}

// Start starts cmd. It dies with this process where the system can arrange that
// (Linux: also if this process is killed).
//
// The goroutine that starts it keeps its thread until the command has ended:
// Linux sends the parent-death signal when the starting thread ends.
func Start(cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd, done: make(chan struct{})}
	apart(cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.tree.root = cmd.Process.Pid
	c.tty = lend(c)
	return c, nil
}

// Done is closed when the command has ended. What it has left running in the
// background may go on.
func (c *Child) Done() <-chan struct{} { return c.done }

// Close takes the terminal back from a command that has ended.
func (c *Child) Close() { c.tty.takeBack() }

// Status is the exit status of a command that has ended, as a shell tells it:
// its own, or 128 + n if signal n ended it.
func (c *Child) Status() int {
	if sig, ok := c.Signalled(); ok {
		return 128 + int(sig)
	}
	return c.cmd.ProcessState.ExitCode()
}

// Signalled returns the signal that ended a command.
func (c *Child) Signalled() (syscall.Signal, bool) {
	ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return 0, false
	}
	return ws.Signal(), true
}

// Ends tells whether sig asks a command to end.
func Ends(sig os.Signal) bool {
	return sig == os.Interrupt || sig == syscall.SIGTERM || sig == syscall.SIGHUP || sig == syscall.SIGQUIT
}

// Passed are the signals that a command gets when we do.
func Passed() []os.Signal {
	return append([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, more...)
}

// Pass passes sig on to the command and to all in its group. A request to stop
// stops this process, too, once the command has it; on a terminal the command's
// own stop does that.
func (c *Child) Pass(sig os.Signal) {
	c.tree.signal(sig)
	if isSuspend(sig) && c.tty == nil {
		stopSelf()
	}
}

// Terminate asks the command, and all that it has started, to end. Those that
// are stopped are continued, so that they can.
func (c *Child) Terminate() { c.tree.terminate() }

// Kill ends the command, and all that it has started, and returns when the
// command is gone.
func (c *Child) Kill() {
	c.tree.kill()
	<-c.done
}

// lookEvery is how often a group is looked at that is to be empty.
const lookEvery = 10 * time.Millisecond

// Clear ends what a command that has ended left running in its group: it asks,
// and kills what is still there after grace.
func (c *Child) Clear(grace time.Duration) {
	if !c.tree.left() {
		return
	}
	c.tree.terminate()
	over := time.NewTimer(grace)
	defer over.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for c.tree.left() {
		select {
		case <-tick.C:
		case <-over.C:
			c.Kill()
			return
		}
	}
}

// Missing returns the exit status for a command that cannot be started, as
// shells have it: 127 if it is not there, else 126.
func Missing(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}
