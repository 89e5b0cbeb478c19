# Millrace. `make` alone prints the targets.
export GOEXPERIMENT ?= simd
export GOAMD64 ?= v3

GO   ?= go
PKG  ?= ./...
SEED ?= 1
TIME ?= 30s
DURATION ?= 1h

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/millrace
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/millrace ./cmd/millrace

.PHONY: test
test: ## all tests that need only Go and gcc
	$(GO) test -timeout 10m $(PKG)

.PHONY: scalar
scalar: ## the vector room without the SIMD experiment, for any amd64
	GOEXPERIMENT= GOAMD64=v1 $(GO) build ./storage/vec/...
	GOEXPERIMENT= GOAMD64=v1 $(GO) test -timeout 10m ./storage/vec/...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, import lattice
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt wants:"; echo "$$out"; exit 1; fi
	$(GO) vet $(PKG)
	$(GO) tool staticcheck $(PKG)
	$(GO) test ./regress/layout

.PHONY: race
race: ## all tests under the race detector
	$(GO) test -race -timeout 30m $(PKG)

.PHONY: logic
logic: ## SQL scripts with golden answers
	$(GO) test -count=1 ./regress/logic/...

.PHONY: plans
plans: ## golden EXPLAINs
	$(GO) test -count=1 ./regress/plans/...

.PHONY: wire
wire: ## the protocol: frames, scripts, drivers at hand
	$(GO) test -count=1 ./server/pgwire ./server/auth ./regress/wire

.PHONY: diff
diff: ## random queries against a PostgreSQL (SEED=n)
	SEED=$(SEED) $(GO) test -count=1 -timeout 60m ./regress/diff/...

.PHONY: crash
crash: ## 1,000 crash and fault schedules (SEED=n)
	$(GO) test -count=1 -timeout 60m ./regress/crash -args -n 1000 -seed $(SEED)

.PHONY: elle
elle: ## isolation of random transactions over lists, 10 minutes (SEED=n)
	$(GO) test -count=1 -timeout 60m ./regress/elle -args -elle.time 200s -elle.seed $(SEED)

.PHONY: kill
kill: ## 50 times kill -9 amid writes
	$(GO) test -count=1 -timeout 60m -run 'TestKill$$' ./regress/clients -args -kill.rounds 50

.PHONY: model
model: ## a keyed table against a map, 1,000,000 operations (SEED=n)
	$(GO) test -count=1 -timeout 60m -run 'TestModel$$' ./storage/tablet -args -model.ops 1000000 -model.seed $(SEED)

.PHONY: soak
soak: build ## everything at once against a server for DURATION=1h, judged (SOAK="-rate 2 -kill 5m")
	$(GO) run ./regress/bench/soak -millrace bin/millrace -duration $(DURATION) $(SOAK)

.PHONY: fuzz
fuzz: ## every fuzzer for TIME each (TIME=30s)
	TIME=$(TIME) scripts/fuzz

.PHONY: bench
bench: build ## benchmarks beside the code (PKG=./storage/vec/...)
	$(GO) test -run '^$$' -bench . -benchmem $(PKG)

.PHONY: integration
integration: build ## real clients against a real server; installs what it lacks when root
	scripts/integration

.PHONY: demo
demo: build ## a server with live data from Kafka to ask questions of (DEMO="--rate 20000")
	bin/millrace demo $(DEMO)

.PHONY: tpch
tpch: build ## a server with a small TPC-H: load, query, compare
	scripts/tpch

.PHONY: gen
gen: ## regenerate generated files
	$(GO) generate $(PKG)

.PHONY: rewrite
rewrite: ## accept new outputs of script tests (PKG=./storage/...), then read the diff
	$(GO) test -count=1 $(PKG) -rewrite

.PHONY: ci
ci: ## what CI runs; ends with 'N passed, N failed'
	@.ci/run
