//go:build !unix

package child

import (
	"os"
	"os/exec"
)

var more []os.Signal

func isSuspend(os.Signal) bool { return false }

func stopSelf() {}

func apart(*exec.Cmd) {}

// A tree is the command alone: there are no groups to signal here.
type tree struct{ root int }

func (t *tree) signal(sig os.Signal) {
	if p, err := os.FindProcess(t.root); err == nil {
		_ = p.Signal(sig)
	}
}

func (t *tree) terminate() { t.kill() }

func (t *tree) left() bool { return false }

func (t *tree) kill() { t.signal(os.Kill) }

type terminal struct{}

func lend(*Child) *terminal { return nil }
func (*terminal) takeBack() {}
