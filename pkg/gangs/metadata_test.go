// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func TestMetadataMistake(t *testing.T) {
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"no key":               {pod("p"), ""},
		"other prefixes":       {pod("p", label("dovetail.devious/gang-nam", "a"), annotation("example.com/gang-name", "a")), ""},
		"right keys":           {pod("p", label(gangs.GangNameLabel, "a"), annotation(gangs.GangMinAnnotation, "2"), annotation(gangs.RequiredAnnotation, "leaf")), ""},
		"either kind":          {pod("p", label(gangs.GangAnnotation, "true"), annotation(gangs.GangAnnotation, "true")), ""},
		"labels of admission":  {pod("p", label("dovetail.dev/schedule", "true"), label("dovetail.dev/native-gang", "true")), ""},
		"a misspelt key":       {pod("p", annotation("dovetail.dev/topology-requierd", "leaf")), "annotation dovetail.dev/topology-requierd of the pod has no effect: the key is unknown, perhaps dovetail.dev/topology-required is meant"},
		"a misspelt label":     {pod("p", label("dovetail.dev/gangname", "a")), "label dovetail.dev/gangname of the pod has no effect: the key is unknown, perhaps dovetail.dev/gang-name is meant"},
		"a key like no other":  {pod("p", annotation("dovetail.dev/preemption-policy", "a")), "annotation dovetail.dev/preemption-policy of the pod has no effect: the key is unknown"},
		"the name annotated":   {pod("p", annotation(gangs.GangNameLabel, "a")), "annotation dovetail.dev/gang-name of the pod has no effect: it must be a label"},
		"the minimum labelled": {pod("p", label(gangs.GangMinAnnotation, "2")), "label dovetail.dev/gang-min of the pod has no effect: it must be an annotation"},
		"the first by name":    {pod("p", annotation("dovetail.dev/b-key", "1"), annotation("dovetail.dev/a-key-of-mine", "1")), "annotation dovetail.dev/a-key-of-mine of the pod has no effect: the key is unknown"},
		"a right alignment":    {pod("p", annotation(gangs.AlignmentAnnotation, "none")), ""},
		"a wrong alignment":    {pod("p", annotation(gangs.AlignmentAnnotation, "Required")), `annotation dovetail.dev/device-alignment of the pod is "Required", which must be preferred, required or none`},
		"right run times":      {pod("p", annotation(gangs.TimeLimitAnnotation, "2h"), annotation(gangs.CheckpointAnnotation, "10m"), annotation(gangs.MinRuntimeAnnotation, "30m")), ""},
		"a limit labelled":     {pod("p", label(gangs.TimeLimitAnnotation, "2h")), "label dovetail.dev/time-limit of the pod has no effect: it must be an annotation"},
		"a misspelt limit":     {pod("p", annotation("dovetail.dev/timelimit", "2h")), "annotation dovetail.dev/timelimit of the pod has no effect: the key is unknown, perhaps dovetail.dev/time-limit is meant"},
		"with a claim, which the plugins for devices refuse": {pod("p", annotation(gangs.AlignmentAnnotation, "Required"), claimFrom("t")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, gangs.MetadataMistake(tc.pod)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// The annotations of the declaring object are checked as well.
func TestMetadataMistakeOfDeclaration(t *testing.T) {
	group := podGroup(2)
	group.Annotations = map[string]string{gangs.RequiredAnnotation: "leaf", "dovetail.dev/device-aligment": "required"}
	sources := groupOnly(group).sources()
	gang, err := sources.Gang(gangs.CoschedulingKey("ml", "a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "annotation dovetail.dev/device-aligment of podgroup ml/a has no effect: the key is unknown, perhaps dovetail.dev/device-alignment is meant"
	if diff := cmp.Diff(want, gang.MetadataMistake()); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}
