// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubeflow declares gangs (pods that start together) by PodGroups of scheduler-plugins or
// Volcano, so it has no source (reader of declarations) of its own. This file holds what the
// sources for those PodGroups know of Kubeflow. The training operator (PyTorchJob and
// similar) and the MPI operator also set labels with the index and the role of a pod; the
// functions for pods of any pod group read them.

// trainJobStep is the label in which Kubeflow's runtimes give the purpose of a
// replicatedJob of a TrainJob. It is set on the template of the Job. The runtimes that
// Kubeflow ships give the replicatedJob the same name, which reaches the pods.
const trainJobStep = "trainer.kubeflow.org/trainjob-ancestor-step"

// initialises reports whether the pods of a replicatedJob only fetch data or a model
// before a TrainJob trains. It knows this from the replicatedJob's name and the pods'
// labels.
func initialises(replicatedJob string, labels map[string]string) bool {
	for _, step := range []string{"dataset-initializer", "model-initializer"} {
		if replicatedJob == step || labels[trainJobStep] == step {
			return true
		}
	}
	return false
}

// isTrainJob reports whether the reference is to a TrainJob. The PodGroup and the JobSet
// of a TrainJob have the TrainJob's name.
func isTrainJob(ref *metav1.OwnerReference) bool {
	return refersTo(ref, "trainer.kubeflow.org", "TrainJob")
}
