# make reproduce   the paper's main experiment, in a fresh environment
# make test        the tests, in the same environment
# make long        the tests that take hours
# make bench       compares twonn with the code you would otherwise write; tables and figures in bench/results
# make bench-quick the same with sizes that show no more than that it runs
# make lint        style, types, docstrings, and which package may import which
# make torch       a CPU build of PyTorch for its tests, which are skipped without it
# make lowest      the tests with the oldest versions that pyproject.toml allows of what is named there
# make clang       the tests with a kernel that clang has compiled
# make scalar      the tests with a kernel without the vector types of gcc and clang, in C++
# make sanitize    the tests that exercise the kernel, many forged files among them, under AddressSanitizer and UBSan
# make coverage    which lines of the package and of its kernel the tests reach
# make docs        the documentation, in docs/_build/html
# make dist        source distribution, a wheel from it, and the wheel's tests in an environment of its own

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On all cores; tests that share what is dear to compute stay on one.
PARALLEL := -n auto --dist loadgroup -p no:benchmark
# More options of pytest: make test TESTS="-m core"
TESTS ?=
SOURCES := pyproject.toml setup.py $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxd' \
	-o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' -o -path '*/_kernel/*.c' -o -name '*.cpp' -o -name '*.mplstyle' -o -path '*/templates/*')

.PHONY: reproduce test long torch lowest clang scalar sanitize coverage bench bench-quick lint docs dist clean

reproduce: $(VENV)/installed
	$(BIN)/twonn reproduce --output reproduction --force

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(PARALLEL) $(TESTS)

# More examples of the tests that draw theirs, too.
long: $(VENV)/installed-test
	$(BIN)/python -m pytest $(PARALLEL) -m "long or hypothesis" --hypothesis-profile long $(TESTS)

torch: $(VENV)/torch
$(VENV)/torch: tests/requirements-torch.txt | $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --requirement tests/requirements-torch.txt
	touch $@

