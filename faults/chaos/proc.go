package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/relock-go/relock/faults/work"
)

// EnvWorker makes this program a worker.
const EnvWorker = "RELOCK_FAULTS_WORKER"

var errWorker = errors.New("chaos: a worker ended before its time")

// Proc is a worker process.
type Proc struct {
	Job    work.Job
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	inside chan string   // a lock's name: an actor is between read and write
	ready  chan struct{} // closed
	gone   chan struct{} // closed when it has ended and was reaped

	mu     sync.Mutex
	leak   string
	killed bool
	done   bool
	stderr strings.Builder
}

// StartWorker starts a worker and waits until it has opened its clients.
func StartWorker(ctx context.Context, j work.Job) (*Proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Proc{
		Job: j, cmd: exec.Command(self), inside: make(chan string, 1),
		ready: make(chan struct{}), gone: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), EnvWorker+"=1")
	p.cmd.Stderr = lockedWriter{p}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.start(stdout); err != nil {
		return nil, err
	}
	line, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	p.say(string(line))
	select {
	case <-p.ready:
		return p, nil
	case <-p.gone:
		return nil, p.failure()
	case <-ctx.Done():
		p.Kill()
		return nil, context.Cause(ctx)
	}
}

// start runs the process in a goroutine that keeps its thread: the kernel ends
// the child with the thread that started it.
func (p *Proc) start(stdout io.Reader) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.listen(stdout)
		_ = p.cmd.Wait() // what it has to say it has said
		close(p.gone)
	}()
	return <-started
}

func (p *Proc) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case work.SaysReady:
			close(p.ready)
		case work.SaysInside:
			select {
			case p.inside <- rest:
			default:
			}
		case work.SaysLeak:
			p.mu.Lock()
			p.leak = rest
			p.mu.Unlock()
		case work.SaysDone:
			p.mu.Lock()
			p.done = true
			p.mu.Unlock()
		}
	}
}

type lockedWriter struct{ p *Proc }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.stderr.Write(b)
}

func (p *Proc) say(line string) { _, _ = io.WriteString(p.stdin, line+"\n") } // a dead one is seen by gone

func (p *Proc) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%w: worker %d: %s", errWorker, p.Job.Worker, p.stderr.String())
}

// Signal sends a signal.
func (p *Proc) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process by SIGKILL, stopped or not, and waits until it is gone.
func (p *Proc) Kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.Signal(syscall.SIGKILL)
	<-p.gone
}

func (p *Proc) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// Finish waits for a worker that was told to finish. It returns what the worker
// says was left over.
func (p *Proc) Finish(patience time.Duration) (leak string, err error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.gone:
	case <-t.C:
		p.Signal(syscall.SIGQUIT) // for the stacks
		select {
		case <-p.gone:
		case <-time.After(5 * time.Second):
			p.Kill()
		}
		return "", fmt.Errorf("it did not finish within %v: %w", patience, p.failure())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		return "", fmt.Errorf("%w: worker %d: %s", errWorker, p.Job.Worker, p.stderr.String())
	}
	return p.leak, nil
}
