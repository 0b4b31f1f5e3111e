package main

// asking breaks how a client asks: what it takes for a refusal, what for a request
// that never left, and what it does about one that has no answer.
var asking = []mutant{
	{
		name:   "a node of a cluster is asked until its client follows",
		edit:   edit{"internal/redisengine/failure.go", "	case moved(err), hasPrefix(err, \"CROSSSLOT\") && kind == plain:\n", "	case hasPrefix(err, \"CROSSSLOT\") && kind == plain:\n"},
		also:   []edit{{"internal/redisengine/failure.go", "\"UNBLOCKED\",", "\"UNBLOCKED\", \"MOVED\","}, {"internal/redisengine/failure.go", "\"MOVED\", \"ASK\", ", "\"ASK\", "}},
		killer: lifecycle("TestRefusalsAreTold/one node of a cluster"),
	},
	{
		name:   "a replica is asked until it is the primary",
		edit:   edit{"internal/engine/errors.go", "if err == nil || !IsTransient(err) || IsTransientAfter(err, calls) {", "if err == nil || IsTransient(err) || IsTransientAfter(err, calls) {"},
		killer: lifecycle("TestRefusalsAreTold/a replica"),
	},
	{
		name:   "a waiter in the queue does not mind that its server became a replica",
		edit:   edit{"internal/lifecycle/step.go", "		e.Grace = time.Duration(grace) * m.cfg.Call\n", ""},
		killer: lifecycle("TestRefusalsAreTold/a primary that becomes a replica"),
	},
	{
		name:   "what was kept back counts as sent",
		edit:   edit{"internal/redisengine/failure.go", "translate(err, err == nil || c.last.bar())", "translate(err, true)"},
		killer: lifecycle("TestRefusalsAreTold/an open breaker"),
	},
	{
		name:   "what was sent counts as kept back",
		edit:   edit{"internal/redisengine/command.go", "if !l.state.CompareAndSwap(here, leaves) && l.state.Load() == barred {", "if l.state.Load() == barred {"},
		killer: root("TestAGuardedWriteIsNotSentTwice"),
	},
	{
		name:   "one try waits for a server that is down",
		edit:   edit{"internal/lifecycle/request.go", "(engine.ClassOf(last) == engine.NoQuorum || errors.Is(last, engine.ErrUnsent))", "engine.ClassOf(last) == engine.NoQuorum"},
		killer: lifecycle("TestRefusalsAreTold/connections refused"),
	},
	{
		name:   "a request that hangs has no copies",
		edit:   edit{"internal/redisengine/copies.go", "if s.every > 0 && copied != nil {", "if s.every < 0 && copied != nil {"},
		killer: redisengine("TestDeadConnectionsDoNotCostTheCall/TryLock, asked inline before: false"),
	},
	{
		name:   "the watchdog's batches have no copies",
		edit:   edit{"internal/redisengine/batch.go", "s.sender.send(ctx, first, pipeline)", "s.sender.send(ctx, first, nil)"},
		killer: redisengine("TestALeaseOutlivesDeadConnections"),
	},
	{
		name:   "a copy does not count as under way",
		edit:   edit{"internal/redisengine/copies.go", "	f.carried = rs\n	f.count(1)\n", "	f.carried = rs\n"},
		killer: lifecycle("TestALateCopyCountsAsUnderWay/answered before the Unlock: false"),
	},
	{
		name:   "a copy that is answered late counts as under way for ever",
		edit:   edit{"internal/redisengine/copies.go", "		if certain {\n			f.count(-1)\n		}\n", ""},
		killer: lifecycle("TestALateCopyCountsAsUnderWay/answered before the Unlock: true"),
	},
	{
		name:   "an outcome that another copy takes the place of is not counted",
		edit:   edit{"internal/redisengine/copies.go", "	case !engine.Unanswered(got.err):\n		f.supersede()\n", "	case !engine.Unanswered(got.err):\n"},
		killer: redisengine("TestAFlightCountsTheCopiesThatMayComeLate"),
	},
	{
		name:   "a request that waits for a connection has copies",
		edit:   edit{"internal/redisengine/copies.go", "	if !f.hangs() {\n		return false\n	}\n", ""},
		killer: lifecycle("TestUnlockIsBoundedThoughItsContextIsOver"),
	},
	{
		name:   "what was given up before it left may leave later",
		edit:   edit{"internal/redisengine/command.go", "		return nil, errBarred\n", ""},
		killer: redisengine("TestWhatAHookGivesUpIsNotSentLater"),
	},
	{
		name:   "one try that Close cuts short does not say so",
		edit:   edit{"internal/lifecycle/request.go", "		case m.open.Err() != nil:\n			return engine.ErrClosed\n", ""},
		killer: redisengine("TestATryLockThatCloseCutsShortSaysSo"),
	},
	{
		name:   "a call whose hook panics stays in its line",
		edit:   edit{"internal/lifecycle/wait.go", "		if !returns {", "		if !returns && false {"},
		killer: redisengine("TestAHookThatPanicsLeavesTheClientUsable/Lock"),
	},
	{
		name:   "one try forgets what may have been done",
		edit:   edit{"internal/lifecycle/manager.go", "soFar(err, send(bounded))", "send(bounded)"},
		killer: lifecycle("TestOneTryRemembersWhatMayHaveBeenDone"),
	},
	{
		name:   "calls on a closed go-redis client are owed a withdrawal",
		edit:   edit{"internal/lifecycle/step.go", "case engine.Refused, engine.Unsent, engine.Denied, engine.Closed:", "case engine.Refused, engine.Unsent, engine.Denied:"},
		killer: lifecycle("TestAClosedGoRedisClientOwesNothing"),
	},
	{
		name:   "one slow answer leaves a call no time for copies",
		edit:   edit{"internal/redisengine/copies.go", "min(2*time.Duration(s.usual.Load()), 3*s.every)", "2*time.Duration(s.usual.Load())"},
		killer: redisengine("TestOneSlowAnswerLeavesACallTimeForCopies"),
	},
	{
		name:   "a fixed lease is left to a server whose clock stepped back",
		edit:   edit{"internal/lifecycle/ending.go", "		return overdue\n", "		return staying\n"},
		killer: lifecycle("TestAFixedLeaseThatTheServerHoldsTooLongIsGivenBack"),
	},
}
