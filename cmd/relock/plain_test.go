//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// within runs relock in this process.
func within(t *testing.T, in string, args ...string) (status int, out string) {
	t.Helper()
	var both strings.Builder
	status = dispatch(t.Context(), args, stdio{in: strings.NewReader(in), out: &both, err: &both})
	return status, both.String()
}

// verbs are all commands that take a URL, with arguments that make no mistake.
var verbs = [][]string{
	{"run", "job", "--", "true"},
	{"ls"},
	{"inspect", "job"},
	{"watch", "--times", "1"},
	{"unlock", "--force", "job"},
	{"doctor"},
	{"bench"},
	{"demo"},
	{"complete-words", "inspect", ""},
}

func TestVerbsAreAllCommandsThatTakeAURL(t *testing.T) {
	listed := map[string]bool{}
	for _, verb := range verbs {
		listed[verb[0]] = true
	}
	for _, c := range commands() {
		if takes := slices.Contains(flagsOf(c.name), "--redis"); takes != listed[c.name] {
			t.Errorf("relock %s: takes a URL: %v, listed: %v", c.name, takes, listed[c.name])
		}
	}
}

func with(verb []string, flags ...string) []string {
	return slices.Concat(verb[:1], flags, verb[1:])
}

func TestNoCommandTellsUserOrPassword(t *testing.T) {
	const user, password = "zaphod", "b33bl3"
	const once = "max_retries=-1&dialer_retries=1" // no patience with nobody
	urls := []string{
		"redis://zaphod:b33bl3@127.0.0.1:1?" + once, // as it should be, and nobody there
		"rediss://zaphod:b33bl3@127.0.0.1:1?" + once,
		"redis://zaphod:b33@bl3@127.0.0.1:1?" + once,
		"redis://zaphod:b33bl3@127.0.0.1:1?addr=127.0.0.1:2&max_redirects=-1&" + once,
		"redis://zaphod:b33bl3@127.0.0.1:1?master_name=m&password=b33bl3&" + once,
		"redis://zaphod:b33bl3@127.0.0.1:1/b33bl3",
		"redis://zaphod:b33bl3@127.0.0.1:1?b33bl3=b33bl3",
		"redis://zaphod:b33bl3#b33bl3@127.0.0.1:1",
		"redis://zaphod:b33bl3/b33bl3@127.0.0.1:1",
		"redis://zaphod:b33bl3?b33bl3@127.0.0.1:1",
		"redis://zaphod:b33bl3 b33bl3@127.0.0.1:1",
		"redis://zaphod:12#b33bl3@127.0.0.1:1",
		"redis://zaphod:12/b33bl3@127.0.0.1:1",
		"redis://zaphod:12?b33bl3@127.0.0.1:1",
		"redis://zaphod:12 b33bl3@127.0.0.1:1",
		"redis://zaphod/b33bl3@127.0.0.1:1",
		"redis://zaphod b33bl3@127.0.0.1:1",
		"redis://zaphod:b33%zzbl3@127.0.0.1:1",
		"redis://zaphod:b33bl3[@127.0.0.1:1",
		"redis:zaphod:b33bl3@127.0.0.1:1",
		"http://zaphod:b33bl3@127.0.0.1:1",
		"zaphod:b33bl3@127.0.0.1:1",
		"unix://zaphod:b33bl3@/nowhere/redis.sock?" + once,
		"unix://zaphod:b33bl3/b33bl3@/nowhere/redis.sock",
	}
	check := func(t *testing.T, args []string) {
		t.Helper()
		status, out := within(t, "", args...)
		for _, secret := range []string{user, password, "b33", "bl3"} {
			if strings.Contains(out, secret) {
				t.Errorf("relock %q tells %s:\n%s", args, secret, out)
			}
		}
		if want := args[0] == "complete-words"; status == exitOK != want {
			t.Errorf("relock %q: exit status %d", args, status)
		}
	}
	const nobody = "redis://127.0.0.1:1?" + once
	for _, verb := range verbs {
		t.Run(verb[0], func(t *testing.T) {
			for _, url := range urls {
				if verb[0] != "complete-words" {
					check(t, with(verb, "--redis", url))
					check(t, with(verb, "--redis", url, "--json"))
					check(t, with(verb, "--redis", nobody, "--redis", url))
				}
				if verb[0] != "demo" {
					t.Setenv(envRedis, url)
					check(t, verb)
					t.Setenv(envRedis, url+" "+nobody+" "+nobody)
					check(t, verb)
					t.Setenv(envRedis, "")
				}
			}
		})
	}
	t.Run("in a wrong place", func(t *testing.T) {
		const url = "redis://zaphod:b33bl3@127.0.0.1:1"
		t.Setenv(envRedis, "redis://127.0.0.1:1")
		for _, args := range [][]string{
			{url},
			{"ls", "a", url},
			{"inspect", "a", url},
			{"watch", "a", url},
			{"unlock", "a", url},
			{"run", "a", url},
			{"run", url},
			{"run", "--ttl", url, "a"},
			{"doctor", url},
			{"doctor", "--", url},
			{"ls", "a", "--", url},
			{"doctor", `redis://us"er:b33"bl3@127.0.0.1:1`},
			{"bench", url},
			{"demo", url},
			{"demo", "--workers", url},
			{"completion", url},
			{"version", url},
		} {
			check(t, args)
		}
	})
}

