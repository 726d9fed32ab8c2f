# make          set up .venv (about 2 minutes once, then nothing)
# make demo     reproduce everything in miniature, print the tables and where the page is
# make test     lint and test
# make help     all targets

CORES ?= 2
PYTHON ?=
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := setup

# One thread per process: jobs run side by side, and two threads inside a small operation are
# slower than one.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
unexport PYTHONPATH PYTHONHOME
# Modules are compiled once and kept, whatever the environment says, not by each of hundreds of jobs.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := pytest --dist loadfile --no-loadscope-reorder -rs --durations=25
QUICK_TESTS := $(PYTEST) -n $(CORES) -m "not system and not long"
# Only files that have such tests are read, in the same order everywhere. One worker more than there are
# cores, since the tests of SLURM, which are the longest, mostly wait.
SYSTEM_TESTS := $(PYTEST) -n $$(( $(CORES) + 1 )) -m "system and not long" \
	$$(grep -rl --include='test_*.py' 'mark\.system' tests | sort)

.PHONY: setup demo rehearsal bench test test-system coverage test-data mutants lint format lock config-docs docs clean help

setup: ## build .venv from requirements.lock; does nothing when it is there
	@tools/setup.sh

demo: setup ## the miniature of every paper: tables, figures and the results page
	@sedrepro unlock
	@status=0; snakemake all --configfile config/mini.yaml --cores $(CORES) || status=$$?; \
	sedrepro table --configfile config/mini.yaml; \
	echo "tables: $(CURDIR)/results/mini/tables"; \
	echo "results page: $(CURDIR)/results/mini/report/index.html"; exit $$status

rehearsal: setup ## a few full-size steps of each headline row; `sedrepro plan` then tells what all costs
	@status=0; sedrepro rehearse || status=$$?; sedrepro plan; exit $$status

bench: setup ## training steps side by side, into docs/benchmarks.md
	@PYTHONPATH=src python benchmarks/steps.py --write

test: lint ## lint, then all tests but those of the whole workflow and the machine
	@$(QUICK_TESTS)

test-system: setup ## the whole workflow, killed and changed; a real SLURM, a browser, full disks, conda
	@$(SYSTEM_TESTS)

coverage: setup ## the same tests, counting lines: at least 85 % of src must be covered
	@rm -f .coverage .coverage.*
	@$(QUICK_TESTS) --cov --cov-report=term:skip-covered --cov-fail-under=85

test-data: setup ## fetch the public data that some tests compare with
	@python tools/test_data.py

mutants: setup ## change the code in 400 small ways and count those that a test notices; by hand
	@python tools/mutants.py --jobs $(CORES)

lint: setup ## style, spelling, types and Snakemake's own checks; changes nothing
	@ruff check
	@ruff format --check
	@snakefmt --check --compact-diff Snakefile rules
	@codespell
	@mypy
	@snakemake --lint

format: setup ## write what lint asks for, as far as a program can
	@ruff check --fix
	@ruff format
	@snakefmt Snakefile rules

lock: ## requirements.in → requirements.lock → envs/
	@tools/lock.sh
	@tools/setup.sh
	@python tools/write_envs.py

config-docs: setup ## the settings models → config/config.yaml, its schema, docs/parameters.md
	@python tools/write_config_docs.py

docs: ## a check of the English of README and docs/, then the site in site/
	@tools/docs.sh

clean: ## remove .venv and caches; data and results stay
	@rm -rf .venv .venv.docs site .pytest_cache .ruff_cache .mypy_cache .coverage .coverage.* htmlcov
	@find src tests tools workflow -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
