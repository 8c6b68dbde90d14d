# Everything runs in .venv, which the first target that needs it creates; nothing else of the system is touched.
PYTHON ?= python3
BIN := .venv/bin
BENCHES := $(filter-out bare cifar_files common gpu limits methods peak table textbook workloads,$(basename $(notdir $(wildcard benchmarks/*.py))))
READY := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench bench-gpu table clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(READY) ## Create .venv and install distill-cli with its development tools

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	touch $@

demo: $(READY) ## Distil a digit classifier: teacher, soft labels, student, baseline, report
	$(BIN)/distill run

test: $(READY) ## Run every test
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

lint: $(READY) ## Check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## Measure; make bench NAME=startup for one of benchmarks/
	@for name in $(or $(NAME),$(BENCHES)); do $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-gpu: $(READY) ## Measure on an NVIDIA GPU; without one it says so
	@$(BIN)/python benchmarks/gpu.py

table: $(READY) ## Reproduce a published table; make table lists them, NAME=mnist_hinton makes one
	@$(BIN)/python benchmarks/table.py $(NAME) $(ARGS)

clean: ## Remove .venv, caches and outputs; artifacts/ and data/ stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist outputs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
