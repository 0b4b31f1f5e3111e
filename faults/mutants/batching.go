package main

// batching breaks how requests that come together leave: who may leave, in which
// order, what is taken back, and what a server that hangs may take.
var batching = []mutant{
	{
		name:   "what is given up in a dispatcher leaves all the same",
		edit:   edit{"internal/redisengine/copies.go", "	f.over = true\n	f.recall()\n", "	f.over = true\n"},
		killer: redisengine("TestWhatIsGivenUpInADispatcherDoesNotLeave"),
	},
	{
		name:   "an answer leaves its copies in the dispatcher",
		edit:   edit{"internal/redisengine/copies.go", "		f.recall()\n		f.best.copies", "		f.best.copies"},
		killer: redisengine("TestAnAnswerTakesItsWaitingCopiesBack"),
	},
	{
		name:   "a copy that was taken back before it came to its dispatcher leaves",
		edit:   edit{"internal/redisengine/dispatcher.go", "	if it.state == dropped {\n		return nil, false\n	}\n", ""},
		killer: redisengine("TestACopyIsRecalledBeforeItIsLaunched"),
	},
	{
		name:   "what is taken back counts as under way",
		edit:   edit{"internal/redisengine/copies.go", "		if recalled {\n			f.count(-1)\n		}\n", ""},
		killer: redisengine("TestAFlightCountsTheCopiesThatMayComeLate"),
	},
	{
		name:   "a caller's deadline is taken for the end of its context",
		edit:   edit{"internal/redisengine/end.go", "	e.set(never)\n	return e", "	e.at, _ = ctx.Deadline()\n	e.set(never)\n	return e"},
		killer: redisengine("TestAnEndWaitsForAContextWhoseTimerIsLate"),
	},
	{
		name:   "a withdrawal leaves before its acquire is written",
		edit:   edit{"internal/redisengine/dispatcher.go", "		if it.r.urgent && d.behind(it.r.hold) {", "		if it.r.urgent && d.behind(it.r.hold) && false {"},
		killer: redisengine("TestAWithdrawalDoesNotOvertakeItsAcquire/where requests leave in their callers' goroutines: false"),
	},
	{
		name:   "a withdrawal of its caller's own overtakes its acquire",
		edit:   edit{"internal/redisengine/dispatcher.go", "!d.room() || r.urgent && d.behind(r.hold) {", "!d.room() {"},
		killer: redisengine("TestAWithdrawalDoesNotOvertakeItsAcquire/where requests leave in their callers' goroutines: true"),
	},
	{
		name:   "a pipeline is as long as what waits",
		edit:   edit{"internal/redisengine/dispatcher.go", "if len(batch) == maxBatch {", "if len(batch) < 0 {"},
		killer: redisengine("TestAPipelineIsNoLongerThanMaxBatch"),
	},
	{
		name:   "renewals and releases wait behind acquires",
		edit:   edit{"internal/redisengine/dispatcher.go", "	if it.r.urgent {\n		return &d.urgent", "	if it.r.urgent && it.r.hold == \"\" {\n		return &d.urgent"},
		killer: redisengine("TestWhatComesTogetherLeavesTogether"),
	},
	{
		name:   "renewals are sent behind the release of their hold",
		edit:   edit{"internal/redisengine/dispatcher.go", "	if it.r.ends {\n		stale", "	if it.r.ends && it.r.hold == \"\" {\n		stale"},
		killer: redisengine("TestAReleaseTakesItsRenewalsOut"),
	},
	{
		name:   "a server that hangs takes a connection after the other",
		edit:   edit{"internal/redisengine/unit.go", "return d.sending < most && d.sending+d.stuck < most+maxStuck", "return d.sending < most"},
		killer: redisengine("TestAServerThatHangsHasFewUnderWay/with a client that minds no deadline: false"),
	},
	{
		name:   "no release leaves beside pipelines that hang",
		edit:   edit{"internal/redisengine/unit.go", "case len(d.urgent) > 0 && !d.extra &&", "case len(d.urgent) > 0 && d.extra &&"},
		killer: redisengine("TestAServerThatHangsHasFewUnderWay/with a client that minds no deadline: false"),
	},
	{
		name:   "a pipeline without an answer keeps its place from others",
		edit:   edit{"internal/redisengine/unit.go", "		d.vacate(u)\n		d.stuck++\n		u.place = stuck\n", ""},
		killer: redisengine("TestAServerThatHangsHasFewUnderWay/with a client that minds no deadline: false"),
	},
	{
		name:   "a timer that was late speaks for the next pipeline",
		edit:   edit{"internal/redisengine/unit.go", "if u.due.IsZero() || time.Now().Before(u.due) {", "if u.due.IsZero() {"},
		killer: redisengine("TestALateTimerSaysNothingOfTheNextPipeline"),
	},
	{
		name:   "a pipeline that go-redis does not give up is waited for",
		edit:   edit{"internal/redisengine/unit.go", "		d.unload(u)\n		lost = u.items\n", "		d.unload(u)\n"},
		killer: redisengine("TestAUnitThatDoesNotEndIsGivenUp"),
	},
	{
		name:   "units go on though fewer should be under way",
		edit:   edit{"internal/redisengine/unit.go", "return d.sending <= most", "return d.sending > 0"},
		killer: redisengine("TestUnitsEndWhereFewerShouldBeUnderWay"),
	},
	{
		name:   "each pipeline is waited for as long as the slowest",
		edit:   edit{"internal/redisengine/unit.go", "max(call/3, 2*time.Duration", "max(call, 2*time.Duration"},
		killer: redisengine("TestOneUnitIsWaitedForLongest"),
	},
	{
		name:   "a caller whose hook panics keeps its place",
		edit:   edit{"internal/redisengine/request.go", "		if d != nil {\n			d.leave(took, err)", "		if d != nil && !errors.Is(err, engine.ErrUnknown) {\n			d.leave(took, err)"},
		killer: redisengine("TestAHookThatPanicsLeavesItsPlace"),
	},
	{
		name:   "as many are under way however long answers take",
		edit:   edit{"internal/redisengine/limit.go", "max(leastSending, m.now-1)", "max(leastSending, m.now)"},
		killer: redisengine("TestHowManyMayBeUnderWay/so many that a few wait, where they wait for each other"),
	},
	{
		name:   "what the requests of a pipeline take counts as a wait",
		edit:   edit{"internal/redisengine/limit.go", "further*float64(requests-1)", "0*float64(requests-1)"},
		killer: redisengine("TestHowManyMayBeUnderWay/what each request of a pipeline takes is no wait"),
	},
	{
		name:   "one answer that had to wait speaks for its round",
		edit:   edit{"internal/redisengine/limit.go", "m.free = max(m.free, float64", "m.free = max(0, float64"},
		killer: redisengine("TestHowManyMayBeUnderWay/the quickest of a round speaks for it"),
	},
	{
		name:   "a wait doubles what is under way",
		edit:   edit{"internal/redisengine/limit.go", "waiting < idle && wanted", "waiting < few && wanted"},
		killer: redisengine("TestHowManyMayBeUnderWay/one more in a round where not enough wait"),
	},
	{
		name:   "one without an answer leaves but two under way",
		edit:   edit{"internal/redisengine/limit.go", "max(leastSending, m.now/2)", "leastSending"},
		killer: redisengine("TestHowManyMayBeUnderWay/half after one without an answer, and never less than two"),
	},
	{
		name:   "requests may take the whole pool",
		edit:   edit{"internal/redisengine/limit.go", "max(leastSending, pool*4/5)", "max(leastSending, pool)"},
		killer: redisengine("TestHowManyMayBeUnderWay/as many as leave a fifth of the pool, while answers take what the quickest do"),
	},
	{
		name:   "requests leave together past a client's hooks' callers",
		edit:   edit{"internal/redisengine/batching.go", "r.name == \"\", ds.auto && ds.hidden.any():", "r.name == \"\":"},
		killer: redisengine("TestHooksSeeBatchesWhereTheyAreAskedFor/by default, RESP2"),
	},
}
