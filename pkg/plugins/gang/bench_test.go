// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"fmt"
	"testing"
	"time"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
)

// What one comparison of the queue costs, beside stock's, among members of so many
// gangs and among single pods.
func BenchmarkLess(b *testing.B) {
	for _, gangs := range []int{100, 1000, 5000} {
		members, singles := queueOf(b, gangs)
		ours := members.plugin.Less
		for _, one := range []struct {
			name string
			less func(a, b fwk.QueuedEntityInfo) bool
			pods []*framework.QueuedPodInfo
		}{
			{"queue=members/plugin=Gang", ours, members.pods},
			{"queue=singles/plugin=Gang", ours, singles},
			{"queue=singles/plugin=PrioritySort", (&queuesort.PrioritySort{}).Less, singles},
		} {
			b.Run(fmt.Sprintf("gangs=%d/%s", gangs, one.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					one.less(one.pods[i], one.pods[(i*7+1)%len(one.pods)])
					i = (i + 1) % len(one.pods)
				}
			})
		}
	}
}

// membersOf are the pods of gangs, and the plugin that knows them.
type membersOf struct {
	plugin *Gang
	pods   []*framework.QueuedPodInfo
}

// queueOf makes so many gangs of four, and as many single pods.
func queueOf(b *testing.B, gangs int) (membersOf, []*framework.QueuedPodInfo) {
	w := newWorld(nil, 0)
	members := membersOf{plugin: w.plugin()}
	var singles []*framework.QueuedPodInfo
	for i := range gangs {
		at := epoch.Add(time.Duration(i) * time.Millisecond)
		w.groups.declare(fmt.Sprint("g", i), 4)
		for j := range 4 {
			pod, single := member(fmt.Sprint("g", i), fmt.Sprint("m", i, "-", j)), member("", fmt.Sprint("s", i, "-", j))
			w.book.upsert(pod)
			members.pods = append(members.pods, queued(b, pod, at))
			singles = append(singles, queued(b, single, at))
		}
	}
	return members, singles
}
