// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/dovetail-dev/dovetail/pkg/apis/config/v1"
)

const (
	// maxReportDelay is the longest time before an incomplete gang (pods that are placed
	// together) is reported. A gang that waits for an hour without a report looks like a bug.
	maxReportDelay = time.Hour
	// maxReplans is how many times in a row nodes are planned anew for a gang, at most,
	// after its plan was refused. Other gangs wait during each plan.
	maxReplans = 10
	// maxPermitTimeout is the longest time that a pod may wait in Permit for the rest of its
	// gang. It is the scheduling framework's own limit. The framework shortens a longer wait
	// without a message.
	maxPermitTimeout = 15 * time.Minute
	// maxHealAfter is the longest time before a gang that lost members is moved. A gang
	// that may lack members for a day may as well lack them for ever.
	maxHealAfter = 24 * time.Hour
	// maxMaxBypass is the longest time before nodes are reserved for a gang without room. An
	// administrator notices a gang that waits longer.
	maxMaxBypass = 7 * 24 * time.Hour
	// maxMinRuntime is the longest time for which a gang is protected from eviction. It is
	// also the longest that an annotation can ask for.
	maxMinRuntime = 24 * time.Hour
	// maxPreemptAfter is the longest wait before pods are evicted for a gang. An autoscaler
	// that adds no node within a day adds none.
	maxPreemptAfter = 24 * time.Hour
	// maxSearchBudget is the most steps of the search for a gang's nodes. They take some
	// minutes, more than any search needs.
	maxSearchBudget = 1_000_000_000
	// maxLevels is the most levels of the network, as in Kueue's Topology. Real networks
	// have far fewer levels.
	maxLevels = 16
	// maxAttributeDomain and maxAttributeName are the API server's limits on the
	// names of device attributes.
	maxAttributeDomain, maxAttributeName = 63, 32
	// maxFilterTimeout limits the search for devices on one node. No other pod is
	// scheduled during the search.
	maxFilterTimeout = 10 * time.Minute
	// maxBindingTimeout is the longest wait for allocated devices. A device that is not
	// ready after a day will not become ready.
	maxBindingTimeout = 24 * time.Hour

	// nodeLevel is the name of the last level, the nodes themselves, which is never listed.
	nodeLevel = "node"
)

func validateGang(args *GangArgs) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, durationIn("reportDelay", args.ReportDelay, 0, maxReportDelay)...)
	errs = append(errs, intIn("maxReplans", args.MaxReplans, 0, maxReplans)...)
	errs = append(errs, durationIn("permitTimeout", args.PermitTimeout, time.Second, maxPermitTimeout)...)
	errs = append(errs, durationIn("healAfter", args.HealAfter, 0, maxHealAfter)...)
	errs = append(errs, durationIn("maxBypass", args.MaxBypass, 0, maxMaxBypass)...)
	errs = append(errs, oneOf("reserve", args.Reserve, ReserveKeep, ReserveBackfill)...)
	errs = append(errs, oneOf("preemption", args.Preemption, PreemptByPriority, PreemptNever)...)
	errs = append(errs, oneOf("budgets", args.Budgets, BudgetsRespect, BudgetsPrefer)...)
	errs = append(errs, oneOf("victims", args.Victims, VictimsAll, VictimsOwn)...)
	errs = append(errs, durationIn("minRuntime", args.MinRuntime, 0, maxMinRuntime)...)
	errs = append(errs, durationIn("preemptAfter", args.PreemptAfter, 0, maxPreemptAfter)...)
	errs = append(errs, validateSources(field.NewPath("sources"), args.Sources)...)
	return append(errs, intIn("searchBudget", args.SearchBudget, 0, maxSearchBudget)...)
}

func validateSources(path *field.Path, sources []GangSource) field.ErrorList {
	known := v1.DefaultSources()
	if len(sources) == 0 {
		return field.ErrorList{field.Required(path, fmt.Sprintf("must name at least one of %q", known))}
	}
	var errs field.ErrorList
	seen := sets.New[GangSource]()
	for i, source := range sources {
		if !slices.Contains(known, string(source)) {
			errs = append(errs, field.NotSupported(path.Index(i), string(source), known))
		} else if seen.Has(source) {
			errs = append(errs, field.Duplicate(path.Index(i), string(source)))
		}
		seen.Insert(source)
	}
	return errs
}

// validateTopology checks the arguments as written and not as converted: the conversion
// of a preset replaces the levels, which must not be written beside it.
func validateTopology(args *v1.TopologyArgs) field.ErrorList {
	levels := field.NewPath("levels")
	if args.Preset == nil {
		return validateLevels(levels, args.Levels)
	}
	var errs field.ErrorList
	preset := field.NewPath("preset")
	if args.Levels != nil {
		errs = append(errs, field.Forbidden(levels, "must not be written together with preset"))
	}
	if _, ok := presetLevels(*args.Preset); !ok {
		errs = append(errs, field.NotSupported(preset, *args.Preset, PresetNames()))
	}
	return errs
}

