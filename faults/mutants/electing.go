package main

// Who leads, and until when.
var electing = []mutant{
	{
		name:   "Close gives back what a leader uses",
		edit:   edit{"internal/lifecycle/close.go", "done == nil || by != Leader {", "done == nil || by >= Worker {"},
		killer: lifecycle("TestCloseGivesBackALeadersLockWhenItsFunctionHasReturned"),
	},
	{
		name:   "Close does not wait for a leader that has lost",
		edit:   edit{"internal/lifecycle/ending.go", "		closing = m.bg\n", ""},
		killer: lifecycle("TestCloseLeavesALeadersLockToAFunctionThatHangs/it was lost before"),
	},
	{
		name:   "Close does not say what it leaves to a leader",
		edit:   edit{"internal/lifecycle/ending.go", "		m.oweUsed(o)\n", ""},
		killer: lifecycle("TestCloseLeavesALeadersLockToAFunctionThatHangs/it was lost before"),
	},
	{
		name:   "what Close leaves to a leader counts as held",
		edit:   edit{"internal/lifecycle/close.go", "		m.retire(o, queue.Ended)\n		m.retired(o)\n	})", "	})"},
		killer: lifecycle("TestCloseLeavesALeadersLockToAFunctionThatHangs/Close ends the lease"),
	},
	{
		name:   "a leader is a user as any",
		edit:   edit{"internal/election/candidate.go", "lifecycle.Leader, lease,", "lifecycle.Worker, lease,"},
		killer: lifecycle("TestCloseGivesBackALeadersLockWhenItsFunctionHasReturned"),
	},
	{
		name:   "a leader's lock is given back while its function runs",
		edit:   edit{"internal/lifecycle/use.go", "	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })\n", "	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)); _ = o.Unlock(ctx) })\n"},
		killer: election("TestALeadersLockIsKeptUntilItsFunctionHasReturned"),
	},
	{
		name:   "a function leads by a lease that has ended",
		edit:   edit{"internal/election/candidate.go", "			return err // what ended", "			_ = err // what ended"},
		killer: election("TestNobodyLeadsByALeaseThatHasEnded"),
	},
	{
		name:   "a candidate stands again without a pause",
		edit:   edit{"internal/election/candidate.go", "c.Pause/2+rand.N(c.Pause)", "rand.N(c.Pause)/16"},
		killer: election("TestAfterALossACandidateStandsAgain"),
	},
	{
		name:   "a loss is the end of a candidate",
		edit:   edit{"elector.go", "return errors.Is(err, ErrLost) }", "return false }"},
		killer: election("TestAfterALossACandidateStandsAgain"),
	},
	{
		name:   "a candidate stands again after Close",
		edit:   edit{"internal/election/candidate.go", "return false, closed(err)", "return true, closed(err)"},
		killer: election("TestCloseEndsLead"),
	},
	{
		name:   "a candidate that is closed may be retried",
		edit:   edit{"internal/election/candidate.go", "case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrInvalid), errors.Is(err, engine.ErrSelfDeadlock):", "case err == nil:"},
		killer: election("TestWhatNoRetryMends"),
	},
	{
		name:   "a candidate whose wait is over is the user's to retry",
		edit:   edit{"internal/election/candidate.go", "case errors.Is(err, engine.ErrNotAcquired), errors.Is(err, engine.ErrNotReplicated):", "case errors.Is(err, engine.ErrNotReplicated):"},
		killer: election("TestACandidateWhoseWaitIsOverStandsAgain"),
	},
	{
		name:   "who is ended is asked whether to retry",
		edit:   edit{"internal/election/candidate.go", "err != nil && ctx.Err() == nil && c.Again(err)", "err != nil && c.Again(err)"},
		killer: election("TestALeaderThatIsEndedIsNotRetried"),
	},
	{
		name:   "a lease without a token elects",
		edit:   edit{"internal/election/candidate.go", "if lease.Token() == 0 {", "if lease.Token() < 0 {"},
		killer: election("TestAnElectionIsRefused"),
	},
	{
		name:   "a MultiLock is taken before it is refused",
		edit:   edit{"redlock/redlock.go", "			return \"the token of a MultiLock is 0\"\n", "			return \"\"\n"},
		killer: election("TestALeaderHandsOver/MultiLock"),
	},
	{
		name:   "a Reentrant elects",
		edit:   edit{"elector.go", "l.(*Reentrant); reenters {", "l.(*Reentrant); reenters && l == nil {"},
		killer: election("TestALeaderHandsOver/Reentrant"),
	},
	{
		name:   "a RedLock's Reentrant elects",
		edit:   edit{"redlock/redlock.go", "			return \"the holds of one owner of a Reentrant may have one token\"\n", "			return \"\"\n"},
		killer: election("TestALeaderHandsOver/RedLock.Reentrant"),
	},
	{
		name:   "an elector believes what it has noticed",
		edit:   edit{"internal/election/elector.go", "lead != nil && (*lead).Err() == nil {", "lead != nil {"},
		killer: election("TestAnElectorReadsTheClock"),
	},
	{
		name:   "who resigns stands no more",
		edit:   edit{"internal/election/elector.go", "errors.Is(err, engine.ErrUnlocked) || c.Again(err)", "c.Again(err)"},
		killer: election("TestResignHandsOver"),
	},
	{
		name:   "an elector runs twice at once",
		edit:   edit{"internal/election/elector.go", "if !e.running.CompareAndSwap(false, true) {", "if e.running.Swap(true) && ctx == nil {"},
		killer: election("TestAnElectorLeadsWhileItHasTheLock"),
	},
	{
		name:   "who keeps a lock leads",
		edit:   edit{"elector.go", "if err != nil || st.Owner == KeptOwner {", "if err != nil {"},
		killer: election("TestWatchWithoutStanding"),
	},
	{
		name:   "who watches is told the same again",
		edit:   edit{"elector.go", "case !known || st.Token != last:", "case !known || last >= 0:"},
		killer: election("TestWatchWithoutStanding"),
	},
}
