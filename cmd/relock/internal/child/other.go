//go:build !unix

package child

import (
	"os"
	"os/exec"
	"time"
)

var (
	more    []os.Signal
	suspend os.Signal // there is none
)

// Guard has nothing to do: there are no guardians here.
func Guard() {}

// A Child is a command that was started. There are no groups to signal here, and
// nobody outlives us to end it: on Windows the system does, see job_windows.go.
// It is safe for concurrent use.
type Child struct {
	cmd  *exec.Cmd
	job  job
	done chan struct{}
}

// Start starts a command. It returns an error if the command cannot be run. The
// rest is for guardians.
func Start(cmd Command, _ time.Time, _, _ time.Duration) (*Child, error) {
	if cmd.Isolated {
		return nil, &os.PathError{Op: "start", Path: cmd.Path, Err: errNoNamespace}
	}
	c := &Child{
		cmd:  &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Stdin: cmd.Files[0], Stdout: cmd.Files[1], Stderr: cmd.Files[2]},
		done: make(chan struct{}),
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.job = enclose(c.cmd.Process.Pid)
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait()
	}()
	return c, nil
}

// Done is closed when the command has ended. What it has left running in the
// background may go on.
func (c *Child) Done() <-chan struct{} { return c.done }

// Empty is Done: what a command has started is not known here.
func (c *Child) Empty() <-chan struct{} { return c.done }

// Orphaned is never closed.
func (c *Child) Orphaned() <-chan struct{} { return nil }

// Overdue is false.
func (c *Child) Overdue() bool { return false }

// Until has no effect.
func (c *Child) Until(time.Time, time.Duration, time.Duration) {}

// Status is the exit status of a command that has ended.
func (c *Child) Status() int { return c.cmd.ProcessState.ExitCode() }

// Pass passes sig on to the command, where the system can.
func (c *Child) Pass(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

// Terminate is Kill without waiting: there is no asking here.
func (c *Child) Terminate() {
	c.job.end()
	_ = c.cmd.Process.Kill()
}

// Kill ends the command, and on Windows all that it has started, and returns when
// the command is gone.
func (c *Child) Kill() {
	c.Terminate()
	<-c.done
}

// Clear ends what a command that has ended left running, on Windows.
func (c *Child) Clear(time.Duration) { c.job.end() }

// Close lets go of what a command that has ended left running.
func (c *Child) Close() { c.job.release() }
