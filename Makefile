# One command from a fresh clone. The first use makes .venv and installs the tested versions; later ones install nothing.

# The first Python here that is new enough; PYTHON=… takes another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# There while an install runs: what an interrupted one leaves behind is not trusted.
UNFINISHED := $(VENV)/.installing

.PHONY: help demo test test-slow check embed-tools embed-test bench results gallery parity docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(STAMP)  ## the whole chain on embedded real data: train, export, parity, a folder of images
	@$(BIN)/aedeploy demo

# As many processes as cores, of one thread each: threads of two that train at once wait for one another. A file's
# tests stay together, since they share what was trained for them.
test: $(STAMP) embed-tools  ## the test suite
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile

test-slow: $(STAMP)  ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow || { [ $$? -eq 5 ] && echo "No test is marked slow."; }

embed-tools:  ## Debian and npm packages for the tests of embedded programs, where they can be had
	@sh tests/embed/install_tools.sh

embed-test: $(STAMP) embed-tools  ## every target of `aedeploy embed`, built and run; the figures into docs/embedding.md
	@mkdir -p build && rm -f build/embedding.jsonl
	@AEDEPLOY_EMBED_FIGURES="$(CURDIR)/build/embedding.jsonl" $(BIN)/python -m pytest tests/embed
	@$(BIN)/python docs/embedding_table.py build/embedding.jsonl docs/embedding.md

check: $(STAMP)  ## lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## every benchmark, one JSON object a line
	@status=0; for benchmark in $$(grep -l '^from measure import' benchmarks/*.py); do \
		echo "$$benchmark" >&2; $(BIN)/python "$$benchmark" || status=1; done; exit $$status

results: $(STAMP)  ## every recipe trained on MNIST, exported, measured, into docs/results.md; goes on where it stopped
	@$(BIN)/python benchmarks/results.py

gallery: $(STAMP)  ## docs/gallery.md: what notebooks ask, drawn and measured; trains half an hour at first; goes on
	@$(BIN)/python benchmarks/gallery.py

parity: $(STAMP)  ## every recipe in every format against PyTorch, into docs/parity.md; goes on where it stopped
	@$(BIN)/python benchmarks/parity.py

docs: $(STAMP)  ## docs/commands.md and docs/bundle.schema.json, from the code
	@$(BIN)/python docs/generate.py

clean:  ## remove .venv, .tools, caches and build products; bundles stay
	rm -rf $(VENV) .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed$(if $(PYTHON),; $(PYTHON) is not): install it, or name it:  make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@if [ -e $(UNFINISHED) ]; then echo "The last installation was interrupted: starting again."; rm -rf $(VENV); fi
	@echo "Installing aedeploy and what it needs into $(VENV) (once; PyTorch is large) …"
	@mkdir -p $(VENV) && touch $(UNFINISHED)
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,pictures,dev,openvino,ncnn,pnnx]"
	@rm $(UNFINISHED) && touch $(STAMP)
