package work

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// Job is what a worker is told first, as a line of JSON.
type Job struct {
	Worker   int               `json:"worker"`
	Seed     uint64            `json:"seed"`
	Topology rig.Topology      `json:"topology"`
	Addrs    []string          `json:"addrs"`
	Through  map[string]string `json:"through"` // proxies, by the address that they stand before
	Store    string            `json:"store"`
	File     string            `json:"file"` // for the history
	TTL      time.Duration     `json:"ttl"`
	Check    time.Duration     `json:"check"`
	Call     time.Duration     `json:"call"`
	Shared   []string          `json:"shared"` // locks that all workers contend for
	Actors   int               `json:"actors"`
	Pause    time.Duration     `json:"pause"`  // between two sections of a goroutine, on average
	Steady   bool              `json:"steady"` // every section changes contended data, and no section lingers
	Plain    bool              `json:"plain"`  // write without a Guard, to see updates lost
}

// Locks makes the locks of a topology.
type Locks struct {
	make interface {
		mutex(name string, opts ...relock.LockOption) relock.Locker
		reentrant(name string, opts ...relock.LockOption) relock.Locker
	}
	solo  *relock.Client // of one server; nil where all are
	close []func()
}

// Mutex returns a lock.
func (l *Locks) Mutex(name string, opts ...relock.LockOption) relock.Locker {
	return l.make.mutex(name, opts...)
}

// Reentrant returns a reentrant lock.
func (l *Locks) Reentrant(name string, opts ...relock.LockOption) relock.Locker {
	return l.make.reentrant(name, opts...)
}

// Close ends the clients, first those of relock.
func (l *Locks) Close() {
	for i := len(l.close) - 1; i >= 0; i-- {
		l.close[i]()
	}
}

type single struct{ c *relock.Client }

func (s single) mutex(name string, opts ...relock.LockOption) relock.Locker {
	return s.c.Mutex(name, opts...)
}

func (s single) reentrant(name string, opts ...relock.LockOption) relock.Locker {
	return s.c.Reentrant(name, opts...)
}

type quorum struct{ r *redlock.RedLock }

func (q quorum) mutex(name string, opts ...relock.LockOption) relock.Locker {
	return q.r.Mutex(name, opts...)
}

func (q quorum) reentrant(name string, opts ...relock.LockOption) relock.Locker {
	return q.r.Reentrant(name, opts...)
}

// Open makes the clients of a job.
func (j *Job) Open() (*Locks, error) {
	l := &Locks{}
	opts := []relock.Option{relock.WithTTL(j.TTL), relock.WithCheckInterval(j.Check), relock.WithCallTimeout(j.Call)}
	addrs := j.Addrs
	if j.Topology != rig.Quorum {
		addrs = addrs[:1]
	}
	var clients []*relock.Client
	for _, addr := range addrs {
		rdb := j.connect(addr)
		l.close = append(l.close, func() { _ = rdb.Close() })
		c, err := relock.New(rdb, opts...)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.close = append(l.close, func() { _ = c.Close() })
		clients = append(clients, c)
	}
	if j.Topology != rig.Quorum {
		l.make = single{clients[0]}
		return l, nil
	}
	r, err := redlock.New(clients)
	if err != nil {
		l.Close()
		return nil, err
	}
	l.close = append(l.close, func() { _ = r.Close() })
	l.make, l.solo = quorum{r}, clients[0]
	return l, nil
}

// rediser is a client of any topology.
type rediser interface {
	relock.Redis
	Close() error
}

const dialTimeout = time.Second

func (j *Job) connect(addr string) rediser {
	switch j.Topology {
	case rig.Sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: redistest.SentinelName, SentinelAddrs: j.Addrs, Dialer: j.dial, DialTimeout: dialTimeout, PoolSize: 32,
		})
	case rig.Cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: j.Addrs, Dialer: j.dial, DialTimeout: dialTimeout, PoolSize: 32})
	}
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: j.dial, DialTimeout: dialTimeout, PoolSize: 32})
}

// dial goes through the proxy before an address, if there is one.
func (j *Job) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if proxied, ok := j.Through[addr]; ok {
		addr = proxied
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, network, addr)
}
