package main

// living breaks what a holder believes, and how it ends.
var living = []mutant{
	{
		name:   "who waits for an end minds a deadline that is another's",
		edit:   edit{"internal/lifecycle/bound.go", "	return b.Context.Done(), b.done, b.until\n", "	d, _ := b.Deadline()\n	return b.Context.Done(), b.done, d\n"},
		killer: lifecycle("TestABoundTellsOfItsOwnInstantAlone"),
	},
	{
		name:   "a request that is bounded has no end at its parent's",
		edit:   edit{"internal/lifecycle/bound.go", "if err := b.Context.Err(); err != nil {", "if err := b.Context.Err(); err != nil && b.done == nil {"},
		killer: lifecycle("TestABoundEndsAsAContextDoes"),
	},
	{
		name:   "a lease is believed to the end of its TTL",
		edit:   edit{"internal/lifecycle/validity.go", "v.sent.Add(v.left - engine.Drift(v.left))", "v.sent.Add(v.left)"},
		killer: lifecycle("TestAGrantIsBelievedForItsTTLLessTheDrift"),
	},
	{
		name:   "Do runs fn without a lease",
		edit:   edit{"lease.go", "	if lease == nil || lease.o == nil {", "	if false {"},
		killer: root("TestDoRefusesALeaseThatIsNone"),
	},
	{
		name:   "DoValue forgets fn's value where there is an error",
		edit:   edit{"lease.go", "	return value, err\n", "	if err != nil {\n		value = *new(T)\n	}\n	return value, err\n"},
		killer: root("TestDoValue"),
	},
	{
		name:   "validity counts from the reply",
		edit:   edit{"internal/redisengine/engine.go", "ans := rd.answer(sent, r)", "ans := rd.answer(time.Now(), r)"},
		killer: lifecycle("TestValidityCountsFromBeforeTheRequest"),
	},
	{
		name:   "Err does not read the clock",
		edit:   edit{"internal/lifecycle/hold.go", "if o.lock.manager.clock() >= o.valid.Load() {", "if false {"},
		killer: lifecycle("TestALeaseThatIsOverNeverComesBack"),
	},
	{
		name:   "a lease that is over comes back by a late renewal",
		edit:   edit{"internal/lifecycle/watchdog.go", "	case o.err() != nil:\n		o.expire()\n	default:\n", "	default:\n"},
		killer: lifecycle("TestALeaseThatIsOverNeverComesBack"),
	},
	{
		name:   "a shorter renewal shortens the validity",
		edit:   edit{"internal/lifecycle/hold.go", "if int64(until) <= old || o.valid", "if o.valid"},
		killer: lifecycle("TestAShorterExtendShortensNothing"),
	},
	{
		name:   "the watchdog takes an error for a loss",
		edit:   edit{"internal/lifecycle/watchdog.go", "		if w.again(o) == 3 {", "		o.lose(ReasonGone)\n		if w.again(o) == 3 {"},
		killer: lifecycle("TestACutOffHolderIsLostAtItsDeadlineAndNotBefore"),
	},
	{
		name:   "the watchdog does not notice that a hold is gone",
		edit:   edit{"internal/lifecycle/watchdog.go", "	case ans.State != engine.Granted:\n		o.lose(ReasonGone)\n", "	case ans.State != engine.Granted:\n		w.again(o)\n"},
		killer: lifecycle("TestAHolderWhoseKeyIsGoneLearnsOfItByTheNextRenewal"),
	},
	{
		name: "the watchdog is armed after Lock has returned",
		edit: edit{
			"internal/lifecycle/grant.go",
			"	m.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left})\n",
			"	time.AfterFunc(time.Millisecond, func() { m.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left}) })\n",
		},
		killer: lifecycle("TestALeaseIsWatchedWhenLockReturns"),
	},
	{
		name:   "the watchdog renews after Unlock",
		edit:   edit{"internal/lifecycle/ending.go", "	o.lock.manager.dog.forget(o)\n	return true\n", "	return true\n"},
		also:   []edit{{"internal/lifecycle/watchdog.go", "		case o.cause.Load() != nil: // ended just now\n", ""}},
		killer: lifecycle("TestNothingRenewsAfterUnlock"),
	},
	{
		name:   "a fixed lease is renewed",
		edit:   edit{"internal/lifecycle/watchdog.go", "		case w.isFixed(o):\n			w.watch(o, engine.Answer{})\n", ""},
		also:   []edit{{"internal/lifecycle/watchdog.go", "if o.fixed || deadline.Before(o.renewAt) {", "if deadline.Before(o.renewAt) {"}},
		killer: lifecycle("TestAGrantIsBelievedForItsTTLLessTheDrift"),
	},
	{
		name:   "a fixed lease in place of a grant that was too old is renewed",
		edit:   edit{"internal/lifecycle/wait.go", "	o.queue = old.queue\n", "	o.queue, o.fixed = old.queue, false\n"},
		killer: lifecycle("TestAFixedLeaseInPlaceOfAGrantThatWasTooOldIsNeverRenewed"),
	},
	{
		name:   "a lease is kept that nobody has, since a tracer panicked",
		edit:   edit{"internal/lifecycle/wait.go", "if err == nil && !returns {", "if err != nil && !returns {"},
		killer: lifecycle("TestATracerThatPanicsLeavesNothingBehind/a call that returns"),
	},
	{
		name:   "a hold is left at whose release a tracer panicked",
		edit:   edit{"internal/lifecycle/ending.go", "		if !retired {", "		if retired && err == errPanics {"},
		killer: lifecycle("TestATracerThatPanicsLeavesNothingBehind/a release"),
	},
	{
		name:   "members are held of a whole that a panic has ended",
		edit:   edit{"internal/lifecycle/group.go", "		if !all {\n", "		if all {\n"},
		killer: lifecycle("TestATracerThatPanicsLeavesNoMemberBehind"),
	},
	{
		name:   "a lost lease is not given back",
		edit:   edit{"internal/lifecycle/ending.go", "		m.withdraw(ctx, o, nil, time.Now().Add(max(o.req.TTL, m.cfg.Call)))\n", ""},
		killer: lifecycle("TestALateCopyBeforeTheReleaseOfALostLeaseIsGivenBack"),
	},
	{
		name:   "an Unlock that was lost before says nil",
		edit:   edit{"internal/lifecycle/ending.go", "	if o.err() != nil {\n		o.expire() // its deadline may have passed unnoticed\n	}\n", ""},
		killer: lifecycle("TestUnlockPastTheDeadlineIsALoss"),
	},
	{
		name:   "the hold may last longer than WithMaxHold after a grant by message",
		edit:   edit{"internal/lifecycle/grant.go", "return sent.Add(-st.Age)", "return sent"},
		killer: lifecycle("TestMaxHoldIsNotExceededAfterAGrantByMessage"),
	},
	{
		name:   "a forced lease of this client goes on",
		edit:   edit{"internal/lifecycle/lock.go", "	l.manager.loseAll(l.Name, st.Token)\n", ""},
		killer: lifecycle("TestALeaseEndsAtOnceIfItsOwnClientForcesTheLock"),
	},
}

