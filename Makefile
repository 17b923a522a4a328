# make up      the whole platform on this machine, and a first payment
# make down    all of it away again
# make demo    on that platform, under a load of payments: a good release, and a bad one that rolls itself back
# make test    every check and every test
# make e2e     all of the end-to-end proofs, the long ones as well
# make bench   payments a second, and what each costs, beside pgbench on the same PostgreSQL
# make torture N=10000 SEED=7   kill the real processes under load at random points, then compare what everybody knows
# make bench-release   how fast a bad release loses its traffic (20 runs, on the platform of make up)
# make bench-operator   what the operator costs with 1,000 PaymentClusters at rest (14 minutes, on an API server of its own)
# make verdicts HOURS=10000   judge simulated releases: hours of noise that must convict nobody, regressions that must be caught
# make fuzz FUZZ_SECONDS=600   feed every parser of foreign bytes for so long each
# make help    the rest

SHELL := /bin/bash
CACHE := $(or $(PURSER_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/purser)
# Outside the checkout, so that a new clone builds in minutes what an old one has built already.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PURSER_CACHE := $(CACHE)
E2E := $(CARGO_TARGET_DIR)/release/e2e
CLUSTER_TESTS := --test control_plane --test api_server --test platform
# A failed test says what it saw; the stack below it is the test runner's.
export RUST_BACKTRACE := 0

.PHONY: help up down demo test e2e bench bench-release bench-operator torture verdicts fuzz build checkout lint unit generate status logs

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo 'make lint    format and lints'
	@echo 'make unit    tests that need no cluster (real PostgreSQL and Redis)'
	@echo 'make generate  write the generated files anew (custom resource definitions, test data of the examples)'
	@echo 'make status  what runs on this machine;  make logs  its logs'
	@echo 'CLUSTER=current  use the cluster of the current kubeconfig instead of a local one (images go to PURSER_REGISTRY)'

up: build
	$(E2E) up

down: build
	$(E2E) down

demo: build
	$(E2E) demo

status: build
	$(E2E) cluster status

logs: build
	$(E2E) cluster logs

# Cargo gives what it builds from two checkouts the same names, and then compares only the times of files: what was built
# last from another checkout would be taken for this one's. Dependencies are the same, and stay.
MEMBERS := $(addprefix -p ,crds operator runtime runtime-contract e2e next-release fuzz)
checkout:
	@mkdir -p $(CARGO_TARGET_DIR)
	@if [ "$$(cat $(CARGO_TARGET_DIR)/checkout 2>/dev/null)" != "$(CURDIR)" ]; then \
		cargo clean --quiet $(MEMBERS) && cargo clean --quiet --release $(MEMBERS) && echo "$(CURDIR)" > $(CARGO_TARGET_DIR)/checkout; \
	fi

# One build of everything, so that no dependency is compiled twice for two selections of packages.
build: checkout
	cargo build --release --workspace --bins --locked

generate: checkout
	cargo run -q -p crds --bin crdgen
	cp crds/*.yaml charts/purser/files/crds/
	PURSER_WRITE_EXAMPLES=1 cargo test -q -p operator --lib gitops

lint: checkout
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(CLUSTER_TESTS) --locked -- -D warnings

# Programs of others that judge ours. A test whose program is named here, and is not there, fails.
test unit: export PURSER_STRIPE_MOCK := $(abspath $(CACHE))/bin/stripe-mock
test unit: export PURSER_SCHEMATHESIS := $(abspath $(CACHE))/bin/schemathesis

unit: build
	$(E2E) test-servers
	cargo test --workspace --locked

# Takes five minutes, and wants the machine for itself. BENCH="--long --rows 10000000" for all of it.
bench: build
	$(E2E) bench $(BENCH)

RUNS := 20
bench-release: build
	$(E2E) bench-release --runs $(RUNS)

bench-operator: build
	$(E2E) bench-operator $(BENCH)

N := 200
torture: build
	$(E2E) torture --kills $(N) $(if $(SEED),--seed $(SEED))

HOURS := 10000
verdicts: build
	$(E2E) verdicts --hours $(HOURS) $(if $(SEED),--seed $(SEED))

FUZZ_SECONDS := 60
fuzz: checkout
	cargo run --release --locked -p fuzz -- --seconds $(FUZZ_SECONDS)

# The operators of these tests have the chart's rights. What they used of them stands in the audit logs of their API servers.
AUDIT_LOGS := $(CACHE)/audit
define api_server
rm -rf "$(AUDIT_LOGS)"
PURSER_AUDIT_LOGS="$(AUDIT_LOGS)" cargo test --workspace --locked --test control_plane --test api_server -- --test-threads=6 $(1)
$(E2E) rights "$(AUDIT_LOGS)"
rm -rf "$(AUDIT_LOGS)"
endef

# From the quick to the slow. `--workspace` throughout, so that every dependency is compiled once.
test: lint build
	$(E2E) test-servers
	$(E2E) cluster up --defer-metrics
	$(E2E) images load
	cargo build --workspace --bins --locked
	cargo test --workspace --locked
	$(E2E) torture --kills 200
	$(E2E) verdicts --hours 500 --regressions 3000 --canaries 3000
	$(call api_server)
	cargo test --workspace --locked --test platform -- --test-threads=1 --show-output

# The end-to-end tests above, and those that are ignored there for the time that they take.
e2e: build
	$(E2E) test-servers
	$(E2E) cluster up --defer-metrics
	$(E2E) images load
	cargo build --workspace --bins --locked
	$(E2E) torture --kills 200
	$(E2E) verdicts --hours 10000 $(if $(SEED),--seed $(SEED))
	$(call api_server,--include-ignored --show-output)
	cargo test --workspace --locked --test platform -- --test-threads=1 --show-output --include-ignored
