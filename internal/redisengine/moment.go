package redisengine

import (
	"context"
	"sync"
	"time"
)

// moments bound inline requests. What is sent within half of inlineFor shares one
// timer: one of its own would cost a request more than all else that bounds it.
type moments struct {
	mu   sync.Mutex
	from time.Time
	done chan struct{} // closed inlineFor after from
}

// begin has in be ctx with an end no later than inlineFor from now. It does not end
// with ctx: who sends inline looks at ctx when the request has ended.
func (m *moments) begin(ctx context.Context, in *moment, now time.Time) {
	until := now.Add(inlineFor)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done == nil || now.Sub(m.from) > inlineFor/2 {
		done := make(chan struct{})
		time.AfterFunc(inlineFor, func() { close(done) })
		m.from, m.done = now, done
	}
	*in = moment{ctx, until, m.done}
}

// moment is the context of one inline request.
type moment struct {
	context.Context
	until time.Time
	done  <-chan struct{}
}

// Deadline is described in [context.Context].
func (m *moment) Deadline() (time.Time, bool) { return m.until, true }

// Done is described in [context.Context].
func (m *moment) Done() <-chan struct{} { return m.done }

// Err is described in [context.Context].
func (m *moment) Err() error {
	select {
	case <-m.done:
		return context.DeadlineExceeded
	default:
	}
	if !time.Now().Before(m.until) {
		return context.DeadlineExceeded
	}
	return nil
}
