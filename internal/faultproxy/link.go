package faultproxy

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// backlog is how many frames of one direction may wait for their delay or
// behind a held one before the sender is slowed down.
const backlog = 1024

// link is one client connection and its server connection. Each direction has
// a goroutine that frames and one that delivers, so a delay adds latency
// without taking throughput, and an end of stream behind a held request is
// seen only after it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	server *net.TCPConn
	ledger *ledger

	muted [2]atomic.Bool // by index(): nothing more passes that way
	lossy atomic.Bool    // something was swallowed; the link cannot be healed
	once  sync.Once
	ended chan struct{}
}

func newLink(p *Proxy, client, server *net.TCPConn) *link {
	return &link{proxy: p, client: client, server: server, ledger: newLedger(), ended: make(chan struct{})}
}

// run relays until both directions have ended and their goroutines are gone.
func (l *link) run() {
	up, down := make(chan frame, backlog), make(chan frame, backlog)
	var wg sync.WaitGroup
	wg.Go(func() { l.readRequests(up) })
	wg.Go(func() { l.readReplies(down) })
	wg.Go(func() { l.deliver(Up, up, l.forward) })
	wg.Go(func() { l.deliver(Down, down, l.answer) })
	wg.Wait()
	l.close(false)
}

// readRequests frames what the client sends.
func (l *link) readRequests(out chan<- frame) {
	r := bufio.NewReader(l.client)
	read := readRequest
	for {
		f, err := read(r)
		if !l.enqueue(out, f, err) {
			return
		}
		if takesOver(f.words) {
			read = readRaw
		}
	}
}

// readReplies frames what the server sends.
func (l *link) readReplies(out chan<- frame) {
	r := bufio.NewReader(l.server)
	for {
		f, err := l.readReply(r)
		if !l.enqueue(out, f, err) {
			return
		}
	}
}

// readReply reads one reply or push, or raw bytes once the stream was taken
// over. It decides only when a byte is there: the request is in the ledger
// before it is sent, so the byte that answers it comes after.
func (l *link) readReply(r *bufio.Reader) (frame, error) {
	if _, err := r.Peek(1); err != nil {
		return frame{}, err
	}
	if l.ledger.takenOver() {
		return readRaw(r)
	}
	f, err := readReply(r)
	if err == nil {
		l.ledger.settle(&f)
	}
	return f, err
}

// enqueue hands a frame, or the end of the stream, to the delivering side. It
// returns false when there is nothing more to read.
func (l *link) enqueue(out chan<- frame, f frame, err error) bool {
	if errors.Is(err, errProtocol) {
		l.close(false)
	}
	if err != nil {
		f = frame{end: true}
	}
	f.at = time.Now()
	select {
	case out <- f:
		return err == nil
	case <-l.ended:
		return false
	}
}

// deliver passes the frames of one direction on, each after the delay, until
// the end of the stream.
func (l *link) deliver(dir Direction, in <-chan frame, pass func(frame)) {
	for {
		select {
		case f := <-in:
			if !l.pause(time.Until(f.at.Add(l.proxy.delay(dir)))) {
				return
			}
			pass(f)
			if f.end {
				return
			}
		case <-l.ended:
			return
		}
	}
}

// pause waits for d. It returns false if the link ended first.
func (l *link) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ended:
		return false
	}
}

// forward sends one request to the server, unless a fault takes it.
func (l *link) forward(f frame) {
	switch {
	case l.swallows(Up):
	case f.end:
		// Only half: what was forwarded must still be executed, and its reply
		// read, though the client has gone.
		_ = l.server.CloseWrite()
	case len(f.words) == 0:
		l.write(l.server, f.raw) // an empty line, or a taken-over stream
	default:
		l.forwardCommand(f)
	}
}

// forwardCommand applies the rules for requests and sends what they leave.
func (l *link) forwardCommand(f frame) {
	if r := l.proxy.take(onRequest, f.words); r != nil {
		l.drop(Up, l.server, f, r)
		return
	}
	q := &request{words: f.words}
	if r := l.proxy.take(onHold, f.words); r != nil {
		if !r.held.hold(l.ended) || l.swallows(Up) {
			return
		}
		q.answered = r.held.answers.add
	}
	q.drop = l.proxy.take(onForward, f.words)
	l.ledger.expect(q)
	l.proxy.passed(f.words)
	l.write(l.server, f.raw)
}

// answer sends one reply or push to the client, unless a fault takes it.
func (l *link) answer(f frame) {
	switch {
	case l.swallows(Down):
	case f.end:
		l.close(false)
	case f.push && l.proxy.dropsPush(f.words):
	case f.req != nil && f.req.drop != nil:
		l.drop(Down, l.client, f, f.req.drop)
	default:
		l.write(l.client, f.raw)
	}
}

// drop loses a message and treats its connection as the rule says. The hit
// comes before what the client can see, so that it finds it counted, and
// after what it cannot, so that [Rule.Wait] is enough to know of it.
func (l *link) drop(dir Direction, to *net.TCPConn, f frame, r *Rule) {
	if r.then == Silence {
		l.mute(dir)
	}
	r.hits.add()
	switch r.then {
	case Silence:
	case Truncate:
		l.write(to, f.raw[:len(f.raw)/2])
		l.close(false)
	default:
		l.close(r.then == Reset)
	}
}

// write sends b. A failed write is not the link's end: the other side may
// still have requests to execute or replies to deliver.
func (l *link) write(to *net.TCPConn, b []byte) { _, _ = to.Write(b) }

// mute lets nothing more pass in dir.
func (l *link) mute(dir Direction) {
	l.lossy.Store(true)
	for _, d := range dir.each() {
		l.muted[d.index()].Store(true)
	}
}

// swallows reports whether what comes in dir is lost, the end of the stream
// included. Once something was lost, all that follows is.
func (l *link) swallows(dir Direction) bool {
	if l.proxy.blackholed(dir) {
		l.mute(dir)
	}
	return l.muted[dir.index()].Load()
}

// close ends both connections, by RST if reset, and the goroutines.
func (l *link) close(reset bool) {
	l.once.Do(func() {
		close(l.ended)
		if reset {
			_ = l.client.SetLinger(0)
			_ = l.server.SetLinger(0)
		}
		_ = l.client.Close()
		_ = l.server.Close()
		l.proxy.forget(l)
	})
}
