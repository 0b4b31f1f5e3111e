package main

import (
	"context"
	"errors"
	"strings"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/redlock"
)

// quorum is several servers with a RedLock over them.
type quorum struct {
	nodes []*deployment
	locks *redlock.RedLock // nil: there is none yet
}

func (q *quorum) close() {
	if q.locks != nil {
		_ = q.locks.Close()
	}
	for _, n := range q.nodes {
		n.close()
	}
}

func (q *quorum) where() string {
	var all []string
	for _, n := range q.nodes {
		all = append(all, n.Where)
	}
	return strings.Join(all, ", ")
}

// openQuorum returns a RedLock over targets. A minority of them may be down: they
// are asked again with every request.
func (w *where) openQuorum(ctx context.Context, targets []*dial.Target) (*quorum, error) {
	q := &quorum{}
	err := q.open(ctx, w, targets)
	if err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (q *quorum) open(ctx context.Context, w *where, targets []*dial.Target) (err error) {
	var clients []*relock.Client
	for _, t := range targets {
		n, err := w.newNode(t)
		if err != nil {
			return err
		}
		q.nodes, clients = append(q.nodes, n), append(clients, n.locks)
	}
	if q.locks, err = redlock.New(clients); err != nil {
		return err
	}
	return majorityAnswers(ctx, q.nodes)
}

// newNode returns the node of t; it sends nothing yet.
func (w *where) newNode(t *dial.Target) (*deployment, error) {
	srv, err := dial.New(t)
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
