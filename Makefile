# make setup        the virtual environment .venv with everything the workflow and SevenNet need
# make setup-mace   .venv-mace beside it, in which jobs of MACE run; setup-escn: the same for eSCN
# make quickstart   a whole small study; prints where its report lies
# make test         the tests but the slow ones, in WORKERS processes, those of MACE in .venv-mace
# make test-main    those of .venv alone; test-mace: those of MACE alone
# make test-all     the slow ones too: whole studies, interrupted trainings, a real SLURM
# make golden       tests/golden anew, where plans change on purpose: look at what differs
# make lint         style, layers and types of the code, style of the workflow
# make docs         the documentation as a site in build/docs
# make coverage     the quick tests, and which lines they reach, in build/coverage
# make schema       config/schema.json from the library
# make browser      Chromium for the tests of the report's page (Debian, as root)
# make clean        remove the environments and caches, never results

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
WORKERS ?= 2
# make LOCKED=1 ...: install just the versions that the tests last passed with
LOCKED ?=
constraints = $(if $(LOCKED),-c constraints/$(1).txt)

.DEFAULT_GOAL := help
.PHONY: help setup setup-mace setup-escn quickstart test test-main test-mace test-all test-slurm test-all-mace golden coverage lint docs schema browser clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(VENV)/.installed

setup-mace setup-escn: setup-%: .venv-%/.installed

define check-python
@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
  f"irrepress needs Python 3.11 to 3.13, $(PYTHON) is {sys.version.split()[0]}; run make PYTHON=python3.12")'
endef

# torch comes first and pinned: later packages then keep this build.
$(VENV)/.installed: pyproject.toml
	$(check-python)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install torch==2.13.0
	$(BIN)/python -m pip install $(call constraints,main) -e '.[sevennet,workflow]'
	@touch $@

# Families can exclude each other's packages: MACE needs a version of e3nn that SevenNet excludes.
# So jobs of a family run in its own environment where .venv lacks it (irrepress.study.environments).
.venv-%/.installed: pyproject.toml
	$(check-python)
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install torch==2.13.0
	.venv-$*/bin/python -m pip install $(if $(filter mace,$*),$(call constraints,mace)) -e '.[$*]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install $(call constraints,main) -e '.[sevennet,escn,workflow,test,docs]'
	@touch $@

quickstart: setup
	$(BIN)/snakemake --cores $(CORES) --rerun-incomplete --configfile config/quickstart.yaml
	@echo "The report: $(CURDIR)/results/quickstart/report/index.html"

# The tests of MACE skip themselves in .venv. There is one SLURM a machine, and so one process for it.
.venv-mace/.installed-test: .venv-mace/.installed
	.venv-mace/bin/python -m pip install $(call constraints,mace) -e '.[mace,mace-test,test]'
	@touch $@

# A class, or the functions of a file, stay in one process, for their fixtures' sake.
PYTEST = -m pytest -n $(WORKERS) --dist loadscope

test: test-main test-mace

test-main: $(VENV)/.installed-test
	$(BIN)/python $(PYTEST) -m "not slow" --ignore tests/slurm

test-mace: .venv-mace/.installed-test
	.venv-mace/bin/python $(PYTEST) -m "not slow" tests/families/mace

test-all: $(VENV)/.installed-test .venv-mace/.installed-test
	$(BIN)/python $(PYTEST) --ignore tests/slurm
	$(MAKE) --jobs 2 --output-sync test-slurm test-all-mace

# Most of the time jobs of SLURM are waited for: those of MACE run beside them.
test-slurm: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/slurm

test-all-mace: .venv-mace/.installed-test
	.venv-mace/bin/python -m pytest tests/families/mace

# The tests of the workflow run its scripts in processes of their own, which are not counted.
coverage: $(VENV)/.installed-test .venv-mace/.installed-test
	$(BIN)/python $(PYTEST) -m "not slow" --ignore tests/slurm --cov
	.venv-mace/bin/python $(PYTEST) -m "not slow" tests/families/mace --cov --cov-append \
	  --cov-report html --cov-report term

golden: $(VENV)/.installed-test .venv-mace/.installed-test
	$(BIN)/python tests/helpers/golden_plans.py sevennet escn
	.venv-mace/bin/python tests/helpers/golden_plans.py mace

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	for study in sevennet general quickstart; do \
	  $(BIN)/snakemake --lint --configfile config/$$study.yaml || exit 1; done

docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The documentation: $(CURDIR)/build/docs/index.html"

schema: setup
	$(BIN)/python scripts/write_schema.py

browser:
	apt-get update
	apt-get install -y --no-install-recommends chromium chromium-driver

clean:
	rm -rf $(VENV) .venv-mace .venv-escn build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
