// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// basePod is the path, below scheduler_perf, of a pod template like the one that upstream
// uses if a workload names none.
const basePod = "templates/pod-default.yaml"

// asGangs makes the pods of each createPods operation of a test members of one gang that
// needs all of them. It writes the pod templates to dir.
func (c Case) asGangs(test, workload fields, dir string) error {
	params, _ := workload["params"].(map[string]any)
	operations, _ := test["workloadTemplate"].([]any)
	for i, object := range operations {
		op, _ := object.(map[string]any)
		if inner, ok := op["createPodsOp"].(map[string]any); ok {
			op = inner
		}
		if op["opcode"] != "createPods" {
			continue
		}
		count, err := podCount(op, params)
		if err != nil {
			return fmt.Errorf("operation %d of %s: %w", i, c.Name(), err)
		}
		template, err := c.podTemplate(test, op)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("gang-%d.yaml", i))
		if err := writeMember(template, name, fmt.Sprintf("operation-%d", i), count); err != nil {
			return err
		}
		op["podTemplatePath"] = name
	}
	return nil
}

// podCount returns the number of pods of a createPods operation.
func podCount(op, params map[string]any) (int, error) {
	value := op["count"]
	if name, ok := op["countParam"].(string); ok {
		value = params[strings.TrimPrefix(name, "$")]
	}
	number, ok := value.(json.Number)
	if !ok {
		return 0, fmt.Errorf("count %v is no number", value)
	}
	return strconv.Atoi(number.String())
}

// podTemplate returns the path of the pod template of a createPods operation.
func (c Case) podTemplate(test, op map[string]any) (string, error) {
	for _, named := range []any{op["podTemplatePath"], test["defaultPodTemplatePath"]} {
		if name, ok := named.(string); ok {
			return filepath.Join(c.Dir, name), nil
		}
	}
	for dir := c.Dir; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if name := filepath.Join(dir, basePod); fileExists(name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s: no directory above %s holds %s", c.Name(), c.Dir, basePod)
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// writeMember writes a copy of a pod template with the label and annotation that make its
// pods members of a gang.
func writeMember(template, name, gang string, members int) error {
	text, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	pod := map[string]any{}
	if err := yaml.Unmarshal(text, &pod); err != nil {
		return fmt.Errorf("%s: %w", template, err)
	}
	if err := unstructured.SetNestedField(pod, gang, "metadata", "labels", gangs.GangNameLabel); err != nil {
		return err
	}
	if err := unstructured.SetNestedField(pod, strconv.Itoa(members), "metadata", "annotations", gangs.GangMinAnnotation); err != nil {
		return err
	}
	text, err = yaml.Marshal(pod)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}
