//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/relock-go/relock/internal/redistest"
)

const isolated = "--pid-namespace"

// In a namespace the kernel ends it all, whoever is left to do it.
func TestInANamespaceTheCommandIsDeadThoughBothAreKilled(t *testing.T) {
	unshared(t, "--pid", "--fork", "--mount-proc", "--")
	type kill struct {
		relock, guardian syscall.Signal
	}
	for name, with := range map[string]kill{
		"both killed":                         {syscall.SIGKILL, syscall.SIGKILL},
		"relock stopped, the guardian killed": {syscall.SIGSTOP, syscall.SIGKILL},
		"the guardian stopped, relock killed": {syscall.SIGKILL, syscall.SIGSTOP},
		"relock killed":                       {syscall.SIGKILL, 0},
		"relock stopped":                      {syscall.SIGSTOP, 0},
		"the guardian killed":                 {0, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			if !full { // else the machine has enough to do
				t.Parallel()
			}
			srv := redistest.StartT(t)
			trees := plant(t, srv.Addr(), repetitions(), "--ttl", "3s", isolated)
			for _, tr := range trees {
				if err := syscall.Kill(tr.guardian, with.guardian); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(tr.cmd.Process.Pid, with.relock); err != nil {
					t.Fatal(err)
				}
			}
			successors(t, srv.Addr(), trees)
		})
	}
}

func TestInANamespace(t *testing.T) {
	unshared(t, "--pid", "--fork", "--mount-proc", "--")
	srv := redistest.StartT(t)
	file := filepath.Join(t.TempDir(), "file")
	for name, tt := range map[string]struct {
		script string
		flags  []string
		status int
		out    string
	}{
		"its status is the command's":               {"exit 3", nil, 3, ""},
		"it ends by its own signal":                 {"kill -TERM $$", nil, 128 + 15, ""},
		"it sees itself, and its guardian":          {"cat /proc/1/comm; echo $PPID; ls -d /proc/[0-9]* | grep -cx /proc/$$", nil, 0, "relock\n1\n1\n"},
		"it is not told of a pid it cannot see":     {"echo $RELOCK_NAME$RELOCK_PID", nil, 0, "job\n"},
		"what it leaves ends with it":               {"sleep 600 & echo left", nil, 0, "left\n"},
		"unless that is waited for":                 {"(sleep 0.2; echo late) & echo early", []string{"--wait-all"}, 0, "early\nlate\n"},
		"what is mounted outside is mounted":        {"mountpoint -q /proc && cat " + file, nil, 0, "outside\n"},
		"an interrupt is the command's":             {"trap 'echo cleaned; exit 4' TERM; echo $$ >" + file + ".pid; while :; do sleep 0.05; done", nil, 4, "cleaned\n"},
		"its guardian cannot be killed from within": {"kill -9 1; kill -STOP 1; echo still here", nil, 0, "still here\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(tt.script, "cat "+file) {
				if err := exec.Command("sh", "-c", "echo outside >"+file).Run(); err != nil {
					t.Fatal(err)
				}
			}
			cmd := runUnder(t, srv.Addr(), "job", tt.script, append(tt.flags, isolated)...)
			var out strings.Builder
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(tt.script, "TERM; echo") {
				readPid(t, file+".pid")
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.status || out.String() != tt.out {
				t.Errorf("status %d and %q, want %d and %q", got, out.String(), tt.status, tt.out)
			}
			wants(t, exitOK, []string{"inspect", "--redis", "redis://" + srv.Addr(), "job"}, "job: free")
		})
	}
}

// Who is not root has a user namespace, and none of the rights in it that made it.
func TestANamespaceOfSomebody(t *testing.T) {
	if os.Geteuid() != 0 {
		redistest.Missing(t, "it takes root to become another user; as an ordinary user the other tests of namespaces are of somebody already")
	}
	const nobody = "65534"
	as := []string{"--reuid", nobody, "--regid", nobody, "--clear-groups", "--"}
	if out, err := exec.Command("setpriv", append(as, "unshare", "--user", "--pid", "--fork", "--mount-proc", "--map-current-user", "true")...).CombinedOutput(); err != nil {
		redistest.Missing(t, "no namespaces for another user: %v %s", err, out)
	}
	srv := redistest.StartT(t)
	cmd := runUnder(t, srv.Addr(), "job", "id -u; id -g; cat /proc/1/comm; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status", isolated)
	cmd.Args = append(append([]string{"setpriv"}, as...), readableByAll(t, cmd.Path, cmd.Args[1:])...)
	path, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = path
	out, err := cmd.CombinedOutput()
	const none = "\t0000000000000000\n"
	if want := fmt.Sprintf("%s\n%[1]s\nrelock\nCapPrm:%sCapEff:%[2]sCapAmb:%[2]s", nobody, none); string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// readableByAll has another user run this executable, which it may not read: a copy.
func readableByAll(t *testing.T, exe string, args []string) []string {
	t.Helper()
	out, err := exec.Command("mktemp", "-d").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("rm", "-r", dir).Run() })
	mine := filepath.Join(dir, "relock")
	if out, err := exec.Command("sh", "-c", `chmod 755 "$1" && cp "$2" "$3" && chmod 755 "$3"`, "sh", dir, exe, mine).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return append([]string{mine}, args...)
}

func TestWithoutANamespaceNothingIsRun(t *testing.T) {
	srv := redistest.StartT(t)
	for name, tt := range map[string]struct{ prevent, why string }{
		"there may be none":    {`echo 0 >/proc/sys/user/max_pid_namespaces && exec "$@"`, "no space left on device"},
		"it may have no /proc": {`mount -t tmpfs none /proc/sys && exec unshare --map-root-user --mount -- "$@"`, "operation not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			none := []string{"--map-root-user", "--mount", "--", "sh", "-c", tt.prevent, "sh"}
			if out, err := exec.Command("unshare", append(none, "true")...).CombinedOutput(); err != nil {
				redistest.Missing(t, "no user namespace for us: %v %s", err, out)
			}
			cmd := exec.Command("unshare", append(none, runUnder(t, srv.Addr(), "job", "echo ran", isolated, "--at-least", "1h").Args...)...)
			cmd.Env = append(os.Environ(), asCommand+"=1")
			out, _ := cmd.CombinedOutput()
			want := "sh: no PID namespace can be had here: it takes Linux, and root or a kernel that lets users have them (" + tt.why + ")\n"
			if got := cmd.ProcessState.ExitCode(); got != 126 || !strings.HasSuffix(string(out), want) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("status %d and %q, want 126 and %q", got, out, want)
			}
			wants(t, exitOK, []string{"inspect", "--redis", "redis://" + srv.Addr(), "job"}, "job: free")
		})
	}
}
