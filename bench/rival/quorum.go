package rival

import (
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// RelockRedLock is this module's lock on a quorum of servers.
var RelockRedLock = Kind{
	Name:     "relock RedLock",
	Settings: "redlock.RedLock.Mutex on five go-redis clients, defaults",
	Commands: []string{"evalsha", "eval"},
	Nodes:    5,
	Open:     openRedLock,
}

type redlockClient struct {
	rdbs    []*redis.Client
	clients []*relock.Client
	quorum  *redlock.RedLock
}

func openRedLock(env Env) (Client, error) {
	c := &redlockClient{}
	for _, addr := range env.Addrs {
		rdb := dialNode(addr)
		c.rdbs = append(c.rdbs, rdb)
		client, err := relock.New(rdb, relock.WithTTL(env.TTL))
		if err != nil {
			return nil, err
		}
		c.clients = append(c.clients, client)
	}
	var err error
	c.quorum, err = redlock.New(c.clients)
	return c, err
}

func (c *redlockClient) Locker(name string) Locker { return relockLocker{c.quorum.Mutex(name), ""} }

func (c *redlockClient) Close() error {
	err := c.quorum.Close()
	for i, client := range c.clients {
		_ = client.Close()
		_ = c.rdbs[i].Close()
	}
	return err
}
