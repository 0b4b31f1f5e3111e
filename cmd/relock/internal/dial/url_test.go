package dial

import (
	"errors"
	"strings"
	"testing"
)

// Two words that are in no message of ours: a user and a password, in places
// where a parser takes them for something else.
const (
	user     = "zaphod"
	password = "b33bl3"
)

// odd are URLs with user information that is not escaped, or with more of it.
var odd = []string{
	"redis://zaphod:b33bl3#b33bl3@127.0.0.1:1",
	"redis://zaphod:b33bl3/b33bl3@127.0.0.1:1",
	"redis://zaphod:b33bl3?b33bl3@127.0.0.1:1",
	"redis://zaphod:b33bl3?b33bl3=b33bl3@127.0.0.1:1",
	"redis://zaphod:b33bl3 b33bl3@127.0.0.1:1",
	"redis://zaphod:12#b33bl3@127.0.0.1:1",
	"redis://zaphod:12/b33bl3@127.0.0.1:1",
	"redis://zaphod:12?b33bl3@127.0.0.1:1",
	"redis://zaphod:12/3?b33bl3=@127.0.0.1:1",
	"redis://zaphod/b33bl3@127.0.0.1:1",
	"redis://zaphod#b33bl3@127.0.0.1:1",
	"redis://:b33bl3#@127.0.0.1:1",
	"redis://:b33bl3@127.0.0.1:b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:1/b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:1/0?b33bl3=1",
	"redis://zaphod:b33bl3@127.0.0.1:1/0?db=b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:1/0?addr=b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:1/0?addr=zaphod,b33bl3:1",
	"redis://zaphod:b33bl3@127.0.0.1:1/0?read_timeout=b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:1#b33bl3",
	"redis://zaphod:b33%zzbl3@127.0.0.1:1",
	"redis://zaphod:b33bl3[@127.0.0.1:1",
	"redis://zaphod:b33bl3\\@127.0.0.1:1",
	"redis://zaphod:b33bl3\n@127.0.0.1:1",
	"redis://zaphod!b33bl3",
	"redis:zaphod:b33bl3@127.0.0.1:1",
	"http://zaphod:b33bl3@127.0.0.1:1",
	"zaphod:b33bl3@127.0.0.1:1",
	"//zaphod:b33bl3@127.0.0.1:1",
	"unix://zaphod:b33bl3/b33bl3@/run/none.sock",
	"unix://zaphod/b33bl3",
	"redis://zaphod:b33bl3@127.0.0.1:99999",
}

func TestNothingOfABadURLIsTold(t *testing.T) {
	for _, url := range odd {
		got, err := Parse(url, TLS{})
		if !errors.Is(err, ErrBadURL) {
			t.Errorf("%q: got %+v and %v, want ErrBadURL", url, got, err)
			continue
		}
		for _, secret := range []string{user, password, "b33", "bl3"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", url, err)
			}
		}
		if !strings.HasSuffix(err.Error(), "percent-encode # / ? @ and space in the user and the password") {
			t.Errorf("%q: %v does not say what to do", url, err)
		}
	}
}

func TestOfAGoodURLOnlyHostAndPortAreTold(t *testing.T) {
	for url, want := range map[string]string{
		"redis://zaphod:b33bl3@127.0.0.1:1":                          "127.0.0.1:1",
		"redis://zaphod:b33@bl3@127.0.0.1:1":                         "127.0.0.1:1",
		"redis://zaphod:b33%23%2F%3F%40%20bl3@localhost/3":           "localhost:6379",
		"rediss://:b33bl3@[::1]:7":                                   "[::1]:7",
		"redis://zaphod@":                                            "localhost:6379",
		"unix://zaphod:b33bl3@/run/redis.sock?db=1":                  "/run/redis.sock",
		"redis://a_b.example:5?master_name=m&password=b33bl3":        "a_b.example:5",
		"redis://zaphod:b33bl3@host:5?addr=other:6&addr=[fe80::1]:7": "host:5",
		"redis://zaphod:b33bl3@127.0.0.1:1/0?read_timeout=1s&db=2":   "127.0.0.1:1",
	} {
		got, err := Parse(url, TLS{})
		if err != nil || got.Where != want {
			t.Errorf("%q: got %+v and %v, want %s", url, got, err, want)
		}
	}
}
