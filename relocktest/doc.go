// Package relocktest is for those who test code that locks: a Redis inside the
// test, time that passes in no time, and on command what is hard to wait for.
//
//	client := relocktest.New(t).Client()           // a *relock.Client
//	red := relocktest.NewNodes(t, 5).RedLock()     // a *redlock.RedLock
//
// Everything is closed by t.Cleanup, and no goroutine stays. No test needs a
// server, a port or another test's leave: each has a Redis of its own, and may be
// parallel.
//
// [Server.Take] has another process hold a lock, [Server.Lose] takes it away from
// a lease, [Server.Down] and [Server.Up] end and begin the connections. These are
// no fakes: what the code under test sees is what relock does on an embedded Redis
// (github.com/alicebob/miniredis).
//
// # Time
//
// relock reads the clock of the process. Inside a testing/synctest bubble that is
// the bubble's: a TTL of 30 seconds passes in milliseconds, to the nanosecond,
// whatever the machine does. Make the Server inside the bubble, with the bubble's
// T. Outside of one, time cannot be moved: give the locks a short TTL there, by
// New(t, relock.WithTTL(relock.MinTTL)).
//
// # A test
//
//	type Shop struct{ locks *relock.Client }
//
//	var ErrBusy = errors.New("another is at it")
//
//	// Close closes the books, unless another process is at it.
//	func (s *Shop) Close(ctx context.Context, book func(context.Context) error) error {
//		books := s.locks.Mutex("books", relock.WithWait(0))
//		err := relock.Do(ctx, books, func(ctx context.Context, _ *relock.Lease) error {
//			return book(ctx)
//		})
//		if errors.Is(err, relock.ErrNotAcquired) {
//			return ErrBusy
//		}
//		return err
//	}
//
//	func TestOnlyOneClosesTheBooks(t *testing.T) {
//		srv := relocktest.New(t)
//		shop := &Shop{srv.Client()}
//		nothing := func(context.Context) error { return nil }
//
//		release := srv.Take("books") // another process has it
//		if err := shop.Close(t.Context(), nothing); !errors.Is(err, ErrBusy) {
//			t.Errorf("got %v, want ErrBusy", err)
//		}
//		release()
//		if err := shop.Close(t.Context(), nothing); err != nil {
//			t.Error(err)
//		}
//	}
//
//	func TestBookingStopsWhenRedisIsAway(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // time is virtual in here
//			srv := relocktest.New(t)
//			shop := &Shop{srv.Client()}
//			err := shop.Close(t.Context(), func(ctx context.Context) error {
//				srv.Down()
//				<-ctx.Done() // in 30 seconds, which take milliseconds
//				return context.Cause(ctx)
//			})
//			if !errors.Is(err, relock.ErrLost) {
//				t.Errorf("got %v, want ErrLost", err)
//			}
//		})
//	}
//
// A lease in hand is lost by srv.Lose(lease).
//
// # What it cannot show
//
// An embedded Redis has no replicas, no Cluster and no ACL, and says nothing about
// speed: test those on real servers.
package relocktest
