package main

// living breaks what a holder believes, and how it ends.
var living = []mutant{
	{
		name:   "a lease is believed to the end of its TTL",
		edit:   edit{"lease.go", "v.sent.Add(v.left - engine.Drift(v.left))", "v.sent.Add(v.left)"},
		killer: root("TestAGrantIsBelievedForItsTTLLessTheDrift"),
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
		edit:   edit{"single.go", "ans := rd.answer(sent)", "ans := rd.answer(time.Now())"},
		killer: root("TestValidityCountsFromBeforeTheRequest"),
	},
	{
		name:   "Err does not read the clock",
		edit:   edit{"hold.go", "if o.lock.host.clock() >= o.valid.Load() {", "if false {"},
		killer: root("TestALeaseThatIsOverNeverComesBack"),
	},
	{
		name:   "a lease that is over comes back by a late renewal",
		edit:   edit{"watchdog.go", "	case o.err() != nil:\n		o.expire()\n	default:\n", "	default:\n"},
		killer: root("TestALeaseThatIsOverNeverComesBack"),
	},
	{
		name:   "a shorter renewal shortens the validity",
		edit:   edit{"hold.go", "if int64(until) <= old || o.valid", "if o.valid"},
		killer: root("TestAShorterExtendShortensNothing"),
	},
	{
		name:   "the watchdog takes an error for a loss",
		edit:   edit{"watchdog.go", "		if w.again(o) == 3 {", "		o.lose(LostGone)\n		if w.again(o) == 3 {"},
		killer: root("TestACutOffHolderIsLostAtItsDeadlineAndNotBefore"),
	},
	{
		name:   "the watchdog does not notice that a hold is gone",
		edit:   edit{"watchdog.go", "	case ans.State != engine.Granted:\n		o.lose(LostGone)\n", "	case ans.State != engine.Granted:\n		w.again(o)\n"},
		killer: root("TestAHolderWhoseKeyIsGoneLearnsOfItByTheNextRenewal"),
	},
	{
		name: "the watchdog is armed after Lock has returned",
		edit: edit{
			"grant.go",
			"	h.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left})\n",
			"	time.AfterFunc(time.Millisecond, func() { h.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left}) })\n",
		},
		killer: root("TestALeaseIsWatchedWhenLockReturns"),
	},
	{
		name:   "the watchdog renews after Unlock",
		edit:   edit{"ending.go", "	o.lock.host.dog.forget(o)\n	return true\n", "	return true\n"},
		also:   []edit{{"watchdog.go", "case o.valid.Load() == 0, o.cause.Load() != nil:", "case o.valid.Load() == 0:"}},
		killer: root("TestNothingRenewsAfterUnlock"),
	},
	{
		name:   "a fixed lease is renewed",
		edit:   edit{"watchdog.go", "		case w.isFixed(o):\n			w.watch(o, engine.Answer{})\n", ""},
		also:   []edit{{"watchdog.go", "if o.lock.set.fixed || deadline.Before(o.renewAt) {", "if deadline.Before(o.renewAt) {"}},
		killer: root("TestAGrantIsBelievedForItsTTLLessTheDrift"),
	},
	{
		name:   "a lost lease is not given back",
		edit:   edit{"ending.go", "		h.withdraw(ctx, o, nil, time.Now().Add(max(o.req.TTL, h.set.call)))\n", ""},
		killer: root("TestALateCopyBeforeTheReleaseOfALostLeaseIsGivenBack"),
	},
	{
		name:   "an Unlock that was lost before says nil",
		edit:   edit{"ending.go", "	if o.err() != nil {\n		o.expire() // its deadline may have passed unnoticed\n	}\n", ""},
		killer: root("TestUnlockPastTheDeadlineIsALoss"),
	},
	{
		name:   "the hold may last longer than WithMaxHold after a grant by message",
		edit:   edit{"grant.go", "return sent.Add(-st.Age)", "return sent"},
		killer: root("TestMaxHoldIsNotExceededAfterAGrantByMessage"),
	},
	{
		name:   "a forced lease of this client goes on",
		edit:   edit{"mutex.go", "	l.host.loseAll(l.name, int64(st.Token))\n", ""},
		killer: root("TestALeaseEndsAtOnceIfItsOwnClientForcesTheLock"),
	},
}

