// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// gangArgs has the arguments of the plugin Gang and its sources (readers of gang declarations),
// by profile, for the plugin Preemption of the same profile.
type gangArgs struct {
	shared   *declarations
	mu       sync.Mutex
	profiles map[string]profileGangs
}

type profileGangs struct {
	args    *config.GangArgs
	sources gangs.Sources
}

// set records the arguments of a profile.
func (g *gangArgs) set(profile string, obj runtime.Object) error {
	args, err := config.DecodeGangArgs(obj)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.profiles == nil {
		g.profiles = map[string]profileGangs{}
	}
	g.profiles[profile] = profileGangs{args: args, sources: g.shared.Sources(args.Sources)}
	return nil
}

// of returns the arguments and sources of a profile. A profile without the plugin Gang has the
// default arguments and no gangs.
func (g *gangArgs) of(profile string) (*config.GangArgs, gangs.Sources) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.profiles[profile]; ok {
		return known.args, known.sources
	}
	args, err := config.DecodeGangArgs(nil)
	if err != nil {
		args = &config.GangArgs{} // the defaults are valid
	}
	return args, nil
}
