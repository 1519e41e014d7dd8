# make demo    sets up .venv and opens the dashboard on the built-in demo model
# make test    sets up .venv and runs every check and every test
# On Linux BACKEND chooses MLX's backend: cpu (default), cuda12 or cuda13. macOS brings Metal by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ifeq ($(shell uname -s),Linux)
BACKEND ?= cpu
endif
PACKAGE := .$(if $(BACKEND),[$(BACKEND)])

.PHONY: demo test check docs types types-darwin fast soak board screenshots bench clean

demo: $(VENV)/.demo
	@$(BIN)/mlxtop $(ARGS)

# Four at once, because programs and terminals mostly wait: two cores are busy with them. Compiled first: the
# hundreds of programs that tests start would each do it for themselves where Python may not keep what it compiled.
test: check
	@$(BIN)/python -m compileall -q src tests
	@$(BIN)/python -m pytest -n 4 --dist worksteal --durations=30 $(ARGS)

# The tests a developer runs all the time, within a minute: no process, no terminal, nothing slow.
# Screens mostly wait: four at once keep two cores busy.
fast: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not e2e and not slow" -n 4 $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@! command -v $(CC) > /dev/null || $(CC) -std=gnu11 -fexceptions -Wall -Wextra -Werror -fsyntax-only native/*.c
	@$(MAKE) --no-print-directory -j 2 types types-darwin docs

# Strictly: a broken link, a missing page or a name that no longer exists ends it. It is read in a browser without a server.
docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Each keeps a cache of its own: 8 s each the first time, then about one.
types: $(VENV)/.dev
	@$(BIN)/mypy

# What only a Mac's Python lacks is found here: no Mac runs this.
DARWIN := $(addprefix types-darwin-,3.11 3.12 3.13 3.14)
types-darwin: $(DARWIN)

$(DARWIN): types-darwin-%: $(VENV)/.dev
	@$(BIN)/mypy --platform darwin --python-version $* --cache-dir .mypy_cache/darwin

# The long runs in full, what only these prove, and a thousand examples of everything that Hypothesis generates.
LONG := tests/soak tests/fit/test_training_truth.py tests/analysis/test_diagnosis.py tests/sweep/test_recommendation.py \
	tests/attach/test_inject.py::test_many_times_under_heavy_malloc
soak: $(VENV)/.dev
	@$(BIN)/python -m pytest $(LONG) --soak $(ARGS)
	@$(BIN)/python -m pytest -m "hypothesis or soak" -n 2 --dist worksteal --soak --durations=30 $(ARGS)

board: $(VENV)/.dev
	@$(BIN)/python -m monitoring.board

screenshots: $(VENV)/.dev
	@$(BIN)/python -m screenshots.make $(ARGS)

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mlxtop needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml $(wildcard native/*) | $(BIN)/python
	@$(PIP) install --editable '$(PACKAGE)'
	@touch $@

# Tests run on the versions in .ci/constraints.txt, so that they fail for our changes and nobody else's.
$(VENV)/.dev: pyproject.toml .ci/constraints.txt .ci/transformers_scan.py hatch_build.py $(wildcard native/*) | $(BIN)/python
	@$(PIP) install --constraint .ci/constraints.txt --editable '$(PACKAGE)' --group dev
	@$(BIN)/python .ci/transformers_scan.py
	@touch $@ $(VENV)/.demo
