package main

// commanding breaks what relock run holds its command to, and what the command
// shows.
var commanding = []mutant{
	{
		name:   "a guardian goes with the relock that was killed",
		edit:   edit{"cmd/relock/internal/child/guardian_unix.go", "				if empty != nil {\n					g.tree.terminate()\n				}", "				return"},
		killer: command("TestKilledItsCommandIsDeadBeforeAnotherStarts"),
	},
	{
		name:   "a guardian adopts no orphans",
		edit:   edit{"cmd/relock/internal/child/group_linux.go", "unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)", "unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)"},
		killer: command("TestKilledItsCommandIsDeadBeforeAnotherStarts"),
	},
	{
		name:   "a guardian is told a later end than the lease's",
		edit:   edit{"cmd/relock/internal/leash/leash.go", "c.Until(until.Add(-l.Margin), l.Margin/2, l.Grace)", "c.Until(until.Add(time.Hour), l.Margin/2, l.Grace)"},
		killer: command("TestStoppedItsCommandIsDeadBeforeAnotherStarts"),
	},
	{
		name:   "the death of the guardian ends nothing",
		edit:   edit{"cmd/relock/internal/leash/leash.go", "		c.Kill()\n		loss.Unguarded = true", "			loss.Unguarded = true"},
		killer: command("TestWithoutItsGuardianTheCommandIsEnded"),
	},
	{
		name:   "--wait-all waits for the command alone",
		edit:   edit{"cmd/relock/internal/leash/leash.go", "		over = c.Empty()", "		over = c.Done()"},
		killer: command("TestAsPID1/it waits for what was left behind"),
	},
	{
		name:   "an error of a parser is passed on",
		edit:   edit{"cmd/relock/internal/dial/url.go", "	case err != nil:\n		return nil, badURL(\"its host and port cannot be read\")", "	case err != nil:\n		return nil, badURL(err.Error())"},
		killer: test{"./cmd/relock/internal/dial", "TestNothingOfABadURLIsTold"},
	},
	{
		name:   "what a run reports is not made plain",
		edit:   edit{"cmd/relock/reporter.go", "out: plain.Writer{W: out}}", "out: out}"},
		killer: command("TestNoCommandPassesOnWhatSteersATerminal"),
	},
	{
		name:   "a certificate of ours is not shown",
		edit:   edit{"cmd/relock/internal/dial/tls.go", "c.RootCAs, c.Certificates = roots, ours", "c.RootCAs = roots"},
		killer: command("TestByMutualTLS"),
	},
	{
		name:   "whoever has our host and pid is taken for us",
		edit:   edit{"cmd/relock/runner.go", "case st.Held && st.Owner != r.owner:", "case st.Held && st.Owner[:8] != r.owner[:8]:"},
		killer: command("TestAWaitForAnOwnerOfTheSameHostAndPidIsTold"),
	},
	{
		name:   "the command has the pipes of its guardian",
		edit:   edit{"cmd/relock/internal/child/guardian_unix.go", "	syscall.CloseOnExec(ordersFD)\n	syscall.CloseOnExec(newsFD)\n", ""},
		killer: command("TestScriptsOnEmbedded/run_fds"),
	},
	{
		name:   "a group is signalled though nobody of the command's is in it",
		edit:   edit{"cmd/relock/internal/child/group_linux.go", "return slices.ContainsFunc(living, func(p process) bool { return p.group == t.root })", "return true"},
		killer: test{"./cmd/relock/internal/child", "TestAGroupThatNobodyOfTheTreeIsInIsNotSignalled"},
	},
	{
		name:   "an order that makes no sense ends a guardian's watch",
		edit:   edit{"cmd/relock/internal/child/guardian_unix.go", "o := order{bye: lines.Text() == \"bye\"}", "o := order{bye: len(lines.Text()) < 12}"},
		killer: test{"./cmd/relock/internal/child", "TestOnlyByeEndsAGuardiansWatch"},
	},
	{
		name:   "a guardian hears of a renewal at the last moment",
		edit:   edit{"cmd/relock/internal/leash/leash.go", "again = earlier(again, now.Add(until.Sub(now)/2))", "again = earlier(again, again)"},
		killer: test{"./cmd/relock/internal/leash", "TestAGuardianHearsOfARenewalLongBeforeItWouldKill"},
	},
	{
		name:   "a URL is taken for the name of a lock",
		edit:   edit{"cmd/relock/redis.go", "if slices.ContainsFunc(names, dial.LooksLikeURL) {", "if len(names) < 0 {"},
		killer: command("TestAURLInPlaceOfANameIsRefused"),
	},
	{
		name:   "what a worker of the demo says is passed on",
		edit:   edit{"cmd/relock/internal/demo/run.go", "e.Goroutine, plain.Error(errors.New(e.Text))", "e.Goroutine, errors.New(plain.Text(e.Text))"},
		killer: test{"./cmd/relock/internal/demo", "TestWhatAWorkerSaysIsPlainAndHasNoSecret"},
	},
	{
		name:   "a command that could not be run keeps its lock for --at-least",
		edit:   edit{"cmd/relock/runner.go", "	if r.cfg.atLeast > 0 {\n		ctx", "	if r.cfg.atLeast < 0 {\n		ctx"},
		killer: command("TestScriptsOnEmbedded/run_at_least"),
	},
	{
		name:   "an owner's outer hold is taken with an inner command that could not be run",
		edit:   edit{"cmd/relock/runner.go", " && st.Count == 1 {", " {"},
		killer: command("TestScriptsOnEmbedded/run_at_least"),
	},
	{
		name:   "the terminal stays a command's that has ended",
		edit:   edit{"cmd/relock/internal/child/terminal_unix.go", "			t.reclaim(c)\n			return\n", "			return\n"},
		killer: command("TestTheTerminalIsOursAgainWhenTheCommandHasEnded"),
	},
	{
		name:   "a shell loses its terminal to a job in the background",
		edit:   edit{"cmd/relock/internal/child/terminal_unix.go", "got > 0 && (got == c.root || syscall.Kill(-got, 0) == syscall.ESRCH)", "got > 0 && got != t.group"},
		killer: command("TestATerminalIsTheShellsWhileRelockIsInTheBackground"),
	},
	{
		name:   "a command that is stopped is continued before relock is stopped itself",
		edit:   edit{"cmd/relock/internal/child/terminal_unix.go", "if os.Getpid() == 1 {", "if os.Getpid() > 0 {"},
		killer: command("TestWhatCtrlZStopsStaysStopped"),
	},
	{
		name:   "fg does not lend the terminal to a job that was in the background",
		edit:   edit{"cmd/relock/internal/child/terminal_unix.go", "(got == t.group || got == c.root)", "got == c.root"},
		killer: command("TestATerminalIsTheShellsWhileRelockIsInTheBackground"),
	},
	{
		name:   "a wait keeps its signals for the command",
		edit:   edit{"cmd/relock/runner.go", "signal.Notify(sigs, passed(child.Ends)...)", "signal.Notify(sigs, passed(func(os.Signal) bool { return true })...)"},
		killer: command("TestAWaitKeepsNoSignalsForTheCommand"),
	},
	{
		name:   "without /proc a command is not there",
		edit:   edit{"cmd/relock/internal/child/group_linux.go", "return \"\", errNoProc", "return \"\", err"},
		killer: command("TestWithoutProcNothingIsStarted"),
	},
	{
		name:   "a namespace of its own is none",
		edit:   edit{"cmd/relock/internal/child/namespace_linux.go", "attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS", "attr.Cloneflags = unix.CLONE_NEWNS"},
		killer: command("TestInANamespaceTheCommandIsDeadThoughBothAreKilled/both killed"),
	},
	{
		name:   "a command in a namespace is known by its pid in there",
		edit:   edit{"cmd/relock/internal/child/child_unix.go", "c.root = seenAs(c.root, c.guardian)", "_ = seenAs(c.root, c.guardian)"},
		killer: command("TestInANamespace/an interrupt is the command's"),
	},
	{
		name:   "a command in a namespace is told of a pid that it cannot see",
		edit:   edit{"cmd/relock/runner.go", "	if r.cfg.isolate {\n", "	if r.cfg.quiet {\n"},
		killer: command("TestInANamespace/it is not told of a pid it cannot see"),
	},
	{
		name:   "a guardian that is stopped stays so when its relock is killed",
		edit:   edit{"cmd/relock/internal/child/group_linux.go", "attr.Pdeathsig = syscall.SIGCONT", "attr.Pdeathsig = 0"},
		killer: command("TestAGuardianThatIsStoppedGoesOnWhenItsRelockIsKilled"),
	},
}
