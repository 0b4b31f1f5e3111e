package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/child"
)

const runIntro = `Runs a command under a lock, and gives the lock back when the command has ended.
If the lock is lost the command is ended, with all that it has started, before
another can have the lock. On Linux that holds also where relock is killed (kill
-9, out of memory) or stopped: a second process, its guardian, ends the command
then; and where the guardian is killed, relock ends it. If both are killed at
once, or the guardian is while relock is stopped, what the command has started
goes on, unless something else ends it: the kernel, with --pid-namespace; the
container, or the systemd service with a TimeoutStopSec below the TTL, that has
relock as its main process. On other systems see docs/cli.md.

With --pid-namespace the command has pids, and mounts, that are seen by itself
and by what it starts alone, no RELOCK_PID, and what it leaves in the background
is killed when it has ended. It takes root (CAP_SYS_ADMIN), or a kernel that lets
users have namespaces; sudo does not work in one of a user's.

What the command leaves in the background otherwise runs on without the lock when
it has ended; with --wait-all the lock is held until the last of it has ended.

The command gets RELOCK_NAME, RELOCK_TOKEN, RELOCK_OWNER, RELOCK_HELD (the locks
held around it) and RELOCK_PID (of relock, which passes signals on), and with
--lease RELOCK_DEADLINE_MS. A relock run within it re-enters the locks in
RELOCK_HELD.

Examples:
  relock run backup -- /usr/local/bin/backup.sh
  relock run --wait 0 nightly -- make nightly          only if nobody does it already
  relock run --wait 0 --at-least 30s nightly -- make nightly   by cron on several hosts: once
  relock run --wait 1m --ttl 10s deploy -- ./deploy prod
  relock run --lease 5m report -- sh -c 'echo "token $RELOCK_TOKEN"'`

var runCommand = command{
	name:  "run",
	help:  "run a command under a lock",
	run:   runRun,
	lends: true,
}

// runConfig is what the command line says.
type runConfig struct {
	where
	name    string
	command []string
	ttl     time.Duration
	lease   time.Duration
	atLeast time.Duration
	wait    waitFor
	owner   string
	grace   time.Duration
	waitAll bool
	isolate bool
	json    bool
	quiet   bool
}

// waitFor is how long to wait for a lock.
type waitFor struct {
	forever bool
	d       time.Duration
}

func (w *waitFor) String() string {
	if w.forever {
		return "forever"
	}
	return w.d.String()
}

func (w *waitFor) Set(text string) error {
	if text == "forever" {
		*w = waitFor{forever: true}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("must be a duration such as 10s, 0, or forever")
	}
	*w = waitFor{d: d}
	return nil
}

func runFlags(cfg *runConfig) *flag.FlagSet {
	fs := newFlags("run")
	cfg.register(fs, ofRedLock)
	cfg.wait.forever = true
	fs.DurationVar(&cfg.ttl, "ttl", relock.DefaultTTL, "for how long the lock outlives this process, should it die; renewed at a third")
	fs.DurationVar(&cfg.lease, "lease", 0, "hold the lock for this long at most, without renewal")
	fs.DurationVar(&cfg.atLeast, "at-least", 0, "keep the lock taken until so long after it was granted, though the command has ended:\nwhat cron starts on several hosts at about the same time then runs once (with --wait 0)")
	fs.Var(&cfg.wait, "wait", "how long to wait for the lock: a `DURATION`, 0 or forever")
	fs.StringVar(&cfg.owner, "owner", "", "hold it in this `name`, and share it with whoever gives the same one")
	fs.DurationVar(&cfg.grace, "grace", 0, "between TERM and KILL when the lock is lost, at most a third of the TTL\n(default a sixth)")
	fs.BoolVar(&cfg.waitAll, "wait-all", false, "hold the lock until all that the command has started has ended, too")
	fs.BoolVar(&cfg.isolate, "pid-namespace", false, "run the command in a PID namespace of its own, which the kernel ends with the guardian (Linux)")
	fs.BoolVar(&cfg.json, "json", false, "report in JSON lines, on standard error")
	fs.BoolVar(&cfg.quiet, "quiet", false, "report nothing; the exit status tells")
	return fs
}

