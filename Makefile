# Weir: what people type. The work is done by scripts/ and by the CMake presets.
.DEFAULT_GOAL := help
.PHONY: help run test test-unit test-long check format bench fuzz install setup deps clean

PREFIX ?= /usr/local

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: ## install what is missing, build, fetch the default model, start everything, print the address
	@exec scripts/run

test: ## every test: unit tests in three presets, whole-process tests, web app, fuzz corpora
	@scripts/test

test-unit: ## only the unit tests and fuzz corpora
	@scripts/test unit

test-long: ## everything in every preset, and a minute of fuzzing for each target
	@scripts/test long

check: ## format, module rules, clang-tidy, the shell scripts, the web app's lint and types
	@scripts/check

format: ## format all C and C++ sources
	@scripts/setup && scripts/format

bench: ## the benchmarks of bench/, ratios in one run
	@scripts/setup bench && scripts/deps llhttp node llama onnxruntime model minilm gemma bench && bench/run

fuzz: ## a minute of fuzzing for each target (WEIR_FUZZ_SECONDS)
	@scripts/setup && scripts/test fuzz

install: ## build the release and install it below PREFIX (/usr/local)
	@scripts/install "$(PREFIX)"

setup: ## install what is missing (Debian packages, Node, Python tools)
	@scripts/setup

deps: ## fetch and build llama.cpp, llhttp and the default model into the cache
	@scripts/setup run && scripts/deps

clean: ## remove the build folders; the cache of scripts/deps stays
	rm -rf build web/dist