func validateLevels(path *field.Path, levels []v1.TopologyLevel) field.ErrorList {
	if len(levels) == 0 {
		return field.ErrorList{field.Required(path, "must name at least one level; a fabric without levels is preset: flat")}
	}
	var errs field.ErrorList
	if len(levels) > maxLevels {
		errs = append(errs, field.TooMany(path, len(levels), maxLevels))
	}
	names, labels, attributes := sets.New[string](), sets.New[string](), sets.New[string]()
	for i, level := range levels {
		errs = append(errs, validateLevelName(path.Index(i).Child("name"), level.Name, names)...)
		label, attribute := path.Index(i).Child("nodeLabel"), path.Index(i).Child("deviceAttribute")
		switch {
		case level.NodeLabel != nil && level.DeviceAttribute != nil:
			errs = append(errs, field.Forbidden(attribute, "must not be written together with nodeLabel"))
		case level.DeviceAttribute != nil:
			errs = append(errs, validateDeviceAttribute(attribute, *level.DeviceAttribute, attributes)...)
		default:
			errs = append(errs, validateNodeLabel(label, ptr.Deref(level.NodeLabel, ""), labels)...)
		}
	}
	return errs
}

func validateLevelName(path *field.Path, name string, seen sets.Set[string]) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(path, "must be a name such as rack")}
	case name == nodeLevel:
		return field.ErrorList{field.Invalid(path, name, "is reserved for the nodes themselves, which are always the last level")}
	case seen.Has(name):
		return field.ErrorList{field.Duplicate(path, name)}
	}
	seen.Insert(name)
	return invalidAll(path, name, validation.IsDNS1123Label(name))
}

func validateNodeLabel(path *field.Path, label string, seen sets.Set[string]) field.ErrorList {
	switch {
	case label == "":
		return field.ErrorList{field.Required(path, "must be the key of a node label, unless deviceAttribute names a device attribute")}
	case seen.Has(label):
		return field.ErrorList{field.Duplicate(path, label)}
	}
	seen.Insert(label)
	return invalidAll(path, label, validation.IsQualifiedName(label))
}

// validateDeviceAttribute applies the rules that ResourceSlices have for names of
// attributes.
func validateDeviceAttribute(path *field.Path, attribute string, seen sets.Set[string]) field.ErrorList {
	domain, id, qualified := strings.Cut(attribute, "/")
	switch {
	case !qualified:
		return field.ErrorList{field.Invalid(path, attribute, "must be a domain and a name, such as azure.dra.net/placementGroupId")}
	case seen.Has(attribute):
		return field.ErrorList{field.Duplicate(path, attribute)}
	}
	seen.Insert(attribute)
	errs := invalidAll(path, attribute, validation.IsDNS1123Subdomain(domain))
	errs = append(errs, invalidAll(path, attribute, validation.IsCIdentifier(id))...)
	if len(domain) > maxAttributeDomain || len(id) > maxAttributeName {
		detail := fmt.Sprintf("must have at most %d characters before the slash and %d behind it", maxAttributeDomain, maxAttributeName)
		errs = append(errs, field.Invalid(path, attribute, detail))
	}
	return errs
}

func validateDRAAware(args *DRAAwareArgs) field.ErrorList {
	errs := durationIn("filterTimeout", args.FilterTimeout, 0, maxFilterTimeout)
	return append(errs, durationIn("bindingTimeout", args.BindingTimeout, time.Second, maxBindingTimeout)...)
}

func durationIn(name string, value, least, most time.Duration) field.ErrorList {
	if value >= least && value <= most {
		return nil
	}
	detail := fmt.Sprintf("must be from %v to %v", least, most)
	return field.ErrorList{field.Invalid(field.NewPath(name), value.String(), detail)}
}

func intIn(name string, value, least, most int) field.ErrorList {
	if value >= least && value <= most {
		return nil
	}
	detail := fmt.Sprintf("must be from %d to %d", least, most)
	return field.ErrorList{field.Invalid(field.NewPath(name), value, detail)}
}

func oneOf[T ~string](name string, value T, valid ...T) field.ErrorList {
	if slices.Contains(valid, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(field.NewPath(name), value, valid)}
}

func invalidAll(path *field.Path, value string, details []string) field.ErrorList {
	var errs field.ErrorList
	for _, detail := range details {
		errs = append(errs, field.Invalid(path, value, detail))
	}
	return errs
}
