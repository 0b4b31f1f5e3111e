package faultproxy

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Direction is a way through the proxy.
type Direction int

const (
	// Up is from the client to the server.
	Up Direction = 1 << iota
	// Down is from the server to the client.
	Down
	// Both is both ways.
	Both = Up | Down
)

// index is the place of Up or Down in an array of two.
func (d Direction) index() int { return int(d) - 1 }

// each splits Both into its two ways.
func (d Direction) each() []Direction {
	if d == Both {
		return []Direction{Up, Down}
	}
	return []Direction{d}
}

// Mode says how new connections fare while the proxy is cut.
type Mode int

const (
	// Refuse closes the listening socket: the kernel refuses connections.
	Refuse Mode = iota + 1
	// Hang accepts connections, reads nothing from them and answers nothing.
	Hang
)

// Proxy relays connections to one server. Its methods may be called from
// several goroutines at once; create one with [New].
type Proxy struct {
	target string
	addr   string
	ctx    context.Context // ends at Close; bounds dialling only
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex // guards all below
	closed   bool
	listener *net.TCPListener // nil while refusing
	mode     Mode             // 0: open
	holes    [2]bool
	delays   [2]time.Duration
	rules    [kinds][]*Rule // replaced, never changed in place
	links    map[*link]struct{}
	parked   map[*net.TCPConn]struct{} // accepted while hanging
}

// New starts a proxy to target, a "host:port", on a free loopback port. The
// target is dialled anew for each connection and need not be up yet; while it
// is not, a connection to the proxy is accepted and then reset.
func New(target string) (*Proxy, error) {
	l, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		target: target,
		addr:   l.Addr().String(),
		ctx:    ctx,
		cancel: cancel,
		links:  map[*link]struct{}{},
		parked: map[*net.TCPConn]struct{}{},
	}
	p.open(l)
	return p, nil
}

// Addr returns the "127.0.0.1:port" that clients connect to. It stays the
// same for the proxy's life.
func (p *Proxy) Addr() string { return p.addr }

// Close ends the proxy and every connection through it, and returns when its
// goroutines are gone. A held request whose connection ends here never
// reaches the server. Later calls do nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.shut()
	p.endAll(false)
	p.wg.Wait()
}

// Cut closes all connections, and new ones fare as mode says until
// [Proxy.Restore].
func (p *Proxy) Cut(mode Mode) {
	p.mu.Lock()
	p.mode = mode
	p.mu.Unlock()
	if mode == Refuse {
		p.shut()
	}
	p.endAll(false)
}

// Restore ends Cut, Blackhole, Freeze and Delay. Connections that lost bytes
// are reset, since a stream with a hole cannot go on; the others continue.
// Rules stay armed. It fails if the port was taken while the proxy refused
// connections; it may be called again then.
func (p *Proxy) Restore() error {
	if err := p.reopen(); err != nil {
		return err
	}
	p.mu.Lock()
	p.mode, p.holes, p.delays = 0, [2]bool{}, [2]time.Duration{}
	p.mu.Unlock()
	for _, l := range p.snapshot() {
		if l.lossy.Load() {
			l.close(true)
		}
	}
	p.endParked()
	return nil
}

// Blackhole swallows all bytes in dir, of present and new connections, until
// [Proxy.Restore]. The connections stay open, and neither side learns that
// the other has closed.
func (p *Proxy) Blackhole(dir Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range dir.each() {
		p.holes[d.index()] = true
	}
}

// Freeze is Blackhole for the present connections only: new ones work.
func (p *Proxy) Freeze(dir Direction) {
	for _, l := range p.snapshot() {
		l.mute(dir)
	}
}

// Delay adds d to the latency in dir, for what arrives from now on and what
// has not been sent yet. It does not lower the throughput. 0 ends it.
func (p *Proxy) Delay(dir Direction, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range dir.each() {
		p.delays[w.index()] = d
	}
}

// ResetAll closes all connections by a TCP RST. New ones work.
func (p *Proxy) ResetAll() { p.endAll(true) }

// Connections returns how many client connections are open through the proxy.
func (p *Proxy) Connections() int { return len(p.snapshot()) }

// forget takes.
func (p *Proxy) snapshot() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.links))
}

// endAll closes every connection.
func (p *Proxy) endAll(reset bool) {
	for _, l := range p.snapshot() {
		l.close(reset)
	}
	p.endParked()
}

// endParked resets the connections that were accepted while hanging.
func (p *Proxy) endParked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.parked {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	clear(p.parked)
}

func (p *Proxy) delay(dir Direction) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delays[dir.index()]
}

func (p *Proxy) blackholed(dir Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holes[dir.index()]
}
