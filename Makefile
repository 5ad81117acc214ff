# madpipe: `make` runs the main job, `make test` the tests; both set up what they need. `make help` lists the rest.

.DEFAULT_GOAL := all
.NOTPARALLEL:
.PHONY: all setup test fuzz test-slurm smoke testsuite ablation rocking-ablation rocking-scores photons weights configs paper costs report bench lint lock docs clean help

BIN := .venv/bin
STAMP := .venv/.installed
SNAKEMAKE := $(BIN)/snakemake --cores all
REPORT := results/report.html
OVERVIEW := results/overview.json
PAPER := all results/paper/mad/figures/ablation.pdf --configfile config/weights.yaml config/paper.yaml
TORCH := torch==2.13.0
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# The first Python on the path that is new enough, looked for once; `make PYTHON=/path/to/python` takes another.
PYTHON = $(eval PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo $$name && break; done))$(PYTHON)

all: setup  ## run config/config.yaml, then name the report and the figures
	$(SNAKEMAKE)
	@test -f $(REPORT) && test -z "$$(find results -path results/smoke -prune -o -type f -newer $(REPORT) -print -quit)" \
	  || $(MAKE) --no-print-directory report
	@echo "Figures:"; find results -path results/smoke -prune -o -name '*.pdf' -print | sort | sed 's/^/  /'
	@echo "Report:"; echo "  $(REPORT)"
	@test ! -f $(OVERVIEW) || $(BIN)/python -c 'from madpipe.base.overview import in_words; print(*in_words("$(OVERVIEW)"), sep="\n")'

setup: $(STAMP)  ## create .venv with everything in it; the second time does nothing

# torch first and by itself: its version is pinned, its build (CPU or CUDA) is what this machine's pip offers.
$(STAMP): requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(IS_NEW_ENOUGH)' 2>/dev/null || { echo >&2 "madpipe: Python >= 3.11 is required;" \
	  "$$(python3 --version 2>/dev/null || echo none) came; install it: sudo apt install python3 python3-venv" \
	  "(on an older system python3.11 python3.11-venv)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 "madpipe: Python's venv is required; it is" \
	  "missing; install it: sudo apt install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; \
	  exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(TORCH)
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@

# A process for each core (tests/conftest.py), each of one thread; a file's tests stay together, for they share what they
# made. Bytecode is kept, whoever set the variable: the processes, and the hundred jobs they start, would compile all anew.
test: setup  ## run all tests, the smoke workflow among them
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fuzz: setup  ## give convert, fit and the curve reader odd files at random, MADPIPE_FUZZ (20) times as many as `make test` does
	MADPIPE_FUZZ=$(or $(MADPIPE_FUZZ),20) $(BIN)/python -m pytest tests/mad/measured/test_strange.py

# Debian's packages, where root may install them; where something is missing the tests are skipped, and say what.
test-slurm: setup  ## run the workflow, and faults of it, on a SLURM that the tests start on this machine
	-[ "$$(id -u)" != 0 ] || { command -v munged && command -v slurmctld && command -v slurmd; } > /dev/null \
	  || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge; } > /dev/null
	-$(BIN)/python -m pip install --quiet "$$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["slurm"])')"
	$(BIN)/python -m pytest tests/slurm $(SLURM_TESTS)

smoke: setup  ## run the whole workflow on tiny data into results/smoke; STUDIES=rocking runs one study alone
	$(SNAKEMAKE) --configfile config/smoke.yaml $(if $(STUDIES),--config 'studies=[$(STUDIES)]')

testsuite: setup  ## compare fit, NanoMAD, reference U-Net and the shipped network on the whole test suite
	$(SNAKEMAKE) --configfile config/suite.yaml

ablation: setup  ## train every variant of the network with three seeds and draw the comparison
	$(SNAKEMAKE) results/mad/figures/ablation.pdf

rocking-ablation: setup  ## train the rocking network with each remedy, three seeds, and draw the comparison
	$(SNAKEMAKE) results/rocking/figures/network/ablation.pdf

rocking-scores: setup  ## score the rocking network and the intervals on a thousand curves, a core's 20 minutes, and draw them
	$(SNAKEMAKE) --configfile config/rocking_scores.yaml -- \
	  $(foreach figure,parameter_errors calibration sensitivities speed,results/rocking_scores/rocking/figures/network/$(figure).pdf)

photons: setup  ## retrieve particles at four photon budgets by every route, and draw the composition's error
	$(SNAKEMAKE) --configfile config/photons.yaml

weights: setup  ## train the weights that come with madpipe anew, and put them into the package
	for study in $(or $(STUDIES),$$($(BIN)/python -c 'from madpipe.studies import STUDIES; \
	  print(*(study.name for study in STUDIES if study.ships_weights))')); do \
	  $(SNAKEMAKE) --configfile config/weights.yaml -- results/weights/$$study/network/weights.safetensors && \
	  cp results/weights/$$study/network/weights.safetensors src/madpipe/$$study/weights.safetensors || exit 1; \
	done

configs: setup  ## write config/config.yaml and the overlays smoke and weights anew from the studies
	$(BIN)/madpipe config --write config

paper: setup  ## run the published configuration: a training (a GPU's work), the whole suite, ablation, every figure
	$(SNAKEMAKE) $(PAPER)
	$(SNAKEMAKE) $(PAPER) --report results/paper/report.html

# One training of the ablation stands for all; 450 s is what the network's training took on one H200 (docs/costs.md).
costs: setup  ## measure what the steps cost on data of several sizes, and estimate the published run from that
	$(SNAKEMAKE) results/sizes/mad/ablation/0_0.json --configfile config/sizes.yaml
	$(SNAKEMAKE) --configfile config/sizes.yaml
	$(SNAKEMAKE) $(PAPER) --dry-run --forceall > results/sizes/paper.txt 2>&1
	$(BIN)/python benchmarks/costs.py results/sizes/logs/jobs.csv --plan results/sizes/paper.txt \
	  --config config/weights.yaml config/paper.yaml --told "mad_train network=450" -o results/sizes/costs
	@cat results/sizes/costs/costs.md

report: setup  ## write results/report.html from the finished results
	$(SNAKEMAKE) --report $(REPORT)

# Without addopts the annotations are not checked at run time: they would be timed too.
bench: setup  ## run the benchmarks into results/benchmarks
	@mkdir -p results/benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only -o addopts= --benchmark-json=results/benchmarks/all.json
	$(BIN)/python benchmarks/draw.py results/benchmarks/all.json

lint: setup  ## check style, layout, spelling, types and the workflow
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Resolved for every platform and Python >= 3.11; torch and what only its CUDA build needs are left out.
lock: setup  ## renew requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra workflow --extra test --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-header --no-annotate --quiet > .venv/resolved
	{ echo "# Made by: make lock"; awk '/^[a-z]/ {keep = !/^(torch|triton|nvidia-|cuda-)/} keep' .venv/resolved; } > requirements.lock

docs: setup  ## make the documents' site in site/; a dead link is an error
	$(BIN)/python -m pip install --quiet "$$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')"
	$(BIN)/mkdocs build --strict --quiet

clean:  ## remove results, logs and caches; .venv stays
	rm -rf results logs site .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile
