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
	// Files is the pattern of the workers' files in a history's folder.
	Files = "worker-*.jsonl"
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

// Load reads what is in dir.
func Load(dir string) (*History, error) {
	h := &History{}
	var err error
	if h.Events, err = ReadAll(filepath.Join(dir, Files)); err != nil {
		return nil, err
	}
	return h, errors.Join(load(filepath.Join(dir, windowsFile), &h.Windows), load(filepath.Join(dir, storeFile), &h.Store))
}

func load(path string, v any) error {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("history: %s: %w", path, err)
	}
	return nil
}
