package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

// scene is the demo from the parent's side.
type scene struct {
	cfg     config
	db      *sql.DB
	redis   *miniredis.Miniredis
	workers []*process
	events  chan event

	began   time.Time
	acked   map[relock.Token]int64
	refused int
	failed  []string

	stopped relock.Token // of the holder that was stopped
	since   time.Time
	over    bool // it was overtaken
	woken   bool
	late    bool // its write was refused
}

type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
}

const victim = 1 // the worker that is stopped

func newScene(ctx context.Context, cfg config, workers int) (*scene, error) {
	s := &scene{cfg: cfg, events: make(chan event, 256), acked: map[relock.Token]int64{}}
	var err error
	if s.db, err = open(cfg); err != nil {
		return nil, err
	}
	if err = s.prepare(ctx); err == nil {
		err = s.hire(workers)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *scene) prepare(ctx context.Context) error {
	fence, err := sqlfence.New(s.db, sqlfence.FromDriver)
	if err != nil {
		return err
	}
	if err := fence.Migrate(ctx); err != nil {
		return err
	}
	id := map[string]string{"pgx": "bigserial", "mysql": "bigint AUTO_INCREMENT", "sqlite": "integer"}[s.cfg.Driver]
	for _, statement := range []string{
		"CREATE TABLE relock_demo_account (id bigint NOT NULL PRIMARY KEY, balance bigint NOT NULL)",
		"INSERT INTO relock_demo_account VALUES (1, 0)",
		"CREATE TABLE relock_demo_history (id " + id + " PRIMARY KEY, token bigint NOT NULL, seen bigint NOT NULL, amount bigint NOT NULL, at bigint NOT NULL)",
	} {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	s.redis = miniredis.NewMiniRedis()
	if err := s.redis.Start(); err != nil {
		return err
	}
	s.redis.ClockTTL(true)
	s.cfg.Redis = s.redis.Addr()
	return nil
}

// hire starts the workers. What they are told comes by their standard input, since
// it may hold a password.
func (s *scene) hire(workers int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	job, err := json.Marshal(s.cfg)
	if err != nil {
		return err
	}
	for n := range workers {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), workerEnv+"=1")
		var said bytes.Buffer
		cmd.Stderr = &said
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		s.workers = append(s.workers, &process{cmd, in})
		go s.listen(n, cmd, out, &said)
		fmt.Fprintf(in, "%s\n", job)
	}
	return nil
}

func (s *scene) listen(n int, cmd *exec.Cmd, out io.Reader, said *bytes.Buffer) {
	dec := json.NewDecoder(out)
	for {
		e := event{}
		if dec.Decode(&e) != nil {
			break
		}
		e.Worker = n
		s.events <- e
	}
	e := event{Kind: "exited", Worker: n}
	if err := cmd.Wait(); err != nil {
		e.Text = strings.TrimSpace(err.Error() + "\n" + said.String())
	}
	s.events <- e
}

func (s *scene) tell(n int, order string) { fmt.Fprintln(s.workers[n].orders, order) }

