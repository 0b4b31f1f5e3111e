//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// runUnder returns relock run with a shell script as its command.
func runUnder(t *testing.T, addr, name, script string, flags ...string) *exec.Cmd {
	t.Helper()
	args := append([]string{"run", "--redis", "redis://" + addr}, flags...)
	return relockCmd(t, append(args, name, "--", "sh", "-c", script)...)
}

func readPid(t *testing.T, file string) (pid int) {
	t.Helper()
	await(t, "a pid in "+file, func() bool {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.HasSuffix(text, []byte("\n")) {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	return pid
}

// stubborn writes its pid and that of a process that it starts, and ends by KILL
// alone.
const stubborn = `trap "" TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & echo $! >%[1]s.inner; echo $$ >%[1]s.outer; while :; do sleep 1; done`

// allDead fails if a process of stubborn lives. One that is dead, but that init
// has not taken note of, has a state of its own.
const allDead = `for f in %[1]s.outer %[1]s.inner; do
	p=$(cat $f)
	if [ -d /proc/self ]; then grep -qs "^State:.[^ZX]" /proc/$p/status; else kill -0 $p 2>/dev/null; fi
	if [ $? = 0 ]; then echo "$f lives" >&2; exit 1; fi
done`

// full asks for as many repetitions as a claim needs, and for limits of time to
// be held: on a machine that does nothing else.
var full = os.Getenv("RELOCK_FULL") != ""

func TestACommandCutOffFromRedisIsDeadBeforeAnotherStarts(t *testing.T) {
	const lanes = 10
	repetitions := lanes
	if full {
		repetitions = 50
	}
	srv := redistest.StartT(t)
	proxy, err := faultproxy.New(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	dir := t.TempDir()
	proxied := make([]*exec.Cmd, lanes)
	defer func() { t.Logf("%d repetitions", repetitions) }()
	for round := range repetitions / lanes {
		if err := proxy.Restore(); err != nil {
			t.Fatal(err)
		}
		file := func(lane int) string { return filepath.Join(dir, fmt.Sprintf("%d-%d", round, lane)) }
		for lane := range lanes {
			proxied[lane] = runUnder(t, proxy.Addr(), fmt.Sprint("cut", lane), fmt.Sprintf(stubborn, file(lane)), "--ttl", "3s", "--quiet")
			if err := proxied[lane].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for lane := range lanes {
			readPid(t, file(lane)+".outer")
		}
		proxy.Cut(faultproxy.Hang)
		var others sync.WaitGroup
		for lane := range lanes {
			others.Go(func() {
				next := runUnder(t, srv.Addr(), fmt.Sprint("cut", lane),
					fmt.Sprintf(allDead, file(lane)), "--wait", "1m")
				var errs bytes.Buffer
				next.Stderr = &errs
				if err := next.Run(); err != nil {
					t.Errorf("round %d, lane %d: the next holder found the command alive: %v\n%s", round, lane, err, errs.String())
				}
			})
		}
		others.Wait()
		for lane, cmd := range proxied {
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != exitLost {
				t.Errorf("round %d, lane %d: exit status %d, want %d", round, lane, got, exitLost)
			}
		}
	}
}

// At once: killed, and not asked before. How long that takes is the machine's
// matter, and held to a limit only where full.
func TestStoppedPastItsLeaseTheCommandIsDeadAtOnce(t *testing.T) {
	srv := redistest.StartT(t)
	for range 5 {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := runUnder(t, srv.Addr(), "stopped", fmt.Sprintf(stubborn, file), "--ttl", "300ms", "--json")
		var report bytes.Buffer
		cmd.Stderr = &report
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		inner, outer := readPid(t, file+".inner"), readPid(t, file+".outer")
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		status, _, errs := run(t, "run", "--redis", "redis://"+srv.Addr(), "stopped", "--", "true")
		if status != exitOK {
			t.Fatalf("nobody else had the lock: %d %s", status, errs)
		}
		began := time.Now()
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		await(t, "the command is gone", func() bool { return !alive(outer) && !alive(inner) })
		took := time.Since(began)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != exitLost {
			t.Errorf("exit status %d, want %d", got, exitLost)
		}
		t.Logf("dead %v after going on", took.Round(100*time.Microsecond))
		if !strings.Contains(report.String(), `"killed":true`) {
			t.Errorf("it was asked to end before: %s", report.String())
		}
		if full && took > 100*time.Millisecond {
			t.Errorf("dead after %v, want 100ms at most", took)
		}
	}
}

// countUp starts n runs at once that each add one to a file, without any other
// protection, and returns what the file says at the end.
func countUp(t *testing.T, addr string, n int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "counter")
	if err := os.WriteFile(file, []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range n {
		cmd := runUnder(t, addr, "counter", fmt.Sprintf("read n <%[1]s; echo $((n + 1)) >%[1]s", file))
		var errs bytes.Buffer
		cmd.Stderr = &errs
		all.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("%v: %s", err, errs.String())
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestAHundredRunsLoseNoIncrement(t *testing.T) {
	t.Run("on a real server", func(t *testing.T) {
		if got := countUp(t, redistest.StartT(t).Addr(), 100); got != "100" {
			t.Errorf("the counter says %s, want 100", got)
		}
	})
	t.Run("on the embedded one", func(t *testing.T) {
		m, _ := redistest.Embedded(t)
		n := 25 // an embedded server is no match for a hundred processes under the race detector
		if full {
			n = 100
		}
		if got := countUp(t, m.Addr(), n); got != strconv.Itoa(n) {
			t.Errorf("the counter says %s, want %d", got, n)
		}
	})
}

func TestRunOnAQuorum(t *testing.T) {
	var servers []*redistest.Server
	var flags []string
	for range 3 {
		s := redistest.StartT(t)
		servers = append(servers, s)
		flags = append(flags, "--redis", "redis://"+s.Addr())
	}
	under := func(more ...string) []string { return append(append([]string{"run"}, flags...), more...) }

	status, out, errs := run(t, under("job", "--", "sh", "-c", "echo $RELOCK_TOKEN")...)
	if status != exitOK || len(strings.TrimSpace(out)) != 16 {
		t.Errorf("got status %d, %q and %q, want a token", status, out, errs)
	}
	servers[0].Kill()
	file := filepath.Join(t.TempDir(), "pid")
	holder := relockCmd(t, under("job", "--", "sh", "-c", fmt.Sprintf("echo $$ >%s; exec sleep 60", file))...)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPid(t, file)
	if status, _, errs = run(t, under("--wait", "0", "job", "--", "true")...); status != exitNotAcquired {
		t.Errorf("with one of three down a held lock: got status %d and %q, want %d", status, errs, exitNotAcquired)
	}
	if err := holder.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	if alive(pid) {
		t.Error("the command outlived its run")
	}
	if status, _, errs = run(t, under("--wait", "10s", "job", "--", "true")...); status != exitOK {
		t.Errorf("after TERM the lock is free: got status %d and %q", status, errs)
	}
	servers[1].Kill()
	status, _, errs = run(t, under("job", "--", "true")...)
	if status != exitUnreachable || strings.Count(errs, "\n") != 1 {
		t.Errorf("with two of three down: got status %d and %q, want %d in one line", status, errs, exitUnreachable)
	}
	if status, _, errs = run(t, "run", flags[0], flags[1], flags[0], flags[1], "job", "--", "true"); status != exitUsage && status != exitUnreachable {
		t.Errorf("one server twice: got status %d and %q", status, errs)
	}
}

// In containers all may have one host name and the pid 1.
func TestAWaitForAnOwnerOfTheSameHostAndPidIsTold(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	t.Setenv(envRedis, "redis://"+rdb.Options().Addr)
	c, err := relock.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	own := relock.NewOwner() // made in this process, as that of the run is
	if _, err := c.Reentrant("job").Lock(relock.WithOwner(t.Context(), own)); err != nil {
		t.Fatal(err)
	}
	status, out := within(t, "", "run", "--wait", "1100ms", "job", "--", "true")
	if want := fmt.Sprintf(`waiting for "job", held by %s for `, own); status != exitNotAcquired || !strings.Contains(out, want) {
		t.Errorf("got status %d and %q, want %q", status, out, want)
	}
}

func TestTheLocksOfAQuorum(t *testing.T) {
	var urls []string
	var servers []*redistest.Server
	for range 3 {
		s := redistest.StartT(t)
		servers, urls = append(servers, s), append(urls, "redis://"+s.Addr())
	}
	t.Setenv(envRedis, strings.Join(urls, " "))
	file := filepath.Join(t.TempDir(), "pid")
	holder := relockCmd(t, "run", "--ttl", "3s", "--owner", "alice", "job", "--", "sh", "-c", fmt.Sprintf("echo $$ >%s; exec sleep 60", file))
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	readPid(t, file)
	servers[0].Kill() // a minority
	wants(t, exitOK, []string{"ls"}, "job   alice  1")
	wants(t, exitOK, []string{"inspect", "job"}, "job: held by alice", "nobody waits")
	wants(t, exitOK, []string{"watch", "job", "--times", "1"}, "alice")
	wants(t, exitOK, []string{"complete-words", "inspect", ""}, "job")
	wants(t, exitUsage, []string{"bench"}, "several URLs of Redis, in --redis or $RELOCK_REDIS: this command looks at one at a time")
	wants(t, exitOK, []string{"unlock", "--force", "--yes", "job"}, "job was taken from alice")
	_ = holder.Wait()
	if status := holder.ProcessState.ExitCode(); status != exitLost {
		t.Errorf("the holder: got status %d, want %d", status, exitLost)
	}
	wants(t, exitOK, []string{"ls"}, "no lock is held")
	servers[1].Kill() // a majority
	for _, args := range [][]string{{"ls"}, {"unlock", "--force", "--yes", "job"}} {
		wants(t, exitUnreachable, args, "cannot reach Redis")
	}
}
