package matrix

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// A worker is a process of the operating system that locks, and can be stopped
// and killed: this test binary again. It does what it is told, a line each.

// envWorker names the environment variable with what a worker works on.
const envWorker = "RELOCK_MATRIX_WORKER"

// task is what a worker works on.
type task struct {
	Kind, Lock string
	Addrs      []string
	Store      string // the server of the data, with its fence
	TTL        time.Duration
}

// The words that a worker is told; it answers each with a line.
const (
	doLock   = "lock"    // answers "had"
	doErr    = "err"     // Lease.Err
	doEnded  = "ended"   // waits for the end of the lease's context and answers its cause
	doUnlock = "unlock"  // Lease.Unlock
	doWrite  = "write"   // a guarded write
	doCount  = "count"   // read-modify-writes under the lock until the next line; answers how many were acknowledged
	data     = "counter" // the key of the data
)

// had is a worker's word for success.
const had = "had"

// work is the main function of a worker.
func work() {
	redis.SetLogger(silence{})
	var t task
	if err := json.Unmarshal([]byte(os.Getenv(envWorker)), &t); err != nil {
		panic(err)
	}
	p := &process{}
	for _, addr := range t.Addrs {
		c, err := relock.New(redis.NewClient(&redis.Options{Addr: addr}), clientOptions()...)
		if err != nil {
			panic(err)
		}
		p.clients = append(p.clients, c)
	}
	kinds := append(slices.Clone(every), red)
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == t.Kind })]
	w := &worker{
		lock: k.lock(p, t.Lock, []relock.LockOption{relock.WithTTL(t.TTL)}),
		rdb:  redis.NewClient(&redis.Options{Addr: t.Store}),
		told: make(chan string),
	}
	w.guard = relock.NewGuard(w.rdb)
	go w.listen()
	for word := range w.told {
		fmt.Println(w.do(word))
	}
}

type worker struct {
	lock  relock.Locker
	rdb   *redis.Client
	guard *relock.Guard
	told  chan string
	lease *relock.Lease
}

func (w *worker) listen() {
	defer close(w.told)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		w.told <- in.Text()
	}
}

func (w *worker) do(word string) string {
	switch word {
	case doLock:
		var err error
		w.lease, err = w.lock.Lock(bg)
		return outcome(err)
	case doErr:
		return outcome(w.lease.Err())
	case doEnded:
		<-w.lease.Context().Done()
		return outcome(context.Cause(w.lease.Context()))
	case doUnlock:
		return outcome(w.lease.Unlock(bg))
	case doWrite:
		return outcome(w.guard.Set(bg, data, sequencer(w.lease), "late", 0))
	case doCount:
		return fmt.Sprint(w.count())
	}
	return "unknown"
}

// count increments the data under the lock, and returns how many increments the
// storage has acknowledged.
func (w *worker) count() (n int) {
	for {
		select {
		case <-w.told:
			return n
		default:
		}
		err := relock.Do(bg, w.lock, func(ctx context.Context, lease *relock.Lease) error {
			s := sequencer(lease)
			if err := w.guard.Claim(ctx, data, s); err != nil {
				return err
			}
			old, err := w.rdb.Get(ctx, data).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			if err := w.guard.Set(bg, data, s, old+1, 0); err != nil {
				return err
			}
			n++
			return nil
		})
		if err != nil && !errors.Is(err, relock.ErrLost) && !errors.Is(err, relock.ErrStaleToken) && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "worker:", err)
		}
	}
}

// outcome is an error as one word.
func outcome(err error) string {
	for word, known := range map[string]error{
		"lost": relock.ErrLost, "stale": relock.ErrStaleToken, "not held": relock.ErrNotHeld,
	} {
		if errors.Is(err, known) {
			return word
		}
	}
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return had
}

// A hand is a worker as its test has it.
type hand struct {
	w   *world
	cmd *exec.Cmd
	in  io.Writer
	out chan string // its answers
}

// worker starts a worker on the world's lock.
func (w *world) worker(ttl time.Duration, store string) *hand {
	w.Helper()
	t := task{Kind: w.kind.name, Lock: w.name, Store: store, TTL: ttl}
	for _, n := range w.nodes {
		t.Addrs = append(t.Addrs, n.server.Addr())
	}
	env, err := json.Marshal(t)
	if err != nil {
		w.Fatal(err)
	}
	h := &hand{w: w, cmd: exec.Command(os.Args[0]), out: make(chan string, 1)}
	h.cmd.Env = append(os.Environ(), envWorker+"="+string(env))
	h.cmd.Stderr = os.Stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		w.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	go func() {
		defer close(h.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			h.out <- lines.Text()
		}
	}()
	w.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	})
	return h
}

func (h *hand) tell(word string) {
	h.w.Helper()
	if _, err := fmt.Fprintln(h.in, word); err != nil {
		h.w.Fatal(err)
	}
}

// hear returns the worker's next answer.
func (h *hand) hear() string {
	h.w.Helper()
	select {
	case line := <-h.out:
		return line
	case <-h.w.soon().Done():
		h.w.Fatal("the worker does not answer")
	}
	return ""
}

func (h *hand) want(word, answer string) {
	h.w.Helper()
	h.tell(word)
	if got := h.hear(); got != answer {
		h.w.Errorf("%s: the worker says %q, want %q", word, got, answer)
	}
}

func (h *hand) signal(s syscall.Signal) {
	h.w.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.w.Fatal(err)
	}
}
