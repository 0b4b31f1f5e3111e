package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// SentinelName is the name under which the sentinels watch the primary.
const SentinelName = "relock"

const (
	sentinelCount    = 3
	sentinelReplicas = 2
)

var (
	errUnaware    = errors.New("redistest: the sentinels do not know all servers yet")
	errNoFailover = errors.New("redistest: no failover yet")
	errDisagree   = errors.New("redistest: the sentinels do not agree")
)

// Sentinels is a primary with two replicas, watched by three sentinels that
// take half a second of silence for its death.
type Sentinels struct {
	Data      *Replicas
	Sentinels []*Server

	clients []*redis.Client
}

// StartSentinels starts the servers and returns when every sentinel knows all
// of them. opts apply to the data servers. The caller ends them with
// [Sentinels.Close].
func StartSentinels(ctx context.Context, opts ...Option) (*Sentinels, error) {
	s := &Sentinels{Data: &Replicas{}}
	if err := s.start(ctx, opts); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// StartSentinelsT is [StartSentinels] for a test; see [StartT].
func StartSentinelsT(tb testing.TB, opts ...Option) *Sentinels {
	tb.Helper()
	Require(tb)
	s, err := StartSentinels(tb.Context(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	closeServersLater(tb, append(s.Data.All(), s.Sentinels...))
	tb.Cleanup(s.closeClients)
	return s
}

func (s *Sentinels) start(ctx context.Context, opts []Option) error {
	if err := s.Data.start(ctx, sentinelReplicas, opts); err != nil {
		return err
	}
	watch := withSentinel(func(port int) string { return sentinelConf(port, s.Data.Primary.Port()) })
	for range sentinelCount {
		one, err := Start(ctx, append(opts, withOwnDir(), watch)...)
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, one)
	}
	return s.awaitAware(ctx)
}

// sentinelConf is a sentinel's first configuration. The failover timeout is
// also how long an election that nobody won delays the next one.
func sentinelConf(port, primary int) string {
	return strings.NewReplacer("PORT", fmt.Sprint(port), "PRIMARY", fmt.Sprint(primary),
		"HOST", host, "NAME", SentinelName).Replace(`port PORT
bind HOST
protected-mode no
sentinel monitor NAME HOST PRIMARY 2
sentinel down-after-milliseconds NAME 500
sentinel failover-timeout NAME 3000
sentinel parallel-syncs NAME 1
`)
}

// Close ends all servers and clients.
func (s *Sentinels) Close() {
	s.closeClients()
	for _, one := range s.Sentinels {
		one.Close()
	}
	s.Data.Close()
}

func (s *Sentinels) closeClients() {
	for _, c := range s.clients {
		_ = c.Close() // a test may have closed it already
	}
	s.clients = nil
}

// Addrs returns the addresses of the sentinels.
func (s *Sentinels) Addrs() []string { return addrs(s.Sentinels) }

// FailoverClient returns a client that follows the primary, closed by Close
// or Cleanup. Not for concurrent use.
func (s *Sentinels) FailoverClient(opts ...func(*redis.FailoverOptions)) *redis.Client {
	o := &redis.FailoverOptions{MasterName: SentinelName, SentinelAddrs: s.Addrs()}
	apply(o, opts)
	c := redis.NewFailoverClient(o)
	s.clients = append(s.clients, c)
	return c
}

// Primary returns the server that most of the sentinels name: one of them may be
// behind by its failover timeout. It need not have taken up its role yet.
func (s *Sentinels) Primary(ctx context.Context) (*Server, error) {
	var errs []error
	votes := map[*Server]int{}
	for _, one := range s.Sentinels {
		reply, err := one.Do(ctx, "sentinel", "get-master-addr-by-name", SentinelName)
		var named *Server
		if err == nil {
			named, err = byAddr(s.Data.All(), reply)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if votes[named]++; 2*votes[named] > len(s.Sentinels) {
			return named, nil
		}
	}
	return nil, errors.Join(append(errs, errDisagree)...)
}

// AwaitFailover waits until the sentinels name another primary than old and
// that one accepts writes, and returns it.
func (s *Sentinels) AwaitFailover(ctx context.Context, old *Server) (*Server, error) {
	var primary *Server
	err := eventually(ctx, func() error {
		var err error
		if primary, err = s.Primary(ctx); err != nil {
			return err
		}
		if primary == old {
			return errNoFailover
		}
		info, err := primary.Info(ctx, "replication")
		if err == nil && info["role"] != "master" {
			err = errNoFailover
		}
		return err
	})
	return primary, err
}

// awaitAware waits until every sentinel could lead a failover: it knows the
// other sentinels, and replicas that it has seen in order.
func (s *Sentinels) awaitAware(ctx context.Context) error {
	for _, one := range s.Sentinels {
		if err := eventually(ctx, func() error { return one.isAware(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) isAware(ctx context.Context) error {
	primary, err := s.Do(ctx, "sentinel", "master", SentinelName)
	if err != nil {
		return err
	}
	m := pairs(primary)
	if m["num-slaves"] != fmt.Sprint(sentinelReplicas) || m["num-other-sentinels"] != fmt.Sprint(sentinelCount-1) {
		return errUnaware
	}
	reply, err := s.Do(ctx, "sentinel", "replicas", SentinelName)
	if err != nil {
		return err
	}
	replicas, _ := reply.([]any)
	for _, r := range replicas {
		if p := pairs(r); p["flags"] != "slave" || p["master-link-status"] != "ok" {
			return errUnaware
		}
	}
	return nil
}

// pairs reads a flat RESP2 array of names and values.
func pairs(reply any) map[string]string {
	list, _ := reply.([]any)
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return m
}

// byAddr finds the server that a reply {host, port} names.
func byAddr(servers []*Server, reply any) (*Server, error) {
	list, _ := reply.([]any)
	if len(list) < 2 {
		return nil, fmt.Errorf("redistest: no address in %v", reply)
	}
	addr := net.JoinHostPort(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
	for _, s := range servers {
		if s.Addr() == addr {
			return s, nil
		}
	}
	return nil, fmt.Errorf("redistest: unknown server %s", addr)
}

func addrs(servers []*Server) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Addr()
	}
	return list
}
