# Two commands: `make run` serves the sample configuration, `make test` checks everything. The rest is detail.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	touch $@

run: $(VENV)/.installed
	$(BIN)/twistd --nodaemon --pidfile= csipd --config etc/config.yml

check: $(VENV)/.installed
	$(BIN)/ruff check csipd tests benchmarks twisted
	$(BIN)/ruff format --check csipd tests benchmarks twisted
	$(BIN)/mypy

test: check
	$(BIN)/python -m twisted.trial --rterrors tests

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
