# Makefile - the developer's commands; `make help` lists them.
#
# Owns: what is built before what. Does not own: how (CMakePresets.json, pyproject.toml), nor what a
# bare machine needs (scripts/bootstrap.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

JOBS ?= $(shell nproc)
PYTEST_ARGS ?=
# How long `make fuzz` runs each target.
SECONDS ?= 30
VENV := .venv
PYTHON := $(VENV)/bin/python
REPORTS := $(CURDIR)/build/reports
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
# One name for the compiler in all builds (CMake would choose c++, a Python's own settings g++), so
# that they find each other's objects in ccache.
export CXX

cpp_sources = $(shell find include src python/bindings -name '*.?pp' 2>/dev/null)
# ThreadSanitizer of GCC 12 cannot map its shadow memory under the address randomisation of newer
# kernels; where the kernel allows it, randomisation is switched off for its tests.
without_aslr = $(shell setarch "$$(uname -m)" -R true 2>/dev/null && echo setarch "$$(uname -m)" -R)

# $(call run_ctest,PRESET[,COMMAND PREFIX]): the C++ tests; in CI a skip must be on the list.
define run_ctest
mkdir -p $(REPORTS)
$(2) ctest --preset $(1) -j $(JOBS) --output-junit $(REPORTS)/ctest-$(1).xml
if [ "$${CI:-}" = true ]; then \
	$(PYTHON) tests/support/skip_policy.py $(REPORTS)/ctest-$(1).xml; fi
endef

.PHONY: help setup build build-cpp test test-cpp test-python simulate simulate-bugs kill-loop soak \
	forks demo lint lint-format lint-python lint-types lint-cpp format asan tsan fuzz bench \
	bench-short clean distclean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up --------------------------------------------------------------------------------------

build/stamps/system: scripts/bootstrap.sh
	scripts/bootstrap.sh system
	@mkdir -p $(@D) && touch $@

# The stamps of what is inside the environment lie there, and so vanish with it.
$(VENV)/stamp-tools: build/stamps/system scripts/requirements.py pyproject.toml
	scripts/bootstrap.sh venv $(VENV)
	@touch $@

# Editable: Python files are used where they lie; only C++ needs this step again, and it compiles
# what changed. tests/packaging holds that a plain installation works too.
$(VENV)/stamp-package: $(VENV)/stamp-tools CMakeLists.txt cmake/finopsBuild.cmake $(cpp_sources)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		--config-settings=cmake.define.FINOPS_WERROR=ON --editable . </dev/null
	@touch $@

setup: $(VENV)/stamp-tools ## install system packages and tools (idempotent)

build-cpp: $(VENV)/stamp-tools
	cmake --preset release
	cmake --build --preset release

build: build-cpp $(VENV)/stamp-package ## build the C++ library and tests, and the Python package

# --- tests and demo ------------------------------------------------------------------------------

test-cpp: build-cpp
	$(call run_ctest,release)

# A browser is asked for here and not by the other commands: only tests of pages need it.
build/stamps/browser: scripts/bootstrap.sh
	scripts/bootstrap.sh browser
	@mkdir -p $(@D) && touch $@

test-python: $(VENV)/stamp-package build/stamps/browser
	$(PYTHON) -m pytest $(PYTEST_ARGS)

test: ## set up, build, and run the whole test suite
	$(MAKE) --no-print-directory test-cpp
	$(MAKE) --no-print-directory test-python

SEEDS ?= 1000
FIRST_SEED ?= 1

simulate: build-cpp ## simulate SEEDS hosts from FIRST_SEED on (the release run: SEEDS=100000)
	build/release/finops_simulation --seeds $(SEEDS) --first-seed $(FIRST_SEED) --jobs $(JOBS)

simulate-bugs: build-cpp ## prove that the simulation finds planted bugs, and repeats itself
	build/release/finops_simulation --seeds 10 --jobs $(JOBS) --twice
	build/release/finops_simulation --seeds $(SEEDS) --jobs $(JOBS) --prove-bugs