// ending breaks how an end, a loss and a release are told apart.
var ending = []mutant{
	{
		name:   "the end of a fixed lease is a loss",
		edit:   edit{"internal/lifecycle/ending.go", "		return &ending{err: engine.ErrLost, over: ReasonLease}\n", "		return &ending{err: engine.ErrLost, lost: ReasonExpired}\n"},
		killer: lifecycle("TestANormalEndIsNoLoss"),
	},
	{
		name:   "the end of a longest hold is a loss",
		edit:   edit{"internal/lifecycle/ending.go", "case o.lastEnd > 0 && o.valid.Load() >= int64(o.lastEnd):", "case o.lastEnd < 0:"},
		killer: lifecycle("TestANormalEndIsNoLoss"),
	},
	{
		name:   "a loss within a longest hold is a normal end",
		edit:   edit{"internal/lifecycle/ending.go", "case o.lastEnd > 0 && o.valid.Load() >= int64(o.lastEnd):", "case o.lastEnd > 0:"},
		killer: lifecycle("TestALeaseWithinItsLongestHoldIsLostWhereNothingRenewsIt"),
	},
	{
		name:   "a fixed lease that is over is withdrawn before its end on the server",
		edit:   edit{"internal/lifecycle/ending.go", "case o.lock.manager.dog.isFixed(o) && !o.blurred.Load():", "case o.lastEnd < 0:"},
		killer: lifecycle("TestAFixedLeaseHasItsWholeTimeOnTheServer"),
	},
	{
		name:   "a lease whose Extend had no answer is left for as long as that may last",
		edit:   edit{"internal/lifecycle/ending.go", "isFixed(o) && !o.blurred.Load():", "isFixed(o):"},
		killer: lifecycle("TestALeaseWhoseExtendHadNoAnswerIsWithdrawn"),
	},
	{
		name:   "a late copy of a detached lease's acquire is not refused",
		edit:   edit{"internal/redisengine/engine.go", "if r.Detach && !r.Tombstone {", "if r.Detach {"},
		killer: lifecycle("TestALateCopyOfAFixedLeasesAcquireIsRefused/detached"),
	},
	{
		name:   "the tombstone of a detached lease gives it back",
		edit:   edit{"internal/redisengine/engine.go", "c.token.n = noToken", "c.token.n = noToken + 1"},
		killer: lifecycle("TestALateCopyOfADetachedLeasesAcquireDoesNotEndIt"),
	},
	{
		name:   "what Do loses is given back while its function runs",
		edit:   edit{"internal/lifecycle/ending.go", "			if !o.awaitUser(o.serverEnd) {\n				return\n			}\n", ""},
		killer: lifecycle("TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned"),
	},
	{
		name:   "what Do loses waits for a function that hangs",
		edit:   edit{"internal/lifecycle/ending.go", "o.awaitUser(o.serverEnd)", "o.awaitUser(func() time.Time { return time.Now().Add(time.Hour) })"},
		killer: lifecycle("TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned"),
	},
	{
		name:   "a hold that is gone waits for Do's function",
		edit:   edit{"internal/lifecycle/ending.go", "case e.lost == ReasonGone, e.lost == ReasonForced:", "case e.lost == ReasonForced:"},
		killer: lifecycle("TestWhatTheServerTookAwayIsWithdrawnThoughDosFunctionRuns"),
	},
	{
		name:   "Close waits for Do's function",
		edit:   edit{"internal/lifecycle/ending.go", "	closing := m.open\n", "	closing := m.bg\n"},
		killer: lifecycle("TestCloseWaitsForNoFunction"),
	},
	{
		name:   "the rest of a whole is given back while Do's function runs",
		edit:   edit{"internal/lifecycle/grouplease.go", "			other.awaitUser(other.validUntil)\n", ""},
		killer: lifecycle("TestTheRestOfALockOfSeveralIsHeldUntilDosFunctionHasReturned"),
	},
	{
		name:   "a member's normal end gives back the other fixed ones",
		edit:   edit{"internal/lifecycle/grouplease.go", "ended && other.lock.manager.dog.isFixed(other) {", "ended && other == o {"},
		killer: lifecycle("TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs"),
	},
	{
		name:   "a member's normal end leaves what the watchdog keeps",
		edit:   edit{"internal/lifecycle/grouplease.go", "ended && other.lock.manager.dog.isFixed(other) {", "ended {"},
		killer: lifecycle("TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs"),
	},
	{
		name:   "a lease with a watchdog is detached",
		edit:   edit{"internal/lifecycle/ending.go", "	if !o.lock.manager.dog.isFixed(o) {\n		return engine.Invalid", "	if o.lastEnd < 0 {\n		return engine.Invalid"},
		killer: lifecycle("TestDetachIsRefused"),
	},
	{
		name:   "Close does not say what a closed go-redis client left",
		edit:   edit{"internal/lifecycle/close.go", "if left := time.Until(d.until); err != nil && left > 0 {", "if left := time.Until(d.until); err != nil && left < 0 {"},
		killer: lifecycle("TestCloseSaysWhatItLeft"),
	},
	{
		name:   "Close sends a request for each lock",
		edit:   edit{"internal/lifecycle/close.go", "	m.eng.SendBatch(ctx, batch)\n", "	for _, p := range batch {\n		m.eng.SendBatch(ctx, []engine.BatchItem{p})\n	}\n"},
		killer: lifecycle("TestCloseGivesBackManyByOneRoundTrip"),
	},
	{
		name:   "Close gives back a lease twice that another has ended",
		edit:   edit{"internal/lifecycle/close.go", "	if !o.endBy(closedEnd) {\n		return false\n	}\n", "	_ = o.endBy(closedEnd)\n"},
		killer: lifecycle("TestALeaseThatCloseFindsOverIsCountedOnce"),
	},
	{
		name:   "a release in a batch is given up when memory is full or keys move",
		edit:   edit{"internal/redisengine/batch.go", "_, err = s.released(ctx, p.Release, got[i])", ""},
		killer: lifecycle("TestABatchedReleaseFallsBackToTheLocksKey"),
	},
	{
		name:   "a quorum's votes are given back by a Detach",
		edit:   edit{"redlock/outbox.go", "|| leave, Detach: leave,", "|| leave,"},
		also:   []edit{{"redlock/outbox.go", "case v.trace == none || l.attempt.fate == stays && v.hasVote() && v.trace != unclear:", "case v.trace == none:"}},
		killer: redlock("TestADetachedQuorumStaysToItsEnd"),
	},
}

