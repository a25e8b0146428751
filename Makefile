# Needs: a stable Rust toolchain, a C compiler, make. What else a target uses it looks for,
# and says so.

CARGO ?= cargo
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug
# What every test is built with: failpoints and a clock that a test can move.
TESTHOOKS := --features spraylog/testhooks
# make cross TARGET=… builds one of cross.toml's targets; all of them without it.
TARGET ?= aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf \
    aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf
TEST_ARGS ?=
THREADS ?= 10

.DEFAULT_GOAL := help
.PHONY: help demo test check bench chaos cross nightly

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the real agent on a simulated rig, through an outage and a lost answer; about a minute
	@# Both at once, so that the tests' build shares every dependency with this one.
	$(CARGO) build --workspace --bins
	$(BUILT)/hil-sim run --scenario hil-sim/scenarios/demo.toml --agent $(BUILT)/spraylog

test: ## every test that needs no root and no network beyond loopback
	@# Field timelines mostly wait, so more of them run than there are processors.
	RUST_TEST_THREADS=$(THREADS) $(CARGO) test --workspace $(TESTHOOKS) --no-fail-fast $(TEST_ARGS)

check: ## format, lints, shipped configuration and unit, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(TESTHOOKS) -- -D warnings
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) run --quiet --bin spraylog -- check --config config/spraylog.toml
	.ci/unit systemd/spraylog.service
	@if command -v cargo-deny >/dev/null; then \
	    $(CARGO) deny check bans licenses sources; \
	else \
	    echo "skipped: licences and sources of dependencies (no cargo-deny)"; \
	fi

bench: ## speed against bare loops in the same run, and with a million readings waiting; about ten minutes
	$(CARGO) bench --no-fail-fast --bench straight_line --bench backlog --bench draining

chaos: ## half an hour of all faults at random; SPRAYLOG_SEED=N throws what N throws
	SPRAYLOG_CHAOS_MINUTES=$${SPRAYLOG_CHAOS_MINUTES:-30} \
	    $(CARGO) test $(TESTHOOKS) --test field chaos -- --nocapture

cross: ## release binaries for the boards; needs `cross` and a container engine
	@command -v cross >/dev/null || { \
	    echo "make cross: no \`cross\` here; \`cargo install cross\`, and docker or podman" >&2; exit 1; }
	set -e; for target in $(TARGET); do \
	    CROSS_CONFIG=cross.toml cross build --release --bin spraylog --target $$target; \
	done

nightly: ## every scenario, and the tests with long campaigns; about an hour
	$(CARGO) build --workspace --bins $(TESTHOOKS)
	set -e; for scenario in hil-sim/scenarios/*.toml; do \
	    profile=$$(sed -n 's/^profile = "\(.*\)"$$/\1/p' $$scenario); \
	    if [ -n "$$profile" ] && [ ! -e config/meters/$$profile.toml ]; then \
	        echo "== $$scenario skipped: there is no profile $$profile"; continue; \
	    fi; \
	    echo "== $$scenario"; \
	    $(BUILT)/hil-sim run --scenario $$scenario --agent $(BUILT)/spraylog; \
	done
	SPRAYLOG_NIGHTLY=1 PROPTEST_CASES=5000 RUST_TEST_THREADS=$(THREADS) \
	    $(CARGO) test --workspace $(TESTHOOKS) --no-fail-fast
