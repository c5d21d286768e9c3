# Copyright The Dovetail Authors.
# SPDX-License-Identifier: Apache-2.0

# `make help` lists the targets: a target with a ## comment is one for users.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .cache/bin

# A binary must not depend on the state of the checkout it was built in.
export GOFLAGS := -buildvcs=false

##@ General

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z-]*:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## End the local cluster, if one runs, and remove everything that was built.
	@if [[ -d .cache/cluster ]]; then $(MAKE) --no-print-directory down; fi
	rm -rf .cache

##@ Local cluster

LOCALCLUSTER = go run ./test/localcluster/cmd

.PHONY: build
build: ## Build every program of the local cluster, and the scheduler, into .cache/bin.
	@echo "compiling the command that builds the rest (minutes when Go's cache is empty)"
	$(LOCALCLUSTER) build

# Fleets of simulated nodes, separated by spaces; none means the demo's.
FLEET ?=
# The cluster's directory; none means .cache/cluster.
DIR ?=
# Further options of the command: go run ./test/localcluster/cmd up --help.
OPTIONS ?=

.PHONY: up
up: ## Start the local cluster (make up FLEET="shape=ndh100v5,spines=2,leaves=2,nodes=4").
	$(LOCALCLUSTER) up $(foreach fleet,$(FLEET),--fleet $(fleet)) $(if $(DIR),--dir $(DIR)) $(OPTIONS)

.PHONY: down
down: ## End the local cluster.
	$(LOCALCLUSTER) down $(if $(DIR),--dir $(DIR))

##@ Demo

.PHONY: demo
demo: ## Watch gangs being placed on a simulated GPU fleet, by the real scheduler.
	go build -o $(BIN)/demo ./test/demo
	$(BIN)/demo

##@ Test

# Packages that need no built binary and no cluster.
UNIT_PACKAGES = $$(go list ./... | grep -v '/dovetail/test/')

.PHONY: test
test: test-unit test-integration ## Run everything that a change must pass.

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster.
	go test -timeout 10m $(UNIT_PACKAGES)

# The packages that test-race tests.
RACE ?= ./pkg/...

# The first run compiles Kubernetes anew, which takes minutes. The race detector needs a C compiler.
.PHONY: test-race
test-race: ## Run the tests of pkg/ with the race detector (make test-race RACE=./pkg/plugins/draaware).
	go test -race -timeout 60m $(RACE)

# Two packages at a time, and one test at a time in a package: each has a cluster, and the
# start of a cluster takes seconds of CPU time. The machine may be a small one. The package
# that takes longest starts first.
.PHONY: test-integration
test-integration: build ## Run the tests that start real clusters.
	go test -timeout 45m -p 2 -parallel 1 ./test/integration ./test/...

# The scheduler that test-upstream runs workloads with: dovetail or stock.
PROFILE ?= dovetail

.PHONY: test-upstream
test-upstream: build ## Run all of upstream's integration workloads of DRA, with each allocator, of PodGroups and of pods (PROFILE=stock).
	SCHEDULERPERF_ALL=1 SCHEDULERPERF_PROFILE=$(PROFILE) go test -v -timeout 4h -run TestUpstream ./test/schedulerperf

.PHONY: test-churn
test-churn: build ## Churn 200 pods over 16 ND H100 v5 nodes, with stock and with Dovetail, and print who kept pairs.
	CHURN_FULL=1 go test -v -timeout 2h -run TestChurnKeepsPairs ./test/integration

.PHONY: test-native
test-native: build ## Run a cluster for each set of feature gates of Kubernetes' own PodGroups, and clusters of 1.36 and 1.35 as far as they can be emulated.
	NATIVE_MATRIX=1 go test -v -timeout 30m -run "TestGateMatrix|TestOlderServers" ./test/podgroups
	for version in 1.36 1.35; do GANGS_EMULATE=$$version go test -count=1 -timeout 20m ./test/gangs; done

# How long the gangs of test-life live, and the seed of what happens to them (none: another each time).
LIFE_LENGTH ?= 10m
LIFE_SEED ?=

.PHONY: test-life
test-life: build ## Have 30 gangs live through killed pods, lost nodes, resizes and killed schedulers (make test-life LIFE_LENGTH=2m LIFE_SEED=7).
	LIFE_LENGTH=$(LIFE_LENGTH) LIFE_SEED=$(LIFE_SEED) go test -v -timeout 2h -run 'TestLife$$' ./test/integration

# How long gangs come and go in soak.
SOAK_LENGTH ?= 1h

.PHONY: soak
soak: build ## Have gangs come and go, and fail if the scheduler's memory, goroutines or tables grow (make soak SOAK_LENGTH=10m).
	SOAK_LENGTH=$(SOAK_LENGTH) go test -v -count=1 -timeout 12h -run 'TestSoak$$' ./test/soak

# The number of faults of test-chaos, 1000 for each cluster, and the seed of the first
# cluster (none: another each time). KINDS limits the faults to some kinds, separated by
# commas. REPLICAS is 1 or 2 (none: by the seed).
FAULTS ?= 1000
CHAOS_SEED ?=
KINDS ?=
REPLICAS ?=

.PHONY: test-chaos
test-chaos: build ## Have gangs of every source live through lost answers, killed servers and lost nodes (make test-chaos FAULTS=1000 CHAOS_SEED=7).
	CHAOS_FAULTS=$(FAULTS) CHAOS_SEED=$(CHAOS_SEED) CHAOS_KINDS=$(KINDS) CHAOS_REPLICAS=$(REPLICAS) go test -v -count=1 -timeout 24h -run 'TestChaos$$' ./test/chaos