// ending breaks how an end, a loss and a release are told apart.
var ending = []mutant{
	{
		name:   "the end of a fixed lease is a loss",
		edit:   edit{"ending.go", "		return &ending{err: ErrLost, over: EndLease}\n", "		return &ending{err: ErrLost, lost: LostExpired}\n"},
		killer: root("TestANormalEndIsNoLoss"),
	},
	{
		name:   "the end of a longest hold is a loss",
		edit:   edit{"ending.go", "case o.lastEnd > 0 && o.valid.Load() >= int64(o.lastEnd):", "case o.lastEnd < 0:"},
		killer: root("TestANormalEndIsNoLoss"),
	},
	{
		name:   "a loss within a longest hold is a normal end",
		edit:   edit{"ending.go", "case o.lastEnd > 0 && o.valid.Load() >= int64(o.lastEnd):", "case o.lastEnd > 0:"},
		killer: root("TestALeaseWithinItsLongestHoldIsLostWhereNothingRenewsIt"),
	},
	{
		name:   "a fixed lease that is over is withdrawn before its end on the server",
		edit:   edit{"ending.go", "case o.lock.host.dog.isFixed(o) && !o.blurred.Load():", "case o.lastEnd < 0:"},
		killer: root("TestAFixedLeaseHasItsWholeTimeOnTheServer"),
	},
	{
		name:   "a lease whose Extend had no answer is left for as long as that may last",
		edit:   edit{"ending.go", "isFixed(o) && !o.blurred.Load():", "isFixed(o):"},
		killer: root("TestALeaseWhoseExtendHadNoAnswerIsWithdrawn"),
	},
	{
		name:   "a late copy of a detached lease's acquire is not refused",
		edit:   edit{"single.go", "if r.Leave && !r.Bury {", "if r.Leave {"},
		killer: root("TestALateCopyOfAFixedLeasesAcquireIsRefused/detached"),
	},
	{
		name:   "the tombstone of a detached lease gives it back",
		edit:   edit{"single.go", "token = noToken", "token = noToken + 1"},
		killer: root("TestALateCopyOfADetachedLeasesAcquireDoesNotEndIt"),
	},
	{
		name:   "what Do loses is given back while its function runs",
		edit:   edit{"ending.go", "			o.awaitUser(o.serverEnd)\n", ""},
		killer: root("TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned"),
	},
	{
		name:   "what Do loses waits for a function that hangs",
		edit:   edit{"ending.go", "o.awaitUser(o.serverEnd)", "o.awaitUser(func() time.Time { return time.Now().Add(time.Hour) })"},
		killer: root("TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned"),
	},
	{
		name:   "a hold that is gone waits for Do's function",
		edit:   edit{"ending.go", "case e.lost == LostGone, e.lost == LostForced:", "case e.lost == LostForced:"},
		killer: root("TestWhatTheServerTookAwayIsWithdrawnThoughDosFunctionRuns"),
	},
	{
		name:   "Close waits for Do's function",
		edit:   edit{"ending.go", "		case <-o.lock.host.open.Done():\n", ""},
		killer: root("TestCloseWaitsForNoFunction"),
	},
	{
		name:   "the rest of a whole is given back while Do's function runs",
		edit:   edit{"bundle.go", "			other.awaitUser(other.validUntil)\n", ""},
		killer: root("TestTheRestOfALockOfSeveralIsHeldUntilDosFunctionHasReturned"),
	},
	{
		name:   "a member's normal end gives back the other fixed ones",
		edit:   edit{"bundle.go", "ended && other.lock.host.dog.isFixed(other) {", "ended && other == o {"},
		killer: root("TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs"),
	},
	{
		name:   "a member's normal end leaves what the watchdog keeps",
		edit:   edit{"bundle.go", "ended && other.lock.host.dog.isFixed(other) {", "ended {"},
		killer: root("TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs"),
	},
	{
		name:   "a lease with a watchdog is detached",
		edit:   edit{"ending.go", "	if !o.lock.host.dog.isFixed(o) {\n		return invalid", "	if o.lastEnd < 0 {\n		return invalid"},
		killer: root("TestDetachIsRefused"),
	},
	{
		name:   "Close does not say what a closed go-redis client left",
		edit:   edit{"close.go", "if left := time.Until(d.until); err != nil && left > 0 {", "if left := time.Until(d.until); err != nil && left < 0 {"},
		killer: root("TestCloseSaysWhatItLeft"),
	},
	{
		name:   "Close sends a request for each lock",
		edit:   edit{"close.go", "	h.eng.Pulse(ctx, batch)\n", "	for _, p := range batch {\n		h.eng.Pulse(ctx, []engine.Pulse{p})\n	}\n"},
		killer: root("TestCloseGivesBackManyByOneRoundTrip"),
	},
	{
		name:   "Close gives back a lease twice that another has ended",
		edit:   edit{"close.go", "	if !o.endBy(closedEnd) {\n		return false\n	}\n", "	_ = o.endBy(closedEnd)\n"},
		killer: root("TestALeaseThatCloseFindsOverIsCountedOnce"),
	},
	{
		name:   "a release in a batch is given up when memory is full or keys move",
		edit:   edit{"pulse.go", "_, err = s.released(ctx, p.Release, outcome{val: got[i].val, err: err, sent: sent, copies: 1})", ""},
		killer: root("TestABatchedReleaseFallsBackToTheLocksKey"),
	},
	{
		name:   "a quorum's votes are given back by a Detach",
		edit:   edit{"redlock/outbox.go", "|| leave, Leave: leave,", "|| leave,"},
		also:   []edit{{"redlock/outbox.go", "case v.trace == none || l.attempt.fate == stays && v.hasVote() && v.trace != unclear:", "case v.trace == none:"}},
		killer: redlock("TestADetachedQuorumStaysToItsEnd"),
	},
}

