// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/process"
)

// progressInterval is the interval of progress messages of a build.
const progressInterval = 15 * time.Second

// Builder builds programs of the repository at Root and prints progress to Out.
type Builder struct {
	Root string
	Out  io.Writer
}

// Dir returns the directory of the programs.
func (b Builder) Dir() string { return filepath.Join(b.Root, ".cache", "bin") }

// Path returns the path of a program.
func (b Builder) Path(name string) string { return filepath.Join(b.Dir(), name) }

// built holds the paths of the programs that this process found or made up to date. A test
// process starts many clusters, and the check takes seconds.
var built sync.Map

// Build builds the named programs that are not up to date. It checks each once in the life of
// this process. A file lock allows one builder at a time.
func (b Builder) Build(ctx context.Context, names []string) error {
	binaries, err := selected(names)
	if err != nil {
		return err
	}
	binaries = slices.DeleteFunc(binaries, func(binary binary) bool {
		_, known := built.Load(b.Path(binary.name))
		return known
	})
	if len(binaries) == 0 {
		return nil
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	version, err := b.toolchain(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	for i, binary := range binaries {
		label := fmt.Sprintf("[%d/%d] %s", i+1, len(binaries), binary.name)
		if err := b.ensure(ctx, binary, version, label); err != nil {
			return fmt.Errorf("building %s: %w", binary.name, err)
		}
		built.Store(b.Path(binary.name), true)
	}
	fmt.Fprintf(b.Out, "%d binaries ready in %s (%s)\n", len(binaries), b.Dir(), seconds(time.Since(started)))
	return nil
}

// versions are the inputs of a build besides the module's own files.
type versions struct {
	toolchain         string
	kubernetesLdflags string
}

func (b Builder) toolchain(ctx context.Context) (versions, error) {
	toolchain, err := goOutput(ctx, b.Root, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED")
	if err != nil {
		return versions{}, err
	}
	kubernetes, err := goOutput(ctx, b.Root, "list", "-m", "-f", "{{.Version}} {{with .Time}}{{.Format \"2006-01-02T15:04:05Z\"}}{{end}}", ModuleKubernetes)
	if err != nil {
		return versions{}, err
	}
	version, date, _ := strings.Cut(strings.TrimSpace(kubernetes), " ")
	return versions{toolchain: toolchain, kubernetesLdflags: kubernetesLdflags(version, date)}, nil
}

// kubernetesLdflags returns the linker flags that set the version of a Kubernetes release.
// The release's tag is the commit, because modules lack the hash.
func kubernetesLdflags(version, date string) string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	var flags []string
	for _, variable := range []struct{ name, value string }{
		{"gitVersion", version}, {"gitMajor", major}, {"gitMinor", minor},
		{"gitCommit", version}, {"gitTreeState", "clean"}, {"buildDate", date},
	} {
		if variable.value != "" {
			flags = append(flags, "-X k8s.io/component-base/version."+variable.name+"="+variable.value)
		}
	}
	return strings.Join(flags, " ")
}

// ensure builds the program unless its stamp file shows that nothing has changed.
func (b Builder) ensure(ctx context.Context, binary binary, version versions, label string) error {
	ldflags := "-s -w"
	if binary.kubernetes {
		ldflags += " " + version.kubernetesLdflags
	}
	stamp, err := b.stamp(binary, version, ldflags)
	if err != nil {
		return err
	}
	if !binary.ours && b.upToDate(binary, stamp) {
		fmt.Fprintf(b.Out, "%s: up to date\n", label)
		return nil
	}
	if err := b.build(ctx, binary, ldflags, label); err != nil {
		return err
	}
	return os.WriteFile(b.stampFile(binary), []byte(stamp), 0o644)
}

func (b Builder) build(ctx context.Context, binary binary, ldflags, label string) error {
	fmt.Fprintf(b.Out, "%s: building %s\n", label, binary.pkg)
	stop := b.reportProgress(label)
	started := time.Now()
	_, err := goOutput(ctx, filepath.Join(b.Root, binary.moduleDir),
		"build", "-buildvcs=false", "-ldflags", ldflags, "-o", b.Path(binary.name), binary.pkg)
	stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.Out, "%s: built in %s\n", label, seconds(time.Since(started)))
	return nil
}

// reportProgress prints progress at intervals until the returned function is called.
func (b Builder) reportProgress(label string) (stop func()) {
	ticker, done, ended := time.NewTicker(progressInterval), make(chan struct{}), make(chan struct{})
	started := time.Now()
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(b.Out, "%s: still building (%s)\n", label, seconds(time.Since(started)))
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-ended
	}
}

func (b Builder) stampFile(binary binary) string {
	return filepath.Join(b.Dir(), "."+binary.name+".stamp")
}

// stamp returns a hash of all inputs of a program from the module cache.
func (b Builder) stamp(binary binary, version versions, ldflags string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.Root, binary.moduleDir, name))
		if err != nil {
			return "", err
		}
		hash.Write(content)
	}
	fmt.Fprintln(hash, version.toolchain, binary.pkg, ldflags)
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (b Builder) upToDate(binary binary, stamp string) bool {
	if _, err := os.Stat(b.Path(binary.name)); err != nil {
		return false
	}
	found, err := os.ReadFile(b.stampFile(binary))
	return err == nil && string(found) == stamp
}

// lock locks the directory of programs.
func (b Builder) lock() (unlock func(), err error) {
	if err := os.MkdirAll(b.Dir(), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of binaries: %w", err)
	}
	if unlock, err = process.Lock(filepath.Join(b.Dir(), ".lock")); err != nil {
		return nil, fmt.Errorf("waiting for other builds: %w", err)
	}
	return unlock, nil
}

// goOutput runs the go command in a directory. Its error includes the command's standard
// error.
func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, strings.TrimSpace(stderr.String()))
	}
	return string(output), nil
}

func seconds(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
