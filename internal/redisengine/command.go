package redisengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// Client is what this package needs of a go-redis client.
type Client interface {
	Process(ctx context.Context, cmd redis.Cmder) error
	Pipeline() redis.Pipeliner
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// once is a command that go-redis sends only once: it would resend a script
// whose reply was lost under its own timeouts, unasked. Resends are ours.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

// command is one run of a script: by its name, and by its source where the
// server does not know it.
type command struct {
	script *Script
	sent   []any // "evalsha", the name, how many keys, the keys, the arguments
	last   last  // stands for the last of sent
	room   [usualWords]any
	hold   holdField
	floor  number
	token  number
	moment moment // in which it is sent inline
}

// usualWords is how many words most commands have: those of a lock that nobody
// waits for.
const usualWords = firstKey + 5 + 5

// last is a command's last word. It notes that the command is being written to a
// connection: a word of a type of its own is asked for its bytes then and not
// before, whatever looks at the command on its way (hooks, the choice of a
// cluster's node). A command that failed and was never written has no effect,
// whatever kept it back: no connection, a full pool, a breaker, a hook.
//
// An AutoPipeliner asks for the bytes when it queues the command. Of one that it
// could not send it is then not known.
type last struct {
	word  any
	state atomic.Int32
	text  [20]byte // room for a number
}

// What became of a command's last word.
const (
	here   int32 = iota // not asked for
	leaves              // being written, or written
	barred              // given up before that
)

// errBarred is what go-redis is told that would write a command after it was given
// up: a hook may have returned before what it has called.
var errBarred = errors.New("relock: the request was given up before it left")

// bar reports whether the command has left, and keeps it from leaving if not: who
// was told that nothing was sent withdraws nothing.
func (l *last) bar() bool { return !l.state.CompareAndSwap(here, barred) && l.state.Load() == leaves }

// MarshalBinary is asked for by go-redis when it writes the command.
func (l *last) MarshalBinary() ([]byte, error) {
	if !l.state.CompareAndSwap(here, leaves) && l.state.Load() == barred {
		return nil, errBarred
	}
	switch word := l.word.(type) {
	case int:
		return strconv.AppendInt(l.text[:0], int64(word), 10), nil
	case int64:
		return strconv.AppendInt(l.text[:0], word, 10), nil
	}
	return fmt.Append(nil, l.word), nil
}

// String is for hooks that print commands.
func (l *last) String() string { return fmt.Sprint(l.word) }

// written reports whether c is being written to a connection, or was.
func (c *command) written() bool { return c.last.state.Load() == leaves }

// firstKey is the place of the first key in what is sent.
const firstKey = 3

func newCommand(sc *Script, keys []any, args ...any) *command {
	return new(command).set(sc, keys, args...)
}

// set makes of c, which is new, a run of sc.
func (c *command) set(sc *Script, keys []any, args ...any) *command {
	c.script = sc
	c.sent = append(c.room[:0], "evalsha", sc.name, len(keys))
	c.sent = append(append(c.sent, keys...), args...)
	end := &c.sent[len(c.sent)-1]
	c.last.word, *end = *end, &c.last
	return c
}

// anys returns texts as a command takes them.
func anys(texts []string) []any {
	all := make([]any, len(texts), len(texts)+1)
	for i, t := range texts {
		all[i] = t
	}
	return all
}

// parts returns the keys and the arguments, for another command.
func (c *command) parts() (keys, args []any) {
	words := slices.Clone(c.sent[firstKey:])
	words[len(words)-1] = c.last.word
	n := c.sent[2].(int)
	return words[:n:n], words[n:]
}

func (c *command) evalSHA(ctx context.Context) once { return once{redis.NewCmd(ctx, c.sent...)} }

func (c *command) eval(ctx context.Context) once {
	sent := append([]any{"eval", c.script.source}, c.sent[2:]...)
	return once{redis.NewCmd(ctx, sent...)}
}

// unknownScript tells whether a command failed since its server does not have
// the script: nothing was executed.
func unknownScript(err error) bool { return hasPrefix(err, "NOSCRIPT") }

// process sends c, and again with its source if the server does not know it.
func (c *command) process(ctx context.Context, rdb Client) (any, error) {
	cmd := c.evalSHA(ctx)
	_ = rdb.Process(ctx, cmd)
	val, err := cmd.Result()
	if unknownScript(err) {
		cmd = c.eval(ctx)
		_ = rdb.Process(ctx, cmd)
		val, err = cmd.Result()
	}
	return val, err
}

// run sends c and returns its reply by the end of ctx: go-redis itself does not
// give up a reply it waits for. The command is then left to its goroutine.
func (c *command) run(ctx context.Context, rdb Client) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnsent, err)
	}
	if queue, ok := rdb.(submitter); ok && takes(queue) {
		return c.submit(ctx, rdb, queue)
	}
	got := (&sender{rdb: &boundedClient{rdb: rdb}}).send(ctx, &flight{decided: make(chan struct{})}, c, nil)
	return got.val, got.err
}

// takes tells whether commands can be handed to a queue, and waited for.
func takes(queue submitter) bool { return !queue.IsBlocking() }

// submitter is what an AutoPipeliner has that does not block its callers. Dispatchers do
// what it was of use for; it is served since it may be handed in for other commands'
// sake, and in a way of its own since its Process returns before there is a reply,
// and to read that does not end with a context. It queues requests itself, so
// none of its goes by a dispatcher.
type submitter interface {
	Submit(ctx context.Context, cmd redis.Cmder) redis.AutoFuture
	IsBlocking() bool
}

func (c *command) submit(ctx context.Context, rdb Client, queue submitter) (any, error) {
	cmd := c.evalSHA(ctx)
	err := queue.Submit(ctx, cmd).WaitContext(ctx)
	if unknownScript(err) {
		cmd = c.eval(ctx)
		err = queue.Submit(ctx, cmd).WaitContext(ctx)
	}
	if err != nil && ctx.Err() != nil {
		// The command may be under way still: it is not to be looked at.
		return nil, fmt.Errorf("%w: %w", engine.ErrUnknown, engine.ContextError(ctx))
	}
	return cmd.Val(), c.fault(rdb, err)
}