// waiting breaks how a waiter has its turn, and how it gives up.
var waiting = []mutant{
	{
		name:   "a waiter does not check in",
		edit:   edit{"watchdog.go", "w.set(o, ans.Sent.Add(every))", "w.set(o, ans.Sent.Add(1000*every))"},
		killer: root("TestAWaiterStaysInTheQueueAndLeavesItAtOnce"),
	},
	{
		name:   "the first in the queue does not ask when the holder's time is up",
		edit:   edit{"watchdog.go", "if ans.Place == 0 || ans.Place == 1 &&", "if ans.Place == 1 &&"},
		killer: root("TestTheFirstAsksWhenTheHoldersTimeIsUp"),
	},
	{
		name:   "nobody checks in on a new subscription",
		edit:   edit{"notify.go", "n.sink.CheckIn() // grants may have been published before, to nobody", "_ = n.sink"},
		killer: root("TestWaitersCheckInOnANewSubscription"),
	},
	{
		name:   "an answer that crossed a new subscription is believed",
		edit:   edit{"ask.go", "		if o.missed {\n", "		if o.missed && o.refused() {\n"},
		killer: root("TestAnAnswerFromBeforeALostMessageIsNotTheLastWord"),
	},
	{
		name:   "nobody checks in on a first subscription",
		edit:   edit{"notify.go", "n.sink.CheckIn() // grants may have been published before, to nobody", "select {\n\t\t\tcase <-confirmed:\n\t\t\t\tn.sink.CheckIn()\n\t\t\tdefault:\n\t\t\t}"},
		killer: root("TestAnAnswerFromBeforeTheFirstSubscriptionIsNotTheLastWord"),
	},
	{
		name:   "a waiter asks for ever since a grant may have been lost once",
		edit:   edit{"watchdog.go", "	o.missed = false\n", ""},
		killer: root("TestAWaiterChecksInOnceForANewSubscription"),
	},
	{
		name:   "a half-open subscription is never replaced",
		edit:   edit{"notify.go", "case isTimeout(err) && !silent && n.ready.Load() &&", "case isTimeout(err) && (!silent || silent) && n.ready.Load() &&"},
		killer: root("TestASilentSubscriptionIsFoundWithinTwoCheckIntervals"),
	},
	{
		name:   "only a missing right is a refusal to subscribe",
		edit:   edit{"notify.go", "case isReply(err) && !passes(err):", "case redis.HasErrorPrefix(err, \"NOPERM\"):"},
		killer: root("TestARefusedSubscribeIsPolledAroundAndTriedAgain"),
	},
	{
		name:   "every error to SUBSCRIBE is a refusal",
		edit:   edit{"notify.go", "case isReply(err) && !passes(err):", "case isReply(err):"},
		killer: root("TestASubscribeThatIsNotAcceptedYetIsTriedSoon"),
	},
	{
		name:   "a refused SUBSCRIBE is not tried again",
		edit:   edit{"notify.go", "!n.closed && !time.Now().Before(n.again) {", "!n.closed && n.again.IsZero() {"},
		killer: root("TestARefusedSubscribeIsPolledAroundAndTriedAgain"),
	},
	{
		name:   "a waiter waits for a subscription that has failed once",
		edit:   edit{"notify.go", "			n.answer(confirmed, fromServer(err)) // nobody waits for the next attempt\n", ""},
		killer: root("TestAServerThatTakesNoSubscribe/closed at each attempt"),
	},
	{
		name:   "a PING that is refused is a refusal to subscribe",
		edit:   edit{"notify.go", "case silent && isReply(err):", "case silent && isReply(nil):"},
		killer: root("TestAPingThatIsRefusedIsNoEndOfASubscription"),
	},
	{
		name:   "too many clients is an error for good",
		edit:   edit{"errors.go", "\"max number of clients\"", "\"ERR max number of clients reached\""},
		killer: root("TestASubscribeThatIsNotAcceptedYetIsTriedSoon"),
	},
	{
		name:   "who cannot hear the nodes of a quorum asks seldom",
		edit:   edit{"watchdog.go", "if !w.host.eng.Listening() || w.host.eng.Deaf() {", "if !w.host.eng.Listening() {"},
		killer: redlock("TestNodesThatTakeNoSubscribe"),
	},
	{
		name: "a grant by message counts from its arrival",
		edit: edit{
			"ask.go",
			"		if sent = o.first; o.heard().State == engine.Waiting {\n			sent = o.heard().Sent\n		}\n",
			"		sent = time.Now()\n",
		},
		killer: root("TestAGrantTooOldIsReleasedAndTheWaitGoesOn"),
	},
	{
		name:   "a message from before the last answer is believed",
		edit:   edit{"ask.go", "		if m.Token <= o.heard().Token {\n			return\n		}\n", ""},
		killer: root("TestAMessageFromBeforeTheLastAnswerIsIgnored"),
	},
	{
		name:   "a grant for nobody is kept",
		edit:   edit{"ask.go", "		h.spawnLocked(func(ctx context.Context) { h.returnStray(ctx, m) })\n", ""},
		killer: root("TestAGrantForNobodyIsReleased"),
	},
	{
		name:   "a grant by message is not renewed before a fixed lease begins",
		edit:   edit{"grant.go", "return o.byMessage && (o.lock.set.fixed || o.answer.Left < o.req.Keep || v.remaining(time.Now()) < v.left/2)", "return false"},
		killer: root("TestAFixedLeaseByMessageHasItsWholeTTL"),
	},
	{
		name:   "a wait that is given up is not withdrawn",
		edit:   edit{"wait.go", "		h.spawn(drop)\n", "		_ = drop\n"},
		killer: root("TestAWaiterStaysInTheQueueAndLeavesItAtOnce"),
	},
	{
		name:   "a withdrawal leaves no tombstone though an acquire may be under way",
		edit:   edit{"release.go", "Bury: o.unsure.Load() > 0,", "Bury: false,"},
		killer: root("TestAnAcquireAfterItsWithdrawalIsRefused"),
	},
	{
		name:   "an acquire is sent again under a new hold id",
		edit:   edit{"ask.go", "	r := o.req\n", "	r := o.req\n	if o.unsure.Load() > 0 {\n		r.Hold = h.newID()\n	}\n"},
		killer: root("TestOneLostReplyCountsNothingTwice/Lock"),
	},
	{
		name:   "go-redis sends again what had no answer",
		edit:   edit{"command.go", "NoRetry() bool { return true }", "NoRetry() bool { return false }"},
		killer: root("TestAGuardedWriteIsNotSentTwice"),
	},
	{
		name:   "a resent release that finds the hold gone is a loss",
		edit:   edit{"release.go", "case err == nil && rel.Gone && !rel.Copied && n == 0:", "case err == nil && rel.Gone && !rel.Copied:"},
		killer: root("TestOneLostReplyCountsNothingTwice/last Unlock"),
	},
	{
		name:   "a waiter whose hand-over has no answer asks nobody",
		edit:   edit{"release.go", "		h.toAsk(next)\n", ""},
		killer: root("TestANextWhoseReleaseIsNotAnsweredAsksForItself"),
	},
	{
		name:   "the goroutines of a client take turns from the last",
		edit:   edit{"wait.go", "o.place = ln.waiters.PushBack(o)", "o.place = ln.waiters.PushFront(o)"},
		killer: root("TestGoroutinesOfOneClientTakeTurnsByArrival"),
	},
	{
		name:   "a script that the server does not know is not sent",
		edit:   edit{"command.go", "return hasPrefix(err, \"NOSCRIPT\")", "return false"},
		killer: root("TestUnknownScripts/embedded"),
	},
	{
		name: "a release is given up when memory is full or keys move",
		edit: edit{
			"single.go",
			"if hasPrefix(got.err, \"TRYAGAIN\") || hasPrefix(got.err, \"OOM\") {",
			"if false {",
		},
		killer: root("TestReleaseFallsBackToTheLocksKey/embedded"),
	},
}

