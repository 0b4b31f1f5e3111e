package main

// inQueue breaks the machine of the wait queue; the exploration of its states finds
// each.
var inQueue = []mutant{
	{
		name:   "who waits behind another of its client asks the server too",
		edit:   edit{queueRules, "		w.state = Parked\n", ""},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "an owner of several calls waits behind strangers",
		edit:   edit{queueRules, "if !w.Wait || !w.Fresh {", "if !w.Wait {"},
		killer: explore("owners of several calls"),
	},
	{
		name:   "who is retried goes to the end of the queue",
		edit:   edit{queueRules, "	q.replace(old, again)\n", "	if old.listed {\n		q.remove(old)\n		q.push(again)\n	}\n"},
		killer: explore("a lock is taken away"),
	},
	{
		name:   "a grant that cannot be used is not given back",
		edit:   edit{queueRules, "	fx.add(Effect{Do: Withdraw, W: old})\n", ""},
		killer: explore("a message is lost, or late"),
	},
	{
		name:   "a successor waits on though its release has no answer",
		edit:   edit{queueStep, "still name it\n			w.wakeTo(Asking, &fx)\n", "still name it\n"},
		killer: explore("a holder hands over"),
	},
	{
		name:   "a successor waits on that nobody took over",
		edit:   edit{queueStep, "nothing of it yet\n			w.wakeTo(Asking, &fx)\n", "nothing of it yet\n"},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "a copied release is a defect to a successor that has the lock",
		edit:   edit{queueStep, "		case Granted, Held: // by message: a copy", "		case states: // by message: a copy"},
		killer: explore("a release is copied"),
	},
	{
		name:   "a successor waits on whose release was refused",
		edit:   edit{queueStep, "nothing of an acquire\n			w.wakeTo(Asking, &fx)\n", "nothing of an acquire\n"},
		killer: explore("a holder hands over"),
	},
	{
		name:   "a successor queues where its grant is not heard",
		edit:   edit{queueRules, "if w.state == Successor && e.Subscription == NotSubscribed {", "if w.state == Successor && e.Subscription == CannotSubscribe {"},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "a successor counts as not under way",
		edit:   edit{queueRules, "	next.sent(now)\n", ""},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "a successor is named while another local holder lasts",
		edit:   edit{queueRules, "if q.holder != nil || next == nil || next.state != Parked {", "if next == nil || next.state != Parked {"},
		killer: explore("a lock is taken away"),
	},
	{
		name:   "the last is the successor",
		edit:   edit{queueRules, "	next := q.first\n", "	next := q.last\n"},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "a release names no successor",
		edit:   edit{queueStep, "fx.add(Effect{Do: Release, W: w, Next: q.leave(w, now)})", "q.leave(w, now)\n			fx.add(Effect{Do: Release, W: w})"},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "a lease that ends by itself leaves its next alone",
		edit:   edit{queueStep, "q.leave(w, now).unnamed(&fx)", "q.leave(w, now)"},
		killer: explore("a holder hands over"),
	},
	{
		name:   "who gives up hands over to nobody",
		edit:   edit{queueRules, "fx.add(Effect{Do: Withdraw, W: w, Next: next})", "fx.add(Effect{Do: Withdraw, W: w})"},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "who gives up and left nothing hands over to nobody",
		edit:   edit{queueRules, "	next.unnamed(fx)\n", ""},
		killer: explore("a client of three, and another"),
	},
	{
		name:   "who gives up leaves what is in flight",
		edit:   edit{queueRules, "if w.registered || w.inFlight > 0 {", "if w.registered {"},
		killer: explore("two clients begin"),
	},
	{
		name:   "who gives up leaves its place in the queue",
		edit:   edit{queueRules, "if w.registered || w.inFlight > 0 {", "if w.inFlight > 0 {"},
		killer: explore("two clients begin"),
	},
	{
		name:   "who gives up forgets what a copy may have left",
		edit:   edit{queueRules, "	w.registered, w.repeated = true, true\n", "	w.repeated = true\n"},
		killer: explore("one try"),
	},
	{
		name:   "who gives up withdraws what left nothing",
		edit:   edit{queueRules, "if w.registered || w.inFlight > 0 {", "if w.state == Gone {"},
		killer: explore("two clients begin"),
	},
	{
		name:   "a lease that is gone was granted once",
		edit:   edit{queueRules, "	w.repeated = true\n", ""},
		killer: explore("a request is late, and copied"),
	},
	{
		name:   "a request without an answer is not in flight any more",
		edit:   edit{queueStep, "			w.refusedWith(e, now, &fx) // of a quorum", "			w.inFlight--\n			w.refusedWith(e, now, &fx) // of a quorum"},
		killer: explore("two clients begin"),
	},
	{
		name:   "a request that was refused is in flight for ever",
		edit:   edit{queueStep, "		w.inFlight--\n		w.registered =", "		w.registered ="},
		killer: explore("a holder hands over"),
	},
	{
		name:   "a place from before a lost message is the last word",
		edit:   edit{queueRules, "	if w.missed {\n", "	if w.missed && w.polling {\n"},
		killer: explore("a subscription breaks"),
	},
	{
		name:   "who is queued does not ask on a new subscription",
		edit:   edit{queueRules, "		fx.add(Effect{Do: Hasten, W: w, At: now})\n", ""},
		killer: explore("a subscription breaks"),
	},
	{
		name:   "an older check-in has the last word where the newer has none",
		edit:   edit{queueRules, "	w.missed = true\n	fx.add(Effect{Do: Pause", "	fx.add(Effect{Do: Pause"},
		killer: explore("a subscription breaks"),
	},
	{
		name:   "who missed a message asks for ever",
		edit:   edit{queueRules, "	w.missed = false\n", ""},
		killer: explore("a subscription breaks"),
	},
	{
		name:   "a nudge that crosses a request is forgotten",
		edit:   edit{queueRules, "	w.missed = true\n	if w.state == Queued {\n		fx.add(Effect{Do: Hasten, W: w, At: now.Add", "	if w.state == Queued {\n		fx.add(Effect{Do: Hasten, W: w, At: now.Add"},
		killer: explore("a request is late, and copied"),
	},
	{
		name:   "a message from before the last answer is a grant",
		edit:   edit{queueRules, "grant.Token <= w.heard.Token {", "grant.Token < 0 {"},
		killer: explore("a grant is older than the answer before it"),
	},
	{
		name:   "an older answer says since when a grant counts",
		edit:   edit{queueRules, " || e.Answer.Sent.After(w.heard.Sent) {", " || !e.Answer.Sent.IsZero() {"},
		killer: explore("a grant is older than the answer before it"),
	},
	{
		name:   "a grant by message counts from the first request",
		edit:   edit{queueRules, "		w.since = e.Answer.Sent\n", ""},
		killer: explore("two clients begin"),
	},
	{
		name: "a late place undoes a grant",
		edit: edit{
			queueStep,
			"		case Asking, Successor, Queued:\n			q.placed(w, e, now, &fx)\n			return fx\n		case Granted, Failed",
			"		case Asking, Successor, Queued, Granted:\n			q.placed(w, e, now, &fx)\n			return fx\n		case Failed",
		},
		killer: explore("two clients begin"),
	},
	{
		name:   "a lease begins under a token that its client took away",
		edit:   edit{queueRules, "if w.grant.Token <= q.forced && !", "if w.grant.Token < 0 && !"},
		killer: explore("a lock is taken away"),
	},
	{
		name:   "of two locks that a client took away it knows the last",
		edit:   edit{queueStep, "max(q.forced, e.Answer.Token), now", "e.Answer.Token, now"},
		killer: explore("a lock is taken away twice"),
	},
	{
		name:   "the first waits for a local holder however long that lasts",
		edit:   edit{queueRules, "	if q.first == w {\n", "	if q.first == w && w.inFlight > 0 {\n"},
		killer: explore("a lock is taken away"),
	},
	{
		name:   "a lease keeps its place among those who wait",
		edit:   edit{queueRules, "	q.remove(w)\n	w.state = Held", "	w.state = Held"},
		killer: explore("a lock is taken away"),
	},
	{
		name:   "a check-in is the last",
		edit:   edit{queueRules, "	fx.add(Effect{Do: Schedule, W: w, At: now.Add(w.Check)})\n	fx.add(Effect{Do: CheckIn", "	fx.add(Effect{Do: CheckIn"},
		killer: explore("two clients begin"),
	},
	{
		name:   "the wrong server is asked for ever",
		edit:   edit{queueRules, "e.Grace > 0 && now.Sub(w.refused) >= e.Grace {", "e.Grace < 0 {"},
		killer: explore("requests are refused"),
	},
	{
		name:   "the wrong server is asked once",
		edit:   edit{queueRules, "e.Grace > 0 && now.Sub(w.refused) >= e.Grace {", "e.Grace > 0 {"},
		killer: explore("requests are refused"),
	},
	{
		name:   "the right server's answer is forgotten at the next refusal",
		edit:   edit{queueRules, "	w.refused = time.Time{}\n", ""},
		killer: explore("requests are refused"),
	},
	{
		name:   "one try waits",
		edit:   edit{queueRules, "	if w.Wait {\n		q.hears", "	if w.Check > 0 {\n		q.hears"},
		killer: explore("one try"),
	},
	{
		name:   "who queues does not listen first",
		edit:   edit{queueRules, "Join: w.Wait && (w.polling || s != NotSubscribed)", "Join: w.Wait"},
		killer: explore("two clients begin"),
	},
	{
		name:   "who listened in vain does not queue",
		edit:   edit{queueRules, "w.polling = e.Err != nil || w.attempts > 1", "w.polling = w.attempts > 1"},
		killer: explore("requests are refused"),
	},
	{
		name:   "who listens again and again does not queue",
		edit:   edit{queueRules, "w.polling = e.Err != nil || w.attempts > 1", "w.polling = e.Err != nil"},
		killer: explore("a subscription comes and goes"),
	},
	{
		name:   "who cannot subscribe does not queue",
		edit:   edit{queueRules, "(w.polling || s != NotSubscribed)", "(w.polling || s == Subscribed)"},
		killer: explore("SUBSCRIBE is refused"),
	},
	{
		name:   "a grant that is nobody's is kept",
		edit:   edit{queueStep, "if e.Kind == Pushed {", "if e.Kind == Took {"},
		killer: ofQueue("TestAGrantForNobodyIsGivenBack"),
	},
	{
		name:   "what is asked for after a lock was taken away is none",
		edit:   edit{queueRules, "if w.grant.Token <= q.forced && !w.grant.Sent.After(q.forcedAt) {", "if w.grant.Token <= q.forced {"},
		killer: ofQueue("TestWhatIsAskedForAfterALockWasTakenAwayIsALease"),
	},
	{
		name:   "pauses grow on from those before the last answer",
		edit:   edit{queueRules, "w.state, w.attempts = Queued, 0", "w.state = Queued"},
		killer: ofQueue("TestPausesGrowUntilThereIsAnAnswer"),
	},
	{
		name:   "who gives up leaves what a quorum's minority granted",
		edit:   edit{queueStep, "		w.registered = w.registered || e.Leaves\n", ""},
		killer: ofQueue("TestWhatAnErrorMayLeaveIsWithdrawn"),
	},
	{
		name:   "who is retried has waited behind nobody",
		edit:   edit{queueRules, "again.state, again.ahead = Asking, old.ahead", "again.state = Asking"},
		killer: ofQueue("TestAWaiterThatIsRetriedHasWaitedBehindAsMany"),
	},
	{
		name:   "a successor waits on that has a tombstone",
		edit:   edit{queueStep, "			w.wakeTo(Asking, &fx)\n			return fx\n		case Asking, Queued: // somebody", "			return fx\n		case Asking, Queued: // somebody"},
		killer: ofQueue("TestASuccessorThatNobodyTookOverAsksForItself/GotTombstone"),
	},
	{
		name:   "who can never listen asks on",
		edit:   edit{queueRules, "	if e.Final {\n		w.fail(e.Err, fx)\n		return\n	}\n	w.polling", "	w.polling"},
		killer: ofQueue("TestAListenThatIsRefusedForGoodIsTheLastWord"),
	},
	{
		name:   "a quorum that refused for good is asked on for want of one answer",
		edit:   edit{queueStep, "			w.refusedWith(e, now, &fx) // of a quorum", "			w.again(&fx) // of a quorum"},
		killer: ofQueue("TestNoAnswerMayBeTheLastWord"),
	},
}

const (
	queueRules = "internal/lifecycle/queue/rules.go"
	queueStep  = "internal/lifecycle/queue/step.go"
)

func ofQueue(name string) test { return test{"./internal/lifecycle/queue", name} }

func explore(scenario string) test { return ofQueue("TestExplore/" + scenario) }
