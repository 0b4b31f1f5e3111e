package behaviour

import (
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// A Gatekeeper answers some commands of the embedded server with an error.
type Gatekeeper struct {
	mu    sync.Mutex
	says  map[string]string // by command
	asked map[string][]time.Time
}

// Gatekeeper puts one before the server.
func (b *Bubble) Gatekeeper() *Gatekeeper {
	g := &Gatekeeper{says: map[string]string{}, asked: map[string][]time.Time{}}
	b.Rdb.Ping(Bg) // the first connection makes the server
	b.Server.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked[cmd] = append(g.asked[cmd], time.Now())
		says, refused := g.says[cmd]
		if refused {
			c.WriteError(says)
		}
		return refused
	})
	return g
}

// Refuse has cmd be answered with an error, or, if that is empty, be let through.
func (g *Gatekeeper) Refuse(cmd, says string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.says[cmd] = says; says == "" {
		delete(g.says, cmd)
	}
}

// Times returns when cmd was sent.
func (g *Gatekeeper) Times(cmd string) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[cmd]
}
