package redistest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is one run of a server binary.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended and was reaped
}

// launch starts the binary in dir with its output in log.
//
// The goroutine that starts it keeps its thread until the process has ended:
// Linux sends the parent-death signal when the starting thread ends, not when
// the parent does.
func launch(binary, dir string, args []string, log *os.File) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), gone: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.gone)
		}
	}()
	return p, <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// kill ends the process, paused or not, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended already
	<-p.gone
}
