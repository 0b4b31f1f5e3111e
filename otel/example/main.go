// Command example contends for a few locks in this process and serves what
// OpenTelemetry sees of it to Prometheus: go run ./example, and look at
// http://localhost:2112/metrics. It needs no Redis.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/relock-go/relock"
	relockotel "github.com/relock-go/relock/otel"
)

func main() {
	addr := flag.String("addr", "localhost:2112", "where to serve /metrics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, func(url string) { fmt.Println("look at", url) }); err != nil {
		log.Fatal(err)
	}
}

// run serves metrics until ctx ends; it tells where.
func run(ctx context.Context, addr string, serving func(url string)) error {
	exporter, err := prometheus.New() // a reader of metrics, and a collector of the default registry
	if err != nil {
		return err
	}
	tracer, err := relockotel.New(relockotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter))))
	if err != nil {
		return err
	}
	server := miniredis.NewMiniRedis() // in earnest, a Redis of yours
	server.ClockTTL(true)
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	client, err := relock.New(rdb, relock.WithTracer(tracer), relock.WithTTL(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	unobserve, err := tracer.Observe(client)
	if err != nil {
		return err
	}
	defer unobserve()

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	defer web.Close()
	go func() { _ = web.Serve(listener) }()
	serving("http://" + listener.Addr().String() + "/metrics")
	work(ctx, client)
	return nil
}

// work has goroutines take locks until ctx ends.
func work(ctx context.Context, client *relock.Client) {
	var workers sync.WaitGroup
	for i := range 8 {
		lock := client.Mutex(fmt.Sprint("job", i%3), relock.WithWait(200*time.Millisecond))
		workers.Go(func() {
			for ctx.Err() == nil {
				_ = relock.Do(ctx, lock, func(ctx context.Context, _ *relock.Lease) error {
					select {
					case <-time.After(rand.N(150 * time.Millisecond)):
					case <-ctx.Done():
					}
					return nil
				})
			}
		})
	}
	workers.Wait()
}