func (s *scene) say(format string, args ...any) {
	fmt.Printf("%5.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// play returns when all workers have finished.
func (s *scene) play(ctx context.Context, duration time.Duration) error {
	s.began = time.Now()
	s.say("%d processes x %d goroutines, one lock, one row in %s", len(s.workers), s.cfg.Goroutines, s.cfg.Driver)
	ask, end := time.After(duration/3), time.After(duration)
	late := time.After(duration + 10*s.cfg.TTL + 30*time.Second)
	wake := time.NewTicker(50 * time.Millisecond)
	defer wake.Stop()
	finishing, ended := false, false
	for left := len(s.workers); left > 0; {
		select {
		case <-ask:
			if canStop {
				s.tell(victim, hold)
			}
		case <-end:
			ended = true
		case <-wake.C:
			if err := s.wake(); err != nil {
				return err
			}
		case e := <-s.events:
			if e.Kind == "exited" {
				if left--; e.Text != "" || !finishing {
					return fmt.Errorf("worker %d ended: %s", e.Worker, e.Text)
				}
			}
			if err := s.hear(e); err != nil {
				return err
			}
		case <-late:
			return errors.New("it takes too long")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if ended && !finishing && (s.late || !canStop) {
			finishing = true
			for n := range s.workers {
				s.tell(n, finish)
			}
		}
	}
	return nil
}

func (s *scene) hear(e event) error {
	switch e.Kind {
	case "wrote":
		s.acked[e.Token] = e.Amount
		if s.stopped != 0 && e.Token > s.stopped && !s.over {
			s.over = true
			s.say("its lease ran out: worker %d took over, and wrote under token %d", e.Worker, e.Token)
		}
	case "inside":
		s.stopped, s.since = e.Token, time.Now()
		s.say("worker %d has read the row under token %d, and is stopped right there (SIGSTOP)", e.Worker, e.Token)
		return stopProcess(s.workers[victim].cmd.Process)
	case "awake":
		s.say("worker %d goes on (SIGCONT) after %v; its lease says that it is lost: %v", e.Worker, time.Since(s.since).Round(10*time.Millisecond), e.Lost)
	case "refused":
		s.refused++
		if e.Token == s.stopped {
			s.late = true
			s.say("its late write under token %d is refused: a later holder has been there", e.Token)
		}
	case "failed":
		s.failed = append(s.failed, e.Text)
	}
	return nil
}

// wake has the stopped worker go on once it was overtaken.
func (s *scene) wake() error {
	if !s.over || s.woken || time.Since(s.since) < s.cfg.TTL*3/2 {
		return nil
	}
	s.woken = true
	s.tell(victim, resume)
	return continueProcess(s.workers[victim].cmd.Process)
}

// judge checks the history, and says what was shown.
func (s *scene) judge(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "SELECT token, seen, amount FROM relock_demo_history ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	var last relock.Token
	var balance int64
	lost, fell, written := 0, 0, 0
	for rows.Next() {
		var token relock.Token
		var seen, amount int64
		if err := rows.Scan(&token, &seen, &amount); err != nil {
			return err
		}
		if seen != balance {
			lost++
		}
		if token <= last {
			fell++
		}
		delete(s.acked, token)
		balance, last, written = seen+amount, token, written+1
	}
	var got int64
	if err := errors.Join(rows.Err(), s.db.QueryRowContext(ctx, "SELECT balance FROM relock_demo_account").Scan(&got)); err != nil {
		return err
	}
	if got != balance {
		lost++
	}
	lost += len(s.acked) // acknowledged, and not in the history
	fmt.Printf("\n  sections done         %6d   each read the row, changed it and wrote it back\n", written)
	fmt.Printf("  updates lost          %6d\n", lost)
	fmt.Printf("  tokens out of order   %6d\n", fell)
	fmt.Printf("  stale writes refused  %6d\n\n", s.refused)
	switch {
	case lost > 0 || fell > 0 || written == 0 || len(s.failed) > 0:
		return fmt.Errorf("FAILED: %s", strings.Join(s.failed, "\n"))
	case !canStop:
		fmt.Println("OK: nothing was lost. Left out: stopping a process, for this system has no SIGSTOP.")
		return nil
	case s.refused == 0:
		return errors.New("FAILED: no stale write was refused")
	}
	fmt.Println("OK: nothing was lost.")
	return nil
}

// close ends what is left of the workers, a stopped one too.
func (s *scene) close() {
	for _, p := range s.workers {
		_ = p.cmd.Process.Kill() // fails for one that has ended
	}
	if s.redis != nil {
		s.redis.Close()
		_, _ = s.db.Exec("DROP TABLE relock_demo_account")
		_, _ = s.db.Exec("DROP TABLE relock_demo_history")
	}
	_ = s.db.Close()
}
