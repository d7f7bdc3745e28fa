# `make demo` and `make test` need Python 3.10 to 3.12, make and a Rust toolchain. They install everything else below
# .venv and the user's caches, with the versions and hashes in uv.lock, Cargo.lock and jars/maven.toml. Only the target
# `lock` resolves versions, so set-up installs the same versions every time.

VENV ?= .venv
BIN := $(VENV)/bin
# The interpreter itself, not a shim (pyenv, for example) that depends on the current directory.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && \
	$$p -c 'import sys; print(sys.executable)' && break; done)
# The pinned uv, in an environment of its own; UV=uv uses the one in PATH.
OWN_UV := $(VENV)-uv/bin/uv
UV ?= $(OWN_UV)
BOOTSTRAP := install --quiet --disable-pip-version-check --no-deps --require-hashes -r uv-bootstrap.txt
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
JAR := python/rtea/flink/rtea-flink.jar
REPORTER := python/rtea/flink/rtea-reporter.jar
RUST := $(shell find rust_core -name '*.rs' -not -path '*/fuzz/*') $(wildcard rust_core/*/Cargo.toml) Cargo.toml Cargo.lock
export PATH := $(abspath $(BIN)):$(PATH)
# uv must not download an interpreter, and must not use another environment that is active.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(abspath $(VENV))
unexport VIRTUAL_ENV
# If these name another index than the lock file, uv would resolve again.
unexport UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL
INSTALL := $(UV) sync --quiet --locked --no-install-project

.DEFAULT_GOAL := help
.PHONY: help setup toolchain demo test lint test-rust test-java test-python test-oldest-duckdb test-bigquery test-e2e test-stack test-job browser screenshots drills fuzz audit emulator bench bench-gate bench-live bench-drain bench-figures bench-scale bench-metrics bench-lateness bench-bigquery bench-generator bench-orders docs wheel lock clean

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | sort

toolchain:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10 to 3.12 found: install one, or set PYTHON=/path/to/python" >&2; exit 2; }
	@found=$$(rustc --version 2>/dev/null | cut -d' ' -f2); \
	test -n "$$found" && command -v cargo >/dev/null || \
		{ echo "error: no Rust toolchain found: install Rust $(RUST_VERSION) or newer, for example with rustup" >&2; exit 2; }; \
	printf '%s\n' $(RUST_VERSION) "$${found%%-*}" | sort --version-sort --check=quiet || \
		{ echo "error: rustc is $$found, RTEA needs $(RUST_VERSION) or newer: run \`rustup update stable\`" >&2; exit 2; }

$(OWN_UV): uv-bootstrap.txt | toolchain
	@echo "setup: installing uv into $(VENV)-uv"
	@# The interpreter's own pip is fastest. If it has none, or one before 22.3, install pip into the environment.
	@"$(PYTHON)" -m venv --clear --without-pip $(VENV)-uv
	@"$(PYTHON)" -m pip --python $(VENV)-uv/bin/python $(BOOTSTRAP) 2>/dev/null || { \
		"$(PYTHON)" -m venv --clear $(VENV)-uv && $(VENV)-uv/bin/python -m pip $(BOOTSTRAP); }
	@touch $@

# The build tools come first, so that packages built from source use locked versions of them.
$(VENV)/tools: uv.lock $(filter $(OWN_UV),$(UV)) | toolchain
	@$(INSTALL) --python "$(PYTHON)" --inexact --only-group build
	@touch $@

$(VENV)/packages: $(VENV)/tools
	@echo "setup: installing Python packages from uv.lock into $(VENV)"
	@$(INSTALL) --python "$(PYTHON)" --all-extras --no-build-isolation
	@touch $@

build/crates: Cargo.lock | toolchain
	@echo "setup: fetching Rust's crates from Cargo.lock, unless they are in the cache"
	@cargo fetch --quiet --locked
	@mkdir -p $(@D) && touch $@

$(VENV)/compiled: $(VENV)/tools build/crates pyproject.toml $(RUST)
	@echo "setup: compiling the Rust extension, about a minute on two cores"
	@$(BIN)/maturin build --quiet --release --locked --out build/compiled
	@touch $@

# Install the package in place (editable), with the compiled extension.
$(VENV)/built: $(VENV)/packages $(VENV)/compiled
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# These do not need the extension, which may still be compiling.
$(JAR): $(VENV)/packages jars/maven.toml jars/build.py $(shell find jars/src jars/reporter -type f)
	@echo "setup: fetching Kafka's and Flink's jars, 200 MB, unless they are in the cache"
	@PYTHONPATH=python $(BIN)/python -m rtea jars fetch
	@PYTHONPATH=python $(BIN)/python jars/build.py
	@touch $@

$(REPORTER): $(JAR)
	@test -f $@ || PYTHONPATH=python $(BIN)/python jars/build.py
	@touch $@

setup: ## Install dependencies, build the extension, fetch and build the jars.
	@# Download packages and jars while Rust compiles.
	@$(MAKE) --silent --no-print-directory --jobs=2 $(VENV)/packages $(VENV)/compiled $(REPORTER)
	@$(MAKE) --silent --no-print-directory $(VENV)/built

demo: setup ## Run the whole pipeline for three minutes and verify its rows.
	$(BIN)/rtea demo $(DEMO)

test: setup ## Everything that CI runs, except the benchmark gate.
	@$(MAKE) --no-print-directory lint test-rust
	@# The emulator's tests mostly wait.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-bigquery fuzz test-java test-python test-oldest-duckdb
	@$(MAKE) --no-print-directory test-e2e

lint: setup ## Check format, lints, types, imports between parts, and the prose of the docs.
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --workspace --locked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/proselint check --config docs/proselint.json --output-format compact README.md ARCHITECTURE.md CHANGELOG.md $(filter-out docs/STYLE.md,$(wildcard docs/*.md))

test-rust: ## Unit tests, property tests and test vectors of the Rust crates.
	cargo test --quiet --workspace --exclude rtea-py --locked

test-java: setup ## Tests of the Java operators, in Flink's test harness.
	$(BIN)/python jars/build.py test

test-python: setup ## Python tests without Kafka and Flink.
	$(BIN)/pytest --doctest-modules python/rtea generator/rtea_gen tests/unit tests/laws tests/conformance -m "not bigquery"

test-oldest-duckdb: setup ## Tests of the DuckDB sink with the oldest supported DuckDB.
	@UV_PROJECT_ENVIRONMENT="$(abspath $(VENV)-oldest-duckdb)" $(INSTALL) --project tests/oldest_duckdb --python $(BIN)/python
	@export PYTHONPATH=$$(echo $(abspath $(VENV)-oldest-duckdb)/lib/python*/site-packages) && \
		$(BIN)/python -c 'import duckdb; print("DuckDB", duckdb.__version__); assert duckdb.__version__ == "1.4.0"' && \
		$(BIN)/pytest tests/conformance tests/unit/test_duckdb.py tests/unit/test_cli.py -m "not bigquery"

