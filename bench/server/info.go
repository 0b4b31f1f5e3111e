package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Stats is what the server has counted since it started, or, as a difference,
// since some moment.
type Stats struct {
	Calls  map[string]int64         // by command; those inside a script count too
	Time   map[string]time.Duration // the server's, by command
	Errors map[string]int64         // by the word that begins the error
	CPU    time.Duration            // user and system
}

// Version returns the server's version.
func (s *Server) Version(ctx context.Context) (string, error) {
	info, err := s.ctl.InfoMap(ctx, "server").Result()
	return info["Server"]["redis_version"], err
}

// Stats asks the server for its counters.
func (s *Server) Stats(ctx context.Context) (Stats, error) {
	info, err := s.ctl.InfoMap(ctx, "commandstats", "errorstats", "cpu").Result()
	if err != nil {
		return Stats{}, fmt.Errorf("INFO: %w", err)
	}
	st := Stats{Calls: map[string]int64{}, Time: map[string]time.Duration{}, Errors: map[string]int64{}}
	for name, line := range info["Commandstats"] {
		command := strings.TrimPrefix(name, "cmdstat_")
		st.Calls[command] = field(line, "calls")
		st.Time[command] = time.Duration(field(line, "usec")) * time.Microsecond
	}
	for name, line := range info["Errorstats"] {
		st.Errors[strings.TrimPrefix(name, "errorstat_")] = field(line, "count")
	}
	st.CPU = seconds(info["CPU"]["used_cpu_user"]) + seconds(info["CPU"]["used_cpu_sys"])
	return st, nil
}

// field finds key=number in the comma separated list of an INFO line.
func field(line, key string) int64 {
	for part := range strings.SplitSeq(line, ",") {
		if v, ok := strings.CutPrefix(part, key+"="); ok {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

func seconds(text string) time.Duration {
	f, _ := strconv.ParseFloat(text, 64)
	return time.Duration(f * float64(time.Second))
}

// Since returns what was counted between before and s.
func (s Stats) Since(before Stats) Stats {
	d := Stats{Calls: map[string]int64{}, Time: map[string]time.Duration{}, Errors: map[string]int64{}, CPU: s.CPU - before.CPU}
	for k, v := range s.Calls {
		d.Calls[k] = v - before.Calls[k]
		d.Time[k] = s.Time[k] - before.Time[k]
	}
	for k, v := range s.Errors {
		if n := v - before.Errors[k]; n > 0 {
			d.Errors[k] = n
		}
	}
	return d
}

// Plus returns the sum of what two servers have counted.
func (s Stats) Plus(other Stats) Stats {
	sum := Stats{Calls: map[string]int64{}, Time: map[string]time.Duration{}, Errors: map[string]int64{}, CPU: s.CPU + other.CPU}
	for _, one := range []Stats{s, other} {
		for k, v := range one.Calls {
			sum.Calls[k] += v
			sum.Time[k] += one.Time[k]
		}
		for k, v := range one.Errors {
			sum.Errors[k] += v
		}
	}
	return sum
}

// Sent adds up the calls of the named commands.
func (s Stats) Sent(commands []string) (n int64) {
	for _, c := range commands {
		n += s.Calls[c]
	}
	return n
}

// Err is not nil if the server refused anything: a figure of a run in which it
// did would be one of an error path.
func (s Stats) Err() error {
	if len(s.Errors) == 0 {
		return nil
	}
	var b strings.Builder
	for _, word := range slices.Sorted(maps.Keys(s.Errors)) {
		fmt.Fprintf(&b, " %d %s", s.Errors[word], word)
	}
	return fmt.Errorf("the server replied with errors:%s", b.String())
}
