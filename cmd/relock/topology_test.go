//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/redistest"
)

// wants runs relock and fails unless it has the status and says all of says, in
// its output or on standard error.
func wants(t *testing.T, status int, args []string, says ...string) {
	t.Helper()
	got, out, errs := run(t, args...)
	if got != status {
		t.Errorf("relock %q: exit status %d, want %d\n%s%s", args, got, status, out, errs)
	}
	for _, want := range says {
		if !strings.Contains(out+errs, want) {
			t.Errorf("relock %q says no %q:\n%s%s", args, want, out, errs)
		}
	}
}

// hold has relock run hold each of the names until the test ends.
func hold(t *testing.T, url string, names ...string) {
	t.Helper()
	for _, name := range names {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := relockCmd(t, "run", "--redis", url, name, "--", "sh", "-c", fmt.Sprintf("echo $$ >%s; exec sleep 60", file))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		readPid(t, file)
	}
}

func TestOnACluster(t *testing.T) {
	c := redistest.StartClusterT(t)
	url := "redis://" + c.Addrs()[0]
	names := []string{"a", "b", "c", "d", "e", "f"} // slots of all three masters
	hold(t, url, names...)
	wants(t, exitOK, []string{"ls", "--redis", url}, names...)
	wants(t, exitOK, []string{"ls", "--redis", url + "?addr=" + c.Addrs()[1]}, names...)
	wants(t, exitOK, []string{"watch", "--redis", url, "--times", "1"}, names...)
	wants(t, exitNotAcquired, []string{"run", "--redis", url, "--wait", "0", "a", "--", "true"}, `"a" is held by`)
	wants(t, exitOK, []string{"unlock", "--redis", url, "--force", "--yes", "a"}, "a was taken from")
	wants(t, exitOK, []string{"inspect", "--redis", url, "a"}, "a: free")
	wants(t, exitOK, []string{"bench", "--redis", url, "--duration", "10ms"}, "(cluster)", "hand-off")
	wants(t, exitOK, []string{"doctor", "--redis", url}, "(cluster)", "all 16384 slots are served", "1, replicated asynchronously")

	// What is wrong with one node is said of that node.
	bad, err := c.MasterOf(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range [][]any{{"config", "set", "maxmemory-policy", "allkeys-lru"}, {"config", "set", "maxmemory", "100mb"}} {
		if _, err := bad.Do(ctx, set...); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, exitOK, []string{"doctor", "--redis", url}, "warn  eviction     "+bad.Addr()+": allkeys-lru")
}

func TestThroughASentinel(t *testing.T) {
	s := redistest.StartSentinelsT(t)
	url := fmt.Sprintf("redis://%s?master_name=%s", s.Addrs()[0], redistest.SentinelName)
	hold(t, url, "job")
	wants(t, exitOK, []string{"ls", "--redis", url}, "job")
	wants(t, exitOK, []string{"doctor", "--redis", url}, "a primary")
	wants(t, exitOK, []string{"run", "--redis", url, "other", "--", "true"})
	wants(t, exitUnreachable, []string{"run", "--redis", "redis://" + s.Addrs()[0] + "?master_name=nobody", "other", "--", "true"}, "cannot reach Redis")
	wants(t, exitFailed, []string{"doctor", "--redis", "redis://" + s.Addrs()[0]}, "a sentinel", "?master_name=")
}

func TestAReplicaIsRefusedByWhatWrites(t *testing.T) {
	r := redistest.StartReplicasT(t, 1)
	url := "redis://" + r.Replicas[0].Addr()
	hold(t, "redis://"+r.Primary.Addr(), "job")
	for _, args := range [][]string{
		{"run", "--redis", url, "job", "--", "true"}, // would wait as for a failover
		{"unlock", "--redis", url, "--force", "--yes", "job"},
		{"bench", "--redis", url},
	} {
		wants(t, exitUnreachable, args, "is a replica, which takes no writes; connect to its primary")
	}
	wants(t, exitFailed, []string{"doctor", "--redis", url},
		"fail  role         a replica", "connect to its primary", "warn  scripts      not tried: see role", "warn  publish      not tried: see role", "warn  hand-off     not tried: see scripts")
	wants(t, exitOK, []string{"doctor", "--redis", "redis://" + r.Primary.Addr()}, "warn  replicas     1, replicated asynchronously")
}
