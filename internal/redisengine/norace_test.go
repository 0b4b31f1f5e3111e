//go:build !race

package redisengine

const raceEnabled = false
