# Two commands are enough on a fresh machine: `make submit COMP=paddy` and `make test`. Both set everything up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMP ?= paddy
READY := $(VENV)/.ready
# Kaggle's image has Python 3.12.
KAGGLE_PYTHON ?= $(shell python3.12 --version >/dev/null 2>&1 && echo python3.12 || echo $(PYTHON))
KAGGLE_VENV := .venv-kaggle
KAGGLE_READY := $(KAGGLE_VENV)/.ready

# Files of tests are shared out to the cores; more than four workers would mostly load torch.
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: setup submit test test-browser test-kaggle-image check format lint types layers constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make submit COMP=paddy   download, train, blend and submit (practice arena without Kaggle credentials)"
	@echo "make test                all tests, offline"
	@echo "make test-browser        open every page in Chromium, which must be installed"
	@echo "make test-kaggle-image   all tests on the versions of Kaggle's notebook image"
	@echo "make check               format, lint, types, layers, tests: what CI runs"
	@echo "make format              put the code in its format"
	@echo "make constraints         pin the newest versions that work together"

setup: $(READY)

$(READY): constraints.txt
$(KAGGLE_READY): constraints-kaggle.txt
$(KAGGLE_READY): PYTHON := $(KAGGLE_PYTHON)

# pip installs only uv; uv then installs everything, pinned, in about half a minute. Then numba compiles the loops of
# ensembling and resampling into its cache, so that the first blend does not wait for it.
$(READY) $(KAGGLE_READY): pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(@D)/bin/uv pip install --quiet --python $(@D)/bin/python --constraint $(filter constraints%,$^) \
	  --editable '.[all]' --group dev
	$(@D)/bin/python -c 'from kagglekit.blend.kernels import warm; from kagglekit.resampling import fast; warm(); fast.warm()'
	@touch $@

submit: $(READY)
	$(BIN)/kagglekit submit $(COMP)

test: $(READY)
	$(BIN)/python $(PYTEST)

# Without Chromium there is nothing to collect: pytest says so and exits with status 5.
test-browser: $(READY)
	$(BIN)/python -m pytest tests/browser

# The same tests on the versions of Kaggle's notebook image, in an environment of their own; with Python 3.12 where there
# is one, else with the same Python.
test-kaggle-image: $(KAGGLE_READY)
	$(KAGGLE_VENV)/bin/python $(PYTEST)

check: lint types layers test

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

# torchvision is built for one torch release: the two are held together by hand.
constraints:
	printf 'torch==2.14.1\ntorchvision==0.29.1\n' > $(VENV)/held.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --extra all --extra onnx --group dev --universal --python-version 3.11 --upgrade \
	  --constraint $(VENV)/held.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o constraints.txt
	echo "uv==$$($(BIN)/uv --version | cut -d' ' -f2)" >> constraints.txt

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
