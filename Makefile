# Every target that people, hooks and CI call. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_KB := shop
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install install-dev index serve demo test test-all check format faults faults-full security bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (a few minutes the first time) ..." >&2
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed ## Create .venv with the service
install-dev: $(VENV)/.installed-dev ## ... and with the tools of development

# Whatever knowledge base the caller has exported: these three are about the demo.
index serve demo: export QA_KNOWLEDGE_BASE := $(DEMO_KB)

index: $(VENV)/.installed ## Build the demo index if no version is active
	@test -e indexes/$(DEMO_KB)/ACTIVE || $(BIN)/qa-service index build data/shop

serve: index ## Serve the demo knowledge base on 127.0.0.1:8000
	@$(BIN)/qa-service serve

demo: index ## Ask ten questions over HTTP and print a table
	@$(BIN)/python examples/demo.py

check: $(VENV)/.installed-dev ## Lint, formatting, types, import contracts, demo data
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python data/check.py
	$(BIN)/python data/check_training.py

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(VENV)/.installed-dev ## The tests, a few minutes
	$(BIN)/pytest -m "not slow and not faults"

test-all: $(VENV)/.installed-dev ## All tests with branch coverage
	$(BIN)/pytest -m "not faults" --cov --cov-report=term

faults: $(VENV)/.installed-dev ## Kill and stop real processes under load, a few minutes
	$(BIN)/pytest -m faults tests/faults

faults-full: $(VENV)/.installed-dev ## ... with the full counts, 20 minutes
	FAULTS=full $(BIN)/pytest -m faults tests/faults
	FAULTS=full $(BIN)/pytest tests/store/test_session_model.py

security: $(VENV)/.installed-dev ## What hostile callers send, in full, an hour; figures go to benchmarks/results
	SECURITY=full $(BIN)/pytest -m security tests/security

bench: $(VENV)/.installed-dev index ## The benchmarks; figures go to benchmarks/results
	$(BIN)/python -m benchmarks

clean: ## Remove what can be made again
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage* *.egg-info
