package queue

var (
	settled = move{opTick, 0} // in a scenario's beginning: what a kind world does by itself
	here    = move{opEnter, 0}
	there   = move{opEnter, 1}
)

var (
	waits  = call{}
	tries  = call{try: true}
	shares = call{owner: 1}
)

func back(hold int8) move { return move{opRelease, hold} }

// listening has the first client hold, and the other be subscribed already.
var listening = []move{here, settled, there, settled, back(0), settled, back(1), settled, here, settled}

var scenarios = []scenario{
	{
		name:   "two clients begin",
		calls:  [2][]call{{waits}, {waits}},
		budget: budget{ticks: 1, timeouts: 1, giveUps: 1},
		depth:  16,
	},
	{
		name:   "a client of three, and another",
		calls:  [2][]call{{waits, waits, waits}, {waits}},
		budget: budget{giveUps: 1},
		depth:  13,
	},
	{
		name:   "a request is late, and copied",
		calls:  [2][]call{{waits}, {waits}},
		before: []move{there, settled, here, settled},
		budget: budget{ticks: 2, timeouts: 1, copies: 1, giveUps: 1, lateTimers: 1},
		depth:  9,
	},
	{
		name:   "a holder hands over",
		calls:  [2][]call{{waits, waits, waits}, {waits}},
		before: []move{here, settled, there, settled, here, here},
		budget: budget{timeouts: 1, giveUps: 1, ends: 1, errs: 1, lateTimers: 1, breaks: 1},
		depth:  9,
	},
	{
		name:   "a subscription breaks",
		calls:  [2][]call{{waits, waits}, {waits, waits}},
		before: listening,
		budget: budget{breaks: 1, timeouts: 1, copies: 1},
		depth:  16,
	},
	{
		name:   "a subscription comes and goes",
		calls:  [2][]call{{waits}, {waits}},
		before: []move{here, settled},
		budget: budget{breaks: 3},
		depth:  19,
	},
	{
		name:   "two subscribed clients hand over",
		calls:  [2][]call{{waits}, {waits, waits, waits}},
		before: []move{here, settled, there, settled, back(0), settled, there, settled},
		budget: budget{breaks: 1, timeouts: 1, copies: 1, giveUps: 1},
		depth:  9,
	},
	{
		name:   "a release is copied",
		calls:  [2][]call{{waits, waits}, {waits}},
		before: []move{here, settled, there, settled, {opOpen, 0}, here, settled, back(0), {opCopy, 0}},
		budget: budget{timeouts: 1, giveUps: 1},
		depth:  13,
	},
	{
		name:   "a message is lost, or late",
		calls:  [2][]call{{waits}, {waits}},
		before: []move{here, settled, there, settled},
		budget: budget{ticks: 4, losses: 1, ends: 1, retries: 1},
		depth:  14,
	},
	{
		name:   "a grant is older than the answer before it",
		calls:  [2][]call{{waits, waits}, {waits}},
		before: []move{here, settled, there, settled, back(0), {opDeliver, 0}, {opDeliver, 1}},
		budget: budget{ticks: 2},
		depth:  13,
	},
	{
		name:   "a lock is taken away",
		calls:  [2][]call{{waits, waits, waits}, {waits}},
		before: []move{here, settled},
		budget: budget{ticks: 1, forces: 1, retries: 1, errs: 1},
		depth:  10,
	},
	{
		name:   "a lock is taken away twice",
		calls:  [2][]call{{waits, tries}, {waits}},
		before: []move{here, settled, there, settled},
		budget: budget{forces: 2, retries: 1},
		depth:  10,
	},
	{
		name:   "requests are refused",
		calls:  [2][]call{{waits, waits}, {waits}},
		before: []move{there, settled},
		budget: budget{ticks: 2, errs: 2},
		depth:  11,
	},
	{
		name:   "check-ins are refused",
		calls:  [2][]call{{waits}, {waits}},
		before: []move{there, settled, here, settled},
		budget: budget{ticks: 2, errs: 2, copies: 1, timeouts: 1},
		depth:  8,
	},
	{
		name:   "owners of several calls",
		calls:  [2][]call{{waits, shares}, {shares}},
		budget: budget{ticks: 1, timeouts: 1, ends: 1},
		depth:  12,
	},
	{
		name:   "one try",
		calls:  [2][]call{{tries, waits}, {tries}},
		budget: budget{timeouts: 1, giveUps: 1, errs: 1, copies: 1},
		depth:  10,
	},
	{
		name:     "SUBSCRIBE is refused",
		calls:    [2][]call{{waits}, {waits}},
		refusing: true,
		budget:   budget{ticks: 2, timeouts: 1, giveUps: 1},
		depth:    13,
	},
}
