//go:build unix

package child

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Child is a command that was started. It is safe for concurrent use.
type Child struct {
	root     int // pid of the command
	lead     process
	guardian int // its pid
	orders   *os.File
	tty      *terminal           // nil: its standard input and output are no terminal
	stops    chan syscall.Signal // that have stopped the command
	done     chan struct{}       // the command has ended
	empty    chan struct{}       // nothing of its tree is left
	orphaned chan struct{}       // the guardian has ended before us
	heard    chan struct{}       // no more news will come
	reaped   chan struct{}       // the guardian has ended
	rootEnd  syscall.WaitStatus  // how the command ended, where we are told and not the guardian; the reaper's

	mu      sync.Mutex
	status  syscall.WaitStatus // once done
	overdue bool
	bye     bool
}

// errNoGuardian is returned where the process between us and the command does
// not start.
var errNoGuardian = errors.New("its guardian did not start")

// Start starts a command below a guardian, which has the first order of
// [Child.Until] before it starts anything: what this process does not come to do
// after that, as where it is stopped, the guardian does. It returns a
// *os.PathError if the command cannot be run; of ETIMEDOUT, if until was over.
//
// From then on all that becomes a child of this process is taken note of, as
// whoever is PID 1 of a container must: nothing else here may wait for a process.
func Start(cmd Command, until time.Time, patience, grace time.Duration) (*Child, error) {
	c := &Child{
		stops: make(chan syscall.Signal, 1), done: make(chan struct{}), empty: make(chan struct{}),
		orphaned: make(chan struct{}), heard: make(chan struct{}), reaped: make(chan struct{}),
		rootEnd: syscall.WaitStatus(syscall.SIGKILL),
	}
	first := order{killAt: monotonic() + time.Until(until), patience: patience, grace: grace}
	news, err := c.begin(func() (*os.File, error) { return c.fork(cmd, first) })
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: cmd.Path, Err: err}
	}
	lines := bufio.NewScanner(news)
	var errno syscall.Errno
	if !lines.Scan() {
		err = errNoGuardian
	} else if _, bad := fmt.Sscanf(lines.Text(), "refused %d", &errno); bad == nil {
		err = fmt.Errorf("%w (%v)", errNoNamespace, errno)
	} else if _, bad := fmt.Sscanf(lines.Text(), "started %d", &c.root); bad != nil {
		_, _ = fmt.Sscanf(lines.Text(), "failed %d", &errno)
		err = errno
	}
	if err != nil {
		_ = c.orders.Close()
		close(c.heard)
		return nil, &os.PathError{Op: "start", Path: cmd.Path, Err: err}
	}
	if cmd.Isolated {
		c.root = seenAs(c.root, c.guardian)
	}
	c.lead = see(c.root, c.guardian)
	go c.listen(lines)
	c.tty = lend(c, cmd)
	return c, nil
}

// fork starts the guardian, and returns what it tells. The pipes keep their numbers
// in it, and are told by them: the command inherits whatever else we did, under the
// numbers that it had (a jobserver, a listener's sockets, a redirection 3>file).
// What else may be started meanwhile than a guardian, in a test, may inherit its ends,
// too: not ours, which tell of our death.
func (c *Child) fork(cmd Command, first order) (*os.File, error) {
	exe, err := ourselves()
	if err != nil {
		return nil, err
	}
	orders, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	news, its, err := os.Pipe()
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	defer its.Close()
	c.orders = ours
	c.order(first) // it waits in the pipe
	adopt()        // should the guardian be killed
	attr := &syscall.ProcAttr{Env: cmd.Env, Sys: &syscall.SysProcAttr{Setpgid: true}}
	wakeWithParent(attr.Sys)
	for _, f := range cmd.Files {
		attr.Files = append(attr.Files, f.Fd())
	}
	if cmd.Isolated {
		err = isolate(attr.Sys)
	}
	args := []string{"relock", verb, inherited(orders), inherited(its), cmd.Path}
	if err == nil {
		c.guardian, err = syscall.ForkExec(exe, append(args, cmd.Args...), attr)
	}
	runtime.KeepAlive(cmd)
	if err != nil {
		_, _ = ours.Close(), news.Close()
		if cmd.Isolated {
			return nil, fmt.Errorf("%w (%v)", errNoNamespace, err)
		}
		return nil, fmt.Errorf("its guardian: %v", err) // it is not the command that is not there
	}
	return news, nil
}

// inherited has what is started from now on have f, and returns its number.
func inherited(f *os.File) string {
	fd := f.Fd()
	_, _ = unix.FcntlInt(fd, unix.F_SETFD, 0)
	return strconv.Itoa(int(fd))
}

