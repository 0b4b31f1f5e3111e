//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/relock-go/relock/internal/redistest"
)

// scriptCommands are what the scripts have beside testscript's own.
//
//	exits N command args...  runs it and wants exit status N
//	await file               waits until the file is there and not empty
//	gone pidfile...          waits until those processes are gone
//	signal NAME pidfile      sends that signal
//	free name...             waits until those locks and their queues have no key
//	queued name              waits until somebody waits for that lock
//	redis command args...    asks the server
func scriptCommands(rdb *redis.Client) map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": func(ts *testscript.TestScript, _ bool, args []string) {
			want, err := strconv.Atoi(args[0])
			ts.Check(err)
			got := 0
			err = ts.Exec(args[1], args[2:]...)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				got = exit.ExitCode()
			} else {
				ts.Check(err)
			}
			if got != want {
				ts.Fatalf("exit status %d, want %d", got, want)
			}
		},
		"await": func(ts *testscript.TestScript, _ bool, args []string) {
			await(ts, args[0]+" is written", func() bool {
				text, err := os.ReadFile(ts.MkAbs(args[0]))
				return err == nil && len(text) > 0
			})
		},
		"gone": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, file := range args {
				pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
				ts.Check(err)
				await(ts, "the process of "+file+" is gone", func() bool { return !alive(pid) })
			}
		},
		"signal": func(ts *testscript.TestScript, _ bool, args []string) {
			pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
			ts.Check(err)
			ts.Check(syscall.Kill(pid, unix.SignalNum("SIG"+args[0])))
		},
		"free": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, name := range args {
				await(ts, name+" is free", func() bool {
					n, err := rdb.Exists(ctx, "relock:lock:{"+name+"}", "relock:queue:{"+name+"}").Result()
					ts.Check(err)
					return n == 0
				})
			}
		},
		"queued": func(ts *testscript.TestScript, _ bool, args []string) {
			await(ts, "somebody waits for "+args[0], func() bool {
				n, err := rdb.ZCard(ctx, "relock:queue:{"+args[0]+"}").Result()
				ts.Check(err)
				return n > 0
			})
		},
		"redis": func(ts *testscript.TestScript, _ bool, args []string) {
			all := make([]any, len(args))
			for i, a := range args {
				all[i] = a
			}
			ts.Check(rdb.Do(ctx, all...).Err())
		},
	}
}

// fataler is a test or a script.
type fataler interface{ Fatalf(string, ...any) }

// await asks until cond holds.
func await(t fataler, what string, cond func() bool) {
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
			return
		}
	}
}

// alive tells whether the process lives. One that is dead, but that its parent
// has not taken note of, is there for kill(2).
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !strings.Contains(string(status), "State:\tZ")
}

// atWork names the mutant that is at work, if any: see faults/mutants.
const atWork = "RELOCK_MUTANT"

// runScripts runs all scripts, each with a server of its own as its Redis: they
// run side by side, and their locks may have like names.
func runScripts(t *testing.T, kind string, start func(testing.TB) string) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file, kind, start(t))
		})
	}
}

// runScript runs a script with the server at addr as its Redis.
func runScript(t *testing.T, file, kind, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	testscript.Run(t, testscript.Params{
		Files:              []string{file},
		Cmds:               scriptCommands(rdb),
		RequireUniqueNames: true,
		Condition:          func(cond string) (bool, error) { return cond == kind, nil },
		Setup: func(env *testscript.Env) error {
			env.Setenv(asCommand, "1")
			env.Setenv(atWork, os.Getenv(atWork))
			env.Setenv(envRedis, "redis://"+addr)
			env.Setenv("ADDR", addr)
			return nil
		},
	})
}

func TestScriptsOnEmbedded(t *testing.T) {
	runScripts(t, "embedded", func(tb testing.TB) string {
		m, _ := redistest.Embedded(tb)
		return m.Addr()
	})
}

func TestScriptsOnRealServer(t *testing.T) {
	runScripts(t, "real", func(tb testing.TB) string { return redistest.StartT(tb).Addr() })
}
