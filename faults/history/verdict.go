package history

import (
	"fmt"
	"time"
)

// Violation is one breach of one check.
type Violation struct {
	Check string `json:"check"`
	Lock  string `json:"lock,omitempty"`
	At    int64  `json:"at,omitempty"`
	Text  string `json:"text"`
}

func (v Violation) String() string {
	return fmt.Sprintf("%s  lock %q at %d: %s", v.Check, v.Lock, v.At, v.Text)
}

// Verdict is what the checks found.
type Verdict struct {
	Operations int            `json:"operations"` // calls that were recorded
	Checked    map[string]int `json:"checked"`    // by check: how many operations or pairs it judged
	Violations []Violation    `json:"violations"`
	// Excused are breaches of S3 inside faults that lose acknowledged locks: a
	// lease promises no more there. They are counted and reported.
	Excused int `json:"excused"`
	// Anew are the further holds of an owner whose token is greater than that of
	// one it still had: on a quorum, or where locks were lost; else they are violations.
	Anew int `json:"anew"`
	// Unknown are partitions that Porcupine did not decide.
	Unknown int `json:"unknown"`
	// Delays are the greatest of each liveness bound.
	Delays map[string]time.Duration `json:"delays"`
}

func newVerdict() *Verdict {
	return &Verdict{Checked: map[string]int{}, Delays: map[string]time.Duration{}}
}

// Add reports a violation.
func (v *Verdict) Add(check, lock string, at int64, format string, args ...any) {
	v.Violations = append(v.Violations, Violation{check, lock, at, fmt.Sprintf(format, args...)})
}

// Delay notes how long a bounded wait has taken.
func (v *Verdict) Delay(bound string, d time.Duration) {
	v.Delays[bound] = max(v.Delays[bound], d)
}

// Merge adds the findings of another verdict.
func (v *Verdict) Merge(other *Verdict) {
	v.Operations += other.Operations
	v.Excused += other.Excused
	v.Unknown += other.Unknown
	v.Anew += other.Anew
	v.Violations = append(v.Violations, other.Violations...)
	for check, n := range other.Checked {
		v.Checked[check] += n
	}
	for bound, d := range other.Delays {
		v.Delay(bound, d)
	}
}

// NewVerdict returns one that has found nothing yet.
func NewVerdict() *Verdict { return newVerdict() }
