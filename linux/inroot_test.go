// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"path/filepath"
	"testing"
)

// What others rename meanwhile does not keep a file from being found.
func TestOpenInRootBesideRenames(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "etc"), 0o755),
		os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("x"), 0o644),
		os.Symlink("/../../../etc/passwd", filepath.Join(dir, "passwd")),
		os.WriteFile(filepath.Join(dir, "a"), nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
				os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "a"))
			}
		}
	}()
	for range 20_000 {
		f, err := OpenInRoot(int(root.Fd()), "passwd")
		if err != nil {
			t.Error(err)
			break
		}
		f.Close()
	}
	close(stop)
	<-stopped
}