# The lowest versions are those of what pyproject.toml names, not of what comes with it.
LOWEST := build/lowest/bin
build/lowest/installed: pyproject.toml $(VENV)/wheel/made
	rm -rf build/lowest
	$(PYTHON) -m venv build/lowest
	$(LOWEST)/python -m pip install --quiet uv
	$(LOWEST)/uv pip compile --quiet --python $(LOWEST)/python --resolution lowest-direct --extra test \
	    --output-file build/lowest/requirements.txt pyproject.toml
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --requirement build/lowest/requirements.txt
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --no-deps $(VENV)/wheel/*.whl
	touch $@

lowest: build/lowest/installed
	$(LOWEST)/python -m pytest --ignore tests/repository $(PARALLEL) $(TESTS)

# Builds of their own, beside that of the environment. $(call FORGET,FOLDER): modules that are gone from the sources
# must not come back from what an earlier build has left.
FORGET = if [ -d build ]; then find build -path '$(1)/*' -type f ! -name '*.so' -delete; fi
BUILD = $(call FORGET,build/$@) && $(BIN)/python setup.py --quiet build --build-base build/$@-objects --build-lib build/$@
BUILT = PYTHONPATH=$(CURDIR)/build/$@

clang: $(VENV)/installed-test
	CC=clang && export CC && $(BUILD)
	$(BUILT) $(BIN)/python -c "from twonn import _core as c; print(c.COMPILER); assert c.COMPILER.startswith('clang')"
	$(BUILT) $(BIN)/python -m pytest --ignore tests/repository $(PARALLEL) $(TESTS)

scalar: $(VENV)/installed-test
	export CFLAGS=-DTWONN_NO_VECTOR_TYPES && $(BUILD)
	$(BUILT) $(BIN)/python -c "from twonn import _core as c; print(c.ISA, c.FLAGS); assert c.ISA == 'scalar'"
	$(BUILT) $(BIN)/python -m pytest --ignore tests/repository $(PARALLEL) $(TESTS)

# The baseline kernel, with the tests that exercise it. Leaks are not looked for: the interpreter has its own. A test
# that needs the other builds is not among them. They run beside the build, away from docs/faults.md, which counts
# other forged files than these.
SANITIZERS := -fsanitize=address,undefined,float-cast-overflow
SANITIZED := elementary direct lanes leap sliding optimizers optimizer_lanes float32 trajectory run signals checkpoint forged
FORGERIES ?= 3000
sanitize: $(VENV)/installed-test
	export TWONN_BUILDS=baseline LDFLAGS="$(SANITIZERS)" \
	    CFLAGS="-g -fno-omit-frame-pointer $(SANITIZERS) -fno-sanitize-recover=all" && $(BUILD)
	cd build/$@ && LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc TWONN_ISA=sse2 \
	    TWONN_FORGERIES=$(FORGERIES) TWONN_PATIENCE=3600 $(BUILT) $(CURDIR)/$(BIN)/python -m pytest \
	    -p no:cacheprovider -p no:benchmark -k "not every_instruction_set" $(TESTS) \
	    $(patsubst %,twonn/tests/test_%.py,$(SANITIZED))

# A copy of the sources, whose kernel counts its lines: those of Cython, by what gcov counts of the C that names them.
# What other processes run is counted in the kernel only. Left out are tests that need several builds of the kernel.
# With Python 3.12 or newer it is much faster.
COPY := build/coverage
coverage: $(VENV)/installed-coverage
	rm -rf $(COPY)
	mkdir -p $(COPY)
	cp -R src setup.py pyproject.toml README.md LICENSE $(COPY)
	cd $(COPY)/src/twonn && rm -f *.so *.c
	cd $(COPY)/src && for source in twonn/*.pyx; do $(CURDIR)/$(BIN)/cython --line-directives -I . "$$source" || exit 1; done
	cd $(COPY) && mkdir tests && TWONN_BUILDS=baseline CFLAGS=--coverage LDFLAGS=--coverage \
	    $(CURDIR)/$(BIN)/python setup.py --quiet build_ext --inplace
	-COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print(["ctrace", "sysmon"][sys.version_info >= (3, 12)])') \
	    PYTHONPATH=$(CURDIR)/$(COPY)/src TWONN_ISA=sse2 $(BIN)/python -m pytest $(PARALLEL) --ignore tests/repository \
	    --cov --cov-report=term -k "not instruction_set and not a_missing_build and not the_widest" $(TESTS)
	$(BIN)/python tools/kernel_coverage.py $(COPY)/build $(COPY)/src

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_docstrings.py
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

# Said in one sentence, before anything is made: what this machine lacks.
define CHECK_MACHINE
@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON): README.md says what to install" >&2; false; }
@$(PYTHON) tools/check_machine.py
endef

# An environment that does not work, as an interrupted step or a Python that has gone leave it, is made anew.
ifneq ($(shell $(BIN)/python -m pip --version >/dev/null 2>&1 && echo works),works)
.PHONY: $(VENV)/bin/python
endif
$(VENV)/bin/python:
	$(CHECK_MACHINE)
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); false; }

# The package is built once for an environment, whatever extras it gets.
$(VENV)/wheel/made: $(SOURCES) $(VENV)/bin/python
	$(CHECK_MACHINE)
	rm -rf $(VENV)/wheel
	$(call FORGET,build/lib*)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(VENV)/wheel .
	touch $@

# The first command brings what the package needs, the second the package itself, also where its version is there.
INSTALL = $(BIN)/python -m pip install --quiet "$$(echo $(VENV)/wheel/*.whl)$(1)" && \
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(VENV)/wheel/*.whl

$(VENV)/installed: $(VENV)/wheel/made
	$(call INSTALL)
	touch $@

$(VENV)/installed-%: $(VENV)/wheel/made
	$(call INSTALL,[$*])
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist reproduction src/*.egg-info src/twonn/_core.c
	rm -rf docs/_build docs/api docs/gallery docs/sg_execution_times.rst
