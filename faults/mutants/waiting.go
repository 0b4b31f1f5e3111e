package main

// waiting breaks how a waiter has its turn, and how it gives up.
var waiting = []mutant{
	{
		name:   "a waiter does not check in",
		edit:   edit{queueRules, "e.Answer.Sent.Add(w.every(", "e.Answer.Sent.Add(1000 * w.every("},
		killer: lifecycle("TestAWaiterStaysInTheQueueAndLeavesItAtOnce"),
	},
	{
		name:   "the first in the queue does not ask when the holder's time is up",
		edit:   edit{queueRules, "if ans.Place == 0 || ans.Place == 1 &&", "if ans.Place == 1 &&"},
		killer: lifecycle("TestTheFirstAsksWhenTheHoldersTimeIsUp"),
	},
	{
		name:   "nobody checks in on a new subscription",
		edit:   edit{"notify.go", "r.sink.CheckIn() // grants may have been published before, to nobody", "_ = r.sink"},
		killer: redisengine("TestWaitersCheckInOnANewSubscription"),
	},
	{
		name:   "an answer that crossed a new subscription is believed",
		edit:   edit{queueRules, "	if w.missed {\n", "	if w.missed && w.polling {\n"},
		killer: lifecycle("TestAnAnswerFromBeforeALostMessageIsNotTheLastWord"),
	},
	{
		name:   "nobody checks in on a first subscription",
		edit:   edit{"notify.go", "r.sink.CheckIn() // grants may have been published before, to nobody", "select {\n\t\t\tcase <-r.confirmed:\n\t\t\t\tr.sink.CheckIn()\n\t\t\tdefault:\n\t\t\t}"},
		killer: lifecycle("TestAnAnswerFromBeforeTheFirstSubscriptionIsNotTheLastWord"),
	},
	{
		name:   "a waiter asks for ever since a grant may have been lost once",
		edit:   edit{queueRules, "	w.missed = false\n", ""},
		killer: lifecycle("TestAWaiterChecksInOnceForANewSubscription"),
	},
	{
		name:   "a half-open subscription is never replaced",
		edit:   edit{"notify.go", "case isTimeout(err) && !r.pinged && r.ready.Load() &&", "case isTimeout(err) && (!r.pinged || r.pinged) && r.ready.Load() &&"},
		killer: redisengine("TestASilentSubscriptionIsFoundWithinTwoCheckIntervals"),
	},
	{
		name:   "only a missing right is a refusal to subscribe",
		edit:   edit{"notify.go", "case said && !engine.IsTransient(redisengine.FromServer(err)):", "case redis.HasErrorPrefix(err, \"NOPERM\"):"},
		killer: redisengine("TestARefusedSubscribeIsPolledAroundAndTriedAgain"),
	},
	{
		name:   "every error to SUBSCRIBE is a refusal",
		edit:   edit{"notify.go", "case said && !engine.IsTransient(redisengine.FromServer(err)):", "case said:"},
		killer: redisengine("TestASubscribeThatIsNotAcceptedYetIsTriedSoon"),
	},
	{
		name:   "a refused SUBSCRIBE is not tried again",
		edit:   edit{"notify.go", "!n.closed && !time.Now().Before(n.again) {", "!n.closed && n.again.IsZero() {"},
		killer: redisengine("TestARefusedSubscribeIsPolledAroundAndTriedAgain"),
	},
	{
		name:   "a waiter waits for a subscription that has failed once",
		edit:   edit{"notify.go", "	r.answer(r.confirmed, redisengine.FromServer(err)) // nobody waits for the next attempt\n", ""},
		killer: redisengine("TestAServerThatTakesNoSubscribe/closed at each attempt"),
	},
	{
		name:   "a PING that is refused is a refusal to subscribe",
		edit:   edit{"notify.go", "case r.pinged && said:", "case r.pinged && !said:"},
		killer: redisengine("TestAPingThatIsRefusedIsNoEndOfASubscription"),
	},
	{
		name:   "too many clients is an error for good",
		edit:   edit{"internal/redisengine/failure.go", "\"max number of clients\"", "\"ERR max number of clients reached\""},
		killer: redisengine("TestASubscribeThatIsNotAcceptedYetIsTriedSoon"),
	},
	{
		name:   "who cannot hear the nodes of a quorum asks seldom",
		edit:   edit{"internal/lifecycle/step.go", "case m.eng.CannotSubscribe():", "case m.eng.CannotSubscribe() && !m.eng.Listening():"},
		killer: redlock("TestNodesThatTakeNoSubscribe"),
	},
	{
		name:   "a grant by message counts from its arrival",
		edit:   edit{queueRules, "	grant.Sent = w.since\n", "	grant.Sent = time.Now()\n"},
		killer: lifecycle("TestAGrantTooOldIsReleasedAndTheWaitGoesOn"),
	},
	{
		name:   "a message from before the last answer is believed",
		edit:   edit{queueRules, "	if w.heard != nil && grant.Token <= w.heard.Token {\n		return\n	}\n", ""},
		killer: lifecycle("TestAMessageFromBeforeTheLastAnswerIsIgnored"),
	},
	{
		name:   "a grant for nobody is kept",
		edit:   edit{"internal/lifecycle/step.go", "		m.spawnLocked(func(ctx context.Context) { m.returnStray(ctx, msg) })\n", ""},
		killer: lifecycle("TestAGrantForNobodyIsReleased"),
	},
	{
		name:   "a grant by message is not renewed before a fixed lease begins",
		edit:   edit{"internal/lifecycle/grant.go", "return o.isByMessage() && (o.lock.terms.Fixed || o.grant().Left < o.req.Keep || v.remaining(time.Now()) < v.left/2)", "return false"},
		killer: lifecycle("TestAFixedLeaseByMessageHasItsWholeTTL"),
	},
	{
		name:   "a wait that is given up is not withdrawn",
		edit:   edit{"internal/lifecycle/wait.go", "		m.withdraw(ctx, o, holdOf(left.Next), o.outlives())\n", "		_ = ctx\n"},
		killer: lifecycle("TestAWaiterStaysInTheQueueAndLeavesItAtOnce"),
	},
	{
		name:   "a withdrawal leaves no tombstone though an acquire may be under way",
		edit:   edit{"internal/lifecycle/release.go", "Token: token, Tombstone: o.mayComeLate(),", "Token: token,"},
		killer: redisengine("TestAnAcquireAfterItsWithdrawalIsRefused"),
	},
	{
		name:   "an acquire is sent again under a new hold id",
		edit:   edit{"internal/lifecycle/request.go", "	a.bound.begin(", "	if m.mu.Lock(); o.waiter.InFlight() > 0 {\n		a.req.Hold, _ = m.newID()\n	}\n	m.mu.Unlock()\n	a.bound.begin("},
		killer: redisengine("TestOneLostReplyCountsNothingTwice/Lock"),
	},
	{
		name:   "go-redis sends again what had no answer",
		edit:   edit{"internal/redisengine/command.go", "NoRetry() bool { return true }", "NoRetry() bool { return false }"},
		killer: root("TestAGuardedWriteIsNotSentTwice"),
	},
	{
		name:   "a resent release that finds the hold gone is a loss",
		edit:   edit{"internal/lifecycle/release.go", "gone = err == nil && rel.Gone && !rel.Copied && sent == 0", "gone = err == nil && rel.Gone && !rel.Copied"},
		killer: redisengine("TestOneLostReplyCountsNothingTwice/last Unlock"),
	},
	{
		name:   "a waiter whose hand-over has no answer asks nobody",
		edit:   edit{"internal/lifecycle/release.go", "		defer func() { m.answered(next, rel.Next, err) }()\n", "		defer func() {\n			if err == nil {\n				m.answered(next, rel.Next, err)\n			}\n		}()\n"},
		killer: lifecycle("TestANextWhoseReleaseIsNotAnsweredAsksForItself"),
	},
	{
		name:   "the goroutines of a client take turns from the last",
		edit:   edit{queueRules, "	next := q.first\n", "	next := q.last\n"},
		killer: lifecycle("TestGoroutinesOfOneClientTakeTurnsByArrival"),
	},
	{
		name:   "a script that the server does not know is not sent",
		edit:   edit{"internal/redisengine/command.go", "return hasPrefix(err, \"NOSCRIPT\")", "return false"},
		killer: redisengine("TestUnknownScripts/embedded"),
	},
	{
		name: "a release is given up when memory is full or keys move",
		edit: edit{
			"internal/redisengine/engine.go",
			"if hasPrefix(got.err, \"TRYAGAIN\") || hasPrefix(got.err, \"OOM\") {",
			"if false {",
		},
		killer: redisengine("TestReleaseFallsBackToTheLocksKey/embedded"),
	},
}
