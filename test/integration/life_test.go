// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// lifeLengthEnv is the environment variable for the length of the life test,
	// lifeSeedEnv for its random seed. shortLife is the default length.
	lifeLengthEnv = "LIFE_LENGTH"
	lifeSeedEnv   = "LIFE_SEED"
	shortLife     = 40 * time.Second
	lifeGangs     = 30
	lifeFleet     = "shape=plain,spines=2,leaves=4,nodes=8"
	// lifeCPU is the CPU request of each member, a quarter of a node. With at most lifeMost
	// members each, all gangs fit in the cluster.
	lifeCPU    = 8
	lifeMost   = 8
	nodeCPU    = 32
	lifeAtOnce = 4 // maximum number of lost nodes at a time
)

// lifeGang is a gang whose pods a real controller replaces.
type lifeGang struct {
	kind, name, selector string
	// want is the desired number of pods; least is the lower limit of the gang's minimum.
	want, least int
	// leaf is true if the gang requires one leaf for all members.
	leaf bool
	// made counts the Jobs that the test created for the gang.
	made int
}

// life is a cluster in which the test makes random changes.
type life struct {
	*env
	random *rand.Rand
	gangs  []*lifeGang
	away   []*corev1.Node
	done   map[string]int
}

// Thirty gangs exist while members are killed, nodes leave and return, gangs are resized
// and schedulers are killed. No invariant may break. In the end every gang must be complete
// or report the correct reason.
func TestLife(t *testing.T) {
	length, seed := lifeOptions(t)
	t.Logf("%s=%d %s=%v", lifeSeedEnv, seed, lifeLengthEnv, length)
	l := &life{random: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}}
	l.env = onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, lifeFleet)},
		DovetailConfig: withGangArgs(t, "healAfter: 5s"),
		Without:        []string{localcluster.Scheduler},
	})
	for i := range lifeGangs {
		l.found(i)
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		l.step()
		time.Sleep(time.Duration(100+l.random.IntN(400)) * time.Millisecond)
	}
	for len(l.away) > 0 {
		l.comeBack()
	}
	var wrong []string
	t.Cleanup(func() {
		if len(wrong) > 0 {
			t.Logf("neither whole nor true: %s", strings.Join(wrong, "\n"))
		}
	})
	l.Eventually("every gang is whole or says truly why not", func() bool {
		wrong = l.untrue()
		return len(wrong) == 0
	})
	whole := 0
	for _, g := range l.gangs {
		if l.Bound(g.selector) == g.want || l.complete(g) {
			whole++
		} else {
			t.Logf("%s %s waits: %s", g.kind, g.name, l.words(g))
		}
	}
	t.Logf("done: %v; %d of %d gangs are whole in the end", l.done, whole, len(l.gangs))
}

// lifeOptions returns the length of the test and the random seed.
func lifeOptions(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	var err error
	length, seed = shortLife, uint64(time.Now().UnixNano())
	if text := os.Getenv(lifeLengthEnv); text != "" {
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("reading %s: %v", lifeLengthEnv, err)
		}
	}
	if text := os.Getenv(lifeSeedEnv); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("reading %s: %v", lifeSeedEnv, err)
		}
	}
	return length, seed
}

// found creates the i-th gang.
func (l *life) found(i int) {
	l.Helper()
	g := &lifeGang{kind: []string{"podgroup", "label", "podgroup", "label", "ray", "job"}[i%6], name: fmt.Sprintf("g%d", i), want: 2 + l.random.IntN(lifeMost-1), leaf: l.random.IntN(3) == 0}
	annotations := map[string]string{}
	if g.leaf {
		annotations[levelRequired] = "leaf"
	}
	switch g.kind {
	case "ray":
		g.selector, g.least = "ray.io/cluster="+g.name, 2
		cluster := newRayCluster(g.name, int32(g.want-1), func(c *rayv1.RayCluster) {
			c.Annotations = annotations
			group := &c.Spec.WorkerGroupSpecs[0]
			group.MinReplicas, group.MaxReplicas = new(int32), new(int32(100))
			group.Template.Spec = newPod("", asking(strconv.Itoa(lifeCPU), "1Gi")).Spec
			c.Spec.HeadGroupSpec.Template.Spec = newPod("", asking(strconv.Itoa(lifeCPU), "1Gi")).Spec
		})
		l.rayCluster(cluster)
	case "podgroup":
		g.selector, g.least = groupLabel+"="+g.name, 2
		l.podGroup(g.name, int64(g.want), annotations)
		l.replicaSet(g, groupLabel, nil)
	case "label":
		g.selector, g.least = "dovetail.dev/gang-name="+g.name, g.want
		annotations["dovetail.dev/gang-min"] = strconv.Itoa(g.want)
		l.replicaSet(g, "dovetail.dev/gang-name", annotations)
	case "job":
		g.least = 2
		l.remake(g)
	}
	l.gangs = append(l.gangs, g)
}

func (l *life) replicaSet(g *lifeGang, label string, annotations map[string]string) {
	l.Helper()
	labels := map[string]string{label: g.name}
	_, err := l.Client.AppsV1().ReplicaSets(l.Namespace).Create(l.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: g.name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(g.want)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec:       newPod("", asking(strconv.Itoa(lifeCPU), "1Gi")).Spec,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		l.Fatalf("creating ReplicaSet %s: %v", g.name, err)
	}
}

// step makes one random change.
func (l *life) step() {
	l.Helper()
	what := ""
	switch n := l.random.IntN(100); {
	case n < 45:
		what = "members killed"
		l.killMember()
	case n < 70:
		what = "resizes"
		l.resize(l.gangs[l.random.IntN(len(l.gangs))])
	case n < 82 && len(l.away) < lifeAtOnce:
		what = "nodes lost"
		l.loseNode()
	case n < 94 && len(l.away) > 0:
		what = "nodes back"
		l.comeBack()
	case n >= 94:
		what = "schedulers killed"
		l.restart()
	default:
		return
	}
	l.done[what]++
}

