//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/redistest"
)

// threeLevels starts processes of three levels that ignore TERM: some in sessions
// of their own, one whose parent has ended, and one that starts others all the
// time. It writes a file when all are there. What a test that
// fails leaves of them ends with its files.
const threeLevels = `trap "" TERM
sh -c 'setsid sh -c "echo >%[1]s.3; while [ -e %[1]s.3 ]; do sleep 1; done" & echo >%[1]s.2; while [ -e %[1]s.2 ]; do sleep 1; done' &
(setsid sh -c 'echo >%[1]s.4; while [ -e %[1]s.4 ]; do sh -c "sleep 0.05 & sleep 0.05"; done' &)
until [ -e %[1]s.2 ] && [ -e %[1]s.3 ] && [ -e %[1]s.4 ]; do sleep 0.01; done
echo $$ >%[1]s.there
while [ -e %[1]s.there ]; do sleep 1; done`

// noneLives fails if a process has the environment of the command.
const noneLives = `found=$(grep -lszx "MARK=%s" /proc/[0-9]*/environ)
for f in $found; do cat "${f%%environ}stat" >&2; done
[ -z "$found" ]`

// tree is one relock run of threeLevels, under a lock of its own.
type tree struct {
	cmd      *exec.Cmd
	mark     string // the path of its files
	guardian int
	report   bytes.Buffer
}

// plant starts n of them.
func plant(t *testing.T, addr string, n int, flags ...string) []*tree {
	t.Helper()
	trees := make([]*tree, n)
	for i := range trees {
		file := filepath.Join(t.TempDir(), "tree")
		tr := &tree{mark: file}
		args := slices.Concat([]string{"run", "--redis", "redis://" + addr}, flags, []string{fmt.Sprint("tree", i), "--"})
		tr.cmd = relockCmd(t, append(args, "env", "MARK="+tr.mark, "sh", "-c", fmt.Sprintf(threeLevels, file))...)
		tr.cmd.Stderr, tr.cmd.WaitDelay = &tr.report, 5*time.Second
		if err := tr.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tr.cmd.Process.Kill() })
		trees[i] = tr
	}
	for _, tr := range trees {
		readPid(t, tr.mark+".there")
		tr.guardian = onlyChild(t, tr.cmd.Process.Pid)
	}
	return trees
}

// onlyChild returns the child that a process has.
func onlyChild(t *testing.T, parent int) (pid int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks { // whichever thread has started it
		if text, err := os.ReadFile(task); err == nil {
			_, _ = fmt.Sscan(string(text), &pid)
		}
	}
	if pid == 0 {
		t.Fatalf("process %d has no child", parent)
	}
	return pid
}

// successors are the next holders of their locks: each fails if it finds one of
// them alive.
func successors(t *testing.T, addr string, trees []*tree) {
	t.Helper()
	var all sync.WaitGroup
	for i, tr := range trees {
		all.Go(func() {
			next := runUnder(t, addr, fmt.Sprint("tree", i), fmt.Sprintf(noneLives, tr.mark), "--wait", "1m")
			if out, err := next.CombinedOutput(); err != nil {
				t.Errorf("tree %d: the next holder found the command alive: %v\n%s", i, err, out)
			}
		})
	}
	all.Wait()
}

func repetitions() int {
	if full {
		return 20
	}
	return 4
}

