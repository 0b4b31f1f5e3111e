package server

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy forwards connections to a server until it is cut.
type Proxy struct {
	Addr     string
	listener net.Listener
	cut      atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

// NewProxy listens on a free port for connections to target.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(near, target)
		}
	}()
	return p, nil
}

func (p *Proxy) serve(near net.Conn, target string) {
	p.keep(near)
	if p.cut.Load() {
		return // accepted, and never answered
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		_ = near.Close()
		return
	}
	p.keep(far)
	go p.forward(far, near)
	go p.forward(near, far)
}

func (p *Proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

func (p *Proxy) forward(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if p.cut.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// Cut stops forwarding, in both directions; connections stay open.
func (p *Proxy) Cut() { p.cut.Store(true) }

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}
