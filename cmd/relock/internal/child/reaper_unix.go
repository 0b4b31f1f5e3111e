//go:build unix

package child

import (
	"os"
	"slices"
	"sync"
	"syscall"
)

// children are those whose ends are taken note of. There is one reaper for all:
// whoever waits for any child takes the end of another's guardian, too.
var children struct {
	mu     sync.Mutex // also keeps any from being forked while nobody is looked for
	all    []*Child
	reaped bool // by a goroutine
}

// begin forks the guardian of c, and sees to it that its end is taken note of.
func (c *Child) begin(fork func() (*os.File, error)) (*os.File, error) {
	children.mu.Lock()
	defer children.mu.Unlock()
	news, err := fork()
	if err != nil {
		return nil, err
	}
	children.all = append(children.all, c)
	if !children.reaped {
		children.reaped = true
		go reap()
	}
	return news, nil
}

// reap takes note of all that ends as our child: the guardian, and where it is
// killed what was below it; as PID 1, all that nobody else takes note of.
func reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == nil:
			note(pid, ws)
		case err == syscall.ECHILD && nobodyLeft():
			return
		}
	}
}

func note(pid int, ws syscall.WaitStatus) {
	children.mu.Lock()
	all := slices.Clone(children.all)
	children.mu.Unlock()
	for _, c := range all {
		c.note(pid, ws)
	}
}

// nobodyLeft ends the reaper if there is no child, and none is being forked.
func nobodyLeft() bool {
	children.mu.Lock()
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
	if err != syscall.ECHILD {
		children.mu.Unlock()
		if pid > 0 {
			note(pid, ws)
		}
		return false
	}
	all := children.all
	children.all, children.reaped = nil, false
	children.mu.Unlock()
	for _, c := range all {
		c.over()
	}
	return true
}