// replicating breaks what WithReplicas stands for.
var replicating = []mutant{
	{
		name:   "a hold that is not replicated is kept",
		edit:   edit{"replicas.go", "replicas < int64(r.Replicas) {", "replicas < 0 {"},
		killer: root("TestAHoldThatIsNotReplicatedIsReleased/detached"),
	},
	{
		name: "a WAIT that falls short is asked again on a connection that was idle",
		edit: edit{
			"replicas.go",
			"	_, _ = pipe.Exec(ctx)\n	val, err := write.Result()\n",
			"	other, lasted := guarded.LoadOrStore(rdb, rdb.(*redis.Client).Conn()) // in any map that lasts\n" +
				"	if !lasted {\n		_ = other.(*redis.Conn).Ping(ctx).Err()\n	}\n" +
				"	_, _ = pipe.Exec(ctx)\n" +
				"	if n, _ := wait.Int64(); n < int64(wait.Args()[1].(int)) {\n		wait.Cmd = redis.NewCmd(ctx, wait.Args()...)\n" +
				"		_ = other.(*redis.Conn).Process(ctx, wait)\n	}\n" +
				"	val, err := write.Result()\n",
		},
		killer: root("TestAHoldThatIsNotReplicatedIsReleased/stopped"),
	},
	{
		name: "what another shard's replicas acknowledge counts",
		edit: edit{
			"replicas.go",
			"	if unknownScript(err) {\n		val, replicas,",
			"		for _, tag := range []string{\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"} {\n" +
				"			cluster, _ := s.rdb.(masters)\n" +
				"			own, _ := cluster.MasterForKey(ctx, key)\n" +
				"			if other, _ := cluster.MasterForKey(ctx, tag); other != own {\n" +
				"				replicas = other.Wait(ctx, r.Replicas, r.ReplicaTimeout).Val()\n" +
				"				break\n			}\n		}\n" +
				"	if unknownScript(err) {\n		val, replicas,",
		},
		killer: root("TestCluster/replicas are waited for at the master of the key"),
	},
	{
		name:   "a WAIT counts though its write was sent on to another node",
		edit:   edit{"replicas.go", "if write.away {", "if false {"},
		killer: root("TestCluster/a WAIT counts only on the connection of its write"),
	},
	{
		name:   "a renewal and its WAIT go where a cluster client draws lots",
		edit:   edit{"replicas.go", "err != nil || again != master {", "err != nil || false && again != master {"},
		killer: root("TestCluster/a WAIT counts only on the connection of its write"),
	},
	{
		name:   "WAIT goes past the hooks of a cluster client",
		edit:   edit{"replicas.go", "	return cluster, nil\n", "	return master, nil\n"},
		killer: root("TestCluster/hooks see what the masters execute"),
	},
	{
		name:   "direct requests go past the client's hooks",
		edit:   edit{"direct.go", "			l.rdb.AddHook(hook)\n", "			_ = hook\n"},
		killer: root("TestHooksSeeWhatTheServerExecutes"),
	},
	{
		name:   "direct requests know the hooks of the first one only",
		edit:   edit{"direct.go", "if l == nil || l.hooks != state {", "if l == nil {"},
		killer: root("TestAHookIsSeenFromTheRequestAfterItWasAdded"),
	},
	{
		name:   "a try in vain forgets a copy that is under way",
		edit:   edit{"batch.go", "if o.unsure.Load() == 0 { // else", "if true { // else"},
		killer: root("TestALateCopyOfATryInVainIsWithdrawn"),
	},
	{
		name:   "a lease that was taken away holds up every turn",
		edit:   edit{"grant.go", "if ln.holder == nil || ln.holder.token < o.token {", "if ln.holder == nil {"},
		killer: root("TestALeaseThatWasTakenAwayHoldsUpOneTurn"),
	},
}
