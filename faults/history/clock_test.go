package history

import (
	"testing"
	"time"
)

func TestAnInstantIsOnTheSharedClock(t *testing.T) {
	before := Now()
	in := At(time.Now().Add(time.Hour))
	after := Now()
	if in < before+int64(time.Hour-time.Second) || in > after+int64(time.Hour) {
		t.Errorf("in an hour is %v from now", time.Duration(in-before))
	}
}
