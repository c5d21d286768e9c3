// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// plannedTerms is the number of terms about other pods that the planner gets. It leaves
// further ones to the filters: it does not see that two members of a plan keep each other away.
const plannedTerms = 64

// away keeps a pod out of every domain of a label that has pods of the team. The term comes
// after as many terms as the planner gets.
func away(team, label string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		var terms []corev1.PodAffinityTerm
		for i := range plannedTerms {
			terms = append(terms, apartFrom(fmt.Sprint("nobody-", i), corev1.LabelHostname))
		}
		pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: append(terms, apartFrom(team, label)),
		}}
	}
}

func apartFrom(team, label string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: label, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}}
}

func inTeam(team string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Labels["team"] = team }
}

// A filter would refuse a node for a member because of another member, by a rule that the
// planner does not know. The proof of the plan finds that, and no planned node is refused.
func TestPlannedAgainAfterARefusal(t *testing.T) {
	e := inCluster(t, shared.Cluster(t)) // not beside other tests, because it measures time
	before := e.refusals()
	list, err := e.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	home := list.Items[len(list.Items)-1].Labels[corev1.LabelHostname]
	e.group("train", 4)
	e.members("train", 0, 2, small, inTeam("red"), func(pod *corev1.Pod) {
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: home}
	})
	e.members("train", 2, 4, small, inTeam("blue"), away("red", corev1.LabelHostname))
	began := time.Now()
	e.Whole(of("train"), 4)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v: the scheduler's backoff was waited for", took)
	}
	red := e.Domains(of("train")+",team=red", corev1.LabelHostname)
	for node := range e.Domains(of("train")+",team=blue", corev1.LabelHostname) {
		if red[node] > 0 {
			t.Errorf("both teams stand on node %s", node)
		}
	}
	if n := e.refusals() - before; n != 0 {
		t.Errorf("%d planned nodes were refused", n)
	}
}

// A group that filters refuse however it is planned says so in its own sentence, and holds
// nothing.
func TestRefusedHoweverPlanned(t *testing.T) {
	e := newEnv(t)
	e.group("train", 4, key(fleet.LabelLeaf))
	e.members("train", 0, 2, small, inTeam("red"))
	e.members("train", 2, 4, small, inTeam("blue"), away("red", fleet.LabelLeaf))
	e.refused("train", 4, "gang schedulinggroup "+e.Namespace+"/train: 2 of 4 members fit leaf ")
	said := e.condition("train", metav1.ConditionFalse)
	if !strings.Contains(said, "filters") || strings.Contains(said, "first placement status") {
		t.Errorf("the PodGroup says %q", said)
	}
	e.group("other", nodes)
	e.members("other", 0, nodes)
	e.Whole(of("other"), nodes)
}

var refusalMetric = regexp.MustCompile(`dovetail_gang_plan_refusals_total\{profile="dovetail"\} (\d+)`)

// refusals is how many planned nodes were refused since the scheduler started.
func (e *env) refusals() int {
	e.Helper()
	metrics, err := e.Cluster.Metrics(e.Context(), localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	found := refusalMetric.FindStringSubmatch(metrics)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		e.Fatal(err)
	}
	return n
}
