# Two commands matter: `make run` and `make test`. Both may be repeated at will; what is done is not done again.
# With uv on the PATH everything is installed by uv, without it by plain venv and pip.

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.stamps
UV    := $(shell command -v uv 2>/dev/null)
JOBS  ?= 2
ARGS  ?=

COMPILED := $(wildcard engine/*.pyx engine/*.pxd engine/*.h) setup.py
STUBBED  := $(patsubst engine/%.pyi,engine.%,$(wildcard engine/*.pyi))
BUILD_REQUIRES := "setuptools>=77" "cython>=3.1,<4" "numpy>=2.0"

# The first Python of at least 3.11; PYTHON=/path/to/python overrides the search.
FIND_PYTHON = for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done

ifdef UV
INSTALL = $(UV) pip install --quiet --python $(PY)
else
INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check
endif

.DEFAULT_GOAL := help
.PHONY: help run gui test long mutants sanitize bench lint wheel build clean distclean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP)/run $(STAMP)/built  ## trade on paper, headless, on an embedded mock market (ARGS="--duration 60s" ...)
	@echo "==> python -m engine --paper $(ARGS)"
	@exec $(PY) -m engine --paper $(ARGS)

gui: $(STAMP)/gui $(STAMP)/built  ## open the dashboard on a demo engine
	@exec $(PY) -m gui --demo $(ARGS)

test: $(STAMP)/dev $(STAMP)/built  ## run the whole test suite, in less than ten minutes on two cores
	@echo "==> pytest"
	@QT_QPA_PLATFORM=offscreen $(PY) -m pytest -n $(JOBS) --dist worksteal -q $(ARGS)

long: $(STAMP)/dev $(STAMP)/built  ## run what takes longer, and record the result in docs/reference/long-run.md
	@QT_QPA_PLATFORM=offscreen $(PY) -m pytest -m long --timeout=0 -o junit_family=xunit1 --junit-xml=build/long.xml $(ARGS); \
		status=$$?; $(PY) tests/record_long.py build/long.xml docs/reference/long-run.md; exit $$status

mutants: $(STAMP)/dev $(STAMP)/built  ## make the faults of tests/mutants, one at a time: each must be found
	@$(PY) -m pytest -m long --timeout=0 -q tests/long/test_mutants.py $(ARGS)

sanitize: $(STAMP)/dev $(STAMP)/built  ## run the core's tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(PY) -m pytest -m long --timeout=0 -q tests/long/test_sanitizers.py $(ARGS)

bench: $(STAMP)/dev $(STAMP)/built  ## run the benchmarks
	@$(PY) -m pytest benchmarks/ --benchmark $(ARGS)

lint: $(STAMP)/dev $(STAMP)/built  ## check style, types, Cython sources and stubs
	@echo "==> ruff";        $(PY) -m ruff check . && $(PY) -m ruff format --check .
	@echo "==> mypy";        $(PY) -m mypy
	@echo "==> cython-lint"; PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint $(wildcard engine/*.pyx engine/*.pxd)
	@echo "==> stubtest $(STUBBED)"; $(PY) -m mypy.stubtest --mypy-config-file pyproject.toml $(STUBBED)

wheel: $(STAMP)/dev  ## build dist/microburst-*.whl
	@echo "==> building the wheel"
	@rm -rf build/lib* build/bdist* dist/*.whl
	@mkdir -p build; $(PY) -m build --wheel --no-isolation --outdir dist > build/wheel.log 2>&1 \
		|| { tail -n 40 build/wheel.log; exit 1; }
	@ls dist/*.whl

build: $(STAMP)/dev $(STAMP)/built  ## build the extension modules in place

clean:  ## remove what was built; the virtual environment stays
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage $(STAMP)/built
	@rm -f engine/*.so engine/*.pyd engine/*.html $(patsubst %.pyx,%.c,$(wildcard engine/*.pyx))
	@find engine feeds gui mock_server tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove the virtual environment too
	@rm -rf $(VENV)

$(STAMP)/venv:
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || { \
		echo "error: no C compiler; on Debian and Ubuntu: sudo apt-get install gcc python3-dev" >&2; exit 1; }
	@python="$$($(FIND_PYTHON))"; \
	if [ -n "$(UV)" ]; then \
		echo "==> creating $(VENV) with uv"; \
		$(UV) venv --quiet --allow-existing --python "$${python:->=3.11}" $(VENV); \
	elif [ -n "$$python" ]; then \
		echo "==> creating $(VENV) with $$python ($$("$$python" --version))"; \
		"$$python" -m venv $(VENV) || { \
			echo "error: venv failed; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }; \
	else \
		echo "error: Python 3.11 or newer not found; install it, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi
	@$(PY) -c 'import pathlib, sys, sysconfig; \
		sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())' || { \
		echo "error: Python's headers are missing; on Debian and Ubuntu: sudo apt-get install python3-dev" >&2; exit 1; }
	@[ -n "$(UV)" ] || $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade >/dev/null
	@echo "==> installing the build tools"
	@$(INSTALL) $(BUILD_REQUIRES)
	@mkdir -p $(STAMP) && touch $@

# MICROBURST_ONLY=none: pip installs, and the next rule compiles, once and visibly.
$(STAMP)/run: $(STAMP)/venv pyproject.toml
	@echo "==> installing microburst and its dependencies"
	@MICROBURST_ONLY=none $(INSTALL) --no-build-isolation -e .
	@touch $@

$(STAMP)/gui: $(STAMP)/venv pyproject.toml
	@echo "==> installing microburst with everything a user runs"
	@MICROBURST_ONLY=none $(INSTALL) --no-build-isolation -e '.[all]'
	@touch $(STAMP)/run $@

$(STAMP)/dev: $(STAMP)/venv pyproject.toml
	@echo "==> installing microburst with everything the tests need"
	@MICROBURST_ONLY=none $(INSTALL) --no-build-isolation -e '.[dev]'
	@touch $(STAMP)/run $(STAMP)/gui $@

$(STAMP)/built: $(STAMP)/venv $(COMPILED)
	@echo "==> compiling $(words $(wildcard engine/*.pyx)) extension modules (half a minute the first time)"
	@mkdir -p build; $(PY) setup.py --quiet build_ext --inplace --parallel 2 > build/compile.log 2>&1 \
		|| { tail -n 40 build/compile.log; echo "error: compiling failed; all of it is in build/compile.log" >&2; exit 1; }
	@touch $@
