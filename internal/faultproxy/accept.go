package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// reopenWithin bounds how long [Proxy.Restore] tries to have its port again.
const reopenWithin = 2 * time.Second

var errClosed = errors.New("faultproxy: closed")

func listen(addr string) (*net.TCPListener, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	return net.ListenTCP("tcp", a)
}

// open accepts connections from l.
func (p *Proxy) open(l *net.TCPListener) {
	p.listener = l
	p.wg.Go(func() { p.accept(l) })
}

// shut closes the listening socket, if there is one.
func (p *Proxy) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// reopen listens on the old port again. The port may be in use for a moment,
// by an outgoing connection of somebody else.
func (p *Proxy) reopen() error {
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	timeout := time.After(reopenWithin)
	for {
		err := p.tryReopen()
		if err == nil || errors.Is(err, errClosed) {
			return err
		}
		select {
		case <-retry.C:
		case <-timeout:
			return fmt.Errorf("faultproxy: restore %s: %w", p.addr, err)
		}
	}
}

func (p *Proxy) tryReopen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.listener != nil {
		return nil
	}
	l, err := listen(p.addr)
	if err == nil {
		p.open(l)
	}
	return err
}

func (p *Proxy) accept(l *net.TCPListener) {
	for {
		client, err := l.AcceptTCP()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve relays one connection until it ends.
func (p *Proxy) serve(client *net.TCPConn) {
	if p.park(client) {
		return
	}
	server, err := p.dial()
	if err != nil {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	l := newLink(p, client, server)
	if !p.admit(l) {
		l.close(false)
		return
	}
	l.run()
}

func (p *Proxy) dial() (*net.TCPConn, error) {
	var d net.Dialer
	c, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// park keeps a connection that came while the proxy hangs.
func (p *Proxy) park(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode != Hang || p.closed {
		return false
	}
	p.parked[c] = struct{}{}
	return true
}

// admit registers a link, unless the proxy was cut or closed while its server
// was dialled: those have ended all links already and would miss this one.
func (p *Proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.mode != 0 {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// snapshot returns the open links; they are closed without the lock, which
