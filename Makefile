# make reproduce   the paper's main experiment, in a fresh environment
# make test        the tests, in the same environment
# make bench       everything beside what one would otherwise write; tables and figures in bench/results
# make bench-quick the same with sizes that show no more than that it runs
# make lint        style and types
# make docs        the documentation, in docs/_build/html
# make dist        source distribution, a wheel from it, and the wheel's tests in an environment of its own

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' \
	-o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' -o -path '*/_kernel/*.c' -o -name '*.mplstyle')

.PHONY: reproduce test bench bench-quick lint docs dist clean

reproduce: $(VENV)/installed
	$(BIN)/twonn reproduce --output reproduction

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto -p no:benchmark

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	$(BIN)/python -m pytest bench --results bench/results

bench-quick: $(VENV)/installed-test
	$(BIN)/python -m pytest bench --quick

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

dist: $(VENV)/bin/python
	rm -rf dist
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv dist/empty
	dist/empty/bin/python -m pip install --quiet "$$(echo dist/*.whl)[test]"
	cd dist && empty/bin/python -m pytest --pyargs twonn -n auto

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet .
	touch $@

# The extras install the package too.
$(VENV)/installed-%: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet ".[$*]"
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist reproduction src/*.egg-info src/twonn/_core.c
	rm -rf docs/_build docs/api docs/gallery docs/sg_execution_times.rst
