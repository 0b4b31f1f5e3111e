package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Recorder writes the events of one process, a line of JSON each. An event that
// Add has returned from survives the death of the process.
type Recorder struct {
	mu  sync.Mutex
	f   *os.File
	err error
}

// Create makes a Recorder on a new file.
func Create(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Recorder{f: f}, nil
}

// Add records events.
func (r *Recorder) Add(events ...Event) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	var err error
	for _, e := range events {
		if err == nil {
			err = enc.Encode(e)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		_, err = r.f.Write(lines.Bytes())
	}
	if r.err == nil {
		r.err = err
	}
}

// Close closes the file and returns the first error that there was.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.f.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}

// ReadAll returns the events of all workers' files in dir. The last line of a
// process that was killed may be cut off; it is left out.
func ReadAll(dir string) ([]Event, error) {
	names, err := fs.Glob(os.DirFS(dir), workerFiles)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	var all []Event
	for _, name := range names {
		if all, err = readFile(all, filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("history: %s: %w", name, err)
		}
	}
	return all, nil
}

func readFile(all []Event, path string) ([]Event, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(whole))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, lines.Err()
}
