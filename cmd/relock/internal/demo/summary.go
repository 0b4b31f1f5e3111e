package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/stats"
)

// Summary is what a run has shown. Times are in milliseconds.
type Summary struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`           // why not
	LeftOut  string   `json:"left_out,omitempty"` // what this system or these flags do not allow

	Processes  int     `json:"processes"`
	Goroutines int     `json:"goroutines"` // in each
	Seconds    float64 `json:"seconds"`
	Sections   int     `json:"sections"` // that ended in an accepted write
	Balance    int64   `json:"balance"`

	UpdatesLost  int  `json:"updates_lost"`
	TokensRising bool `json:"tokens_rising"` // in the order of the accepted writes
	StaleRefused int  `json:"stale_refused"`
	LeasesLost   int  `json:"leases_lost"`

	Frozen     float64 `json:"frozen_ms"`    // how long the stopped process did not run
	LostAtOnce bool    `json:"lost_at_once"` // its lease said so when it woke
	StaleToken int64   `json:"stale_token"`  // of its late write

	CommandsPerSection float64 `json:"commands_per_section"` // EVALSHA and EVAL of the lock
	LockCommands       int64   `json:"lock_commands"`
	GuardCommands      int64   `json:"guard_commands"`
	ReadCommands       int64   `json:"read_commands"`
	ServerScripts      int64   `json:"server_scripts,omitempty"` // by the server's own count; 0: it has none
	OwnScripts         int64   `json:"own_scripts"`              // by ours, the view included; 0: not compared

	Within Handoff `json:"handoff_within"` // from one goroutine to another of its process
	Across Handoff `json:"handoff_across"` // from one process to another
	All    Handoff `json:"handoff"`

	Jain        float64 `json:"jain"` // over all goroutines, while all processes ran
	LongestWait float64 `json:"longest_wait_ms"`
	MeanWait    float64 `json:"mean_wait_ms"`
}

// Handoff is the time from an Unlock to the next holder's running.
type Handoff struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

func handoffOf(ds []time.Duration) Handoff {
	return Handoff{Count: len(ds), P50: millis(stats.Percentile(ds, 0.50)), P99: millis(stats.Percentile(ds, 0.99))}
}

func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func (r *run) summary(acct account, history []entry) *Summary {
	v := judge(acct, history, r.claims)
	grants := r.allGrants()
	within, across := handoffs(grants)
	calm := grants
	if !r.scene.stopped.IsZero() {
		calm = undisturbed(grants, r.scene.stopped.UnixNano(), r.scene.resumed.UnixNano())
	}
	fair := fairnessOf(calm, r.cfg.Workers, r.cfg.Goroutines)
	s := &Summary{
		LeftOut:   r.cfg.leftOut(),
		Processes: r.cfg.Workers, Goroutines: r.cfg.Goroutines,
		Seconds: r.elapsed().Seconds(), Sections: len(history), Balance: acct.Balance,
		UpdatesLost: v.lost, TokensRising: v.rising,
		StaleRefused: len(r.claims.refused), LeasesLost: r.losses,
		Frozen: millis(time.Duration(r.scene.told.Frozen)), LostAtOnce: r.scene.told.Ended, StaleToken: r.scene.token,
		LockCommands: r.used.Lock, GuardCommands: r.used.Guard, ReadCommands: r.used.Read,
		Within: handoffOf(within), Across: handoffOf(across), All: handoffOf(append(within, across...)),
		Jain: fair.jain, LongestWait: millis(fair.longest), MeanWait: millis(fair.mean),
		Problems: append(append([]string{}, v.problems...), r.scene.problems()...),
	}
	if s.Sections > 0 {
		s.CommandsPerSection = float64(s.LockCommands) / float64(s.Sections)
	} else {
		s.Problems = append(s.Problems, "no section was done")
	}
	s.Problems = append(s.Problems, r.failures...)
	s.OK = len(s.Problems) == 0
	return s
}

// compare holds what was counted on the way out against the server's own count.
func (s *Summary) compare(ours counts, server int64) {
	s.OwnScripts, s.ServerScripts = ours.scripts(), server
	if !ours.holds(server) {
		s.OK = false
		s.Problems = append(s.Problems, fmt.Sprintf(
			"the server was sent %d scripts, and %d were counted on their way out (of which %d were not answered): "+
				"the commands a section are not to be believed, or somebody else uses this server",
			server, s.OwnScripts, ours.Unsure))
	}
}

// Print writes s for people.
func (s *Summary) Print(w io.Writer) error {
	var b strings.Builder
	row := func(name, value, format string, args ...any) {
		fmt.Fprintf(&b, "  %-23s %9s   %s\n", name, value, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%d processes x %d goroutines, %.1f s\n\n", s.Processes, s.Goroutines, s.Seconds)
	row("sections done", grouped(int64(s.Sections)), "each read the account, changed it and wrote it back; it holds %s", grouped(s.Balance))
	row("updates lost", fmt.Sprint(s.UpdatesLost), "%s", s.lostText())
	row("tokens strictly rising", yesNo(s.TokensRising), "in the order in which the storage accepted the writes")
	row("stale writes refused", fmt.Sprint(s.StaleRefused), "%s", s.staleText())
	row("commands a section", fmt.Sprintf("%.2f", s.CommandsPerSection), "of the lock: EVALSHA and EVAL, renewals and check-ins included%s", s.countedText())
	row("hand-off p50", ms(s.All.P50), "Unlock is called -> the next holder runs: %s within a process, %s across", ms(s.Within.P50), ms(s.Across.P50))
	row("hand-off p99", ms(s.All.P99), "%s within a process (%s of them), %s across (%s)", ms(s.Within.P99), grouped(int64(s.Within.Count)), ms(s.Across.P99), grouped(int64(s.Across.Count)))
	row("fairness", fmt.Sprintf("%.3f", s.Jain), "Jain's index of %d goroutines (1: all alike); longest wait %s, %s%s",
		s.Processes*s.Goroutines, ms(s.LongestWait), s.meanText(), s.calmText())
	if s.LeftOut != "" {
		fmt.Fprintf(&b, "\n  left out: %s\n", s.LeftOut)
	}
	b.WriteString(s.verdictText())
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Summary) lostText() string {
	if s.UpdatesLost > 0 {
		return "see below"
	}
	return "every acknowledged write is in the history, and built on the one before"
}

func (s *Summary) staleText() string {
	if s.StaleToken == 0 {
		return "no process was stopped"
	}
	return fmt.Sprintf("a process stood still for %.2f s inside its section, and wrote late under token %d", s.Frozen/1000, s.StaleToken)
}

func (s *Summary) countedText() string {
	if s.Sections == 0 {
		return ""
	}
	text := fmt.Sprintf("; the Guard adds %.2f, the read %.2f",
		float64(s.GuardCommands)/float64(s.Sections), float64(s.ReadCommands)/float64(s.Sections))
	if s.ServerScripts > 0 {
		text += fmt.Sprintf("\n%37s(counted as they are sent: %s scripts in all; the server counted %s)", "",
			grouped(s.OwnScripts), grouped(s.ServerScripts))
	}
	return text
}

func (s *Summary) meanText() string {
	if s.MeanWait == 0 {
		return "mean 0"
	}
	return fmt.Sprintf("%.1f x the mean of %s", s.LongestWait/s.MeanWait, ms(s.MeanWait))
}

func (s *Summary) calmText() string {
	if s.StaleToken == 0 {
		return ""
	}
	return ", the stop apart"
}

func (s *Summary) verdictText() string {
	if s.OK {
		return "\nOK: nothing was lost.\n"
	}
	return "\nFAILED:\n  " + strings.Join(s.Problems, "\n  ") + "\n"
}

func ms(v float64) string { return fmt.Sprintf("%.2f ms", v) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
