//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/relock-go/relock/internal/redistest"
)

// A pty is a terminal with a command that leads its session.
type pty struct {
	master *os.File
	fd     int // its
	cmd    *exec.Cmd

	mu    sync.Mutex
	shown bytes.Buffer
	read  chan struct{} // closed when there is no more
}

// onTerminal starts cmd on a terminal of its own.
func onTerminal(t *testing.T, cmd *exec.Cmd) *pty {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // a read of it can be closed
	if err != nil {
		redistest.Missing(t, "no terminals for us: %v", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout = slave, slave
	if cmd.Stderr == nil {
		cmd.Stderr = slave
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	p := &pty{master: master, fd: fd, cmd: cmd, read: make(chan struct{})}
	t.Cleanup(p.hangUp)
	go p.watch()
	return p
}

func (p *pty) watch() {
	defer close(p.read)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.shown.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.shown.String(), "\r\n", "\n")
}

func (p *pty) types(t *testing.T, text string) {
	t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// hangUp has the terminal go away.
func (p *pty) hangUp() { _ = p.master.Close() }

// A terminal that goes away is a hangup, and writing to it an error: whatever was
// under way ends as by that signal, and holds and waits for nothing.
func TestATerminalThatGoesAwayLeavesNoLock(t *testing.T) {
	// Whoever runs the tests may ignore hangups, as nohup does; what a process that
	// hears them starts does not.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)
	srv := redistest.StartT(t)
	addr := "redis://" + srv.Addr()
	t.Setenv(envRedis, addr)
	hold(t, addr, "held")
	for name, tt := range map[string]struct {
		args    []string
		status  int
		shown   string // when it hangs up
		told    string // on a standard error that is no terminal
		unheard int    // the status where something else was first: that the terminal ended, say
	}{
		"a command that ends by it":    {[]string{"run", "job", "--", "sh", "-c", "exec 2>/dev/null; echo ready; while :; do sleep 0.1; done"}, 128 + 1, "ready", "", 0},
		"one that handles it":          {[]string{"run", "job", "--", "sh", "-c", "exec 2>/dev/null; trap 'exit 4' HUP; echo ready; while :; do sleep 0.1; done"}, 4, "ready", "", 0},
		"one that cannot write":        {[]string{"run", "job", "--", "sh", "-c", "trap '' HUP; echo ready; while echo more 2>/dev/null; do sleep 0.1; done; exit 5"}, 5, "ready", "", 0},
		"what it has left, waited for": {[]string{"run", "--wait-all", "job", "--", "sh", "-c", "sleep 60 & echo ready"}, 0, "ready", "", 128 + 1}, // where the command had not ended
		"a run that waits":             {[]string{"run", "held", "--", "true"}, 128 + 1, "", "relock run: waiting for \"held\", held by ", 0},
		"a table that is redrawn":      {[]string{"watch"}, 128 + 1, "1 held", "relock watch: cannot write its output: ", 0},
		"a question":                   {[]string{"unlock", "--force", "held"}, 128 + 1, "[y/N]", "relock unlock: cannot write its output: ", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			errs := filepath.Join(t.TempDir(), "errs")
			cmd := relockCmd(t, tt.args...)
			stderr, err := os.Create(errs)
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			cmd.Stderr = stderr
			p := onTerminal(t, cmd)
			read := func() string { text, _ := os.ReadFile(errs); return string(text) }
			await(t, "it is under way", func() bool {
				return tt.shown != "" && strings.Contains(p.text(), tt.shown) || tt.shown == "" && strings.HasPrefix(read(), tt.told)
			})
			p.hangUp()
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.status && (got != tt.unheard || got == exitOK) {
				t.Errorf("status %d, want %d: %s", got, tt.status, read())
			}
			if got := read(); got != "" && (tt.told == "" || !strings.HasPrefix(got, tt.told) || strings.Count(got, "\n") != 1) {
				t.Errorf("it told %q, want one line at most, %q", got, tt.told)
			}
			if _, left := within(t, "", "inspect", "job"); left != "job: free\n  nobody waits\n" {
				t.Errorf("it left %s", left)
			}
			if _, left := within(t, "", "inspect", "held"); !strings.HasPrefix(left, "held: held by ") || !strings.Contains(left, "nobody waits") {
				t.Errorf("it left %s", left)
			}
		})
	}
}

// While what a command has left is waited for, the terminal is relock's again: an
// interrupt ends the wait.
func TestTheTerminalIsOursAgainWhenTheCommandHasEnded(t *testing.T) {
	hearInterrupts(t)
	srv := redistest.StartT(t)
	file := filepath.Join(t.TempDir(), "left")
	p := onTerminal(t, runUnder(t, srv.Addr(), "job", fmt.Sprintf(`(trap "" TERM INT; while :; do sleep 0.1; done) & echo $! >%[1]s; until [ -e %[1]s.go ]; do sleep 0.01; done; exit 3`, file),
		"--wait-all", "--json", "--grace", "100ms"))
	left := readPid(t, file)
	lent := func() bool {
		group, err := unix.IoctlGetInt(p.fd, unix.TIOCGPGRP)
		return err == nil && group != p.cmd.Process.Pid
	}
	await(t, "the terminal is the command's", lent)
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "the terminal is relock's", func() bool { return !lent() })
	p.types(t, "\x03")
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != 3 || alive(left) {
		t.Errorf("status %d, want 3; what was left lives: %v: %s", got, alive(left), p.text())
	}
}

// Ctrl-Z stops the command (one that starts no others meanwhile: a shell that
// waits for what it has just forked cannot be stopped), and relock with it, until the shell continues the job:
// the terminal is not lent meanwhile.
func TestWhatCtrlZStopsStaysStopped(t *testing.T) {
	hearInterrupts(t)
	srv := redistest.StartT(t)
	p := onTerminal(t, runUnder(t, srv.Addr(), "job", "echo ready $$; exec sleep 60", "--ttl", "1m"))
	await(t, "it is under way", func() bool { return strings.HasSuffix(p.text(), "\n") })
	var command int
	if _, err := fmt.Sscanf(p.text(), "ready %d\n", &command); err != nil {
		t.Fatal(err)
	}
	lent := func() bool {
		group, err := unix.IoctlGetInt(p.fd, unix.TIOCGPGRP)
		return err == nil && group == command
	}
	for range 10 {
		await(t, "the command goes on, on the terminal", func() bool { return lent() && !stopped(command) })
		p.types(t, "\x1a")
		await(t, "relock is stopped", func() bool { return stopped(p.cmd.Process.Pid) })
		if lent() || !stopped(command) {
			t.Fatalf("relock is stopped; the terminal is the command's: %v; the command is stopped: %v", lent(), stopped(command))
		}
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the terminal is the command's", lent)
	p.types(t, "\x03")
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGINT) {
		t.Errorf("status %d: %s", got, p.text())
	}
}

// A shell has its terminal back while relock is in the background, and when that
// ends there; in the foreground again it is the command's, though a shell says so only
// to jobs that it continues.
func TestATerminalIsTheShellsWhileRelockIsInTheBackground(t *testing.T) {
	srv := redistest.StartT(t)
	dir := t.TempDir()
	sh := exec.Command("sh", "-i")
	if bash, err := exec.LookPath("bash"); err == nil {
		sh = exec.Command(bash, "--norc", "--noprofile", "-i") // does not continue a job in fg that it has in bg
	}
	sh.Dir = dir
	job := relockCmd(t, "run", "job", "--")
	sh.Env = append(job.Env, "EXE="+job.Path, "PS1=$ ", envRedis+"=redis://"+srv.Addr())
	p := onTerminal(t, sh)
	types := func(text, shows string) {
		t.Helper()
		seen := len(p.text())
		p.types(t, text)
		await(t, "after "+text+" it shows "+shows, func() bool { return strings.Contains(p.text()[seen:], shows) })
	}
	begin := `"$EXE" run --ttl 1m job -- sh -c 'echo rea""dy; read line <go; `
	fifo := filepath.Join(dir, "go")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	goOn := func() {
		t.Helper()
		if err := os.WriteFile(fifo, []byte("\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	types(begin+"touch ended'\n", "ready")
	types("\x1a", "Stopped")
	types("bg; echo in the back''ground\n", "background")
	goOn()
	await(t, "the lock is free", func() bool {
		_, err := os.Stat(filepath.Join(dir, "ended"))
		_, left := within(t, "", "inspect", "--redis", "redis://"+srv.Addr(), "job")
		return err == nil && strings.HasPrefix(left, "job: free")
	})
	types("echo still he''re\n", "here")

	types(begin+`read x; echo "got $x"'`+"\n", "ready")
	types("\x1a", "Stopped")
	types("bg; echo in the back''ground\n", "background")
	types("fg\n", "EXE")
	goOn()
	types("hello\n", "got hello")
	types("exit\n", "")
	_ = sh.Wait()
}

// What comes while relock waits is not the command's: Ctrl-Z stops the wait, and
// other signals are nobody's.
func TestAWaitKeepsNoSignalsForTheCommand(t *testing.T) {
	srv := redistest.StartT(t)
	file := filepath.Join(t.TempDir(), "holds")
	holder := runUnder(t, srv.Addr(), "job", "echo $$ >"+file+"; exec sleep 60")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	readPid(t, file)
	var told bytes.Buffer
	waiter := runUnder(t, srv.Addr(), "job", "exit 3")
	waiter.Stderr, waiter.SysProcAttr = &told, &syscall.SysProcAttr{Setpgid: true}
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	send := func(to *exec.Cmd, sig syscall.Signal) {
		t.Helper()
		if err := to.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "it waits", func() bool {
		_, shown := within(t, "", "inspect", "--redis", "redis://"+srv.Addr(), "job")
		return strings.Contains(shown, "1 wait")
	})
	send(waiter, syscall.SIGUSR1)
	send(waiter, syscall.SIGTSTP)
	await(t, "it is stopped", func() bool { return stopped(waiter.Process.Pid) })
	send(waiter, syscall.SIGCONT)
	send(holder, syscall.SIGTERM)
	_ = holder.Wait()
	_ = waiter.Wait()
	if got := waiter.ProcessState.ExitCode(); got != 3 {
		t.Errorf("status %d, want 3, the command's: %s", got, told.String())
	}
}

// hearInterrupts is for whoever tests in the background: we may have been told to
// ignore interrupts, and so relock.
func hearInterrupts(t *testing.T) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, os.Interrupt)
	t.Cleanup(func() { signal.Stop(heard) })
}

// stopped tells whether a signal has stopped the process.
func stopped(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(status), "State:\tT")
}
