# The only door: `make demo` and `make test` need Python 3.10 to 3.12, make and a Rust toolchain.
# Everything else is installed below .venv and the user's caches.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
JAR := python/rtea/flink/rtea-flink.jar
RUST := $(shell find rust_core -name '*.rs' -not -path '*/fuzz/*') $(wildcard rust_core/*/Cargo.toml) Cargo.toml Cargo.lock
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint test-rust test-python test-bigquery test-e2e drills fuzz audit emulator bench bench-gate bench-live bench-drain bench-bigquery bench-generator bench-orders docs wheel lock clean

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | sort

$(VENV)/installed: requirements.lock
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10 to 3.12 found: install one, or set PYTHON=/path/to/python"; exit 2; }
	@command -v cargo >/dev/null || { echo "error: no cargo found: install a Rust toolchain"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

# The package is installed in place; only Rust has to be compiled, in release mode.
$(VENV)/built: $(VENV)/installed pyproject.toml $(RUST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(JAR): $(VENV)/built jars/maven.toml jars/build.py $(shell find jars/src -name '*.java')
	$(BIN)/rtea jars fetch
	$(BIN)/python jars/build.py

setup: $(JAR) ## Install dependencies, build the extension, fetch and build the jars.

demo: setup ## Run the whole pipeline for three minutes and prove its rows.
	$(BIN)/rtea demo $(DEMO)

test: setup lint test-rust fuzz test-python test-bigquery test-e2e ## Everything CI runs, but the benchmark gate.

lint: setup ## Format, lints, types and the rooms' boundaries.
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-rust: ## Unit tests, laws and vectors of the Rust crates.
	cargo test --quiet --workspace --exclude rtea-py --locked

test-python: setup ## Python tests without Kafka and Flink.
	$(BIN)/pytest --doctest-modules python/rtea generator/rtea_gen tests/unit tests/laws tests/conformance -m "not bigquery"

test-e2e: setup ## Tests and quick drills on a real Kafka and a real Flink cluster.
	$(BIN)/pytest tests/stack tests/flink tests/drills -m "quick or not drill"

emulator: setup ## Install the BigQuery emulator into the user's cache; done once.
	$(BIN)/python -m tests.bigquery.emulator

test-bigquery: emulator ## Tests of the BigQuery sink on the emulator.
	$(BIN)/pytest tests/bigquery tests/conformance -m bigquery

drills: setup ## Every fault drill on a real Kafka and a real Flink cluster; about 40 minutes.
	$(BIN)/pytest tests/drills $(DRILLS)

# What `cargo fuzz` does, on the stable toolchain: libFuzzer's instrumentation without a sanitizer, which needs a nightly one.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
FUZZ_TARGETS := json msgpack state fold
SANITIZER ?=
SECONDS ?= 60
FUZZ := target/fuzz$(SANITIZER)

fuzz: ## Fuzz decoders, fold and state bytes, each for SECONDS; with SANITIZER=address on a nightly toolchain.
	RUSTFLAGS="$(FUZZ_FLAGS) $(SANITIZER:%=-Zsanitizer=%)" cargo $(SANITIZER:%=+nightly) build --quiet --release --locked \
		--manifest-path rust_core/fuzz/Cargo.toml --target x86_64-unknown-linux-gnu --target-dir $(FUZZ)
	@$(MAKE) --no-print-directory --jobs 2 $(FUZZ_TARGETS:%=fuzzed-%)

fuzzed-%:
	@mkdir -p $(FUZZ)/artifacts $(FUZZ)/found/$*
	@$(FUZZ)/x86_64-unknown-linux-gnu/release/$* $(FUZZ)/found/$* rust_core/fuzz/corpus/$* \
		-max_total_time=$(SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -seed=1 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix=$(FUZZ)/artifacts/$*- > $(FUZZ)/$*.log 2>&1 || { tail -40 $(FUZZ)/$*.log | cut -c1-400; exit 1; }
	@echo "$*: $$(grep -o 'number_of_executed_units: [0-9]*' $(FUZZ)/$*.log), nothing found"

audit: setup ## Licences, sources and known vulnerabilities of dependencies (needs cargo-deny, and the advisories' servers).
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
	cargo deny --locked check licenses bans sources
	cargo deny --locked check advisories
	@test -x $(VENV)-audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/pip install --quiet pip-audit; }
	$(VENV)-audit/bin/pip-audit --requirement requirements.lock --disable-pip --require-hashes --strict

bench: setup ## Measure decode, fold, merge and encode.
	$(BIN)/pytest bench --benchmark-only

bench-gate: setup ## Fail when this tree is more than 10 % slower than the merge base.
	$(BIN)/python -m bench.gate

bench-live: setup ## Hold 50,000 msg/s for three minutes within the promised limits.
	$(BIN)/python -m bench.live

bench-drain: setup ## Drain a full topic, against Flink SQL.
	$(BIN)/python -m bench.drain

bench-bigquery: emulator ## What the BigQuery sink adds to freshness, and a backfill's cost.
	$(BIN)/python -m bench.bigquery

bench-generator: setup ## How fast the generator is, beside a bare produce() loop.
	$(BIN)/python -m bench.generator

bench-orders: setup ## What counting orders once costs.
	$(BIN)/python -m bench.orders

docs: setup ## Generate docs/configuration.md.
	$(BIN)/rtea config docs > docs/configuration.md

wheel: setup ## Build the wheel into dist/.
	$(BIN)/maturin build --release --locked --out dist

lock: ## Resolve the lock files again (needs uv).
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
		--extra flink --group pyproject.toml:dev pyproject.toml --output-file requirements.lock
	cd tests/bigquery && uv pip compile --quiet --python-version 3.13 --generate-hashes --no-emit-index-url --no-header \
		--override emulator.overrides emulator.in --output-file emulator.lock

clean: ## Remove what was built here; caches and the demo's rows stay.
	rm -rf $(VENV) $(VENV)-audit target build dist $(JAR) python/rtea/_core.abi3.so
