package work

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/internal/faultproxy"
)

// Delayed is the work of many names on a server that is far.
func Delayed(rig *Rig, delays []time.Duration, goroutines []int, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "delay", Title: "Many names on a server that is far", Loop: "closed loop",
		About: "Goroutines of one client take and give back a lock each, through a proxy in a process of its own that adds the delay to each round " +
			"trip, half of it on either way. Latency of a pair, which takes two round trips.",
		Metrics: []result.Metric{result.P50, result.P99, result.Pairs, result.ClientCPU, result.Commands},
		Ratio:   result.P50,
	}}
	for _, delay := range delays {
		for _, n := range goroutines {
			run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
				return delayed(ctx, rig, k, delay, n, max(d, 100*delay))
			}
			w.Points = append(w.Points, Point{
				Label:    fmt.Sprintf("%v added, %d goroutines", delay, n),
				At:       map[string]float64{"delay_ms": delay.Seconds() * 1e3, "goroutines": float64(n)},
				Entrants: entrantsOf([]rival.Kind{rival.Bare}, rival.Delayed(), run),
			})
		}
	}
	return w
}

func delayed(ctx context.Context, rig *Rig, k rival.Kind, delay time.Duration, goroutines int, d time.Duration) (result.Sample, error) {
	addr, stop, err := startProxy(ctx, rig.Main.Addr, delay)
	if err != nil {
		return nil, err
	}
	defer stop()
	f, err := rig.open(ctx, k, 1, func(env *rival.Env) { env.Addrs = []string{addr} })
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.pairs(ctx, goroutines, d)
}

// proxyVar is set in the environment of a process that is a proxy, to "target
// delay". It says its address, and ends with its input.
const proxyVar = "RELOCK_BENCH_PROXY"

// startProxy starts a proxy that adds delay to each round trip.
func startProxy(ctx context.Context, target string, delay time.Duration) (addr string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), proxyVar+"="+target+" "+delay.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the proxy did not start: %w", err)
	}
	return strings.TrimSpace(addr), stop, nil
}

// runProxy is a proxy until its input ends.
func runProxy(text string, in io.Reader, out io.Writer) error {
	target, span, ok := strings.Cut(text, " ")
	delay, err := time.ParseDuration(span)
	if !ok || err != nil {
		return errors.New("a proxy is told a target and a delay")
	}
	p, err := faultproxy.New(target)
	if err != nil {
		return err
	}
	defer p.Close()
	p.Delay(faultproxy.Both, delay/2)
	if _, err := fmt.Fprintln(out, p.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
