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
}
