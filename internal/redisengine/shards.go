package redisengine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// shardLife is how long a cluster's client is taken at its word about a slot. A dispatcher
// that has a slot of another shard is no fault: the client sends each request where
// it belongs, and only the answers of both wait for each other.
const shardLife = 10 * time.Second

// shards has a dispatcher for each shard of a cluster.
type shards struct {
	s           *Engine
	auto        bool // where the client of a node has hooks its requests leave by themselves
	cluster     masters
	slots       [slotCount]atomic.Pointer[shard]
	asking      atomic.Bool // the client is being asked about a slot
	mu          sync.Mutex
	dispatchers map[string]*dispatcher // by the master's address
}

// shard is the dispatcher of a slot, as of asked.
type shard struct {
	dispatcher *dispatcher
	asked      time.Time
	node       hooks // of the master's client, which OnNewNode may have put there
	known      bool
}

// looksOn reports whether the hooks of the node's client see what is sent to it, or
// may.
func (sh *shard) looksOn() bool { return !sh.known || sh.node.any() }

func newShards(s *Engine, cluster masters, auto bool) *shards {
	return &shards{s: s, auto: auto, cluster: cluster, dispatchers: map[string]*dispatcher{}}
}

// of returns the dispatcher of a name, or nil where it is not known yet (to ask the client
// may take a request of its own, which is not waited for) or somebody looks on.
func (ss *shards) of(name string) *dispatcher {
	slot := &ss.slots[slotOf(ss.s.keys.of(name)[0].(string))]
	known := slot.Load()
	if (known == nil || time.Since(known.asked) > shardLife) && ss.asking.CompareAndSwap(false, true) {
		go ss.learn(slot, name)
	}
	if known == nil || ss.auto && known.looksOn() {
		return nil
	}
	return known.dispatcher
}

func (ss *shards) learn(slot *atomic.Pointer[shard], name string) {
	defer ss.asking.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), ss.s.cfg.Call)
	defer cancel()
	master, err := ss.cluster.MasterForKey(ctx, ss.s.lockKey(name))
	if err != nil {
		return // the request itself will say why
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	addr := master.Options().Addr
	if ss.dispatchers[addr] == nil {
		ss.dispatchers[addr] = newDispatcher(ss.s)
	}
	node, known := hooksOf(master)
	slot.Store(&shard{ss.dispatchers[addr], time.Now(), node, known})
}

// slotCount is how many slots a cluster has.
const slotCount = 16384

// slotOf returns the slot of a key, by its hash tag if it has one: CRC-16/XMODEM
// (polynomial 0x1021, start 0, nothing reflected), as the Redis Cluster
// specification has it.
func slotOf(key string) uint16 {
	if _, after, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(after, "}"); closed && tag != "" {
			key = tag
		}
	}
	return crc16(key) % slotCount
}

func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^s[i]]
	}
	return crc
}

// crcTable has what each byte does to a checksum.
var crcTable = func() (table [256]uint16) {
	for b := range table {
		crc := uint16(b) << 8
		for range 8 {
			if top := crc & 0x8000; top != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[b] = crc
	}
	return table
}()