// listen takes in what the guardian tells.
func (c *Child) listen(lines *bufio.Scanner) {
	defer close(c.heard)
	for lines.Scan() {
		var n int
		switch text := lines.Text(); text {
		case "overdue":
			c.mu.Lock()
			c.overdue = true
			c.mu.Unlock()
		case "empty":
			close(c.empty)
		default:
			if _, err := fmt.Sscanf(text, "ended %d", &n); err == nil {
				c.ended(syscall.WaitStatus(n))
			} else if _, err := fmt.Sscanf(text, "stopped %d", &n); err == nil {
				select {
				case c.stops <- syscall.Signal(n):
				default:
				}
			}
		}
	}
}

func (c *Child) ended(ws syscall.WaitStatus) {
	c.mu.Lock()
	c.status = ws
	c.mu.Unlock()
	close(c.done)
}

// note takes note of the end of a child of ours.
func (c *Child) note(pid int, ws syscall.WaitStatus) {
	switch {
	case pid == c.guardian && !isClosed(c.reaped):
		close(c.reaped)
		if c.lost() {
			close(c.orphaned)
		}
	case isClosed(c.reaped) && pid == c.root:
		c.rootEnd = ws
	}
}

// lost tells whether the guardian, which has ended, should not have.
func (c *Child) lost() bool {
	<-c.heard
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.bye
}

// over is called when we have no child left. What the guardian could not tell is
// made up for.
func (c *Child) over() {
	<-c.heard
	if !isClosed(c.done) {
		c.ended(c.rootEnd)
	}
	if !isClosed(c.empty) {
		close(c.empty)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// tree is what is to be ended.
func (c *Child) tree() tree {
	t := tree{root: c.root, top: c.guardian, lead: c.lead}
	if isClosed(c.orphaned) {
		t.top = os.Getpid()
	}
	return t
}

// Done is closed when the command has ended. What it has left running in the
// background may go on.
func (c *Child) Done() <-chan struct{} { return c.done }

// Empty is closed when the command has ended with all that it has started.
func (c *Child) Empty() <-chan struct{} { return c.empty }

// Orphaned is closed when the guardian was killed: nobody ends the command any
// more should we die.
func (c *Child) Orphaned() <-chan struct{} { return c.orphaned }

// Overdue tells whether the guardian has killed the command, because we did not.
func (c *Child) Overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.overdue
}

// Until has the guardian kill all of them if we have not done so patience after
// t. Should we die, it asks them to end, and kills them after grace, or at t if
// that is earlier.
func (c *Child) Until(t time.Time, patience, grace time.Duration) {
	c.order(order{killAt: monotonic() + time.Until(t), patience: patience, grace: grace})
}

// order does not wait for a guardian that is stopped, and reads no orders.
func (c *Child) order(o order) {
	_ = c.orders.SetWriteDeadline(time.Now().Add(lookLast))
	_, _ = c.orders.WriteString(o.String())
}

// Close takes the terminal back from a command that has ended, and lets go of
// what it has left running. The guardian is gone then: not all who start us take
// note of orphans.
func (c *Child) Close() {
	c.tty.takeBack(c)
	c.mu.Lock()
	c.bye = true
	c.mu.Unlock()
	c.order(order{bye: true})
	select {
	case <-c.reaped:
	case <-time.After(tellWithin):
		_ = syscall.Kill(c.guardian, syscall.SIGKILL)
		<-c.reaped
	}
}

// Status is the exit status of a command that has ended, as a shell tells it:
// its own, or 128 + n if signal n ended it.
func (c *Child) Status() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Signaled() {
		return 128 + int(c.status.Signal())
	}
	return c.status.ExitStatus()
}

// Pass passes sig on to the command and to all in its group; where the command
// has ended, to all that it has left. A request to stop stops this process, too,
// once the command has it; on a terminal the stop of the command itself does that,
// while it lives, and it is continued when it has the terminal.
func (c *Child) Pass(sig os.Signal) {
	n, ok := sig.(syscall.Signal)
	switch {
	case ok && isClosed(c.done):
		c.tree().signalAll(n)
	case n != syscall.SIGCONT || c.tty == nil:
		c.tree().signal(sig)
	}
	if Suspends(sig) && (c.tty == nil || isClosed(c.done)) {
		stopSelf()
	}
}

// Terminate asks the command, and all that it has started, to end.
func (c *Child) Terminate() { c.tree().terminate() }

// tellWithin is how long a guardian may take to tell of what is dead.
const tellWithin = time.Second

// Kill ends the command, and all that it has started, and returns when all of
// them are gone. A guardian that does not take note of that, since it was
// stopped, is killed as well: then we do.
func (c *Child) Kill() {
	began := time.Now()
	kill(func() tree {
		t := c.tree()
		if time.Since(began) > tellWithin && !isClosed(c.orphaned) && !t.left() {
			_ = syscall.Kill(c.guardian, syscall.SIGKILL)
		}
		return t
	}, c.empty)
	<-c.done
}

// Clear ends what a command that has ended left running: it asks, and kills what
// is still there after grace.
func (c *Child) Clear(grace time.Duration) {
	if isClosed(c.empty) {
		return
	}
	c.Terminate()
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-c.empty:
	case <-over.C:
		c.Kill()
	}
}
