package dial

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// ErrBadURL is returned when a URL cannot be read. Its message holds nothing of
// the URL, whatever a parser had to say: an unescaped password makes one part of
// a URL look like another.
var ErrBadURL = errors.New("not a Redis URL")

const escape = "; percent-encode # / ? @ and space in the user and the password"

func badURL(what string) error { return fmt.Errorf("%w: %s%s", ErrBadURL, what, escape) }

// A Target is a URL that was read: a server's, a cluster's (addr) or a
// Sentinel's (master_name).
type Target struct {
	URL   string
	Where string // for people: host and port, or the path of a socket
	TLS   TLS

	cluster, sentinel bool
}

// Parse reads a URL. It returns ErrBadURL, also for one that a parser takes, but
// that is likely to have a password in a wrong place.
func Parse(rawURL string, files TLS) (*Target, error) {
	u, err := url.Parse(rawURL)
	switch {
	case !slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(rawURL, s) }):
		return nil, badURL("it must begin with redis://, rediss:// or unix://")
	case err != nil:
		return nil, badURL("its host and port cannot be read")
	case strings.Contains(rawURL, "#") || strings.Contains(afterHost(rawURL), "@"):
		return nil, badURL("it has a # or an @ where none belongs")
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, badURL("its options cannot be read")
	}
	t := &Target{URL: rawURL, TLS: files, sentinel: options.Has("master_name")}
	t.cluster = options.Has("addr") && !t.sentinel
	if t.Where, err = whereOf(u); err != nil {
		return nil, err
	}
	for _, addr := range options["addr"] {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || !isHost(host) || !isPort(port) {
			return nil, badURL("an addr= of it is no host:port")
		}
	}
	if _, err := t.connector(t.cluster); err != nil {
		return nil, err
	}
	return t, nil
}

// schemes are those that go-redis knows.
var schemes = []string{"redis://", "rediss://", "unix://"}

// LooksLikeURL tells whether text is a URL of a Redis, or was meant as one: then it
// may hold a password, and is no name of anything.
func LooksLikeURL(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(text, s) })
}

// afterHost is the path and the options of a URL, as they are written.
func afterHost(rawURL string) string {
	_, rest, _ := strings.Cut(rawURL, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[i:]
	}
	return ""
}

// whereOf returns what may be told of a URL.
func whereOf(u *url.URL) (string, error) {
	if u.Scheme == "unix" {
		if u.Host != "" || u.Path == "" {
			return "", badURL("a socket has a path and no host: unix://user:password@/path")
		}
		return u.Path, nil
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	if !isHost(host) || !isPort(port) {
		return "", badURL("its host and port cannot be read")
	}
	if _, err := strconv.Atoi(strings.Trim(u.Path, "/")); err != nil && strings.Trim(u.Path, "/") != "" {
		return "", badURL("its path is not the number of a database")
	}
	return net.JoinHostPort(host, port), nil
}

// isHost reports whether s is a name or an address: no part of a password that
// has come loose.
func isHost(s string) bool {
	if ip := net.ParseIP(strings.SplitN(s, "%", 2)[0]); ip != nil {
		return true
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	})
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

// connector returns what makes a client. What go-redis says of a URL is not passed
// on: it quotes it.
func (t *Target) connector(cluster bool) (func() redis.UniversalClient, error) {
	bad := badURL("it has an option that is not known, or has no such value")
	secure, err := t.TLS.load(strings.HasPrefix(t.URL, "rediss://"))
	if err != nil {
		return nil, err
	}
	switch {
	case t.sentinel:
		opt, err := redis.ParseFailoverURL(t.URL)
		if err != nil {
			return nil, bad
		}
		secure(opt.TLSConfig)
		return func() redis.UniversalClient { return redis.NewFailoverClient(opt) }, nil
	case cluster:
		opt, err := redis.ParseClusterURL(t.URL)
		if err != nil {
			return nil, bad
		}
		secure(opt.TLSConfig)
		return func() redis.UniversalClient { return redis.NewClusterClient(opt) }, nil
	}
	opt, err := redis.ParseURL(t.URL)
	if err != nil {
		return nil, bad
	}
	secure(opt.TLSConfig)
	return func() redis.UniversalClient { return redis.NewClient(opt) }, nil
}