// A Redis that is there would answer, and the name be shown.
func TestAURLInPlaceOfANameIsRefused(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	t.Setenv(envRedis, "redis://"+rdb.Options().Addr)
	for _, url := range []string{"redis://zaphod:b33bl3@127.0.0.1:1", "REDISS://zaphod:b33bl3#@127.0.0.1:1", " unix://zaphod:b33bl3@/nowhere"} {
		for _, args := range [][]string{
			{"run", url, "--", "true"},
			{"run", "--json", url, "--", "true"},
			{"run", "--", url, "--", "true"},
			{"ls", url},
			{"inspect", url},
			{"inspect", "--json", url},
			{"inspect", "--", url},
			{"inspect", "job", url},
			{"watch", "--times", "1", url},
			{"watch", "--times", "1", "--json", url},
			{"unlock", "--force", url},
			{"unlock", "--force", "--yes", "--json", url},
		} {
			status, out := within(t, "", args...)
			if want := fmt.Sprintf("relock %s: a URL of a Redis is no name of a lock: give it with --redis, or in $RELOCK_REDIS (relock %[1]s -h lists the flags)\n", args[0]); status != exitUsage || out != want {
				t.Errorf("relock %q: status %d, %q, want %d and %q", args, status, out, exitUsage, want)
			}
		}
	}
}

// hostile are owners, and names, that would steer a terminal or look like others.
var hostile = []string{
	"esc\x1b[2J\x1b]0;title\a", "bell\a", "return\rjob: free", "line\njob: free", "bidi\u202egnp", "isolate\u2066x\u2069",
	"zero\u200bwidth", "bom\ufeff", "\u009b2Jc1", "del\x7f", "not utf8 \xff", "not utf8 \xfe", "tag\U000e0041", "filler\u3164", "sep\u2028x", "variant\ufe0f", "variant\U000e0100",
}