// parseRun reads the command line: flags may stand on both sides of the name. A
// -- that comes before the name ends the flags, as elsewhere; another one follows.
func parseRun(fs *flag.FlagSet, cfg *runConfig, args []string) error {
	before := args
	if i := slices.Index(args, "--"); i >= 0 {
		before, cfg.command = args[:i], args[i+1:]
	}
	names, err := parseAnywhere(fs, before)
	if err == nil && len(names) == 0 && len(cfg.command) > 1 && cfg.command[1] == "--" {
		names, cfg.command = cfg.command[:1], cfg.command[2:]
	}
	switch {
	case err != nil:
		return err
	case checkNames(names...) != nil:
		return errURLAsName
	case len(names) == 0:
		return misusef("no lock name: relock run NAME -- COMMAND ARGS")
	case len(names) > 1:
		return misusef("unexpected %q: the command stands after --, as in relock run %s -- COMMAND ARGS", names[1], names[0])
	case len(cfg.command) == 0:
		return misusef("no command: relock run %s -- COMMAND ARGS", names[0])
	}
	cfg.name = names[0]
	return cfg.check(fs)
}

func (cfg *runConfig) check(fs *flag.FlagSet) error {
	term := cfg.ttl
	if cfg.lease != 0 {
		if isSet(fs, "ttl") {
			return misusef("--ttl and --lease exclude each other")
		}
		term = cfg.lease
	}
	switch {
	case term < relock.MinTTL || term > relock.MaxTTL:
		return misusef("a TTL or lease of %v: must be between %v and %v", term, relock.MinTTL, relock.MaxTTL)
	case cfg.name == "" || len(cfg.name) > relock.MaxName:
		return misusef("a lock name of %d bytes: 1 to %d", len(cfg.name), relock.MaxName)
	case isSet(fs, "owner") && (cfg.owner == "" || len(cfg.owner) > relock.MaxOwner):
		return misusef("--owner of %d bytes: 1 to %d", len(cfg.owner), relock.MaxOwner)
	case isSet(fs, "at-least") && (cfg.atLeast < time.Millisecond || cfg.atLeast > relock.MaxTTL):
		return misusef("--at-least %v: must be between 1ms and %v", cfg.atLeast, relock.MaxTTL)
	case !isSet(fs, "grace"):
		cfg.grace = term / 6
	case cfg.grace < 0 || cfg.grace > term/3:
		return misusef("--grace %v: must be between 0 and a third of %v", cfg.grace, term)
	}
	return nil
}

// term is how long the lock is held unless renewed.
func (cfg *runConfig) term() time.Duration {
	if cfg.lease > 0 {
		return cfg.lease
	}
	return cfg.ttl
}

func (cfg *runConfig) options() []relock.LockOption {
	opts := []relock.LockOption{relock.WithTTL(cfg.ttl)}
	if cfg.lease > 0 {
		opts = []relock.LockOption{relock.WithLease(cfg.lease)}
	}
	if cfg.atLeast > 0 {
		opts = append(opts, relock.WithMinHold(cfg.atLeast))
	}
	return opts
}

func runRun(ctx context.Context, args []string, std stdio) int {
	var cfg runConfig
	fs := runFlags(&cfg)
	err := parseRun(fs, &cfg, args)
	if errors.Is(err, flag.ErrHelp) {
		return wary("run", func(std stdio) int { return showHelp(fs, std, "NAME -- COMMAND ARGS", runIntro) }, std)
	}
	if err != nil {
		return misused(fs, std, err)
	}
	r := &runner{cfg: cfg, std: std, report: newReporter(std.err, cfg)}
	// Before the lock is taken: a command that is not there must not hold it.
	path, err := exec.LookPath(cfg.command[0])
	if err != nil {
		r.report.failed(fmt.Sprintf("cannot run %s: %v", cfg.command[0], unwrapExec(err)))
		return child.Missing(err)
	}
	r.path = path
	return r.run(ctx)
}

func unwrapExec(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
