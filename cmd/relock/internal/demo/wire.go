package demo

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// job is the first line a worker reads.
type job struct {
	Worker     int      `json:"worker"` // from 1
	Redis      string   `json:"redis"`  // URL
	TLS        dial.TLS `json:"tls"`    // for that URL
	Cluster    bool     `json:"cluster"`
	Run        string   `json:"run"` // names this run's lock and keys
	Goroutines int      `json:"goroutines"`
	TTLMillis  int64    `json:"ttl_ms"`
}

// order is every later line.
type order string

const (
	begin  order = "begin"  // contend
	hold   order = "hold"   // stay inside the next section, between read and write
	resume order = "resume" // go on with it
	finish order = "finish" // start no further section
)

type kind string

const (
	ready    kind = "ready"    // connected
	acquired kind = "acquired" // Lock returned
	inside   kind = "inside"   // has read, and stays there until resume
	lag      kind = "lag"      // went on after that
	released kind = "released" // Unlock returned
	lost     kind = "lost"     // Unlock returned ErrLost
	refused  kind = "refused"  // the write was stale
	failed   kind = "failed"   // anything else went wrong
	done     kind = "done"     // the last event: what the worker counted
	exited   kind = "exited"   // made by the parent: the process has ended
)

// event is what a worker tells. At and Waited are in nanoseconds, At since 1970:
// the workers share a machine, and so a clock.
type event struct {
	Kind      kind   `json:"kind"`
	Worker    int    `json:"worker"`
	Goroutine int    `json:"goroutine,omitempty"`
	Token     int64  `json:"token,omitempty"`
	At        int64  `json:"at"`               // acquired: Lock returned; released, lost: Unlock was called
	Waited    int64  `json:"waited,omitempty"` // acquired: how long Lock took
	Amount    int64  `json:"amount,omitempty"` // released, lost: the deposit that was acknowledged
	Unsure    bool   `json:"unsure,omitempty"` // failed: the write was sent, and not answered
	Frozen    int64  `json:"frozen,omitempty"` // lag: the longest time in which nothing ran
	Ended     bool   `json:"ended,omitempty"`  // lag: Lease.Err was ErrLost at once
	Counts    counts `json:"counts,omitzero"`  // done
	Text      string `json:"text,omitempty"`
}

// counts are the commands a worker has sent.
type counts struct {
	Lock  int64 `json:"lock"`  // EVALSHA and EVAL of the lock
	Guard int64 `json:"guard"` // EVALSHA and EVAL of the Guard
	Read  int64 `json:"read"`  // GET of the account

	Unsure int64 `json:"unsure"` // of Lock and Guard, those that were not answered
}

func (c *counts) add(d counts) {
	c.Lock += d.Lock
	c.Guard += d.Guard
	c.Read += d.Read
	c.Unsure += d.Unsure
}

// scripts are those of Lock and Guard.
func (c *counts) scripts() int64 { return c.Lock + c.Guard }

// holds tells whether a server that was sent so many scripts has seen what c says.
func (c *counts) holds(scripts int64) bool {
	return c.scripts()-c.Unsure <= scripts && scripts <= c.scripts()
}

// reporter writes events. Most wait in its buffer for flush: a system call each
// would be a good part of a section. It is safe for concurrent use.
type reporter struct {
	worker int
	mu     sync.Mutex // guards buf, enc and err
	buf    *bufio.Writer
	enc    *json.Encoder
	err    error // the first; nothing is written after it
}

func newReporter(worker int, w io.Writer) *reporter {
	buf := bufio.NewWriterSize(w, 64<<10)
	return &reporter{worker: worker, buf: buf, enc: json.NewEncoder(buf)}
}

func (r *reporter) tell(e event) {
	e.Worker = r.worker
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.enc.Encode(e)
	}
}

func (r *reporter) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.buf.Flush()
	}
	return r.err
}

// tellNow is for what somebody waits for.
func (r *reporter) tellNow(e event) error {
	r.tell(e)
	return r.flush()
}
