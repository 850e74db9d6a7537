# Everything happens in .venv, which `make install` builds with the Python it finds; no activation needed.
# After the install every target works offline, but `test-newest`, and `docs` and `dist` when they are first called.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NEWEST := .venv-newest

# A foreign environment that happens to be active must not leak in.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT
# The pyright of the wheel, run by the node of the wheel, asking nobody whether there is a newer one.
unexport PYRIGHT_PYTHON_FORCE_VERSION PYRIGHT_PYTHON_PYLANCE_VERSION
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PYRIGHT_PYTHON_GLOBAL_NODE := 0

# Shell code that sets $$python to the first candidate that runs, is new enough and can make environments. Each one
# is run, because a name on the PATH proves nothing (a pyenv shim stands there for versions that are not selected).
# $(PYTHON) wins.
define find_python
new_enough='import sys; assert sys.version_info >= (3, 11)'; \
first() { \
    code=$$1; shift; \
    for python in "$$@"; do "$$python" -c "$$code" </dev/null >/dev/null 2>&1 && return; done; \
    python=; return 1; \
}; \
if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; else set -- $(1) python3 python; fi; \
if first "$$new_enough; import ensurepip, venv" "$$@"; then :; \
elif first "$$new_enough" "$$@"; then \
    echo "make: $$python has no venv module, so it cannot make the environment. Install it (Debian, Ubuntu:" >&2; \
    echo "      apt install python3-venv), or name another Python: make install PYTHON=/path/to/python3" >&2; exit 1; \
else \
    echo "make: no Python 3.11 or newer runs here; tried: $$*. Install one (Debian, Ubuntu:" >&2; \
    echo "      apt install python3 python3-venv), or name one: make install PYTHON=/path/to/python3" >&2; exit 1; \
fi
endef

# Shell code that makes the environment $(1) with $$python, or keeps the one that is there if it works.
define make_environment
if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
    echo "Making $(1) with $$python ($$("$$python" --version))"; \
    "$$python" -m venv --clear $(1); \
fi
endef

help:  ## print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## build .venv with the pinned dependencies (PYTHON=... chooses the interpreter)

$(STAMP): pyproject.toml constraints.txt
	@set -e; rm -f $@; \
	$(call find_python,python3.11 python3.12 python3.13 python3.14); \
	$(call make_environment,$(VENV)); \
	echo "Installing the package and its pinned dependencies into $(VENV), about 1.4 GB; one to five minutes"; \
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt; \
	touch $@

demo: $(STAMP)  ## run the demonstration
	@$(BIN)/qsynapse demo --overwrite

test: $(STAMP)  ## run the tests, without the slow ones
	@$(BIN)/python -m pytest

test-slow: $(STAMP)  ## run the slow tests, which `make test` leaves out
	@$(BIN)/python -m pytest -m "slow and not optimized"
	@$(BIN)/python -m pytest -m "slow and optimized"

test-all: test test-slow  ## run all tests

lint: $(STAMP)  ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(STAMP)  ## check types
	@$(BIN)/pyright

check: lint type test  ## lint, type and test

bench: $(STAMP)  ## run every benchmark in experiments/bench
	@set -e; found=; \
	for file in experiments/bench/*.py; do \
	    name=$$(basename "$$file" .py); \
	    case "$$name" in _*|'*') continue;; esac; \
	    found=yes; echo "== experiments.bench.$$name"; \
	    $(BIN)/python -m "experiments.bench.$$name"; \
	done; \
	[ -n "$$found" ] || echo "There is no benchmark in experiments/bench."

# The longest of them that a GPU is made for, within ten minutes: what is cut off after its share is missing, and said.
bench-gpu: $(STAMP)  ## run the benchmarks on a GPU into experiments/bench/gpu, within ten minutes
	@$(BIN)/python -c 'import sys, jax; sys.exit(jax.default_backend() == "cpu" and \
	    "make: JAX finds no GPU here. Install its plugin: $(BIN)/python -m pip install -e .[cuda]")'
	@set -e; mkdir -p experiments/bench/gpu; \
	bench() { \
	    name=$$1; limit=$$2; shift 2; echo "== experiments.bench.$$name"; \
	    timeout "$$limit" $(BIN)/python -m "experiments.bench.$$name" "$$@" --out "experiments/bench/gpu/$$name.json" \
	        >"experiments/bench/gpu/$$name.txt" 2>&1 || echo "make: $$name ended early, see experiments/bench/gpu/$$name.txt"; \
	    cat "experiments/bench/gpu/$$name.txt"; \
	}; \
	bench effective 180 --budget 1; \
	bench gradient 150 --budget 1; \
	bench compile 150 --repeats 1; \
	bench training 110 --budget 4

reproduce-quick: $(STAMP)  ## run a small version of every experiment into runs/quick, in a quarter of an hour; proves that it runs
	@$(BIN)/python -m experiments all --quick

reproduce: $(STAMP)  ## run every experiment in full and remake the tables (QSYNAPSE_DATA=DIR for MNIST)
	@$(BIN)/python -m experiments all
	@$(BIN)/python -m experiments tables

# Timing stays out of the cells' metadata, so that a second run of the same notebook leaves no difference behind.
define run_notebook
import sys
import nbformat
from nbclient import NotebookClient

path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
client = NotebookClient(
    notebook,
    kernel_name="python3",
    timeout=600,
    record_timing=False,
    coalesce_streams=True,
    resources={"metadata": {"path": "notebooks"}},
)
client.execute()
nbformat.write(notebook, path)
endef
export run_notebook

notebooks: $(STAMP)  ## execute every notebook in place, so that the committed outputs are fresh
	@set -e; found=; \
	for file in notebooks/*.ipynb; do \
	    [ -e "$$file" ] || continue; \
	    found=yes; echo "== $$file"; \
	    $(BIN)/python -c "$$run_notebook" "$$file"; \
	done; \
	[ -n "$$found" ] || echo "There is no notebook in notebooks/."

# $(call with,EXTRA,PACKAGE): the extra is installed if its package is missing.
define with
$(BIN)/python -c 'import $(2)' 2>/dev/null || \
    $(BIN)/python -m pip install --disable-pip-version-check -e '.[$(1)]' -c constraints.txt
endef

docs: $(STAMP)  ## build the documentation site into build/site; warnings and dead links are errors
	@$(call with,docs,mkdocs)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open build/site/index.html"

pictures: $(STAMP)  ## draw the pictures of the documentation anew
	@$(BIN)/python docs/site/pictures.py

dist: $(STAMP)  ## build the archives for a package index into dist, and check them
	@$(call with,dist,twine)
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation
	@$(BIN)/python -m twine check --strict dist/*

test-newest:  ## run the tests with the newest Python found and the newest dependencies (needs the network)
	@set -e; \
	$(call find_python,$(foreach v,14 13 12 11,python3.$(v) $(wildcard $(HOME)/.pyenv/versions/3.$(v).*/bin/python3))); \
	$(call make_environment,$(NEWEST)); \
	$(NEWEST)/bin/python -m pip install --disable-pip-version-check --upgrade -e '.[dev]' jax flax equinox optax; \
	$(NEWEST)/bin/python --version; \
	$(NEWEST)/bin/python -m pip freeze --exclude-editable; \
	$(NEWEST)/bin/python -m pytest

clean:  ## remove the environments, the caches and the build outputs
	rm -rf $(VENV) $(NEWEST) build dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help install demo test test-slow test-all lint type check bench bench-gpu reproduce reproduce-quick notebooks docs pictures dist test-newest clean
