//go:build unix

package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// A guardian is a process between us and the command: this executable again. It
// starts the command, adopts what the command's processes leave behind, and
// outlives us: where we die, however, it ends them all before the lock can be
// another's. It does so, too, where we are stopped for too long.
//
// It has a process group of its own, in our session: a signal for our group, or
// KILL for our job, does not reach it.
type guardian struct {
	tree  tree
	news  *os.File
	empty chan struct{} // closed when nothing of the tree is left
}

// verb is the first argument of a guardian. What follows are the descriptors of
// its orders and of its news, the path of the command, and the command's arguments.
const verb = "guardian"

// Guard is to be called first in main: where this process is a guardian it does
// its work and does not return.
func Guard() {
	if len(os.Args) < 6 || os.Args[1] != verb {
		return
	}
	ordersFD, newsFD := pipeOf(os.Args[2]), pipeOf(os.Args[3])
	if ordersFD < 0 || newsFD < 0 {
		return
	}
	runtime.LockOSThread() // the command dies with the thread that starts it
	syscall.CloseOnExec(ordersFD)
	syscall.CloseOnExec(newsFD)
	adopt()
	named()
	deaf()
	g := &guardian{news: os.NewFile(uintptr(newsFD), "news"), empty: make(chan struct{})}
	if err := settle(); err != nil {
		g.tell("refused %d", errnoOf(err))
		os.Exit(1)
	}
	orders := ordersOf(os.NewFile(uintptr(ordersFD), "orders"))
	first, alive := <-orders
	err := error(syscall.ETIMEDOUT)
	if alive && !first.bye && monotonic() < first.killAt {
		err = g.start(os.Args[4], os.Args[5:])
	}
	if err != nil {
		g.tell("failed %d", errnoOf(err))
		os.Exit(1)
	}
	go g.reap()
	g.watch(first, orders)
	os.Exit(0)
}

// pipeOf returns the descriptor of a pipe that an argument names, or -1.
func pipeOf(arg string) int {
	fd, err := strconv.Atoi(arg)
	var st syscall.Stat_t
	if err != nil || fd <= 2 || syscall.Fstat(fd, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return -1
	}
	return fd
}

// deaf has no signal end or stop us, but KILL and STOP. The command has them as
// we had them: what is caught is reset when it is started, what is ignored stays
// ignored.
func deaf() {
	nobody := make(chan os.Signal, 1)
	for _, s := range append(Passed(), syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGALRM) {
		if !signal.Ignored(s) {
			signal.Notify(nobody, s)
		}
	}
}

func errnoOf(err error) int {
	if n, ok := err.(syscall.Errno); ok {
		return int(n)
	}
	return int(syscall.EINVAL)
}

func (g *guardian) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(g.news, format+"\n", args...) // nobody may be there any more
}

// start starts the command in a process group of its own: a signal for our group
// reaches it once, when it is passed on.
func (g *guardian) start(path string, args []string) error {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	dieWithParent(attr.Sys)
	pid, err := syscall.ForkExec(path, args, attr)
	if err != nil {
		return err
	}
	g.tree = tree{root: pid, top: os.Getpid(), lead: see(pid, os.Getpid())}
	g.tell("started %d", pid)
	return nil
}

// reap takes note of all that ends below us, the command's orphans too.
func (g *guardian) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD: nobody is left
			for g.tree.left() { // but in the group, where orphans are not adopted
				<-time.After(lookLast)
			}
			g.tell("empty")
			close(g.empty)
			return
		case pid != g.tree.root:
		case ws.Stopped():
			g.tell("stopped %d", int(ws.StopSignal()))
		default:
			g.tell("ended %d", int(ws))
		}
	}
}

// An order is what a guardian is told.
type order struct {
	killAt   time.Duration // the tree is to be killed then, by the monotonic clock
	patience time.Duration // so much later we do it, where somebody is there who should have
	grace    time.Duration // between asking and killing, where nobody is
	bye      bool          // the lock is no longer needed
}

// ordersOf closes its channel when whoever gives orders is gone, or does not make
// sense: half an order is the last one of somebody who is gone, and any other is no
// leave to let the command live on. The lock may then be another's, and nothing
// but this ends the command.
func ordersOf(r io.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			o := order{bye: lines.Text() == "bye"}
			if !o.bye {
				if _, err := fmt.Sscanf(lines.Text(), "until %d %d %d", &o.killAt, &o.patience, &o.grace); err != nil {
					return
				}
			}
			orders <- o
		}
	}()
	return orders
}

func (o order) String() string {
	if o.bye {
		return "bye\n"
	}
	return fmt.Sprintf("until %d %d %d\n", o.killAt, o.patience, o.grace)
}

// watch returns when the tree is no longer ours to watch, or is gone.
func (g *guardian) watch(now order, orders <-chan order) {
	timer := time.NewTimer(0)
	empty, overdue := g.empty, false
	for orders != nil || empty != nil {
		select {
		case o, alive := <-orders:
			switch {
			case o.bye:
				return
			case alive && !overdue:
				now = o
			case !alive:
				orders = nil
				now.killAt, now.patience = min(now.killAt, monotonic()+now.grace), 0
				if empty != nil {
					g.tree.terminate()
				}
			}
		case <-timer.C:
		case <-empty:
			empty = nil
		}
		if left := now.killAt - monotonic() + now.patience; left > 0 {
			timer.Reset(left)
		} else if empty != nil {
			overdue = true
			g.tell("overdue")
			kill(func() tree { return g.tree }, g.empty)
		}
	}
}
