//go:build !linux

package election_test

import (
	"testing"

	"github.com/relock-go/relock/internal/behaviour"
)

func TestMain(m *testing.M) { behaviour.Main(m) }
