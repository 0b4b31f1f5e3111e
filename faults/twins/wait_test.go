package twins

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// pair is a primary and a replica that writes to its disk all it is told.
type pair struct {
	*redistest.Replicas
	conn *redis.Conn // has seen no write of others
}

func startPair(t *testing.T) *pair {
	t.Helper()
	r := redistest.StartReplicasT(t, 1, redistest.WithArgs("--appendonly", "yes", "--appendfsync", "always"))
	p := &pair{r, r.Primary.Client().Conn()}
	t.Cleanup(func() { _ = p.conn.Close() })
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	for p.acknowledged() != 1 { // it gets its first command up to a second after the copy
		if err := p.conn.Set(ctx, "any", "write", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for !p.onDisk(ctx, t) {
		<-time.After(5 * time.Millisecond)
	}
	return p
}

// onDisk tells whether the replica has written the copy it was sent to its disk:
// until then what it is told meanwhile is not on it either.
func (p *pair) onDisk(ctx context.Context, t *testing.T) bool {
	t.Helper()
	info, err := p.Replicas.Replicas[0].Info(ctx, "persistence")
	if err != nil {
		t.Fatal(err)
	}
	return info["aof_rewrite_in_progress"] == "0" && info["aof_rewrite_scheduled"] == "0"
}

func (p *pair) acknowledged() int64 { return p.conn.Wait(bg, 1, 100*time.Millisecond).Val() }

// failOver has the primary die, and the replica restart as primary with what it
// has on its disk: a write that it acknowledged is there.
func (p *pair) failOver(t *testing.T) *redis.Client {
	t.Helper()
	p.Primary.Kill()
	p.Replicas.Replicas[0].Kill()
	if err := p.Replicas.Replicas[0].Restart(bg); err != nil {
		t.Fatal(err)
	}
	if err := p.Promote(bg, 0); err != nil {
		t.Fatal(err)
	}
	return p.Replicas.Replicas[0].Client()
}

// A lock by SET NX and a WAIT that goes by another connection of the pool: its
// holder is told that a replica has it, and then there is another holder.
func TestWaitOnAnotherConnectionGivesTwoHolders(t *testing.T) {
	p := startPair(t)
	take := func(rdb *redis.Client, by string) bool {
		t.Helper()
		had, err := rdb.SetNX(bg, "m", by, time.Minute).Result()
		if err != nil {
			t.Fatal(err)
		}
		return had
	}
	if err := p.Replicas.Replicas[0].Pause(); err != nil {
		t.Fatal(err)
	}
	if !take(p.Primary.Client(), "first") || p.acknowledged() != 1 {
		t.Fatal("the first holder does not believe that a replica has its lock: nothing is proved")
	}
	if !take(p.failOver(t), "second") {
		t.Error("the lock of the first holder has survived: nothing is proved")
	}
}

// relock asks on the connection of the write. Where the replica does not answer
// nobody holds the lock, and where it does the lock survives.
func TestWithReplicasGivesOneHolder(t *testing.T) {
	p := startPair(t)
	first := clientOn(t, p.Primary.Client())
	// A replica that waits for its disk may take as long as a call may.
	lease, err := first.Mutex("had", relock.WithReplicas(1, 2*time.Second)).TryLock(bg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Replicas.Replicas[0].Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Mutex("not had", relock.WithReplicas(1, 200*time.Millisecond)).TryLock(bg); !errors.Is(err, relock.ErrNotReplicated) {
		t.Errorf("got %v, want ErrNotReplicated", err)
	}
	second := clientOn(t, p.failOver(t))
	if _, err := second.Mutex("had").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("another after the failover: got %v, want ErrNotAcquired", err)
	}
	if err := lease.Err(); err != nil {
		t.Errorf("the first holder: %v", err)
	}
	if next, err := second.Mutex("not had").TryLock(bg); err != nil {
		t.Errorf("what nobody holds: %v", err)
	} else {
		unlock(t, next)
	}
}
