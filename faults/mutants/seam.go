package main

// seam breaks what an engine is told, and may say, that is no Redis.
var seam = []mutant{
	{
		name:   "an engine is not told within which hold another is asked for",
		edit:   edit{"internal/lifecycle/hold.go", "		o.req.Within = outer.req.Hold\n", "		_ = outer\n"},
		killer: lifecycle("TestAnEngineIsToldWhatARequestIsFor"),
	},
	{
		name:   "a hold is nested in another owner's",
		edit:   edit{"internal/lifecycle/hold.go", "outer != nil && outer.req.Owner == owner {", "outer != nil {"},
		killer: lifecycle("TestAnEngineIsToldWhatARequestIsFor"),
	},
	{
		name:   "an engine is not told that a lease is fixed",
		edit:   edit{"internal/lifecycle/hold.go", "Shared: shared, Fixed: l.terms.Fixed,", "Shared: shared,"},
		killer: lifecycle("TestAnEngineIsToldWhatARequestIsFor"),
	},
	{
		name:   "a hold of unknown age began just now",
		edit:   edit{"internal/lifecycle/lock.go", "if !held || d == engine.AgeUnknown {", "if !held {"},
		killer: lifecycle("TestTheAgeOfAHoldMayBeUnknown"),
	},
	{
		name:   "a grant of unknown age is too old",
		edit:   edit{"internal/lifecycle/grant.go", "st.Token == o.token && st.Age != engine.AgeUnknown {", "st.Token == o.token {"},
		killer: lifecycle("TestTheLongestHoldOfAGrantByMessage/its age is unknown"),
	},
	{
		name:   "a grant from before its client began has no longest hold",
		edit:   edit{"internal/lifecycle/grant.go", "max(m.grantedAt(ctx, o).Add(o.lock.terms.MaxHold).Sub(m.epoch), 1)", "m.grantedAt(ctx, o).Add(o.lock.terms.MaxHold).Sub(m.epoch)"},
		killer: lifecycle("TestTheLongestHoldOfAGrantByMessage/it is older than the client"),
	},
	{
		name:   "the longest hold counts from the request where the engine knows the grant",
		edit:   edit{"internal/lifecycle/grant.go", "since := o.grant().Since; !since.IsZero() {", "since := o.grant().Since; since.IsZero() {"},
		killer: lifecycle("TestTheLongestHoldCountsFromTheGrant"),
	},
	{
		name:   "what does not end by itself is withdrawn for a while",
		edit:   edit{"internal/lifecycle/release.go", "		until = time.Now().Add(engine.MaxTTL)\n", ""},
		killer: lifecycle("TestWhatDoesNotEndByItselfIsWithdrawnUntilThatIsAnswered/it lasts: true"),
	},
	{
		name:   "waiters stand behind a lease of their client though each queues by itself",
		edit:   edit{"internal/lifecycle/hold.go", "!shared && !each, check", "!shared || each, check"},
		killer: lifecycle("TestWaitersOfAClientQueueOneByOneWhereTheEngineSaysSo/each"),
	},
	{
		name:   "a deadline that the connection notices first hides what the server said",
		edit:   edit{"internal/lifecycle/failure.go", "return ctx.Err() != nil || ok && ", "return ctx.Err() != nil || !ok && "},
		killer: lifecycle("TestAResendThatTheDeadlineCutsOffSaysNothing"),
	},
}
