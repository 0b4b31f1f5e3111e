//go:build race

package cached

const raceEnabled = true