// replicating breaks what WithReplicas stands for.
var replicating = []mutant{
	{
		name:   "a hold that is not replicated is kept",
		edit:   edit{"internal/redisengine/replicas.go", "replicas < int64(r.Replicas) {", "replicas < 0 {"},
		killer: redisengine("TestAHoldThatIsNotReplicatedIsReleased/detached"),
	},
	{
		name: "a WAIT that falls short is asked again on a connection that was idle",
		edit: edit{
			"internal/redisengine/replicas.go",
			"	_, _ = pipe.Exec(ctx)\n	val, err := write.Result()\n",
			"	other, lasted := enrolScript.name.(*redis.Conn) // in any variable that lasts\n" +
				"	if !lasted {\n		other = rdb.(*redis.Client).Conn()\n		_ = other.Ping(ctx).Err()\n		enrolScript.name = other\n	}\n" +
				"	_, _ = pipe.Exec(ctx)\n" +
				"	if n, _ := wait.Int64(); n < int64(wait.Args()[1].(int)) {\n		wait.Cmd = redis.NewCmd(ctx, wait.Args()...)\n" +
				"		_ = other.Process(ctx, wait)\n	}\n" +
				"	val, err := write.Result()\n",
		},
		killer: redisengine("TestAHoldThatIsNotReplicatedIsReleased/stopped"),
	},
	{
		name: "what another shard's replicas acknowledge counts",
		edit: edit{
			"internal/redisengine/replicas.go",
			"	if unknownScript(err) {\n		val, replicas,",
			"		for _, tag := range []string{\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"} {\n" +
				"			cluster, _ := s.rdb.(masters)\n" +
				"			own, _ := cluster.MasterForKey(ctx, key)\n" +
				"			if other, _ := cluster.MasterForKey(ctx, tag); other != own {\n" +
				"				replicas = other.Wait(ctx, r.Replicas, r.ReplicaTimeout).Val()\n" +
				"				break\n			}\n		}\n" +
				"	if unknownScript(err) {\n		val, replicas,",
		},
		killer: redisengine("TestCluster/replicas are waited for at the master of the key"),
	},
	{
		name:   "a WAIT counts though its write was sent on to another node",
		edit:   edit{"internal/redisengine/replicas.go", "if write.away {", "if false {"},
		killer: redisengine("TestCluster/a WAIT counts only on the connection of its write"),
	},
	{
		name:   "a renewal and its WAIT go where a cluster client draws lots",
		edit:   edit{"internal/redisengine/replicas.go", "err != nil || again != master {", "err != nil || false && again != master {"},
		killer: redisengine("TestCluster/a WAIT counts only on the connection of its write"),
	},
	{
		name:   "WAIT goes past the hooks of a cluster client",
		edit:   edit{"internal/redisengine/replicas.go", "	return cluster, nil\n", "	return master, nil\n"},
		killer: redisengine("TestCluster/hooks see what the masters execute"),
	},
	{
		name:   "inline requests go past the client's hooks",
		edit:   edit{"internal/redisengine/batching.go", "			c.rdb.AddHook(hook)\n", "			_ = hook\n"},
		killer: redisengine("TestHooksSeeWhatTheServerExecutes"),
	},
	{
		name:   "inline requests know the hooks of the first one only",
		edit:   edit{"internal/redisengine/batching.go", "if c == nil || c.hooks != state {", "if c == nil {"},
		killer: redisengine("TestAHookIsSeenFromTheRequestAfterItWasAdded"),
	},
	{
		name:   "a try in vain forgets a copy that is under way",
		edit:   edit{queueRules, "if w.registered || w.inFlight > 0 {", "if w.registered {"},
		killer: lifecycle("TestALateCopyOfATryInVainIsWithdrawn"),
	},
	{
		name:   "what a late copy of a request was granted is left",
		edit:   edit{queueRules, "	w.registered, w.repeated = true, true\n", "	w.repeated = true\n"},
		killer: lifecycle("TestWhatALateCopyWasGrantedIsGivenBack"),
	},
	{
		name:   "what is back under another token is left",
		edit:   edit{"internal/lifecycle/ending.go", "|| o.mayBeBack())", "|| o.mayComeLate())"},
		killer: lifecycle("TestWhatIsBackUnderAnotherTokenIsGivenBack"),
	},
	{
		name:   "a slow check-in puts off the next",
		edit:   edit{queueRules, "	w.missed = true\n	fx.add(Effect{Do: Pause", "	fx.add(Effect{Do: Pause"},
		killer: lifecycle("TestASlowCheckInPutsNothingOff"),
	},
	{
		name:   "of grants that were taken away the last alone is none",
		edit:   edit{queueRules, "w.grant.Token <= q.forced &&", "w.grant.Token == q.forced &&"},
		killer: lifecycle("TestAGrantBeforeTheLastThatWasTakenAwayIsNone"),
	},
	{
		name:   "an answer does not say that its request was copied",
		edit:   edit{"internal/redisengine/engine.go", "	ans.Copied = got.copies > 1\n", ""},
		killer: redisengine("TestAnAnswerSaysThatItsRequestWasCopied"),
	},
	{
		name:   "a copied release says nothing of the waiter that it names",
		edit:   edit{"internal/redisengine/engine.go", "	rel.Next.Copied = rel.Copied\n", ""},
		killer: redisengine("TestAnAnswerSaysThatItsRequestWasCopied"),
	},
	{
		name:   "a waiter is parked though no release can name it",
		edit:   edit{"internal/lifecycle/hold.go", "!shared && !each", "!shared && (each || !each)"},
		killer: lifecycle("TestWaitersOfAClientQueueOneByOneWhereTheEngineSaysSo"),
	},
	{
		name:   "a lease that was taken away holds up every turn",
		edit:   edit{queueRules, "if q.holder == nil || q.holder.grant.Token < w.grant.Token {", "if q.holder == nil {"},
		killer: lifecycle("TestALeaseThatWasTakenAwayHoldsUpOneTurn"),
	},
}
