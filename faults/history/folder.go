package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	windowsFile = "windows.json"
	storeFile   = "store.json"
	workerFiles = "worker-*.jsonl"
)

// Save writes to dir, where the workers' files are, what else belongs to h.
func (h *History) Save(dir string) error {
	return errors.Join(save(filepath.Join(dir, windowsFile), h.Windows), save(filepath.Join(dir, storeFile), h.Store))
}

func save(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// ErrNoEvents says that a folder has no history.
var ErrNoEvents = errors.New("history: no worker's events")

// Load reads what is in dir.
func Load(dir string) (*History, error) {
	h := &History{}
	var err error
	if h.Events, err = ReadAll(dir); err != nil {
		return nil, err
	}
	if len(h.Events) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoEvents, dir)
	}
	return h, errors.Join(load(filepath.Join(dir, windowsFile), &h.Windows), load(filepath.Join(dir, storeFile), &h.Store))
}

func load(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("history: %w", err) // which names the path
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("history: %s: %w", path, err)
	}
	return nil
}
