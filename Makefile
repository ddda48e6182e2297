# make reproduce   the paper's main experiment, in a fresh environment
# make test        the tests, in the same environment
# make bench       everything beside what one would otherwise write; tables and figures in bench/results
# make bench-quick the same with sizes that show no more than that it runs
# make lint        style, types, and which package may import which
# make lowest      the tests with the oldest versions that pyproject.toml allows of what is named there
# make sanitize    the tests that exercise the kernel, many forged files among them, under AddressSanitizer and UBSan
# make docs        the documentation, in docs/_build/html
# make dist        source distribution, a wheel from it, and the wheel's tests in an environment of its own

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' \
	-o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' -o -path '*/_kernel/*.c' -o -name '*.mplstyle' -o -path '*/templates/*')

.PHONY: reproduce test lowest sanitize bench bench-quick lint docs dist clean

reproduce: $(VENV)/installed
	$(BIN)/twonn reproduce --output reproduction

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto -p no:benchmark

lowest: $(SOURCES)
	rm -rf build/lowest
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet uv
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct ".[test]"
	cd build && lowest/bin/python -m pytest --pyargs twonn -n auto -p no:benchmark

# A build of its own, of the baseline kernel, with what these tests need beside it. Leaks are not looked for: the
# interpreter has its own. A test that needs the other builds is not among them.
SANITIZERS := -fsanitize=address,undefined,float-cast-overflow
SANITIZED := elementary direct lanes leap sliding optimizers float32 trajectory run signals checkpoint forged
sanitize: $(VENV)/installed-test
	TWONN_BUILDS=baseline CFLAGS="-g -fno-omit-frame-pointer $(SANITIZERS) -fno-sanitize-recover=all" \
	    LDFLAGS="$(SANITIZERS)" $(BIN)/python setup.py --quiet build --build-base build/sanitize-objects \
	    --build-lib build/sanitize
	cd build/sanitize && LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc TWONN_ISA=sse2 \
	    TWONN_FORGERIES=3000 TWONN_PATIENCE=3600 PYTHONPATH=$(CURDIR)/build/sanitize ../../$(BIN)/python -m pytest -p no:cacheprovider \
	    -p no:benchmark -k "not every_instruction_set" \
	    $(patsubst %,twonn/tests/test_%.py,$(SANITIZED))

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports --no-logo

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
