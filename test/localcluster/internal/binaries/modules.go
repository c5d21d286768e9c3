// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// repositoryModule is the path of the module in the root of the repository.
const repositoryModule = "github.com/dovetail-dev/dovetail"

// Root finds the root of the repository from the working directory upward.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		first, _, _ := strings.Cut(string(content), "\n")
		if err == nil && strings.TrimSpace(first) == "module "+repositoryModule {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the repository: neither %s nor a directory above it holds module %s", start, repositoryModule)
		}
	}
}

// foundModules holds the directories that this process found, by the repository's root and the
// module.
var foundModules sync.Map

// ModuleDir returns the directory of a module's files. It downloads the module if the module
// cache lacks it.
func (b Builder) ModuleDir(ctx context.Context, module string) (string, error) {
	key := [2]string{b.Root, module}
	if known, ok := foundModules.Load(key); ok {
		return known.(string), nil
	}
	dir, err := b.findModule(ctx, module)
	if err == nil {
		foundModules.Store(key, dir)
	}
	return dir, err
}

// findModule asks the go command for the directory of a module's files.
func (b Builder) findModule(ctx context.Context, module string) (string, error) {
	dir := b.Root
	if own, ok := map[string]string{ModuleKubeRay: kubeRayDir, ModuleJobSet: jobSetDir}[module]; ok {
		dir = filepath.Join(b.Root, own)
	}
	output, err := goOutput(ctx, dir, "mod", "download", "-json", module)
	if err != nil {
		return "", fmt.Errorf("finding the files of module %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal([]byte(output), &found); err != nil {
		return "", fmt.Errorf("finding the files of module %s: %w", module, err)
	}
	return found.Dir, nil
}
