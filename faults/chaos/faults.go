package chaos

import (
	"context"
	"iter"
	"math/rand/v2"
	"regexp"
	"slices"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
)

// fault is one kind of fault. strike injects it, waits, heals it, and notes in
// the window how often it struck and what it was about.
type fault struct {
	kind   string
	on     []rig.Topology // where it means something
	weight int
	lossy  bool // it may take acknowledged locks
	strike func(f *Field, ctx context.Context, w *history.Window) error
}

var (
	everywhere = rig.All
	durable    = []rig.Topology{rig.AOF, rig.Quorum}
	notCluster = []rig.Topology{rig.Standalone, rig.AOF, rig.Sentinel, rig.Quorum}
)

// catalogue is every kind that runs draw from, by the numbers of RELIABILITY.md
// where it has one.
var catalogue = []fault{
	{"server killed without persistence", []rig.Topology{rig.Standalone}, 4, true, (*Field).killAndRestart},
	{"server killed with an append-only file", durable, 5, false, (*Field).killAndRestart},
	{"server stopped", everywhere, 5, false, (*Field).stopServer},
	{"connections reset", everywhere, 4, false, (*Field).reset},
	{"blackhole", everywhere, 5, false, (*Field).blackhole},
	{"connections frozen", everywhere, 4, false, (*Field).freeze},
	{"connections refused", everywhere, 3, false, (*Field).refuse},
	{"latency", everywhere, 4, false, (*Field).latency},
	{"reply dropped", everywhere, 8, false, (*Field).dropReply},
	{"request dropped", everywhere, 4, false, (*Field).dropRequest},
	{"request held back", everywhere, 6, false, (*Field).holdRequest},
	{"message dropped", everywhere, 5, false, (*Field).dropPush},
	{"subscriptions killed", everywhere, 4, false, (*Field).killSubscriptions},
	{"connections killed by the server", everywhere, 3, false, (*Field).killClients},
	{"scripts flushed", everywhere, 3, false, (*Field).flushScripts},
	{"CLIENT PAUSE", everywhere, 3, false, (*Field).clientPause},
	{"FLUSHALL", everywhere, 2, true, (*Field).flushAll},
	{"lock's key deleted", everywhere, 3, true, (*Field).deleteKey},
	{"lock's key persisted", everywhere, 2, false, (*Field).persistKey},
	{"memory full", everywhere, 3, false, (*Field).memoryFull},
	{"scripts forbidden by ACL", everywhere, 2, false, (*Field).forbidScripts},
	{"channels forbidden by ACL", everywhere, 2, false, (*Field).forbidChannels},
	{"BUSY script", everywhere, 3, false, (*Field).busyScript},
	{"maxclients reached", notCluster, 2, false, (*Field).maxClients},
	{"worker stopped past its lease", everywhere, 8, false, (*Field).stopWorker},
	{"worker stopped between read and write", everywhere, 8, false, (*Field).stopInside},
	{history.WorkerKilled, everywhere, 5, false, (*Field).killWorker},
	{"failover after a kill", []rig.Topology{rig.Sentinel, rig.Cluster}, 6, true, (*Field).failover},
	{"failover to a replica without the data", []rig.Topology{rig.Sentinel, rig.Cluster}, 5, true, (*Field).failoverWithoutData},
	{"planned failover", []rig.Topology{rig.Sentinel, rig.Cluster}, 5, true, (*Field).plannedFailover},
	{"slot migrated", []rig.Topology{rig.Cluster}, 10, false, (*Field).migrateSlot},
	{"majority of the nodes stopped", []rig.Topology{rig.Quorum}, 4, false, (*Field).stopMajority},
	{"majority of the nodes killed", []rig.Topology{rig.Quorum}, 3, false, (*Field).killMajority},
	{"store's reply dropped", everywhere, 3, false, (*Field).dropStoreReply},
}

// menu returns the faults of a topology whose kinds match only, if that is given.
func menu(t rig.Topology, only *regexp.Regexp) []*fault {
	var list []*fault
	for i := range catalogue {
		one := &catalogue[i]
		if slices.Contains(one.on, t) && (only == nil || only.MatchString(one.kind)) {
			list = append(list, one)
		}
	}
	return list
}

// deal is a deck of faults: first each once, then each as often as it weighs,
// again and again, in an order drawn anew each time.
func deal(rng *rand.Rand, list []*fault) iter.Seq[*fault] {
	return func(yield func(*fault) bool) {
		deck := slices.Clone(list)
		for {
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			for _, one := range deck {
				if !yield(one) {
					return
				}
			}
			deck = deck[:0]
			for _, one := range list {
				deck = append(deck, slices.Repeat([]*fault{one}, one.weight)...)
			}
		}
	}
}
