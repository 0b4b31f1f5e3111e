package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
)

const defaultRedis = "redis://localhost:6379"

// where is the flags that say which locks a command is about.
type where struct {
	urls   urlList
	tls    dial.TLS
	prefix string
}

// ofRedLock is what most commands do with several URLs.
const ofRedLock = "make a RedLock"

// register adds them to fs. several says what the command does with more than one
// URL; empty for one that refuses them.
func (w *where) register(fs *flag.FlagSet, several string) {
	if several != "" {
		several = "; several, in $" + envRedis + " parted by\nspaces, " + several
	}
	fs.Var(&w.urls, "redis", "`URL` of the Redis: redis://, rediss:// or unix://, of a server, a cluster\n(?addr=) or a Sentinel (?master_name=)"+several+"\n(default $"+envRedis+", else "+defaultRedis+")")
	registerTLS(fs, &w.tls)
	fs.StringVar(&w.prefix, "prefix", relock.DefaultPrefix, "what the keys of the locks begin with")
}

// urlList is a flag that may be given several times.
type urlList []string

func (l *urlList) String() string { return strings.Join(*l, " ") }

func (l *urlList) Set(text string) error {
	if text == "" {
		return errors.New("an empty URL")
	}
	*l = append(*l, text)
	return nil
}

// registerTLS adds the flags of what a URL with TLS does not say.
func registerTLS(fs *flag.FlagSet, t *dial.TLS) {
	for _, f := range []struct {
		at              *string
		name, env, what string
	}{
		{&t.CA, "tls-ca", envTLSCA, "`FILE` of the authorities to trust in place of the system's, in PEM"},
		{&t.Cert, "tls-cert", envTLSCert, "`FILE` of our certificate, for a Redis that asks for one"},
		{&t.Key, "tls-key", envTLSKey, "`FILE` of its key"},
		{&t.ServerName, "tls-server-name", envTLSServerName, "`NAME` that the certificate of the Redis has to have"},
	} {
		*f.at = os.Getenv(f.env)
		fs.Func(f.name, f.what+" (default $"+f.env+")", func(text string) error { *f.at = text; return nil })
	}
}

// chosen are the URLs of the flags, or of the environment, where white space
// parts several. All of them are read before one is used: where a space in
// a password has made two of one, neither is connected to, or shown.
func (w *where) chosen() ([]*dial.Target, error) {
	urls := []string(w.urls)
	if len(urls) == 0 {
		urls = strings.Fields(os.Getenv(envRedis))
	}
	if len(urls) == 0 {
		urls = []string{defaultRedis}
	}
	var all []*dial.Target
	for _, url := range urls {
		t, err := dial.Parse(url, w.tls)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// errUsage is matched by mistakes of whoever typed the command.
var errUsage = errors.New("usage")

// A misuse is an errUsage in its own words.
type misuse struct{ error }

func (misuse) Is(target error) bool { return target == errUsage }

func misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// errURLAsName is of those who forgot --redis. It does not repeat the URL.
var errURLAsName = misusef("a URL of a Redis is no name of a lock: give it with --redis, or in $%s", envRedis)

// checkNames returns errURLAsName if one of them is a URL.
func checkNames(names ...string) error {
	if slices.ContainsFunc(names, dial.LooksLikeURL) {
		return errURLAsName
	}
	return nil
}

// deployment is one Redis with a client of its locks.
type deployment struct {
	*dial.Server
	locks *relock.Client
}

func (d *deployment) close() {
	_ = d.locks.Close()
	_ = d.Rdb.Close()
}

// open connects to the one Redis of w.
func (w *where) open(ctx context.Context) (*deployment, error) {
	targets, err := w.chosen()
	if err != nil {
		return nil, err
	}
	if len(targets) > 1 {
		return nil, misusef("several URLs of Redis, in --redis or $" + envRedis + ": this command looks at one at a time")
	}
	srv, err := dial.Open(ctx, targets[0])
	if err != nil {
		return nil, err
	}
	locks, err := relock.New(srv.Rdb, relock.WithPrefix(w.prefix))
	if err != nil {
		_ = srv.Rdb.Close()
		return nil, err
	}
	return &deployment{srv, locks}, nil
}

// openWritable is open for commands that take locks or take them away. They would
// wait at a replica as for a failover to end.
func (w *where) openWritable(ctx context.Context) (*deployment, error) {
	d, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.Writable(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// A reentrant is the lock of a name, on one Redis or on a quorum of them.
type reentrant interface {
	relock.Locker
	Status(ctx context.Context) (relock.Status, error)
}

// opened is a lock, and what takes it away from whoever has it by a token.
type opened struct {
	reentrant
	force func(ctx context.Context, name string, token int64) (bool, error)
}

// openLock returns the lock of that name on the Redis or the quorum that w says,
// and what closes it.
func (w *where) openLock(ctx context.Context, name string, opts ...relock.LockOption) (*opened, func(), error) {
	targets, err := w.chosen()
	if err != nil {
		return nil, nil, err
	}
	if len(targets) > 1 {
		q, err := w.openQuorum(ctx, targets)
		if err != nil {
			return nil, nil, err
		}
		return &opened{q.locks.Reentrant(name, opts...), access.QuorumInspector(q.locks).Force}, q.close, nil
	}
	d, err := w.openWritable(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &opened{d.locks.Reentrant(name, opts...), access.Client(d.locks).Inspector().Force}, d.close, nil
}

// A sight is all the locks on one Redis or on a quorum.
type sight struct {
	engine.Inspector
	where string
	close func()
}

// look returns a view of the locks on the Redis, opened by open, or on the quorum
// that w says.
func (w *where) look(ctx context.Context, open func(context.Context) (*deployment, error)) (*sight, error) {
	targets, err := w.chosen()
	if err != nil {
		return nil, err
	}
	if len(targets) > 1 {
		q, err := w.openQuorum(ctx, targets)
		if err != nil {
			return nil, err
		}
		return &sight{access.QuorumInspector(q.locks), q.where(), q.close}, nil
	}
	d, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &sight{access.Client(d.locks).Inspector(), d.Where, d.close}, nil
}
