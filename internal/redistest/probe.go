package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	probeEvery  = 5 * time.Millisecond
	probeWithin = 2 * time.Second
)

var (
	errLoading  = errors.New("redistest: the server is loading its data")
	errStranger = errors.New("redistest: another process answers on the port")
)

// eventually calls ok every few milliseconds until it returns nil. When ctx
// ends it returns the last error as well as ctx's cause.
func eventually(ctx context.Context, ok func() error) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("redistest: %w, waiting: %w", context.Cause(ctx), err)
		}
	}
}

// probe returns nil once the server with that pid serves commands. The pid
// matters: until our server has failed to bind its port, somebody else's may
// answer there.
func probe(addr string, pid int) error {
	conn, err := net.DialTimeout("tcp", addr, probeWithin)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeWithin)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\nINFO server\r\n"); err != nil {
		return err
	}
	return readProbe(bufio.NewReader(conn), pid)
}

// readProbe judges the replies to PING and INFO. A refusal other than LOADING,
// such as NOAUTH, comes from a server that is up.
func readProbe(r *bufio.Reader, pid int) error {
	pong, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if strings.HasPrefix(pong, "-LOADING") {
		return errLoading
	}
	info, err := readBulk(r)
	if err != nil {
		return err
	}
	if got, ok := parseInfo(info)["process_id"]; ok && got != strconv.Itoa(pid) {
		return errStranger
	}
	return nil
}

// readBulk reads a bulk string; of anything else, such as an error, "".
func readBulk(r *bufio.Reader) (string, error) {
	head, err := r.ReadString('\n')
	if err != nil || head[0] != '$' {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(head[1:]))
	if err != nil {
		return "", err
	}
	body := make([]byte, max(n, 0))
	_, err = io.ReadFull(r, body)
	return string(body), err
}

// parseInfo splits the reply of INFO, or of CLUSTER INFO, into its fields.
func parseInfo(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields
}
