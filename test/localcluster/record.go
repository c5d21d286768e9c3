// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/process"
)

// record describes a cluster to later runs of this program. It is stored as a file.
type record struct {
	// Options describes the options; equal descriptions mean equal clusters.
	Options string `json:"options"`
	// Complete is true if all components have been ready at the same time.
	Complete bool `json:"complete"`
	// Ports are the components' ports by purpose.
	Ports ports `json:"ports"`
	// Processes are the running components by name.
	Processes map[string]process.Identity `json:"processes"`
}

// ports are the loopback ports of one cluster.
type ports struct {
	EtcdClient        int `json:"etcdClient"`
	EtcdPeer          int `json:"etcdPeer"`
	EtcdMetrics       int `json:"etcdMetrics"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
	Kwok              int `json:"kwok"`
	KubeRayMetrics    int `json:"kubeRayMetrics"`
	KubeRayProbe      int `json:"kubeRayProbe"`
	JobSetWebhook     int `json:"jobSetWebhook"`
	JobSetProbe       int `json:"jobSetProbe"`
	Dovetail          int `json:"dovetail"`
	DovetailStandby   int `json:"dovetailStandby"`
}

// all returns pointers to the fields, in their order.
func (p *ports) all() []*int {
	return []*int{
		&p.EtcdClient, &p.EtcdPeer, &p.EtcdMetrics, &p.APIServer, &p.ControllerManager, &p.Scheduler,
		&p.Kwok, &p.KubeRayMetrics, &p.KubeRayProbe, &p.JobSetWebhook, &p.JobSetProbe, &p.Dovetail, &p.DovetailStandby,
	}
}

// readRecord reads the record. It returns nil if there is no record.
func (l layout) readRecord() (*record, error) {
	content, err := os.ReadFile(l.record())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what runs in %s: %w", l, err)
	}
	found := &record{}
	if err := json.Unmarshal(content, found); err != nil {
		return nil, fmt.Errorf("reading what runs in %s: %w", l, err)
	}
	return found, nil
}

// recorded returns the record. If the record is unreadable, it prints the error and returns
// nil: the processes are still found by the mark, the cluster's directory in their environment.
func (l layout) recorded(out io.Writer) *record {
	found, err := l.readRecord()
	if err != nil {
		fmt.Fprintln(out, err)
	}
	return found
}

// writeRecord replaces the record atomically.
func (l layout) writeRecord(r record) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what runs in %s: %w", l, err)
	}
	next := l.record() + ".next"
	if err := os.WriteFile(next, content, 0o644); err != nil {
		return fmt.Errorf("writing what runs in %s: %w", l, err)
	}
	return os.Rename(next, l.record())
}

// processes returns the live processes of the cluster: those in the record, and others that
// have the cluster's directory in their environment.
func (l layout) processes(r *record) ([]process.Identity, error) {
	ids, err := process.Marked(string(l))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return ids, nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.Processes)) {
		if id := r.Processes[name]; id.Alive() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// describe returns a text that is equal for options of the same cluster.
func (o Options) describe() (string, error) {
	config := sha256.Sum256(o.DovetailConfig)
	var fleets []string
	for _, spec := range o.Fleets {
		fleets = append(fleets, spec.String())
	}
	without := slices.Sorted(slices.Values(o.Without))
	with := slices.Sorted(slices.Values(o.With))
	content, err := json.Marshal(map[string]any{
		"fleets": fleets, "featureGates": o.FeatureGates, "kubeRayBatchScheduler": o.KubeRayBatchScheduler,
		"without": slices.Compact(without), "with": slices.Compact(with), "args": o.Args, "dovetailConfig": hex.EncodeToString(config[:]),
	})
	if err != nil {
		return "", fmt.Errorf("encoding the options: %w", err)
	}
	return string(content), nil
}