test-e2e: setup ## Tests and quick drills on a real Kafka and a real Flink cluster.
	@# Both mostly wait, and each has a stack of its own.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-job test-stack

test-stack: browser ## Tests of the stack, the generator, the page, doctor, demo and README.
	$(BIN)/pytest tests/stack

test-job: setup ## Tests of the job, and quick drills.
	$(BIN)/pytest tests/flink tests/drills -m "quick or not drill"

# The tests of the dashboard need Chromium besides, which `.ci/run` installs; elsewhere they are skipped without it.
browser: setup
	@$(INSTALL) --python "$(PYTHON)" --inexact --only-group browser

screenshots: browser ## Take the pictures of the dashboard (needs Chromium); four minutes.
	$(BIN)/python -m tests.stack.screenshots docs/pictures

emulator: setup ## Install the BigQuery emulator into the user's cache, if it is not there.
	$(BIN)/python -m tests.bigquery.emulator

test-bigquery: emulator ## Tests of the BigQuery sink on the emulator.
	$(BIN)/pytest tests/bigquery tests/conformance -m bigquery

drills: setup ## Every fault drill on a real Kafka and a real Flink cluster; about an hour.
	$(BIN)/pytest tests/drills $(DRILLS)

# Like `cargo fuzz`, but on the stable toolchain: libFuzzer's instrumentation, without a sanitizer (which needs nightly).
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
FUZZ_TARGETS := json msgpack state fold
SANITIZER ?=
SECONDS ?= 60
CARGO_DENY := 0.20.2
FUZZ := target/fuzz$(SANITIZER)

