# Weir: what people type. The work is done by scripts/ and by the CMake presets.
.DEFAULT_GOAL := help
.PHONY: help setup deps build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

setup: ## install what is missing (Debian packages, Node, Python tools)
	@scripts/setup

deps: ## fetch and build llama.cpp, llhttp and the default model into the cache
	@scripts/deps