KILLS ?= 10000
MINUTES ?= 60
FORKS ?= 10000

kill-loop: build ## kill writers and a guard KILLS times, and check what was acknowledged
	RELIABILITY_KILLS=$(KILLS) $(PYTHON) -m pytest tests/reliability/test_kill_loop.py

soak: build ## 64 processes on one budget for MINUTES, with kills at random
	RELIABILITY_SOAK_MINUTES=$(MINUTES) $(PYTHON) -m pytest tests/reliability/test_soak.py

forks: build ## FORKS children of each start method, under load
	RELIABILITY_FORKS=$(FORKS) $(PYTHON) -m pytest tests/reliability/test_forks.py

demo: $(VENV)/stamp-package ## set up, build, and run the demo
	$(PYTHON) examples/demo/demo.py

asan: $(VENV)/stamp-tools ## C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --preset asan
	cmake --build --preset asan
	$(call run_ctest,asan)

tsan: $(VENV)/stamp-tools ## the C++ tests of threads under ThreadSanitizer
	cmake --preset tsan
	cmake --build --preset tsan
	$(call run_ctest,tsan,$(without_aslr))

# Clang is asked for here and not by the other commands: only the fuzzer needs it.
build/stamps/fuzz: scripts/bootstrap.sh
	scripts/bootstrap.sh fuzz
	@mkdir -p $(@D) && touch $@

fuzz: build/stamps/system build/stamps/fuzz ## fuzz each target for SECONDS=30
	cmake --preset fuzz
	cmake --build --preset fuzz
	JOBS=$(JOBS) scripts/fuzz.sh $(SECONDS)

# --- style ---------------------------------------------------------------------------------------

cpp_files = $(shell git ls-files --cached --others --exclude-standard '*.cpp' '*.hpp')
# A folder each, so that another one is not forgotten in silence.
tidy_folders = src tests/cpp tests/simulation tests/reliability tests/fuzz benchmarks
tidy_files = $(filter $(addsuffix /%,$(tidy_folders)),$(filter %.cpp,$(cpp_files)))
binding_files = $(filter python/bindings/%,$(filter %.cpp,$(cpp_files)))

lint: lint-format lint-python lint-types lint-cpp ## formatting, linters and types

lint-format: $(VENV)/stamp-tools
	$(VENV)/bin/clang-format --dry-run -Werror $(cpp_files)
	$(VENV)/bin/ruff format --check .

lint-python: $(VENV)/stamp-tools
	$(VENV)/bin/ruff check .

lint-types: $(VENV)/stamp-tools
	$(VENV)/bin/mypy python/finops

lint-cpp: $(VENV)/stamp-package
	cmake --preset release >/dev/null
	printf '%s\n' $(tidy_files) | xargs -r -P $(JOBS) -n 1 \
		$(VENV)/bin/clang-tidy --quiet -p build/release
	printf '%s\n' $(binding_files) | xargs -r -P $(JOBS) -n 1 \
		$(VENV)/bin/clang-tidy --quiet -p "$$(dirname "$$(ls build/py-*/compile_commands.json)")"

format: $(VENV)/stamp-tools ## format all code
	$(VENV)/bin/clang-format -i $(cpp_files)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix --quiet . || true

# --- benchmarks ----------------------------------------------------------------------------------

# Large packages, which only a comparison needs.
$(VENV)/stamp-peers: $(VENV)/stamp-tools
	scripts/bootstrap.sh peers $(VENV)
	@touch $@

bench: build $(VENV)/stamp-peers ## all benchmarks, at full size
	scripts/bench.sh

bench-short: build ## all benchmarks, just long enough to show that they work
	scripts/bench.sh --short

clean: ## remove what was built (the virtual environment stays)
	rm -rf build

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV)
