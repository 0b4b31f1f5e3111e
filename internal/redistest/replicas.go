package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
)

// fastSync lets replicas have their first copy at once; by default a primary
// waits five seconds for others to share it.
var fastSync = WithArgs("--repl-diskless-sync-delay", "0")

var errNotSynced = errors.New("redistest: the replica is behind")

// Replicas is a primary with its replicas. The fields are fixed; after
// [Replicas.Promote] or a failover the roles are not.
type Replicas struct {
	Primary  *Server
	Replicas []*Server
}

// StartReplicas starts a primary and n replicas, and returns when all have
// the primary's data. A replica that is restarted follows the first primary
// again. The caller ends them with [Replicas.Close].
func StartReplicas(ctx context.Context, n int, opts ...Option) (*Replicas, error) {
	r := &Replicas{}
	if err := r.start(ctx, n, opts); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// StartReplicasT is [StartReplicas] for a test; see [StartT].
func StartReplicasT(tb testing.TB, n int, opts ...Option) *Replicas {
	tb.Helper()
	Require(tb)
	r, err := StartReplicas(tb.Context(), n, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	closeServersLater(tb, r.All())
	return r
}

func (r *Replicas) start(ctx context.Context, n int, opts []Option) error {
	opts = append([]Option{fastSync}, opts...)
	opts = append(opts, withOwnDir())
	var err error
	if r.Primary, err = Start(ctx, opts...); err != nil {
		return err
	}
	following := WithArgs("--replicaof", host, strconv.Itoa(r.Primary.Port()))
	for range n {
		s, err := Start(ctx, append(opts, following)...)
		if err != nil {
			return err
		}
		r.Replicas = append(r.Replicas, s)
	}
	return r.WaitSync(ctx)
}

// All returns the servers, the first primary first.
func (r *Replicas) All() []*Server { return append([]*Server{r.Primary}, r.Replicas...) }

// Close ends all servers; see [Server.Close].
func (r *Replicas) Close() {
	for _, s := range r.All() {
		if s != nil {
			s.Close()
		}
	}
}

// WaitSync waits until every replica has what the primary had at the call. A
// detached one never has.
func (r *Replicas) WaitSync(ctx context.Context) error {
	return WaitSync(ctx, r.Primary, r.Replicas...)
}

// DetachReplica makes replica i follow nobody, while it keeps its role and
// data: it misses the writes from now on. Pausing a replica does not: the
// kernel keeps them for it.
func (r *Replicas) DetachReplica(ctx context.Context, i int) error {
	return follow(ctx, r.Replicas[i], 1) // nothing listens on port 1
}

// AttachReplica makes replica i follow primary, and drop data of its own.
func (r *Replicas) AttachReplica(ctx context.Context, i int, primary *Server) error {
	return follow(ctx, r.Replicas[i], primary.Port())
}

// Promote makes replica i a primary, with the data it has.
func (r *Replicas) Promote(ctx context.Context, i int) error {
	_, err := r.Replicas[i].Do(ctx, "replicaof", "no", "one")
	return err
}

func follow(ctx context.Context, s *Server, port int) error {
	_, err := s.Do(ctx, "replicaof", host, port)
	return err
}

// WaitSync waits until each replica follows primary and has what primary had
// at the call.
func WaitSync(ctx context.Context, primary *Server, replicas ...*Server) error {
	info, err := primary.Info(ctx, "replication")
	if err != nil {
		return err
	}
	target, err := strconv.Atoi(info["master_repl_offset"])
	if err != nil {
		return fmt.Errorf("redistest: %s: replication offset: %w", primary.Addr(), err)
	}
	for _, s := range replicas {
		if err := eventually(ctx, func() error { return s.hasSynced(ctx, primary, target) }); err != nil {
			return err
		}
	}
	return nil
}

// hasSynced returns nil if s follows primary and has reached the offset.
func (s *Server) hasSynced(ctx context.Context, primary *Server, target int) error {
	info, err := s.Info(ctx, "replication")
	if err != nil {
		return err
	}
	offset, _ := strconv.Atoi(info["slave_repl_offset"]) // absent: 0
	follows := info["master_port"] == strconv.Itoa(primary.Port()) && info["master_link_status"] == "up"
	if !follows || offset < target {
		return fmt.Errorf("%w: %s: %v", errNotSynced, s.Addr(), info)
	}
	return nil
}

func closeServersLater(tb testing.TB, servers []*Server) {
	for _, s := range servers {
		tb.Cleanup(func() { s.closeAfter(tb) })
	}
}
