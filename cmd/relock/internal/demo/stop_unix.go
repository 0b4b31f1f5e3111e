//go:build unix

package demo

import (
	"os"
	"os/exec"
	"syscall"
)

const canStop = true

func stopProcess(p *os.Process) error     { return p.Signal(syscall.SIGSTOP) }
func continueProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

// detach gives a worker a process group of its own. Ctrl-C then reaches the
// parent alone, which ends its workers in order; and should the parent be killed
// while a worker is stopped, the system wakes that worker (an orphaned group
// with a stopped member gets SIGHUP and SIGCONT).
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
