package main

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/relock-go/relock"
)

// The environment of a command that runs under a lock.
const (
	envName     = "RELOCK_NAME"
	envToken    = "RELOCK_TOKEN"
	envOwner    = "RELOCK_OWNER"
	envHeld     = "RELOCK_HELD"        // the locks held around it
	envPID      = "RELOCK_PID"         // of relock run, which passes signals on
	envDeadline = "RELOCK_DEADLINE_MS" // of a fixed lease: Unix time in milliseconds
	envRedis    = "RELOCK_REDIS"

	envTLSCA         = "RELOCK_TLS_CA"
	envTLSCert       = "RELOCK_TLS_CERT"
	envTLSKey        = "RELOCK_TLS_KEY"
	envTLSServerName = "RELOCK_TLS_SERVER_NAME"
)

// held is the locks held around a command: each name with its owner. As text it
// is name=owner&name=owner, escaped as in a URL, sorted by name.
type held map[string]relock.Owner

func parseHeld(text string) (held, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", envHeld, err)
	}
	h := held{}
	for name, owners := range values {
		h[name] = relock.Owner(owners[0])
	}
	return h, nil
}

func (h held) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		parts = append(parts, readable(name)+"="+readable(string(h[name])))
	}
	return strings.Join(parts, "&")
}

// readable leaves slashes as they are: owners have them.
func readable(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }

// environ is what a command under the lease inherits, and after it what tells of
// the lease. A deadline that an outer lock had is not this one's.
func environ(around held, lease *relock.Lease, fixed bool) []string {
	all := maps.Clone(around)
	all[lease.Name()] = lease.Owner()
	ours := map[string]string{
		envName:  lease.Name(),
		envToken: lease.Token().String(),
		envOwner: string(lease.Owner()),
		envHeld:  all.String(),
		envPID:   strconv.Itoa(os.Getpid()),
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		return ours[key] != "" || key == envDeadline
	})
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		env = append(env, key+"="+ours[key])
	}
	if fixed {
		env = append(env, fmt.Sprintf("%s=%d", envDeadline, lease.ValidUntil().UnixMilli()))
	}
	return env
}
