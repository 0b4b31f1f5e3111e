package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Stater is the part of a client that [CommandCalls] and [ResetStats] use.
type Stater interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
	ConfigResetStat(ctx context.Context) *redis.StatusCmd
}

// CommandCalls returns how often the server has executed each of the named
// commands since its start or the last [ResetStats], in lower case; those
// that were never called are 0. Without names it returns all that were
// called. The calls that a script makes count as well; a subcommand is named
// "config|get". Real servers only; of a cluster, ask each node.
func CommandCalls(ctx context.Context, c Stater, names ...string) (map[string]int64, error) {
	info, err := c.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("redistest: command statistics: %w", err)
	}
	all := parseCalls(info)
	if len(names) == 0 {
		return all, nil
	}
	calls := make(map[string]int64, len(names))
	for _, name := range names {
		name = strings.ToLower(name)
		calls[name] = all[name]
	}
	return calls, nil
}

// ResetStats sets all counts back to 0.
func ResetStats(ctx context.Context, c Stater) error {
	if err := c.ConfigResetStat(ctx).Err(); err != nil {
		return fmt.Errorf("redistest: reset statistics: %w", err)
	}
	return nil
}

// parseCalls reads lines such as "cmdstat_evalsha:calls=3,usec=41,...".
func parseCalls(info string) map[string]int64 {
	calls := map[string]int64{}
	for field, stats := range parseInfo(info) {
		name, ok := strings.CutPrefix(field, "cmdstat_")
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(stats, ",")
		n, err := strconv.ParseInt(strings.TrimPrefix(first, "calls="), 10, 64)
		if err == nil {
			calls[name] = n
		}
	}
	return calls
}
