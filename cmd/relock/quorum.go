package main

import (
	"context"
	"errors"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/redlock"
)

// openQuorum returns a RedLock over urls. A minority of them may be down: they
// are asked again with every request.
func (w *where) openQuorum(ctx context.Context, urls []string, name string, opts []relock.LockOption) (reentrant, func(), error) {
	var nodes []*deployment
	closeNodes := func() {
		for _, n := range nodes {
			n.close()
		}
	}
	fail := func(err error) (reentrant, func(), error) {
		closeNodes()
		return nil, nil, err
	}
	var clients []*relock.Client
	for _, url := range urls {
		n, err := w.newNode(url)
		if err != nil {
			return fail(err)
		}
		nodes, clients = append(nodes, n), append(clients, n.locks)
	}
	r, err := redlock.New(clients)
	if err != nil {
		return fail(err)
	}
	if err := majorityAnswers(ctx, nodes); err != nil {
		_ = r.Close()
		return fail(err)
	}
	return r.Reentrant(name, opts...), func() {
		_ = r.Close()
		closeNodes()
	}, nil
}

// newNode returns the node at url; it sends nothing yet.
func (w *where) newNode(url string) (*deployment, error) {
	srv, err := dial.New(url)
	if err != nil {
		return nil, err
	}
	locks, err := relock.New(srv.Rdb, relock.WithPrefix(w.prefix))
	if err != nil {
		_ = srv.Rdb.Close()
		return nil, err
	}
	return &deployment{srv, locks}, nil
}

// majorityAnswers returns nil as soon as it does: a node that hangs costs
// nothing.
func majorityAnswers(ctx context.Context, nodes []*deployment) error {
	answers := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { answers <- n.Ask(ctx) }()
	}
	answered := 0
	var down []error
	for range nodes {
		if err := <-answers; err != nil {
			down = append(down, err)
		} else if answered++; answered > len(nodes)/2 {
			return nil
		}
	}
	return errors.Join(down...)
}
