package result

import (
	"fmt"
	"math"
)

// Metric is the key of a figure.
type Metric string

// The metrics, and what their figures are.
const (
	P50       Metric = "p50" // of the latency the work is about
	P99       Metric = "p99"
	Mean      Metric = "mean"
	Longest   Metric = "longest"
	OverMean  Metric = "longest_over_mean"
	Slowest   Metric = "slowest"
	UnlockP50 Metric = "unlock_p50"

	Bytes    Metric = "bytes"
	Allocs   Metric = "allocs"
	Pairs    Metric = "per_second"
	Jain     Metric = "jain"
	Sections Metric = "sections"

	Commands Metric = "commands"
	Hooked   Metric = "hook_commands" // seen by the client's hook
	Idle     Metric = "idle_commands"
	Renewals Metric = "commands_per_second"

	ServerCPU  Metric = "server_cpu"
	ClientCPU  Metric = "client_cpu"
	ServerLoad Metric = "server_load"
	ClientLoad Metric = "client_load"

	Goroutines Metric = "goroutines"
	LeaseBytes Metric = "bytes_per_lease"

	ScriptTime  Metric = "server_scripts"
	AcquireTime Metric = "server_acquire"
	HandoffTime Metric = "server_handoff"

	Gap    Metric = "gap" // from the old holder's learning of its loss to the next one's start
	Learnt Metric = "learnt_after"
)

// described is how a metric is headed and printed.
type described struct {
	title  string
	format func(float64) string
}

var metrics = map[Metric]described{
	P50:         {"p50", Micros},
	P99:         {"p99", Micros},
	Mean:        {"mean wait", Micros},
	Longest:     {"longest wait", Micros},
	OverMean:    {"longest / mean", times},
	Slowest:     {"slowest", Micros},
	UnlockP50:   {"Unlock p50", Micros},
	Bytes:       {"client memory", bytes},
	Allocs:      {"allocations", plain},
	Pairs:       {"per second", plain},
	Jain:        {"Jain's index", index},
	Sections:    {"sections", plain},
	Commands:    {"commands / section", hundredths},
	Hooked:      {"seen by the hook", hundredths},
	Idle:        {"idle commands / s", plain},
	Renewals:    {"commands / s", plain},
	ServerCPU:   {"server CPU", Micros},
	ClientCPU:   {"client CPU", Micros},
	ServerLoad:  {"server CPU", percent},
	ClientLoad:  {"client CPU", percent},
	Goroutines:  {"goroutines", plain},
	LeaseBytes:  {"memory / lease", bytes},
	ScriptTime:  {"script time", Micros},
	AcquireTime: {"server time, acquire", Micros},
	HandoffTime: {"server time, hand-off", Micros},
	Gap:         {"gap", Micros},
	Learnt:      {"loss learnt after", Micros},
}

// Title heads the metric's column.
func (m Metric) Title() string {
	if d, ok := metrics[m]; ok {
		return d.title
	}
	return string(m) // of an older run
}

// Format prints a figure of the metric, with its unit.
func (m Metric) Format(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	if d, ok := metrics[m]; ok {
		return d.format(x)
	}
	return plain(x)
}

// Micros prints a duration of so many microseconds, to three digits.
func Micros(x float64) string {
	switch abs := math.Abs(x); {
	case abs == 0:
		return "0"
	case abs < 999.5:
		return digits(x) + " µs"
	case abs < 999_500:
		return digits(x/1e3) + " ms"
	}
	return digits(x/1e6) + " s"
}

// digits prints three significant digits, and never an exponent.
func digits(x float64) string {
	switch abs := math.Abs(x); {
	case abs >= 99.95 || x == math.Trunc(x):
		return fmt.Sprintf("%.0f", x)
	case abs >= 9.995:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func plain(x float64) string {
	switch abs := math.Abs(x); {
	case abs >= 999_500:
		return digits(x/1e6) + "M"
	case abs >= 9_995:
		return digits(x/1e3) + "k"
	}
	return digits(x)
}

func bytes(x float64) string {
	switch abs := math.Abs(x); {
	case abs >= 1<<20:
		return digits(x/(1<<20)) + " MiB"
	case abs >= 10<<10:
		return digits(x/(1<<10)) + " KiB"
	}
	return fmt.Sprintf("%.0f B", x)
}

func hundredths(x float64) string {
	if math.Abs(x) >= 100 {
		return digits(x)
	}
	return fmt.Sprintf("%.2f", x)
}

func percent(x float64) string { return digits(x) + " %" }
func times(x float64) string   { return digits(x) + "x" }
func index(x float64) string   { return fmt.Sprintf("%.3f", x) }