fuzz: ## Fuzz decoders, fold and state bytes, each for SECONDS; SANITIZER=address needs a nightly toolchain.
	RUSTFLAGS="$(FUZZ_FLAGS) $(SANITIZER:%=-Zsanitizer=%)" cargo $(SANITIZER:%=+nightly) build --quiet --release --locked \
		--manifest-path rust_core/fuzz/Cargo.toml --target x86_64-unknown-linux-gnu --target-dir $(FUZZ)
	@$(MAKE) --no-print-directory --jobs 2 $(FUZZ_TARGETS:%=fuzzed-%)

fuzzed-%:
	@mkdir -p $(FUZZ)/artifacts $(FUZZ)/found/$*
	@$(FUZZ)/x86_64-unknown-linux-gnu/release/$* $(FUZZ)/found/$* rust_core/fuzz/corpus/$* \
		-max_total_time=$(SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -seed=1 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix=$(FUZZ)/artifacts/$*- > $(FUZZ)/$*.log 2>&1 || { tail -40 $(FUZZ)/$*.log | cut -c1-400; exit 1; }
	@echo "$*: $$(grep -o 'number_of_executed_units: [0-9]*' $(FUZZ)/$*.log), nothing found"

audit: setup ## Licences, sources and known vulnerabilities of dependencies (needs cargo-deny and the internet).
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --version $(CARGO_DENY) cargo-deny
	cargo deny --locked check licenses bans sources
	cargo deny --locked check advisories
	@UV_PROJECT_ENVIRONMENT="$(abspath $(VENV)-audit)" $(INSTALL) --python "$(PYTHON)" --only-group audit
	@mkdir -p build && $(UV) export --quiet --locked --all-extras --no-emit-project --output-file build/requirements.txt
	$(VENV)-audit/bin/pip-audit --requirement build/requirements.txt --disable-pip --require-hashes --strict

bench: setup ## Measure decode, fold, merge and encode.
	$(BIN)/pytest bench --benchmark-only

bench-gate: setup ## Fail if this tree takes 3 % more instructions or 10 % more time than the merge base.
	$(BIN)/python -m bench.gate

bench-live: setup ## Check the promised limits at 50,000 msg/s for three minutes (LIVE="--rate 300000" for another rate).
	$(BIN)/python -m bench.live $(LIVE)

bench-drain: setup ## Drain a full topic, and compare with other ways to compute the same windows (DRAIN="--only rtea").
	$(BIN)/python -m bench.drain $(DRAIN)

bench-figures: ## Write README's table and picture of bench-drain from the newest record.
	$(BIN)/python -m bench.figures

bench-scale: setup ## Measure how time and state grow with subtasks, partitions, events, visitors and categories.
	$(BIN)/python -m bench.scale

bench-metrics: setup ## Measure what each metric costs.
	$(BIN)/python -m bench.metrics

bench-lateness: setup ## Measure what a day of allowed lateness costs; half an hour.
	$(BIN)/python -m bench.lateness

bench-bigquery: emulator ## Measure what the BigQuery sink adds to the freshness, and the cost of a backfill.
	$(BIN)/python -m bench.bigquery

bench-generator: setup ## Measure the generator, and compare it with a bare produce() loop.
	$(BIN)/python -m bench.generator

bench-orders: setup ## Measure the cost of job.deduplicate_orders.
	$(BIN)/python -m bench.orders

docs: setup ## Generate docs/configuration.md.
	$(BIN)/rtea config docs > docs/configuration.md

wheel: setup ## Build the wheel into dist/.
	$(BIN)/maturin build --release --locked --out dist

lock: toolchain $(filter $(OWN_UV),$(UV)) ## Resolve the lock files again (the only target that does).
	$(UV) lock --python "$(PYTHON)"
	$(UV) export --quiet --locked --only-group bootstrap --no-emit-project --no-header --output-file uv-bootstrap.txt
	$(UV) lock --project tests/oldest_duckdb --python "$(PYTHON)"
	$(UV) lock --project tests/bigquery/emulator_environment --python "$$($(BIN)/python -c 'from tests.bigquery import emulator; print(emulator.find_python())')"

clean: ## Remove what was built here; keep caches and the demo's rows.
	rm -rf $(VENV) $(VENV)-uv $(VENV)-audit $(VENV)-oldest-duckdb target build dist $(JAR) $(REPORTER) python/rtea/_core.abi3.so
