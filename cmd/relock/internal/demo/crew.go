package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// crew is the workers, as their parent sees them.
type crew struct {
	events  chan event // of all of them; the last of each is exited
	workers []*process
	left    int // how many of them have not exited, by the events that were read
}

type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
}

// hire starts the workers; they connect, and wait for begin. On an error none is
// left.
func hire(cfg Config, s *server, run string) (*crew, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the executable to start workers with: %w", err)
	}
	c := &crew{events: make(chan event, 1024)}
	for n := 1; n <= cfg.Workers; n++ {
		j := job{
			Worker: n, Redis: s.at.URL, TLS: s.at.TLS, Cluster: s.cluster, Run: run,
			Goroutines: cfg.Goroutines, TTLMillis: cfg.TTL.Milliseconds(),
		}
		if err := c.start(self, j); err != nil {
			c.dismiss()
			return nil, fmt.Errorf("start worker %d: %w", n, err)
		}
	}
	return c, nil
}

// start hands the job over by the standard input: arguments can be read by
// everybody on the machine, and the URL may hold a password.
func (c *crew) start(self string, j job) error {
	first, err := json.Marshal(j)
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "demo-worker")
	detach(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, orders: in}
	c.workers = append(c.workers, p)
	c.left++
	go func() {
		listenTo(out, c.events)
		e := event{Kind: exited, Worker: j.Worker}
		if err := cmd.Wait(); err != nil {
			e.Text = strings.TrimSpace(err.Error() + "\n" + complaints.String())
		}
		c.events <- e
	}()
	p.send(string(first))
	return nil
}

func listenTo(out io.Reader, events chan<- event) {
	dec := json.NewDecoder(out)
	for {
		var e event
		if err := dec.Decode(&e); err != nil {
			_, _ = io.Copy(io.Discard, out)
			return
		}
		events <- e
	}
}

// send has no error: a worker that cannot be told has ended, and exited says why.
func (p *process) send(line string) { _, _ = io.WriteString(p.orders, line+"\n") }

func (c *crew) tell(worker int, o order) { c.workers[worker-1].send(string(o)) }

func (c *crew) tellAll(o order) {
	for _, p := range c.workers {
		p.send(string(o))
	}
}

func (c *crew) stop(worker int) error  { return stopProcess(c.workers[worker-1].cmd.Process) }
func (c *crew) goOn(worker int) error  { return continueProcess(c.workers[worker-1].cmd.Process) }
func (c *crew) closeOrders(worker int) { _ = c.workers[worker-1].orders.Close() }

// dismiss ends what is left of the workers, stopped ones too, and returns when
// they are gone. Nobody else may read events by then.
func (c *crew) dismiss() {
	for _, p := range c.workers {
		_ = p.cmd.Process.Kill() // fails for one that has been waited for
	}
	for c.left > 0 {
		if e := <-c.events; e.Kind == exited {
			c.left--
		}
	}
}