func TestNoCommandPassesOnWhatSteersATerminal(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	t.Setenv(envRedis, "redis://"+rdb.Options().Addr)
	c, err := relock.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for i, owner := range hostile {
		name := fmt.Sprintf("%d%s", i, owner)
		own := relock.WithOwner(t.Context(), relock.Owner(owner))
		if _, err := c.Reentrant(name).Lock(own); err != nil {
			t.Fatal(err)
		}
		next := relock.WithOwner(t.Context(), relock.Owner(owner+"next"))
		go func() { _, _ = c.Reentrant(name).Lock(next) }()
		await(t, "a queue", func() bool { st, err := c.Reentrant(name).Status(t.Context()); return err == nil && st.Waiters == 1 })
	}
	all := [][]string{{"ls"}, {"ls", "--json"}, {"watch", "--times", "1"}, {"watch", "--times", "1", "--json"}, {"complete-words", "inspect", ""}}
	for i, owner := range hostile {
		name := fmt.Sprintf("%d%s", i, owner)
		all = append(all,
			[]string{"inspect", name}, []string{"inspect", "--json", name}, []string{"unlock", "--force", name},
			[]string{"run", "--wait", "0", name, "--", "true"}, []string{"run", "--wait", "0", "--json", name, "--", "true"},
			[]string{"run", "--wait", "1x", name, "--", "true"}, []string{"ls", name, name}, []string{name}, []string{"ls", "--" + name},
		)
		if i < 3 { // it takes a second
			all = append(all, []string{"run", "--wait", "1100ms", name, "--", "true"})
		}
	}
	for _, owner := range hostile { // after the rest: the locks are gone then
		all = append(all, []string{"unlock", "--force", "--yes", fmt.Sprintf("%d%s", slices.Index(hostile, owner), owner)})
	}
	for _, args := range append(all, []string{"doctor"}, []string{"bench", "--duration", "10ms", "--goroutines", "1"}) {
		_, out := within(t, "n\n", args...)
		if rest := strings.ReplaceAll(out, "\n", ""); !plain.IsPlain(rest) {
			t.Errorf("relock %q: %+q", args, out)
		}
		if strings.Contains(out, "\njob: free") {
			t.Errorf("relock %q: a name makes a line of its own: %q", args, out)
		}
	}
}

func TestNoCommandPassesOnWhatSteersATerminalFromAQuorum(t *testing.T) {
	var urls []string
	var clients []*relock.Client
	for range 3 {
		_, rdb := redistest.Embedded(t)
		c, err := relock.New(rdb)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		clients, urls = append(clients, c), append(urls, "redis://"+rdb.Options().Addr)
	}
	t.Setenv(envRedis, strings.Join(urls, " "))
	locks, err := redlock.New(clients)
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range hostile {
		if _, err := locks.Reentrant("n" + owner).Lock(relock.WithOwner(t.Context(), relock.Owner(owner))); err != nil {
			t.Fatal(err)
		}
	}
	all := [][]string{{"ls"}, {"ls", "--json"}, {"watch", "--times", "1"}, {"complete-words", "inspect", ""}, {"doctor"}}
	for _, owner := range hostile {
		all = append(all, []string{"inspect", "n" + owner}, []string{"run", "--wait", "0", "n" + owner, "--", "true"}, []string{"unlock", "--force", "--yes", "n" + owner})
	}
	for _, args := range all {
		if _, out := within(t, "", args...); !plain.IsPlain(strings.ReplaceAll(out, "\n", "")) {
			t.Errorf("relock %q: %+q", args, out)
		}
	}
}

func TestNamesThatAreNoUTF8AreToldApartInJSON(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	t.Setenv(envRedis, "redis://"+rdb.Options().Addr)
	c, err := relock.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for _, name := range []string{"job\xfe", "job\xff"} {
		own := relock.WithOwner(t.Context(), relock.Owner("own"+name))
		if _, err := c.Reentrant(name).Lock(own); err != nil {
			t.Fatal(err)
		}
	}
	_, out := within(t, "", "ls", "--json")
	var locks []shownLock
	if err := json.Unmarshal([]byte(out), &locks); err != nil || len(locks) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	if locks[0].Name64 == locks[1].Name64 || locks[0].Owner64 == locks[1].Owner64 || locks[0].Name64 == "" {
		t.Errorf("they look alike: %s", out)
	}
	if _, out = within(t, "", "watch", "--json", "--times", "1"); !strings.Contains(out, `"name_base64":"`+locks[0].Name64) {
		t.Errorf("watch does not tell them apart: %s", out)
	}
}

func TestTheTableOfWatchIsPlain(t *testing.T) {
	var out strings.Builder
	s := &tableScreen{out: &out, where: "here"}
	var locks []shownLock
	for _, owner := range hostile {
		locks = append(locks, shownLock{Name: "n" + owner, Held: true, Owner: owner, Token: 7})
	}
	var tr tracker
	if err := s.draw(locks, tr.see(time.Now(), locks), context.Canceled); err != nil {
		t.Fatal(err)
	}
	if rest := strings.ReplaceAll(out.String(), "\n", ""); !plain.IsPlain(rest) {
		t.Errorf("%+q", out.String())
	}
}
