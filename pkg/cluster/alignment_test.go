// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The pod's annotation overrides its claims', these override the gang's, and the default is
// "preferred".
func TestAlignmentIsTheNearestWord(t *testing.T) {
	tests := map[string]struct{ pod, claim, gang, want gangs.Alignment }{
		"nobody says anything":                {want: gangs.AlignmentPreferred},
		"the gang speaks for all":             {gang: gangs.AlignmentRequired, want: gangs.AlignmentRequired},
		"the claim comes before the gang":     {claim: gangs.AlignmentNone, gang: gangs.AlignmentRequired, want: gangs.AlignmentNone},
		"a claim may say the usual":           {claim: gangs.AlignmentPreferred, gang: gangs.AlignmentRequired, want: gangs.AlignmentPreferred},
		"the pod comes before claim and gang": {pod: gangs.AlignmentPreferred, claim: gangs.AlignmentNone, gang: gangs.AlignmentRequired, want: gangs.AlignmentPreferred},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := groups(t)
			p := withClaim(pod("p", "1"), "nics")
			p.Annotations = map[string]string{gangs.AlignmentAnnotation: string(test.pod)}
			w.dra.claims["nics"].Annotations = map[string]string{gangs.AlignmentAnnotation: string(test.claim)}
			got, err := cluster.NewDevices(w.dra).Alignment(p, test.gang)
			if err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
			needs, err := boundedByGroup(t, w).Read([]*v1.Pod{p, pod("head", "1")})
			if err != nil {
				t.Fatal(err)
			}
			for i := range needs {
				needs[i].ApplyGangAlignment(test.gang)
			}
			if aligned := test.want == gangs.AlignmentRequired; needs[0].Aligned != aligned || needs[1].Aligned {
				t.Errorf("the planner keeps pairs: %v, without devices: %v, want %v and false", needs[0].Aligned, needs[1].Aligned, aligned)
			}
		})
	}
	if _, err := gangs.ParseAlignment("strict", "podgroup ml/a"); err == nil || !strings.Contains(err.Error(), `of podgroup ml/a is "strict", which must be preferred, required or none`) {
		t.Errorf("a value that does not exist: %v", err)
	}
}
