package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/relock-go/relock/cmd/relock/internal/child"
	"github.com/relock-go/relock/cmd/relock/internal/demo"
	"github.com/relock-go/relock/internal/redistest"
)

// asCommand has the test binary be the command: its workers, which it starts
// from the same executable, inherit it.
const asCommand = "RELOCK_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	child.Guard()
	if os.Getenv(asCommand) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"relock": main})
}

var ctx = context.Background()

// relockCmd returns the command, to be ended with the test at the latest.
func relockCmd(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// run returns the exit status and the output.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := relockCmd(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func short(more ...string) []string {
	return append([]string{"demo", "--duration", "1s", "--ttl", "300ms", "--goroutines", "3"}, more...)
}

func TestDemoLosesNothing(t *testing.T) {
	status, out, errs := run(t, short("--json")...)
	if status != exitOK {
		t.Fatalf("exit status %d\n%s%s", status, out, errs)
	}
	var sum demo.Summary
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if !sum.OK || sum.UpdatesLost != 0 || !sum.TokensRising || sum.Sections == 0 {
		t.Errorf("the summary is not that of a good run: %s", out)
	}
	if sum.ServerScripts == 0 || sum.CommandsPerSection < 1 {
		t.Errorf("the server's count and ours were not compared: %s", out)
	}
	if sum.LeftOut == "" && (sum.StaleRefused < 1 || !sum.LostAtOnce || sum.Frozen < 300) {
		t.Errorf("no stale write of a stopped holder was refused: %s", out)
	}
}

func TestDemoPrintsASummaryForPeople(t *testing.T) {
	status, out, errs := run(t, short()...)
	if status != exitOK {
		t.Fatalf("exit status %d\n%s%s", status, out, errs)
	}
	for _, want := range []string{
		"sections done", "updates lost", "tokens strictly rising", "stale writes refused",
		"commands a section", "hand-off p50", "hand-off p99", "fairness", "OK: nothing was lost.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestDemoWithOneWorkerSaysWhatItLeavesOut(t *testing.T) {
	status, out, errs := run(t, "demo", "--workers", "1", "--duration", "300ms")
	if status != exitOK || !strings.Contains(out, "left out:") {
		t.Errorf("exit status %d, want 0 and what is left out\n%s%s", status, out, errs)
	}
}

func TestBadInputIsOneLineAndAStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no command":            {nil, exitUsage, "Usage:"},
		"an unknown command":    {[]string{"frobnicate"}, exitUsage, `no command "frobnicate"`},
		"an unknown flag":       {[]string{"demo", "--nope"}, exitUsage, "-nope"},
		"an argument":           {[]string{"demo", "now"}, exitUsage, `unexpected argument "now"`},
		"no workers":            {[]string{"demo", "--workers", "0"}, exitUsage, "--workers 0"},
		"no goroutines":         {[]string{"demo", "--goroutines", "-1"}, exitUsage, "--goroutines -1"},
		"a TTL below the least": {[]string{"demo", "--ttl", "1ms"}, exitUsage, "--ttl 1ms"},
		"no duration":           {[]string{"demo", "--duration", "0s"}, exitUsage, "--duration 0s"},
		"no number":             {[]string{"demo", "--workers", "many"}, exitUsage, "many"},
		"no URL of Redis":       {[]string{"demo", "--redis", "http://localhost"}, exitUsage, "not a Redis URL"},
		"nobody at the address": {[]string{"demo", "--redis", "redis://127.0.0.1:1"}, exitUnreachable, "cannot reach Redis at 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := run(t, tt.args...)
			if status != tt.status || !strings.Contains(errs, tt.says) {
				t.Errorf("exit status %d, want %d and %q, got\n%s", status, tt.status, tt.says, errs)
			}
			if out != "" || tt.args != nil && strings.Count(errs, "\n") != 1 {
				t.Errorf("want one line on stderr and nothing else, got %q and %q", errs, out)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"demo", "-h"}} {
		status, out, errs := run(t, args...)
		if status != exitOK || !strings.Contains(out, "Usage:") || errs != "" {
			t.Errorf("relock %v: exit status %d, %q, %q", args, status, out, errs)
		}
	}
}

// readLine returns the next line that contains want.
func readLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, want) {
			return
		}
		if err != nil {
			t.Fatalf("%v before %q", err, want)
		}
	}
}

func TestInterruptLeavesNoProcess(t *testing.T) {
	for name, after := range map[string]string{
		"while all run":        "sections",
		"while one is stopped": "SIGSTOP",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := relockCmd(t, short("--duration", "20s", "--ttl", "5s")...)
			if after == "SIGSTOP" {
				cmd = relockCmd(t, short("--duration", "2s", "--ttl", "5s")...)
			}
			// A worker that outlives its parent keeps this pipe open.
			held, alive, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			cmd.ExtraFiles = []*os.File{alive}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = alive.Close()
			lines := bufio.NewReader(out)
			readLine(t, lines, after)
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				redistest.Missing(t, "no interrupt here: %v", err)
			}
			_, _ = io.Copy(io.Discard, lines)
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != 130 {
				t.Errorf("exit status %d, want 130", got)
			}
			_, _ = io.ReadAll(held) // returns when the last process is gone
		})
	}
}
