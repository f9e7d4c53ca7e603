# The whole project through one entry: `make demo` and `make test` do all the set-up on a fresh Debian machine.
# `make help` lists the targets; each may be repeated and does only what is left to do.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PRESET ?= release
BUILD := build/$(PRESET)
PYTHON := .venv/bin/python
GGUF := .deps/model/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL ?= models/SmolLM2-135M-Instruct
export PROMPT ?= What is the capital of France, and what is it known for?
PYTEST_ARGS ?=

# Tools of this checkout find the package and the library that was built here (see tools/daybreak).
export PYTHONPATH := $(CURDIR)/python$(if $(PYTHONPATH),:$(PYTHONPATH))
export DAYBREAK_LIBRARY ?= $(CURDIR)/$(BUILD)/libonnxruntime_ep_daybreak.so
# What a headless machine lacks; Vulkan's loader wants it.
export XDG_RUNTIME_DIR ?= /tmp

say = @printf '\033[1m==>\033[0m %s\n' "$(1)"

.NOTPARALLEL:
.PHONY: help setup configure build plugin unit asan pytest test demo bench docs format lint clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install packages, headers, Dawn, the model and the Python environment (root on a fresh machine)
	@tools/setup/setup.sh

configure:
	@if [ ! -f $(BUILD)/build.ninja ] || [ CMakePresets.json -nt $(BUILD)/build.ninja ]; then mkdir -p $(BUILD); \
	  cmake --preset $(PRESET) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }; fi

build: setup configure ## Build the plugin and the unit tests into build/release (PRESET=debug or asan for others)
	$(call say,build ($(PRESET)))
	@cmake --build $(BUILD)

plugin: setup configure ## Build the plugin only
	$(call say,build the plugin ($(PRESET)))
	@cmake --build $(BUILD) --target onnxruntime_ep_daybreak

unit: build ## Run the C++ unit tests
	$(call say,C++ unit tests)
	@$(BUILD)/unit_tests --gtest_brief=1

asan: setup ## Run the C++ unit tests under the address and undefined-behaviour sanitizers
	@$(MAKE) configure PRESET=asan
	$(call say,build (asan))
	@cmake --build build/asan --target unit_tests
	$(call say,C++ unit tests under the sanitizers)
	@tools/run_sanitized.sh build/asan/unit_tests --gtest_brief=1

pytest: build ## Run the Python tests (PYTEST_ARGS="tests/test_ops.py -k softmax")
	@tools/setup/setup.sh browser
	$(call say,pytest)
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

test: unit asan pytest ## Run every test

$(MODEL)/genai_config.json: $(GGUF) | plugin
	$(call say,convert $(GGUF))
	@tools/daybreak convert $(GGUF) $(MODEL)

$(GGUF): | setup ;

demo: plugin $(MODEL)/genai_config.json ## Let SmolLM2 answer a question (PROMPT="...")
	@printf '\033[1m==>\033[0m %s\n' "$$PROMPT"
	@tools/daybreak generate $(MODEL) -p "$$PROMPT"

bench: plugin $(MODEL)/genai_config.json ## Measure decode and prefill on this machine's device
	@tools/daybreak bench $(MODEL)

docs: build ## Write docs/operators.md and docs/options.md anew
	@$(PYTHON) tools/pages.py $(BUILD)/daybreak_pages

format: setup ## Format C++ and Python
	@git ls-files -co --exclude-standard '*.cc' '*.h' | xargs -r clang-format -i
	@.venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix .

lint: setup ## Check formatting, lint and types
	@git ls-files -co --exclude-standard '*.cc' '*.h' | xargs -r clang-format --dry-run --Werror
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy python

clean: ## Remove what was built and converted; the set-up stays
	rm -rf build dist models

distclean: clean ## Also remove the set-up (not the installed Debian packages)
	rm -rf .deps .venv
