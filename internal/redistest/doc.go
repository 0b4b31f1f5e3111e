// Package redistest runs Redis servers for tests, examples and the fault
// command.
//
//   - [Embedded] and [EmbeddedInMemory]: miniredis in the process. The latter
//     lives inside a testing/synctest bubble, so that leases expire in virtual
//     time.
//   - [Start]: one real redis-server on a free loopback port, which can be
//     paused, killed and restarted.
//   - [StartReplicas], [StartSentinels], [StartCluster]: real topologies.
//
// Each Start function has a variant that ends in T, for tests: it cleans up
// after itself, and without a server binary it skips the test, or fails it if
// RELOCK_REQUIRE_SERVERS=1, or RELOCK_REQUIRE_REDIS=1.
//
// The binary is RELOCK_SERVER if set, else redis-server or valkey-server on
// the PATH. It may be a script that ends in exec: the process started must
// become the server, since signals are sent to it.
//
// On Linux a server dies with the process that started it, however that ends.
// Elsewhere one that was not closed stays behind.
package redistest
