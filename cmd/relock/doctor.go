package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/cmd/relock/internal/doctor"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

const doctorIntro = `Looks at a Redis, or at each of several, for what locks need of it, and says what
to do. The exit status is 1 if something fails. It takes locks of its own, named
relock-doctor-*, and touches no other.

Examples:
  relock doctor
  relock doctor --redis redis://a:6379 --redis redis://b:6379 --ttl 5s
  relock doctor --json | jq '.[].findings[] | select(.level != "ok")'`

var doctorCommand = command{name: "doctor", help: "look at a Redis for what locks need of it", run: interruptible(runDoctor)}

// examined is what --json tells of one Redis.
type examined struct {
	Redis    string           `json:"redis"`
	Level    doctor.Level     `json:"level"`
	Findings []doctor.Finding `json:"findings"`
}

func runDoctor(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("doctor", &v, "are looked at in turn")
	ttl := fs.Duration("ttl", relock.DefaultTTL, "the TTL that your locks have")
	if status, ok := parse(fs, args, std, doctorIntro); !ok {
		return status
	}
	if *ttl < relock.MinTTL {
		return misused(fs, std, fmt.Errorf("--ttl %v: at least %v", *ttl, relock.MinTTL))
	}
	var all []examined
	status := exitOK
	targets, err := v.chosen()
	if err != nil {
		return failed(fs, std, err)
	}
	for _, t := range targets {
		srv, err := dial.Open(ctx, t)
		if err != nil {
			return failed(fs, std, err)
		}
		p := &doctor.Patient{Server: srv, Prefix: v.prefix, TTL: *ttl}
		found := told(p.Examine(ctx))
		_ = srv.Rdb.Close()
		e := examined{srv.Where, doctor.Worst(found), found}
		if e.Level == doctor.Fail {
			status = exitFailed
		}
		if !v.json {
			e.print(std)
		}
		all = append(all, e)
	}
	if v.json && printJSON(std.out, all) != nil {
		return exitFailed
	}
	return status
}

// told has what a Redis said in one line.
func told(found []doctor.Finding) []doctor.Finding {
	for i := range found {
		found[i].Found = plain.Error(errors.New(found[i].Found))
	}
	return found
}

func (e examined) print(std stdio) {
	fmt.Fprintf(std.out, "%s: %s\n", e.Redis, e.Level)
	for _, f := range e.Findings {
		fmt.Fprintf(std.out, "  %-4s  %-12s %s\n", f.Level, f.Check, f.Found)
		if f.Advice != "" {
			fmt.Fprintf(std.out, "        %-12s -> %s\n", "", f.Advice)
		}
	}
}
