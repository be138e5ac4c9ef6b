# make setup        the virtual environment .venv with everything the workflow needs
# make quickstart   a whole small study; prints where its report lies
# make test         all tests in WORKERS processes, those of MACE in their own environment .venv-mace
# make lint         style of the code and of the workflow
# make schema       config/schema.json from the library
# make browser      Chromium for the tests of the report's page (Debian, as root)
# make clean        remove the environments and caches, never results

PYTHON ?= python3
VENV ?= .venv
MACE_VENV ?= .venv-mace
BIN := $(VENV)/bin
CORES ?= all
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test lint schema browser clean

help:
	@sed -n 's/^# //p' Makefile

setup: $(VENV)/.installed

# torch comes first and pinned: later packages then keep this build.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	  f"irrepress needs Python 3.11 to 3.13, $(PYTHON) is {sys.version.split()[0]}; run make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install torch==2.13.0
	$(BIN)/python -m pip install -e '.[sevennet,workflow]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -e '.[sevennet,escn,workflow,test]'
	@touch $@

quickstart: setup
	$(BIN)/snakemake --cores $(CORES) --rerun-incomplete --configfile config/quickstart.yaml
	@echo "The report: $(CURDIR)/results/quickstart/report/index.html"

# MACE needs a version of e3nn that SevenNet excludes, and so an environment of its own. The tests
# of MACE skip themselves in the main one. There is one SLURM a machine, and so one process for it.
$(MACE_VENV)/.installed-test: pyproject.toml
	$(PYTHON) -m venv $(MACE_VENV)
	$(MACE_VENV)/bin/python -m pip install torch==2.13.0
	$(MACE_VENV)/bin/python -m pip install -e '.[mace,mace-test,test]'
	@touch $@

test: $(VENV)/.installed-test $(MACE_VENV)/.installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --ignore tests/slurm
	$(BIN)/python -m pytest tests/slurm
	$(MACE_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/families/mace

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint --configfile config/sevennet.yaml

schema: setup
	$(BIN)/python scripts/write_schema.py

browser:
	apt-get update
	apt-get install -y --no-install-recommends chromium chromium-driver

clean:
	rm -rf $(VENV) $(MACE_VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
