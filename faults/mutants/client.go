package main

// living breaks what a holder believes, and how it ends.
var living = []mutant{
	{
		name:   "a lease is believed to the end of its TTL",
		edit:   edit{"lease.go", "v.sent.Add(v.left - engine.Drift(v.left))", "v.sent.Add(v.left)"},
		killer: root("TestAGrantIsBelievedForItsTTLLessTheDrift"),
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
		edit:   edit{"watchdog.go", "	case o.err() != nil:\n		o.lose(LostExpired)\n	default:\n", "	default:\n"},
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
		edit:   edit{"hold.go", "	h.dog.forget(o)\n	ctx, told :=", "	ctx, told :="},
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
		name: "a lost lease is not given back",
		edit: edit{
			"hold.go",
			"		h.withdraw(ctx, o, nil, time.Now().Add(max(o.req.TTL, h.set.call)))\n",
			"",
		},
		killer: root("TestALateCopyBeforeTheReleaseOfALostLeaseIsGivenBack"),
	},
	{
		name:   "an Unlock that was lost before says nil",
		edit:   edit{"hold.go", "	if o.err() != nil {\n		o.lose(LostExpired) // its deadline may have passed unnoticed\n	}\n", ""},
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
		edit:   edit{"notify.go", "n.sink.CheckIn() // grants may have been published before, to nobody", "if !first {\n\t\t\t\tn.sink.CheckIn()\n\t\t\t}"},
		killer: root("TestAnAnswerFromBeforeTheFirstSubscriptionIsNotTheLastWord"),
	},
	{
		name:   "a waiter asks for ever since a grant may have been lost once",
		edit:   edit{"watchdog.go", "	o.missed = false\n", ""},
		killer: root("TestAWaiterChecksInOnceForANewSubscription"),
	},
	{
		name:   "a half-open subscription is never replaced",
		edit:   edit{"notify.go", "case isTimeout(err) && !silent && n.ready.Load():", "case isTimeout(err) && (!silent || silent) && n.ready.Load():"},
		killer: root("TestASilentSubscriptionIsFoundWithinTwoCheckIntervals"),
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
		edit:   edit{"release.go", "case err == nil && rel.Gone && n == 0:", "case err == nil && rel.Gone:"},
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
			"if hasPrefix(err, \"TRYAGAIN\") || hasPrefix(err, \"OOM\") {",
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
			"	_, _ = pipe.Exec(ctx)\n	val, err := eval.Result()\n",
			"	other, lasted := guarded.LoadOrStore(node, node.(*redis.Client).Conn()) // in any map that lasts\n" +
				"	if !lasted {\n		_ = other.(*redis.Conn).Ping(ctx).Err()\n	}\n" +
				"	_, _ = pipe.Exec(ctx)\n" +
				"	if n, _ := wait.Int64(); n < int64(r.Replicas) {\n		wait = once{redis.NewCmd(ctx, \"wait\", r.Replicas, r.ReplicaTimeout.Milliseconds())}\n" +
				"		_ = other.(*redis.Conn).Process(ctx, wait)\n	}\n" +
				"	val, err := eval.Result()\n",
		},
		killer: root("TestAHoldThatIsNotReplicatedIsReleased/stopped"),
	},
	{
		name: "what another shard's replicas acknowledge counts",
		edit: edit{
			"replicas.go",
			"		if unknownScript(err) {\n			val, replicas,",
			"		for _, tag := range []string{\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"} {\n" +
				"			cluster, _ := s.rdb.(masters)\n" +
				"			if other, _ := cluster.MasterForKey(ctx, tag); any(other) != any(node) {\n" +
				"				replicas = other.Wait(ctx, r.Replicas, r.ReplicaTimeout).Val()\n" +
				"				break\n			}\n		}\n" +
				"		if unknownScript(err) {\n			val, replicas,",
		},
		killer: root("TestCluster/replicas are waited for at the master of the key"),
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