func TestKilledItsCommandIsDeadBeforeAnotherStarts(t *testing.T) {
	srv := redistest.StartT(t)
	trees := plant(t, srv.Addr(), repetitions(), "--ttl", "3s")
	for _, tr := range trees {
		if err := tr.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	successors(t, srv.Addr(), trees)
}

func TestStoppedItsCommandIsDeadBeforeAnotherStarts(t *testing.T) {
	srv := redistest.StartT(t)
	trees := plant(t, srv.Addr(), repetitions(), "--ttl", "6s") // half a margin is what a guardian has: 300 ms
	for _, tr := range trees {
		if err := tr.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	successors(t, srv.Addr(), trees)
	for _, tr := range trees {
		_ = tr.cmd.Process.Signal(syscall.SIGCONT)
		_ = tr.cmd.Wait()
		if got := tr.cmd.ProcessState.ExitCode(); got != exitLost {
			t.Errorf("exit status %d, want %d", got, exitLost)
		}
		if !strings.Contains(tr.report.String(), "relock itself ran ") || !strings.Contains(tr.report.String(), "the command was killed") {
			t.Errorf("it does not say why: %s", tr.report.String())
		}
	}
}

func TestWithoutItsGuardianTheCommandIsEnded(t *testing.T) {
	srv := redistest.StartT(t)
	trees := plant(t, srv.Addr(), repetitions())
	for _, tr := range trees {
		if err := syscall.Kill(tr.guardian, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	successors(t, srv.Addr(), trees)
	for _, tr := range trees {
		_ = tr.cmd.Wait()
		if got := tr.cmd.ProcessState.ExitCode(); got != 128+9 {
			t.Errorf("exit status %d, want 137", got)
		}
		if want := "relock run: the guardian of the command was killed: the command was ended, with all that it had started\n"; tr.report.String() != want {
			t.Errorf("got %q, want %q", tr.report.String(), want)
		}
	}
}

func TestAGuardianThatIsStoppedHoldsNothingUp(t *testing.T) {
	srv := redistest.StartT(t)
	trees := plant(t, srv.Addr(), 1, "--lease", "1s")
	if err := syscall.Kill(trees[0].guardian, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	successors(t, srv.Addr(), trees)
	_ = trees[0].cmd.Wait()
	if got := trees[0].cmd.ProcessState.ExitCode(); got != exitLost {
		t.Errorf("exit status %d, want %d: %s", got, exitLost, trees[0].report.String())
	}
}

// Without /proc nothing that the command starts could be found.
func TestWithoutProcNothingIsStarted(t *testing.T) {
	srv := redistest.StartT(t)
	hidden := unshared(t, "--mount", "--", "sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "sh")
	cmd := exec.Command(hidden[0], slices.Concat(hidden[1:], runUnder(t, srv.Addr(), "job", "true", "--at-least", "1h").Args)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, _ := cmd.CombinedOutput()
	if want := "no /proc is mounted here, and without it"; cmd.ProcessState.ExitCode() != 126 || !strings.Contains(string(out), want) || strings.Count(string(out), "relock run: ") != 1 {
		t.Errorf("got status %d, %q, want 126 and %q", cmd.ProcessState.ExitCode(), out, want)
	}
	wants(t, exitOK, []string{"inspect", "--redis", "redis://" + srv.Addr(), "job"}, "job: free")
}

func TestAGuardianThatIsStoppedGoesOnWhenItsRelockIsKilled(t *testing.T) {
	srv := redistest.StartT(t)
	trees := plant(t, srv.Addr(), repetitions(), "--ttl", "3s")
	for _, tr := range trees {
		if err := syscall.Kill(tr.guardian, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(tr.guardian, syscall.SIGCONT) }) // should it not have been woken
		if err := tr.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	successors(t, srv.Addr(), trees)
}

// orphans leaves five processes behind that end, and fails unless all that is
// dead is taken note of.
const orphans = `for i in 1 2 3 4 5; do (sh -c "echo >%[1]s.$i" &); done
until [ -e %[1]s.1 ] && [ -e %[1]s.2 ] && [ -e %[1]s.3 ] && [ -e %[1]s.4 ] && [ -e %[1]s.5 ]; do sleep 0.01; done
n=0
while grep -qs "^State:.Z" /proc/[0-9]*/status; do
	n=$((n + 1)); [ $n -lt 300 ] || { grep -s "^State:.Z" /proc/[0-9]*/status >&2; exit 1; }
	sleep 0.01
done
%[2]s`

// unshared returns the command line before one that is to run in namespaces, which
// who is not root has as the root of another.
func unshared(t *testing.T, args ...string) []string {
	t.Helper()
	all := []string{"unshare"}
	if os.Geteuid() != 0 {
		all = append(all, "--map-root-user")
	}
	all = append(all, args...)
	if out, err := exec.Command(all[0], append(all[1:], "true")...).CombinedOutput(); err != nil {
		redistest.Missing(t, "no namespaces for us: %v %s", err, out)
	}
	return all
}

// asInit has cmd be PID 1 of a namespace of its own.
func asInit(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.Args = append(unshared(t, "--pid", "--fork", "--mount-proc", "--kill-child", "--"), cmd.Args...)
	path, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = path
	return cmd
}

func TestAsPID1(t *testing.T) {
	srv := redistest.StartT(t)
	for name, tt := range map[string]struct {
		end    string // of the script
		term   bool
		status int
	}{
		"its status is the command's":       {"exit 3", false, 3},
		"TERM ends it":                      {"echo $$ >%[1]s.pid; exec sleep 60", true, 128 + 15},
		"a command that handles TERM":       {"trap 'exit 4' TERM; echo $$ >%[1]s.pid; while :; do sleep 0.05; done", true, 4},
		"it waits for what was left behind": {"(sleep 0.3; echo >%[1]s.late) & exit 5", false, 5},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "orphan")
			script := fmt.Sprintf(orphans, file, strings.ReplaceAll(tt.end, "%[1]s", file))
			cmd := asInit(t, runUnder(t, srv.Addr(), "job", script, "--wait-all"))
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.term {
				await(t, "the command", func() bool { _, err := os.Stat(file + ".pid"); return err == nil })
				if err := syscall.Kill(onlyChild(t, cmd.Process.Pid), syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d: %s", got, tt.status, errs.String())
			}
			if _, err := os.Stat(file + ".late"); strings.Contains(tt.end, "late") && err != nil {
				t.Errorf("it did not wait: %v", err)
			}
			if status, _, errs := run(t, "run", "--redis", "redis://"+srv.Addr(), "--wait", "0", "job", "--", "true"); status != exitOK {
				t.Errorf("the lock is not free: %d %s", status, errs)
			}
		})
	}
}