# The ways of test-harm: those whose name contains one of these words, separated by commas
# (none: all). HARM_PODS is the number of pods of most ways; some have ten times as many.
WAYS ?=
HARM_PODS ?= 1000

.PHONY: test-harm
test-harm: build ## Have one namespace try to harm another in many ways, with stock and with Dovetail, and print what the other's pods waited (make test-harm WAYS=selector).
	HARM_FULL=1 HARM_WAYS="$(WAYS)" HARM_PODS=$(HARM_PODS) go test -v -count=1 -timeout 4h -run 'TestHarm$$' ./test/harm

.PHONY: test-writes
test-writes: build ## Count what a gang of 500 that cannot fit writes in 5 minutes, while other pods come and go.
	WRITES_FULL=1 go test -v -timeout 30m -run TestWaitingGangWritesLittle ./test/integration

# How long each fuzz test runs; go test takes one at a time.
FUZZTIME ?= 30s

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME each (make fuzz FUZZTIME=10m).
	@grep -rl --include='*_test.go' '^func Fuzz' cmd pkg test | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$name in $$(dirname "$$file") for $(FUZZTIME)"; \
			go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME); \
		done; \
	done

##@ Benchmarks

BENCH_PERF = $(BIN)/bench-perf

.PHONY: bench-command
bench-command:
	go build -o $(BENCH_PERF) ./bench/perf/cmd

# The workload of bench-perf, how often each scheduler runs it, and further
# options: go run ./bench/perf/cmd run --help.
WORKLOAD ?=
ROUNDS ?= 3
PERF_OPTIONS ?=

.PHONY: bench
bench: bench-command ## Compare stock, Dovetail and the oracle by the short set of workloads.
	$(BENCH_PERF) short $(PERF_OPTIONS)

.PHONY: bench-perf
bench-perf: bench-command ## Compare them by one workload, of `make bench-list` (make bench-perf WORKLOAD=basic ROUNDS=5).
	$(BENCH_PERF) run --rounds $(ROUNDS) $(PERF_OPTIONS) $(WORKLOAD)

.PHONY: bench-list
bench-list: bench-command ## List the workloads that have short names.
	$(BENCH_PERF) list

.PHONY: bench-table
bench-table: bench-command ## Print one table of the workloads that were run (.cache/bench).
	@$(BENCH_PERF) table

# Which benchmarks run, how often and how long each.
BENCH ?= .
COUNT ?= 1
BENCHTIME ?= 1s

.PHONY: bench-score
bench-score: ## Run the benchmarks of what is done for every pod or node (scores, queue, plans, Permit, order of devices), each beside stock's.
	go test ./bench/score ./pkg/devices ./pkg/plugins/draaware ./pkg/plugins/gang -run '^$$' -bench 'Score|Snapshot|Planned|Permit|Less|Order' -benchmem -benchtime $(BENCHTIME) -count $(COUNT)

.PHONY: bench-micro
bench-micro: ## Run the benchmarks of single parts (make bench-micro BENCH=Plan COUNT=10).
	go test ./bench/... ./pkg/devices ./pkg/plugins/draaware ./pkg/plugins/gang -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT)

# How many traces bench-quality runs, each from a seed of its own.
SEEDS ?= 5

.PHONY: bench-quality
bench-quality: ## Compare where gangs are put, by simulation: stock, Dovetail and baselines (make bench-quality SEEDS=10).
	go run ./bench/quality -seeds $(SEEDS)

.PHONY: bench-check
bench-check: ## Say which figures under .cache/bench left their ranges in bench/ranges.yaml.
	@go run ./bench/check

##@ Verify

# The version of govulncheck. It is no requirement of go.mod: it is fetched when it runs.
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.1.4

.PHONY: vuln
vuln: ## Check the dependencies for known vulnerabilities; needs a network (docs/security.md).
	go run $(GOVULNCHECK) ./...

.PHONY: generate
generate: ## Write the files that are made from others (docs/config.md).
	go generate ./...

# What generate changed, or would add, shows up in the state of the work tree;
# a tree that is clean before it, as in CI, must be clean after it.
TREE_STATE = { git status --porcelain; git diff; } | cksum

.PHONY: verify
verify: verify-generated verify-format verify-modules lint ## Check generated files, format, modules and style.

.PHONY: verify-generated
verify-generated:
	@before=$$($(TREE_STATE)); $(MAKE) --no-print-directory generate; \
	if [[ "$$before" != "$$($(TREE_STATE))" ]]; then \
		echo "make generate changed these files; commit the result:"; git status --short; exit 1; \
	fi

.PHONY: verify-format
verify-format:
	@files=$$(git ls-files --cached --others --exclude-standard '*.go' | while read -r file; do [[ ! -e "$$file" ]] || echo "$$file"; done); \
	unformatted=$$(gofmt -l $$files); \
	if [[ -n "$$unformatted" ]]; then \
		echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; \
	fi

# go mod tidy would fetch the test dependencies of every dependency, so whether
# go.mod says what the code imports is a test (pkg/internal/arch). Here: nothing
# in the module cache was tampered with, and the other modules agree with go.sum.
.PHONY: verify-modules
verify-modules:
	go mod verify
	go test ./pkg/internal/arch

.PHONY: lint
lint: $(BIN)/.lint-tools ## Run go vet, revive and staticcheck.
	go vet ./...
	$(BIN)/revive -config tools/revive.toml -formatter friendly -set_exit_status ./...
	STATICCHECK_CACHE=$(CURDIR)/.cache/staticcheck $(BIN)/staticcheck ./...

$(BIN)/.lint-tools: tools/go.mod tools/go.sum
	@mkdir -p $(BIN)
	go build -C tools -o ../$(BIN)/ tool
	@touch $@
