# `make` lists the targets. Each creates the virtual environment when it is missing or out of date.

PYTHON ?= python3
VENV   ?= .venv
# Passed on to the command of the target, such as ARGS="--codecs vvenc,hpcm_base --device cuda" for `make kodak`.
ARGS   ?=
# The images of `make folder`.
FOLDER ?=
# What `make train` trains, and the folders of images that it and `make miniatures` take.
VARIANT    ?= hpcm_base
LAMBDA     ?= 0.013
DATA       ?= data/train
VALIDATION ?=
# How long `make fuzz` goes on, or the file of an input that it tries again.
MINUTES    ?= 10
REPLAY     ?=

BENCH := $(VENV)/bin/python -m bench
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help kodak clic tecnick sample folder latency claims train miniatures bench report test fuzz lint
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

kodak: $(READY) ## the whole job on Kodak (24 images): measure what is not stored, profile, judge claims, report
	@$(BENCH) assess kodak $(ARGS)

clic: $(READY) ## the same on CLIC 2020 professional validation (41 images)
	@$(BENCH) assess clic2020 $(ARGS)

tecnick: $(READY) ## the same on Tecnick RGB 1200x1200 (100 images)
	@$(BENCH) assess tecnick $(ARGS)

sample: $(READY) ## the same on three images that need no download
	@$(BENCH) assess sample $(ARGS)

folder: $(READY) ## the same on the images of a folder (FOLDER=~/pictures)
	@$(BENCH) assess "$(or $(FOLDER),$(error name the folder of images: make folder FOLDER=...))" $(ARGS)

latency: $(READY) ## measure what every variant costs: time, memory, operations (ARGS="--quick" for a look)
	@$(BENCH) profile $(ARGS)

claims: $(READY) ## judge the authors' claims by the stored rows; 1 if something got worse since ARGS="--accept"
	@$(BENCH) claims $(ARGS)

train: $(READY) ## train VARIANT at LAMBDA on the images of DATA, validated on VALIDATION
	@$(BENCH) train --variant $(VARIANT) --lambda $(LAMBDA) --data $(DATA) \
		$(if $(VALIDATION),--validation $(VALIDATION)) $(ARGS)

miniatures: $(READY) ## train the miniatures of every variant on DATA and VALIDATION; goes on where it was
	@$(BENCH) miniatures --data $(DATA) $(if $(VALIDATION),--validation $(VALIDATION)) $(ARGS)

bench: $(READY) ## time the suite beside what its goals name: ratios, within 10 minutes (ARGS="--quick" for a look)
	@$(BENCH) benchmark goals $(ARGS)

report: $(READY) ## rebuild every report from results/, without a model (ARGS="--formats svg,pdf" for papers)
	@$(BENCH) report $(ARGS)

test: $(READY) ## run the tests on all cores (PYTEST_ARGS="-k lattice" for some of them)
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal --durations 10 $(PYTEST_ARGS)

fuzz: $(READY) ## try odd and hostile input for MINUTES=10; a failing one is kept, and tried again by REPLAY=FILE
	@PYTHONPATH=tests:. $(VENV)/bin/python -m fuzz --minutes $(MINUTES) $(if $(REPLAY),--replay $(REPLAY)) $(ARGS)

lint: $(READY) ## check style, types, which part imports which, and the weight of what git tracks
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/python tests/weight.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13) and "Python 3.10 to 3.12 is needed: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): a few minutes and about 6 GB, once"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
