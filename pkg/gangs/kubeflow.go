// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubeflow declares gangs by PodGroups of scheduler-plugins or Volcano, so it has
// no source of its own; here is what those sources know of it. The training
// operator (PyTorchJob and its like) and the MPI operator number their pods and
// name their parts by labels, which groupRank and shapeRole read.

// trainJobStep is the label by which Kubeflow's runtimes say what a replicatedJob
// of a TrainJob is for. It stands on the template of the Job; the runtimes that
// Kubeflow ships name the replicatedJob by the same word, and that reaches the pods.
const trainJobStep = "trainer.kubeflow.org/trainjob-ancestor-step"

// initialises says of a replicatedJob, by its name and the labels of its pods,
// that it fetches data or a model before a TrainJob trains.
func initialises(replicatedJob string, labels map[string]string) bool {
	for _, step := range []string{"dataset-initializer", "model-initializer"} {
		if replicatedJob == step || labels[trainJobStep] == step {
			return true
		}
	}
	return false
}

// isTrainJob reports that the reference is to a TrainJob. Its PodGroup and its
// JobSet have its name.
func isTrainJob(ref *metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return ref.Kind == "TrainJob" && group == "trainer.kubeflow.org"
}
