package work

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// workerVar is set in the environment of a process that is a worker.
const workerVar = "RELOCK_BENCH_WORKER"

// order is what a worker is told: which rival, where, and how many wait.
type order struct {
	Kind    string
	Addr    string
	Name    string
	Waiters int
}

// turn is one section of a worker, on the machine's monotonic clock, which all
// processes share.
type turn struct{ From, To int64 }

// report is what a worker answers in the end.
type report struct {
	Turns []turn
	Err   string
}

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// Processes is the drain once more, with a process for every client.
func Processes(rig *Rig, crowds []Crowd) Work {
	w := Work{Work: result.Work{
		Key: "procs", Title: "Drain in real processes", Loop: "drain",
		About: "The drain with a real process for each client (the bench starts itself again). Hand-offs are read from the machine's " +
			"monotonic clock; that the sections of all processes exclude one another is checked from the same instants.",
		Metrics: []result.Metric{result.P50, result.P99, result.Commands, result.ServerCPU},
		Ratio:   result.P50,
	}}
	for _, c := range crowds {
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return processes(ctx, rig, k, c)
		}
		floor := Entrant{ringName, true, func(ctx context.Context, _ int) (result.Sample, error) {
			return ring(ctx, rig, c.Clients, c.Waiters, 0)
		}}
		label := fmt.Sprintf("%d waiters in %d processes", c.Waiters, c.Clients)
		w.Points = append(w.Points, Point{label, c.at(), append([]Entrant{floor}, entrantsOf(nil, rival.Contended(), run)...)})
	}
	return w
}

func processes(ctx context.Context, rig *Rig, k rival.Kind, c Crowd) (result.Sample, error) {
	f, err := rig.open(ctx, k, 1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	name := rig.fresh("procs")
	held, err := f.locker(0, name).Lock(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := startWorkers(ctx, order{k.Name, rig.Main.Addr, name, c.Waiters / c.Clients}, c.Clients)
	defer func() {
		for _, w := range workers {
			w.kill()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, 50*time.Millisecond+time.Duration(c.Waiters)*time.Millisecond); err != nil {
		return nil, err
	}
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	released := monotonic()
	if err := held.Unlock(ctx); err != nil {
		return nil, fmt.Errorf("unlock: %w", err)
	}
	turns := []turn{{To: released}}
	for _, w := range workers {
		r, err := w.report()
		if err != nil {
			return nil, err
		}
		turns = append(turns, r.Turns...)
	}
	u, err := stop()
	if err != nil {
		return nil, err
	}
	lat, err := handoffs(turns)
	sections := float64(len(turns) - 1)
	return result.Sample{
		result.P50: lat.Micros(50), result.P99: lat.Micros(99),
		result.Commands: u.commands() / sections, result.ServerCPU: micros(u.CPU) / sections,
	}, err
}

// handoffs puts the turns of all processes in order, and fails if two overlap.
// The first is the one that was behind them all: it only ends.
func handoffs(turns []turn) (*stats.Hist, error) {
	slices.SortFunc(turns, func(a, b turn) int { return int(a.From - b.From) })
	lat := stats.NewHist()
	for i, t := range turns[1:] {
		gap := t.From - turns[i].To
		if gap < 0 {
			return lat, fmt.Errorf("%w: a section began %v before the one before it ended", errNotExclusive, time.Duration(-gap))
		}
		lat.Record(time.Duration(gap))
	}
	return lat, nil
}

type worker struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// startWorkers starts n of them, and returns when all have connected, warmed up
// and been told to wait.
func startWorkers(ctx context.Context, o order, n int) ([]*worker, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var workers []*worker
	var stdins []*os.File
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			return workers, err
		}
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), workerVar+"="+string(text))
		cmd.Stdin, cmd.Stderr = r, os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		_ = r.Close()
		if err != nil {
			_ = w.Close()
			return workers, err
		}
		workers, stdins = append(workers, &worker{cmd, bufio.NewReader(out)}), append(stdins, w)
	}
	for _, w := range workers {
		if line, err := w.out.ReadString('\n'); err != nil || line != "ready\n" {
			return workers, fmt.Errorf("a worker is not ready: %q, %w", line, err)
		}
	}
	for _, w := range stdins {
		_ = w.Close() // the end of its input tells a worker to begin
	}
	return workers, nil
}

func (w *worker) report() (report, error) {
	var r report
	err := json.NewDecoder(w.out).Decode(&r)
	if err == nil && r.Err != "" {
		err = errors.New(r.Err)
	}
	return r, err
}

func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// RunWorker does what a worker or a proxy does, if this process is one, and tells
// whether it was.
func RunWorker() bool {
	if text := os.Getenv(proxyVar); text != "" {
		if err := runProxy(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "proxy:", err)
		}
		return true
	}
	text := os.Getenv(workerVar)
	if text == "" {
		return false
	}
	var o order
	var r report
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		r.Err = err.Error()
	} else if r.Turns, err = o.execute(context.Background()); err != nil {
		r.Err = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
	return true
}

func (o order) execute(ctx context.Context) ([]turn, error) {
	all := rival.All()
	i := slices.IndexFunc(all, func(k rival.Kind) bool { return k.Name == o.Kind })
	if i < 0 {
		return nil, fmt.Errorf("no rival named %q", o.Kind)
	}
	c, err := all[i].Open(rival.Env{Addrs: []string{o.Addr}, TTL: rival.TTL})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := contend(ctx, c, fmt.Sprintf("%s:warm:%d", o.Name, os.Getpid())); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))

	turns, errs := make([]turn, o.Waiters), make([]error, o.Waiters)
	var wg sync.WaitGroup
	for i := range o.Waiters {
		l := c.Locker(o.Name)
		wg.Go(func() { turns[i], errs[i] = takeTurn(ctx, l) })
	}
	wg.Wait()
	return turns, errors.Join(errs...)
}

func takeTurn(ctx context.Context, l rival.Locker) (turn, error) {
	held, err := l.Lock(ctx)
	from := monotonic()
	if err != nil {
		return turn{}, err
	}
	t := turn{from, monotonic()}
	return t, held.Unlock(ctx)
}
