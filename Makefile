# Two commands to know: `make demo` and `make test`. Both create .venv and install on first use.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help install demo test test-slow test-fault test-orchestration test-browser test-ray test-deploy lint lock clean

help:
	@echo "make demo        raw text to an aligned model, on two CPU cores, a few minutes"
	@echo "make test        the test suite, under 20 minutes on two cores"
	@echo "make test-slow   quickstart figures on five seeds, about half an hour"
	@echo "make test-fault  kills runs at random moments and compares digests"
	@echo "make test-orchestration  real Prefect server and worker: deploy, cancel, crash, resume, Postgres"
	@echo "make test-browser        the Prefect UI in a real browser; needs chromium"
	@echo "make test-ray            the corpus stage on a Ray cluster of this machine"
	@echo "make test-deploy         Docker and Kubernetes files against their schemas"
	@echo "make lint        ruff and mypy"
	@echo "make lock        write requirements.lock from the environment that passed the tests"

install: $(VENV)/.installed

# requirements.lock holds exact versions; as constraints they leave platform-specific wheels to pip.
$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("plumbline needs Python >= 3.11, this is " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $@

demo: install
	@$(BIN)/plumbline run quickstart

test: install
	$(BIN)/python -m pytest -m "not slow and not fault and not orchestration and not browser and not ray"

test-slow: install
	$(BIN)/python -m pytest -m slow

test-fault: install
	$(BIN)/python -m pytest -m fault

test-orchestration: install
	$(BIN)/python -m pytest -m orchestration

test-browser: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev,browser]"
	$(BIN)/python -m pytest -m browser

test-ray: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev,ray]"
	$(BIN)/python -m pytest -m ray

# What Docker and Kubernetes would be given, against their schemas: 210 MB of validators in an environment of their own
test-deploy: install
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev,deploy]"
	.venv-deploy/bin/python -m pytest tests/deploy

lint: install
	$(BIN)/ruff check configs tasks flows tests benchmarks
	$(BIN)/ruff format --check configs tasks flows tests benchmarks
	$(BIN)/mypy

lock: test-deploy
	.venv-deploy/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf $(VENV) .venv-deploy .plumbline .pytest_cache .mypy_cache .ruff_cache
