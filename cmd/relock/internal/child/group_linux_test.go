package child

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

// A group whose number was the command's, and is a stranger's now, as after the
// command's end.
func TestAGroupThatNobodyOfTheTreeIsInIsNotSignalled(t *testing.T) {
	stranger := exec.Command("cat")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := stranger.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	ended := tree{root: stranger.Process.Pid, top: stranger.Process.Pid} // below it is nobody
	ended.signal(syscall.SIGKILL)
	ended.signalAll(syscall.SIGKILL)
	ended.terminate()
	if _, err := in.Write([]byte("still here\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "still here\n" {
		t.Errorf("the stranger was signalled: %q, %v", line, err)
	}
	_ = in.Close()
	_ = stranger.Wait()
}
