package main

// cachedHolds breaks the machine of a cached hold; the model of three clients finds each.
var cachedHolds = []mutant{
	{
		name:   "a section begins on a hold that was recalled",
		edit:   edit{cachedRules, "	case h.recalled || !subscribed:\n", "	case !subscribed:\n"},
		killer: model("TestModel/two clients"),
	},
	{
		name:   "a section begins on an old contact",
		edit:   edit{cachedRules, "h.from >= h.to || now-h.contact >= t.Check ||", "h.from >= h.to ||"},
		killer: model("TestModel/messages are lost"),
	},
	{
		name:   "a renewal does not say that others wait",
		edit:   edit{cachedRules, "	h.recalled = h.recalled || e.Others\n	if from", "	if from"},
		killer: model("TestModel/messages are lost"),
	},
	{
		name:   "a grant does not say that others wait",
		edit:   edit{cachedRules, "h.recalled || e.Others || !e.Subscribed\n}", "h.recalled || !e.Subscribed\n}"},
		killer: model("TestModel/another tries, and a third waits"),
	},
	{
		name:   "a hold that is asked for without a subscription is kept",
		edit:   edit{cachedStep, "recalled: !e.Subscribed}", "recalled: false}"},
		killer: model("TestModel/a subscription breaks"),
	},
	{
		name:   "a recall that comes before the grant is forgotten",
		edit:   edit{cachedStep, "		case Asked, Busy: // of one", "		case Asked:\n			return fx, true\n		case Busy: // of one"},
		killer: model("TestModel/two clients"),
	},
	{
		name:   "what is idle is kept though its contact is old",
		edit:   edit{cachedRules, "min(h.idleSince+t.Idle, h.contact+t.Check, ", "min(h.idleSince+t.Idle, "},
		killer: model("TestStep/after a section that was longer than the check interval nothing is kept"),
	},
	{
		name:   "sections have one token",
		edit:   edit{cachedRules, "	h.from++\n	h.token,", "	h.token,"},
		killer: model("TestModel/two clients"),
	},
	{
		name:   "a block begins below what was used meanwhile",
		edit:   edit{cachedRules, "from := max(e.From, h.token); e.To > from", "from := e.From; e.To > from"},
		killer: model("TestStep/a block begins behind what was used while its renewal was under way"),
	},
	{
		name:   "a renewal that brings no token is repeated",
		edit:   edit{cachedRules, "	case h.mustRenew(t, now):\n		h.giveBack(fx)", "	case h.mustRenew(t, now):\n		h.renew(fx)"},
		killer: model("TestStep/a renewal that brings no token is not repeated"),
	},
	{
		name:   "the section's own lease ends it",
		edit:   edit{cachedRules, "	case h.depth > 0:\n", "	case h.depth < 0:\n"},
		killer: model("TestModel/the section enters the lock again"),
	},
}

const (
	cachedRules = "internal/lifecycle/cached/rules.go"
	cachedStep  = "internal/lifecycle/cached/step.go"
)

func model(name string) test { return test{"./internal/lifecycle/cached", name} }
