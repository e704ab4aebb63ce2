# make demo    a newcomer's first minutes: install, train a small network, audit it, show the verdict
# make test    the test suite, with all it needs
# make lint    ruff and mypy
# make bench   side by side with the peers, as ratios
# make fuzz    a million points against the bounds of every layer that certifiers read, and ten
#              thousand result sets whose verdict every format must tell alike, in valid files
# make docs    the site, with examples and commands run as it is made, under build/docs/html
# make claims  every paper's claim at small scale; rewrites the committed ledger
#
# PIP_FLAGS reaches every pip call. A build of torch without CUDA is a fraction of the download:
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON    ?= python3
VENV      ?= .venv
PIP_FLAGS ?=
TORCH     := $(shell sed -n '/^torch==/p' constraints.txt)

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet $(PIP_FLAGS) -c constraints.txt
STAMPS  := $(VENV)/.stamps

# pip builds the package in an environment of its own: the same pins hold there, for old and new pip.
export PIP_CONSTRAINT       := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo test lint bench fuzz docs claims clean

# What `holdfast demo` itself exits with is its verdict (0 pass, 1 a gate fails, 3 undecided); the
# target only fails where no verdict was reached.
demo: $(STAMPS)/package
	@code=0; $(BIN)/holdfast demo || code=$$?; \
	echo "holdfast demo itself exits with $$code (0 pass, 1 a gate fails, 3 undecided)"; \
	case $$code in 0|1|3) ;; *) exit $$code ;; esac

# Two workers with one thread each: the suite's numbers do not depend on the machine.
test: $(STAMPS)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q --durations=15 $(PYTEST_ARGS)

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMPS)/dev
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit $$?; done

fuzz: $(STAMPS)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m holdfast.testing.fuzz --points 1000000
	HOLDFAST_FUZZ=10000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s \
	  tests/cli/test_agreement.py tests/report/test_schemas.py

docs: $(STAMPS)/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m docs.generator

claims: $(STAMPS)/package
	$(BIN)/holdfast claim --all

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "no venv could be made; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@mkdir -p $(@D) && touch $@

# torch first: its version decides what the rest may be.
$(STAMPS)/torch: constraints.txt | $(STAMPS)/venv
	@echo "installing $(TORCH) (the largest part; minutes on a slow line)"
	@$(INSTALL) "$(TORCH)"
	@touch $@

$(STAMPS)/package: pyproject.toml constraints.txt $(STAMPS)/torch
	@echo "installing holdfast"
	@$(INSTALL) -e .
	@touch $@

$(STAMPS)/dev: pyproject.toml constraints.txt $(STAMPS)/package
	@echo "installing what the tests need"
	@$(INSTALL) -e '.[dev,oracle,onnx,hf]'
	@$(INSTALL) --no-deps torchattacks
	@touch $@

$(STAMPS)/docs: pyproject.toml constraints.txt $(STAMPS)/package
	@echo "installing what the site needs"
	@$(INSTALL) -e '.[docs]'
	@touch $@
