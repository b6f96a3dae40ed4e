# One page of tasks. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install serve check test conformance bench bench-retrieval soak docs clean

# The newest Python from 3.11 on; `make PYTHON=/path/to/python install` names another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
BIN := .venv/bin
READY := .venv/.installed

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 \t/p' Makefile | expand -t 18

install: $(READY) ## make .venv with the program `antiphon` and all the tests need

$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "make install needs Python 3.11 or newer; none was found"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@PATH="$$PATH:$(CURDIR)/$(BIN)"; uv sync --quiet --frozen --inexact --python $(BIN)/python
	@touch $@

serve: $(READY) ## start the server on http://127.0.0.1:8321
	@$(BIN)/antiphon serve $(ARGS)

check: $(READY) ## format, lint, types, unit and property tests; under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/pytest -q -n auto tests/unit tests/properties

test: $(READY) ## every test that runs on an empty machine
	$(BIN)/pytest -q -n auto

conformance: $(READY) ## every body and event against the official OpenAPI; writes docs/reference/*coverage.md
	$(BIN)/python -m tests.conformance $(ARGS)
	$(BIN)/python -m tests.agents

bench: $(READY) ## the performance table, direct and through the server, in one run
	$(BIN)/python -m bench $(ARGS)

bench-retrieval: $(READY) ## how well and how fast vector stores are searched, on each index that can run here
	$(BIN)/python -m bench.retrieval $(ARGS)

soak: $(READY) ## memory over 200,000 requests
	$(BIN)/python -m bench.soak $(ARGS)

docs: $(READY) ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

clean: ## remove what was made, the environment included
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
