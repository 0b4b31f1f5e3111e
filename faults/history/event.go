package history

import "math"

// Op is what a call did.
type Op string

// The calls that are recorded.
const (
	Lock   Op = "lock"   // Lock or TryLock
	Unlock Op = "unlock" // the first of a lease
	Again  Op = "again"  // a further Unlock, or an Extend after it
	Extend Op = "extend"
	Ended  Op = "ended" // no call: the lease's context has ended with ErrLost
	Claim  Op = "claim" // of a Guard
	Read   Op = "read"  // of the data that a Guard protects
	Write  Op = "write" // through a Guard
)

// Result is how a call ended.
type Result string

// The results. What is known to have had no effect is Fail; where nobody knows,
// it is Unknown: the call may take effect at any later time, or never.
const (
	OK      Result = "ok"
	Fail    Result = "fail"
	Unknown Result = "unknown"
	Stale   Result = "stale" // refused by a Guard
	Lost    Result = "lost"  // ErrLost
)

// The kinds of lock that are judged in a way of their own.
const (
	Multi  = "multi"  // the members of a MultiLock
	Shared = "shared" // taken for an owner that several workers have
)

// Never is a time after every other.
const Never int64 = math.MaxInt64

// Event is one call of one worker. Times are those of [Now].
type Event struct {
	Op     Op     `json:"op"`
	Lock   string `json:"lock"`            // the lock's name; the data's key is named after it
	Hold   string `json:"hold"`            // which Lock call; no two of a history are alike
	Kind   string `json:"kind,omitempty"`  // of lock
	Owner  string `json:"owner,omitempty"` // a Lock that failed has one only by WithOwner
	Token  int64  `json:"token,omitempty"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`
	Result Result `json:"result"`
	Valid  int64  `json:"valid,omitempty"` // the lease's deadline: after the call, but before an Unlock
	Value  int64  `json:"value,omitempty"` // read or written
	Err    string `json:"err,omitempty"`
	Worker int    `json:"worker"`
}

// WorkerKilled is the kind of a fault after which a worker's last call is told by
// nobody.
const WorkerKilled = "worker killed"

// Window is the time in which one fault was injected.
type Window struct {
	Kind   string `json:"kind"`
	Start  int64  `json:"start"`
	End    int64  `json:"end"`              // when it was healed
	Hits   int    `json:"hits"`             // how often it struck
	Lossy  bool   `json:"lossy,omitempty"`  // acknowledged locks may be gone
	Lock   string `json:"lock,omitempty"`   // which lock it is about; "" is all
	Worker int    `json:"worker,omitempty"` // which worker was stopped or killed; 0 is none
	Note   string `json:"note,omitempty"`

	// Failover tells that another server took over, which may have been as of an
	// earlier time: what was given back since may be there again.
	Failover bool `json:"failover,omitempty"`
}

// takes tells whether the fault may have taken name from a holder of [from, to].
func (w *Window) takes(name string, from, to int64) bool {
	return w.Lossy && (w.Lock == "" || w.Lock == name) && w.Start <= to && from <= w.End
}

// History is all of a run.
type History struct {
	Events  []Event
	Windows []Window
	Store   map[string][]Entry // by lock: what the store has applied, in its order
}

// Entry is one write that the store has applied.
type Entry struct {
	Value int64
	Token int64
	Owner string
	Hold  string
}

// lossy returns when the first fault began that may have taken o from its holder
// before then. With one of a MultiLock's go the others, which may have been had
// later.
func (h *History) lossy(o *hold, then int64) (since int64, is bool) {
	since = Never
	from := o.Call
	if len(o.locks) > 1 {
		from = o.asked
	}
	for i := range h.Windows {
		for _, name := range o.locks {
			if w := &h.Windows[i]; w.takes(name, from, then) {
				since, is = min(since, w.Start), true
			}
		}
	}
	return since, is
}
