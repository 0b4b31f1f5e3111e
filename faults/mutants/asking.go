package main

// asking breaks how a client asks: what it takes for a refusal, what for a request
// that never left, and what it does about one that has no answer.
var asking = []mutant{
	{
		name:   "a node of a cluster is asked until its client follows",
		edit:   edit{"refusal.go", "	case moved(err), hasPrefix(err, \"CROSSSLOT\") && kind == plain:\n", "	case hasPrefix(err, \"CROSSSLOT\") && kind == plain:\n"},
		also:   []edit{{"errors.go", "\"UNBLOCKED\",", "\"UNBLOCKED\", \"MOVED\","}, {"errors.go", "\"MOVED\", \"ASK\", ", "\"ASK\", "}},
		killer: root("TestRefusalsAreTold/one node of a cluster"),
	},
	{
		name:   "a replica is asked until it is the primary",
		edit:   edit{"refusal.go", "if err != nil && passes(err) && !passesAfter(", "if err != nil && !passes(err) && !passesAfter("},
		killer: root("TestRefusalsAreTold/a replica"),
	},
	{
		name:   "a waiter in the queue does not mind that its server became a replica",
		edit:   edit{"watchdog.go", "		err = h.judged(o, err)\n", ""},
		killer: root("TestRefusalsAreTold/a primary that becomes a replica"),
	},
	{
		name:   "what was kept back counts as sent",
		edit:   edit{"refusal.go", "translate(err, err == nil || c.last.bar())", "translate(err, true)"},
		killer: root("TestRefusalsAreTold/an open breaker"),
	},
	{
		name:   "what was sent counts as kept back",
		edit:   edit{"command.go", "if !l.state.CompareAndSwap(here, leaves) && l.state.Load() == barred {", "if l.state.Load() == barred {"},
		killer: root("TestAGuardedWriteIsNotSentTwice"),
	},
	{
		name:   "one try waits for a server that is down",
		edit:   edit{"ask.go", "(noQuorum(err) || errors.Is(err, engine.ErrUnsent))", "noQuorum(err)"},
		killer: root("TestRefusalsAreTold/connections refused"),
	},
	{
		name:   "a request that hangs has no copies",
		edit:   edit{"copies.go", "if s.every > 0 && copied != nil {", "if s.every < 0 && copied != nil {"},
		killer: root("TestDeadConnectionsDoNotCostTheCall/TryLock, asked directly before: false"),
	},
	{
		name:   "the watchdog's batches have no copies",
		edit:   edit{"pulse.go", "s.sender.send(ctx, first, pipeline)", "s.sender.send(ctx, first, nil)"},
		killer: root("TestALeaseOutlivesDeadConnections"),
	},
	{
		name:   "a copy does not count as under way",
		edit:   edit{"copies.go", "	f.carried = rs\n	f.count(1)\n", "	f.carried = rs\n"},
		killer: root("TestALateCopyCountsAsUnderWay/answered before the Unlock: false"),
	},
	{
		name:   "a copy that is answered late counts as under way for ever",
		edit:   edit{"copies.go", "		if certain {\n			f.count(-1)\n		}\n", ""},
		killer: root("TestALateCopyCountsAsUnderWay/answered before the Unlock: true"),
	},
	{
		name:   "an outcome that another copy takes the place of is not counted",
		edit:   edit{"copies.go", "	case !engine.Unanswered(got.err):\n		f.supersede()\n", "	case !engine.Unanswered(got.err):\n"},
		killer: root("TestAFlightCountsTheCopiesThatMayComeLate"),
	},
	{
		name:   "a request that waits for a connection has copies",
		edit:   edit{"copies.go", "	if !f.hangs() {\n		return false\n	}\n", ""},
		killer: root("TestUnlockIsBoundedThoughItsContextIsOver"),
	},
	{
		name:   "what was given up before it left may leave later",
		edit:   edit{"command.go", "		return nil, errBarred\n", ""},
		killer: root("TestWhatAHookGivesUpIsNotSentLater"),
	},
	{
		name:   "one try that Close cuts short does not say so",
		edit:   edit{"ask.go", "		case h.open.Err() != nil:\n			return ans, ErrClosed\n", ""},
		killer: root("TestATryLockThatCloseCutsShortSaysSo"),
	},
	{
		name:   "a call whose hook panics stays in its line",
		edit:   edit{"wait.go", "		if !returns {", "		if !returns && false {"},
		killer: root("TestAHookThatPanicsLeavesTheClientUsable/Lock"),
	},
	{
		name:   "one try forgets what may have been done",
		edit:   edit{"host.go", "soFar(err, send(bounded))", "send(bounded)"},
		killer: root("TestOneTryRemembersWhatMayHaveBeenDone"),
	},
	{
		name:   "calls on a closed go-redis client are owed a withdrawal",
		edit:   edit{"wait.go", " || errors.Is(o.failure, redis.ErrClosed)\n", "\n"},
		killer: root("TestAClosedGoRedisClientOwesNothing"),
	},
	{
		name:   "one slow answer leaves a call no time for copies",
		edit:   edit{"copies.go", "min(2*time.Duration(s.usual.Load()), 3*s.every)", "2*time.Duration(s.usual.Load())"},
		killer: root("TestOneSlowAnswerLeavesACallTimeForCopies"),
	},
	{
		name:   "a fixed lease is left to a server whose clock stepped back",
		edit:   edit{"ending.go", "		return overdue\n", "		return staying\n"},
		killer: root("TestAFixedLeaseThatTheServerHoldsTooLongIsGivenBack"),
	},
}
