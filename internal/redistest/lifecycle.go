package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	startTrials = 10
	startWithin = 30 * time.Second
	stopWithin  = 5 * time.Second
	pauseWithin = 5 * time.Second
)

var (
	errDown    = errors.New("redistest: the server is not running")
	errExited  = errors.New("redistest: the server has exited")
	errRunning = errors.New("redistest: the server still runs")
)

// Pause stops the process by SIGSTOP, and returns when it executes nothing
// any more. The kernel still accepts connections and data for it.
func (s *Server) Pause() error {
	p := s.process()
	if p == nil || !p.running() {
		return errDown
	}
	if err := p.pause(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pauseWithin)
	defer cancel()
	return eventually(ctx, func() error {
		if !isStopped(p.pid()) {
			return errRunning
		}
		return nil
	})
}

// Resume continues a paused process by SIGCONT. It then executes what arrived
// meanwhile.
func (s *Server) Resume() error {
	p := s.process()
	if p == nil || !p.running() {
		return errDown
	}
	return p.resume()
}

// Kill ends the process by SIGKILL, paused or not, and waits until it is
// gone. New connections are refused then. Killing it again does nothing.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		p.kill()
	}
}

// Stop ends the process by SIGTERM, so that it shuts down in order, and
// by SIGKILL if that takes too long. A paused process is resumed for it.
func (s *Server) Stop() {
	p := s.process()
	if p == nil {
		return
	}
	_ = p.signal(syscall.SIGTERM) // before SIGCONT: nothing else is executed
	_ = p.resume()
	select {
	case <-p.gone:
	case <-time.After(stopWithin):
		p.kill()
	}
}

// Restart starts the server again with the same port, folder and arguments,
// after a Kill if it still runs, and returns when it has loaded its data. ctx
// bounds the start only.
func (s *Server) Restart(ctx context.Context) error {
	s.Kill()
	return s.startOnPort(ctx)
}

// Close kills the process, closes the clients and removes the temporary
// folder. Closing it again does nothing.
func (s *Server) Close() {
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.Close() // a test may have closed it already
	}
	s.clients = nil
	_ = os.RemoveAll(s.base)
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// startOnFreePort tries ports until one is not taken by somebody else between
// the choice and the server's own bind.
func (s *Server) startOnFreePort(ctx context.Context) error {
	var err error
	for range startTrials {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.writeConf(); err != nil {
			return err
		}
		if err = s.startOnPort(ctx); err == nil || !s.portTaken() {
			return err
		}
	}
	return err
}

// writeConf writes a sentinel's configuration, which it rewrites itself later.
func (s *Server) writeConf() error {
	if s.config.sentinel == nil {
		return nil
	}
	return os.WriteFile(s.confPath(), []byte(s.config.sentinel(s.port)), 0o600)
}

func (s *Server) portTaken() bool {
	tail := s.LogTail(10)
	return strings.Contains(tail, "Address already in use") || strings.Contains(tail, "Failed listening on port")
}

func (s *Server) startOnPort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("redistest: start %s: %w; its log ends:\n%s", s.config.binary, err, s.LogTail(10))
	}
	return nil
}

func (s *Server) launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := launch(s.config.binary, s.dir, s.args(), log)
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc = p
	return nil
}

func (s *Server) args() []string {
	if s.config.sentinel != nil {
		return []string{s.confPath(), "--sentinel"}
	}
	return s.config.commandLine(s.port, s.dir)
}

// ready waits until the server serves commands, or has exited.
func (s *Server) ready(ctx context.Context) error {
	p := s.process()
	var exited error
	err := eventually(ctx, func() error {
		if !p.running() {
			exited = errExited
			return nil
		}
		return probe(s.Addr(), p.pid())
	})
	return errors.Join(exited, err)
}
