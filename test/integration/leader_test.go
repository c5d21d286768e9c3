// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// replicas are the two schedulers of a cluster with a standby.
var replicas = []string{localcluster.Dovetail, localcluster.DovetailStandby}

// Only the leader writes: a gang that waits costs as many requests with two replicas as with
// one. After a takeover the new leader says each current sentence once. Each figure counts a
// gang once, whatever the number of replicas and profiles.
func TestOnlyTheLeaderWrites(t *testing.T) {
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	quick := []string{"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s"}
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=1,nodes=2")},
		Without: withoutOthers,
		With:    []string{localcluster.DovetailStandby},
		// On a busy machine a second may pass between two pods of a gang.
		DovetailConfig: withGangArgs(t, "reportDelay: 4s"),
		Args: map[string][]string{
			localcluster.Dovetail: quick, localcluster.DovetailStandby: quick,
			localcluster.APIServer: {"--audit-policy-file=" + policy, "--audit-log-path=" + log, "--audit-log-mode=blocking"},
		},
	})
	var leader, standby string
	e.Eventually("one of two replicas leads", func() bool {
		leader, standby = e.leader()
		return leader != ""
	})

	before := readWrites(t, log)
	e.waitingGang("two")
	double := e.writesOnceQuiet(log)
	double.subtract(before)

	if err := e.Cluster.Terminate(standby); err != nil {
		t.Fatal(err)
	}
	before = readWrites(t, log)
	e.waitingGang("one")
	single := e.writesOnceQuiet(log)
	single.subtract(before)
	t.Logf("a waiting gang with one replica:\n%s", single)
	if diff := cmp.Diff(single, double); diff != "" {
		t.Errorf("writes of a waiting gang with one replica and with two (-single,+double):\n%s", diff)
	}
	if single.sum() == 0 {
		t.Error("the waiting gang caused no writes")
	}

	if err := e.Cluster.StartComponent(t.Context(), standby); err != nil {
		t.Fatal(err)
	}
	e.gangsCounted(leader, 2)
	e.gangsCounted(standby, 0)
	notes, events := e.waitingNotes("two"), len(e.Events())
	if notes != 1 {
		t.Errorf("the PodGroup has %d events on why it waits, want 1", notes)
	}
	if err := e.Cluster.Kill(leader); err != nil {
		t.Fatal(err)
	}
	e.createPods(newPod("one-3", inGroup("one"))) // while nobody leads
	e.Waiting(groupLabel+"=one", 4, "spec.minMember is 5, and 4 exist so far")
	e.writesOnceQuiet(log)
	for gang, want := range map[string]int{"two": 2, "one": 2} {
		if got := e.waitingNotes(gang); got != want {
			t.Errorf("PodGroup %s has %d events on why it waits after the takeover, want %d", gang, got, want)
		}
	}
	// The former members' conditions were true and stay as they are: the two PodGroups get an
	// event each, the new member and the mistakes in metadata one each. The sentence of gang
	// one changes in a number only, which costs no events of its members.
	if got, most := len(e.Events())-events, 2+1+2; got > most {
		t.Errorf("%d events after the takeover, want at most %d:\n%v", got, most, e.Events())
	}
	e.gangsCounted(standby, 2)
}

// waitingGang makes a gang that lacks two members, one of which has a mistake in its
// metadata, and waits until all members have the sentence.
func (e *env) waitingGang(name string) {
	e.Helper()
	e.podGroup(name, 5, nil)
	pods := members(name, 3)
	pods[0].Annotations["dovetail.dev/topology-requierd"] = "leaf"
	e.createPods(pods...)
	e.Waiting(groupLabel+"="+name, 3, "spec.minMember is 5, and 3 exist so far")
}

// leader returns the names of the replica that leads and of the other, "" if none led so far.
func (e *env) leader() (leads, other string) {
	e.Helper()
	for i, name := range replicas {
		if text, err := e.Cluster.Logs(name); err == nil && strings.Contains(text, "Successfully acquired lease") {
			return name, replicas[1-i]
		}
	}
	return "", ""
}

// gangsCounted waits until the gauge dovetail_gangs of a replica has this sum over all
// profiles and sources.
func (e *env) gangsCounted(replica string, want int) {
	e.Helper()
	e.Until(fmt.Sprintf("%s counts %d gangs", replica, want), func(ctx context.Context) string {
		if got := e.sumOf(ctx, replica, "dovetail_gangs"); got != want {
			return fmt.Sprintf("it counts %d", got)
		}
		return ""
	})
}

// sumOf returns the sum of a replica's metric over all labels.
func (e *env) sumOf(ctx context.Context, replica, metric string) (sum int) {
	e.Helper()
	text, err := e.Cluster.Metrics(ctx, replica)
	if err != nil {
		e.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^`+metric+`\{.*\} (\d+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			e.Fatal(err)
		}
		sum += n
	}
	return sum
}

// The PodGroup cycle reserves devices for each placement that it tries. The NICs of a pod
// are counted once, when it is bound.
func TestPairsAreCountedOnce(t *testing.T) {
	const size, each = 2, 8
	e := onOwn(t, localcluster.Options{
		FeatureGates: "GenericWorkload=true,TopologyAwareWorkloadScheduling=true,DRAWorkloadResourceClaims=true",
		Fleets:       []fleet.Spec{plainFleet(t, "shape=ndh100v5,spines=1,leaves=2,nodes=2")},
		Without:      withoutOthers,
	})
	e.claimTemplate()
	group := "pair"
	if _, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Create(t.Context(), &schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Name: group},
		Spec:       schedulingv1beta1.PodGroupSpec{SchedulingPolicy: schedulingv1beta1.PodGroupSchedulingPolicy{Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: size}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e.createPods(members(group, size, withDevices, func(pod *corev1.Pod) {
		delete(pod.Labels, groupLabel)
		pod.Labels["app"] = group
		pod.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &group}
	})...)
	e.Whole("app="+group, size)
	e.Until("all NICs are counted once", func(ctx context.Context) string {
		if got := e.sumOf(ctx, localcluster.Dovetail, "dovetail_device_pairs_total"); got != size*each {
			return fmt.Sprintf("%d are counted, want %d", got, size*each)
		}
		return ""
	})
}