func (l *life) killMember() {
	l.Helper()
	g := l.gangs[l.random.IntN(len(l.gangs))]
	if g.kind == "job" {
		l.remake(g)
		return
	}
	if pods := l.Pods(g.selector); len(pods) > 0 {
		l.deletePod(pods[l.random.IntN(len(pods))].Name)
	}
}

func (l *life) deletePod(name string) {
	l.Helper()
	err := l.Client.CoreV1().Pods(l.Namespace).Delete(l.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	if err != nil && !apierrors.IsNotFound(err) {
		l.Fatalf("deleting pod %s: %v", name, err)
	}
}

// resize changes the number of a gang's pods and its minimum.
func (l *life) resize(g *lifeGang) {
	l.Helper()
	g.want = max(g.least, 2+l.random.IntN(lifeMost-1))
	switch g.kind {
	case "ray":
		l.updateRayCluster(g.name, func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[0].Replicas = new(int32(g.want - 1)) })
		return
	case "job":
		l.remake(g)
		return
	case "podgroup":
		l.setMin(g.name, g.want)
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, g.want)
	_, err := l.Client.AppsV1().ReplicaSets(l.Namespace).Patch(l.Context(), g.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		l.Fatalf("resizing ReplicaSet %s: %v", g.name, err)
	}
}

// loseNode deletes a node and its pods.
func (l *life) loseNode() {
	l.Helper()
	nodes := l.nodes()
	node := nodes[l.random.IntN(len(nodes))]
	if err := l.Client.CoreV1().Nodes().Delete(l.Context(), node.Name, metav1.DeleteOptions{}); err != nil {
		l.Fatalf("deleting node %s: %v", node.Name, err)
	}
	l.away = append(l.away, &node)
	for _, pod := range l.Pods("") {
		if pod.Spec.NodeName == node.Name {
			l.deletePod(pod.Name)
		}
	}
}

func (l *life) comeBack() {
	l.Helper()
	old := l.away[0]
	l.away = l.away[1:]
	for node := range plainFleet(l.T, lifeFleet).All() {
		if node.Name() != old.Name {
			continue
		}
		if _, err := l.Client.CoreV1().Nodes().Create(l.Context(), node.Object(), metav1.CreateOptions{}); err != nil {
			l.Fatalf("creating node %s again: %v", old.Name, err)
		}
	}
}

func (l *life) nodes() []corev1.Node {
	l.Helper()
	list, err := l.Client.CoreV1().Nodes().List(l.Context(), metav1.ListOptions{})
	if err != nil {
		l.Fatalf("listing nodes: %v", err)
	}
	return list.Items
}

func (l *life) restart() {
	l.Helper()
	if err := l.Cluster.Kill(localcluster.Dovetail); err != nil {
		l.Fatalf("killing the scheduler: %v", err)
	}
	if err := l.Cluster.Restart(l.Context(), localcluster.Dovetail); err != nil {
		l.Fatalf("starting the scheduler again: %v", err)
	}
}

// untrue describes the gangs that are incomplete and do not report the correct reason.
func (l *life) untrue() []string {
	l.Helper()
	free, leafOf := l.room()
	var wrong []string
	for _, g := range l.gangs {
		pods := l.Pods(g.selector)
		missing, own := 0, ""
		for _, pod := range pods {
			if pod.Spec.NodeName == "" {
				missing++
			} else {
				own = leafOf[pod.Spec.NodeName]
			}
		}
		switch {
		case l.complete(g):
		case len(pods) != g.want:
			wrong = append(wrong, fmt.Sprintf("%s has %d pods of %d", g.name, len(pods), g.want))
		case missing > 0 && g.couldStand(missing, own, free):
			wrong = append(wrong, fmt.Sprintf("%s lacks %d of %d, for which there is room: %s", g.name, missing, g.want, l.words(g)))
		case missing > 0 && !strings.Contains(l.words(g), "fit ") && !strings.Contains(l.words(g), "no room for "):
			wrong = append(wrong, fmt.Sprintf("%s lacks %d of %d for want of room, and says: %s", g.name, missing, g.want, l.words(g)))
		}
	}
	return wrong
}

// room returns the number of further members that each leaf has room for, and the leaf of
// each node.
func (l *life) room() (free map[string]int, leafOf map[string]string) {
	l.Helper()
	free, leafOf = map[string]int{}, map[string]string{}
	used := map[string]int{}
	for _, pod := range l.Pods("") {
		if pod.Status.Phase != corev1.PodSucceeded {
			used[pod.Spec.NodeName]++
		}
	}
	for _, node := range l.nodes() {
		leaf := node.Labels[fleet.LabelLeaf]
		leafOf[node.Name] = leaf
		free[leaf] += nodeCPU/lifeCPU - used[node.Name]
	}
	return free, leafOf
}

// couldStand reports whether the gang's leaves have room for the missing members. own is
// the leaf of its bound members, or "".
func (g *lifeGang) couldStand(missing int, own string, free map[string]int) bool {
	sum := 0
	for leaf, n := range free {
		if g.leaf && n >= missing && (own == "" || own == leaf) {
			return true
		}
		sum += n
	}
	return !g.leaf && sum >= missing
}

// words returns the message of a waiting member, or "".
func (l *life) words(g *lifeGang) string {
	l.Helper()
	for _, pod := range l.Pods(g.selector) {
		if pod.Spec.NodeName == "" {
			return harness.Unschedulable(&pod)
		}
	}
	return ""
}
