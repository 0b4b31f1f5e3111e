package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestPauseReturnsWhenTheServerHasStopped(t *testing.T) {
	s := StartT(t)
	pid := s.process().pid()
	if isStopped(pid) {
		t.Error("stopped before Pause")
	}
	must(t, s.Pause())
	if !isStopped(pid) {
		t.Error("not stopped after Pause")
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	Require(t)
	exe := value[string](t)(os.Executable())
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), envParent+"=1", "TMPDIR="+t.TempDir())
	out, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	addr, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	addr = strings.TrimSpace(addr)
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	must(t, conn.Close())

	must(t, parent.Process.Kill())
	_ = parent.Wait() // reports the kill
	must(t, eventually(within(t), func() error {
		conn, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			err = conn.Close()
		}
		return fmt.Errorf("%s still accepts: %w", addr, errors.Join(errRunning, err))
	}))
}
