# The verbs of this project; `make` alone lists them. Everything is installed into .venv and one cache
# folder ($KAITO_CACHE, default ~/.cache/kaito); Debian packages only as root on Debian, and named first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
CODE := kaito_operator inference_server presets tools tests
export UV_CACHE_DIR ?= $(or $(KAITO_CACHE),$(HOME)/.cache/kaito)/uv

.PHONY: help setup format lint unit test test-full demo demo-down bench-operator bench-inference images crds docs locks

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: .venv/.installed ## Install what the checkout needs, into .venv

.venv/.installed: locks/bootstrap.txt locks/dev.txt locks/llama.txt
	@tools/setup.sh
	@touch $@

format: setup ## Format the code and apply safe fixes
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)

lint: setup ## Style, types, layers, spelling, stale files
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy $(CODE)
	.venv/bin/lint-imports
	.venv/bin/codespell kaito_operator inference_server presets tools docs README.md CONTRIBUTING.md CHANGELOG.md
	.venv/bin/yamllint -c .yamllint.yaml deploy examples crds presets
	$(PY) -m kaito_operator.api.crd --check
	$(PY) -m tools.docs --check

unit: setup ## The pure tests, in seconds
	$(PY) -m pytest tests/unit -m "not full"

test: setup ## All tests that this machine can run: unit, component, cluster
	$(PY) -m tools.testbed run

test-full: setup ## The same, with the long matrices and Kubernetes 1.34 as well
	$(PY) -m tools.testbed run --full

demo: setup ## From nothing to a model's answer, on a cluster of yours or a local one
	$(PY) -m tools.demo up

demo-down: setup ## Remove everything that the demo made
	$(PY) -m tools.demo down

bench-operator: setup ## 100 Workspaces on simulated nodes: how fast, with how many requests
	$(PY) -m tools.bench

bench-inference: setup ## The inference server beside other servers: tokens per second, CPU, memory
	$(PY) -m tools.bench_inference

images: setup ## Build the images: operator, inference (GPU and CPU flavours), weights
	$(PY) -m tools.images build operator inference inference-cpu weights-smollm2 device-plugin

crds: setup ## Write crds/ from the models
	$(PY) -m kaito_operator.api.crd

docs: setup ## Write the generated pages of docs/
	$(PY) -m tools.docs

locks: setup ## Write locks/ anew from pyproject.toml
	$(PY) -m tools.locks
