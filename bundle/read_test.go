// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within fails the test where f hangs, as runc and crun do on a FIFO.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("hangs")
	}
}

func TestReadRefusesWhatIsNoRegularFile(t *testing.T) {
	tests := []struct {
		name, want string
		make       func(path string) error
	}{
		{"missing", "JSON specification file", func(string) error { return nil }},
		{"dangling link", "JSON specification file", func(p string) error { return os.Symlink("nowhere", p) }},
		{"loop", "too many levels of symbolic links", func(p string) error { return os.Symlink("config.json", p) }},
		{"FIFO", "is a FIFO", func(p string) error { return syscall.Mkfifo(p, 0o600) }},
		{"directory", "is a directory", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"device", "is a device", func(p string) error { return os.Symlink("/dev/zero", p) }},
		{"socket", "is not a regular file", func(p string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			return syscall.Bind(fd, &syscall.SockaddrUnix{Name: p})
		}},
		{"too large", "bytes are too many", func(p string) error {
			f, err := os.Create(p)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(maxConfig + 1)
		}},
		{"empty", "want an object, got the end", func(p string) error { return os.WriteFile(p, nil, 0o600) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "b") // short enough for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := test.make(filepath.Join(dir, ConfigName)); err != nil {
				t.Fatal(err)
			}
			within(t, func() {
				if _, err = Read(dir); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), ConfigName) {
					t.Errorf("got %v, want %s", err, test.want)
				}
			})
			oneLine(t, err)
		})
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not fs.ErrNotExist: %v", err)
	}
	if _, err := Read("/etc/passwd"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("bundle is a file: %v", err)
	}
}

func TestReadTakesTenMegabytesThroughALink(t *testing.T) {
	dir := t.TempDir()
	config := `{"ociVersion":"1.0.2","annotations":{"a":"` + strings.Repeat("x", 10<<20) + `"}}`
	if err := os.WriteFile(filepath.Join(dir, "real"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, ConfigName)); err != nil {
		t.Fatal(err)
	}
	spec, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(spec.Annotations["a"]); n != 10<<20 {
		t.Errorf("%d bytes", n)
	}
}

func TestReadTakesFilesThatSayTheirSizeIsZero(t *testing.T) {
	// A file of /proc says that its size is 0.
	data, err := readRegular("/proc/self/maps")
	if err != nil || len(data) < 100 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestReadNamesTheValue(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(`{"process":{"args":"sh"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Read(dir)
	const want = `config.json: process.args: want an array of strings, got the string "sh"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReadProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "process\n1")
	if err := os.WriteFile(path, []byte(`{"args":["id"],"cwd":"/","user":{"uid":5}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := ReadProcess(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckProcess(p); err != nil || p.User.UID != 5 || p.Args[0] != "id" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = ReadProcess(path + "x")
	if err == nil {
		t.Fatal("missing file read")
	}
	oneLine(t, err)
}
