// Package doctor looks at a Redis for what locks need of it.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// Level is how well a check went.
type Level string

// The levels, from good to bad. What could not be learned is a warning.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Finding is what one check found, and what to do about it.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Patient is the Redis that is looked at.
type Patient struct {
	*dial.Server
	Prefix string
	TTL    time.Duration // that its locks have

	nodes []node // at least one
}

// A check looks for one thing. It is left out where the one that it is after has
// failed: it would only wait for what is known not to come.
type check struct {
	name  string
	run   func(context.Context) Finding
	after string
}

func (p *Patient) checks() []check {
	all := []check{
		{"server", p.onEach(node.server), ""},
		{"role", p.onEach(node.role), ""},
		{"scripts", p.scripts, "role"},
		{"publish", p.publish, "role"},
		{"hand-off", p.handOff, "scripts"},
		{"round trip", p.roundTrip, ""},
		{"clock", p.clock, ""},
		{"eviction", p.onEach(node.eviction), ""},
		{"persistence", p.onEach(node.persistence), ""},
		{"replicas", p.onEach(node.replicas), ""},
	}
	if p.Cluster {
		all = append(all, check{"cluster", p.onEach(node.slots), ""})
	}
	return all
}

// Examine runs all checks.
func (p *Patient) Examine(ctx context.Context) []Finding {
	p.nodes = p.ask(ctx)
	bad := map[string]bool{}
	var found []Finding
	for _, c := range p.checks() {
		f := Finding{Level: Warn, Found: "not tried: see " + c.after}
		if !bad[c.after] {
			f = c.within(ctx, 2*dial.AnswerWithin)
		}
		f.Check = c.name
		bad[c.name] = f.Level == Fail || bad[c.after]
		found = append(found, f)
	}
	return found
}

func (c check) within(ctx context.Context, d time.Duration) Finding {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.run(ctx)
}

// Worst is the worst level of them.
func Worst(found []Finding) Level {
	worst := OK
	for _, f := range found {
		if worse(f.Level, worst) {
			worst = f.Level
		}
	}
	return worst
}

func worse(a, b Level) bool { return b != Fail && (a == Fail || a == Warn && b == OK) }

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(advice, format string, args ...any) Finding {
	return Finding{Level: Warn, Found: fmt.Sprintf(format, args...), Advice: advice}
}

func fail(advice, format string, args ...any) Finding {
	return Finding{Level: Fail, Found: fmt.Sprintf(format, args...), Advice: advice}
}
