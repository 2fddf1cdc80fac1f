# Two commands: `make run` serves the sample configuration, `make test` checks everything. The rest is detail.
# They need Python 3.11 or later, make and openssl, and keep everything they install in .venv.

# Of these the first that is new enough is taken, one that was built with optimisation before one that was not;
# `make PYTHON=...` names others.
PYTHON ?= python3.11 python3 python3.12 python3.13 python3.14
# Processes that run tests side by side.
JOBS ?= 2

VENV := .venv
BIN = $(VENV)/bin
VERSIONS := pinned

# Any Python runs make_venv.py, which looks for the one that csipd is to run on.
define make_venv
@for python in python3 $(PYTHON); do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
		exec "$$python" .ci/make_venv.py --versions $(VERSIONS) --python "$(PYTHON)" $(VENV) $(SECTIONS); \
	fi; \
done; \
echo "csipd needs Python 3.11 or later, and none of python3 $(PYTHON) can be started." >&2; exit 1
endef

.PHONY: run demo platform run-bus test check tests test-all test-docs test-bus test-latest test-oldest pins venv develop bench heavy clean

run: venv
	@$(BIN)/twistd --nodaemon --pidfile= --logger csipd.daemon.console.console csipd --config etc/config.yml --hints

# csipd with forty simulated devices on a feeder whose voltage rises too high, and is saved: two minutes.
demo: venv
	@$(BIN)/python -m csipd.sim.demo

# What stands in for GridAPPS-D (docs/gridappsd.md): a broker, a simulated feeder, an application that watches it.
platform: develop
	@$(BIN)/python -m tests.support.platform --broker

# csipd on its bus.
run-bus: venv
	@$(BIN)/twistd --nodaemon --pidfile= --logger csipd.daemon.console.console csipd --config etc/gridappsd.yml

test: check tests

check: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tests: develop
	$(BIN)/python -m twisted.trial --rterrors --jobs $(JOBS) tests

# On each Python that csipd supports and this machine has.
test-all:
	@for version in 3.11 3.12 3.13; do \
		if python3 .ci/make_venv.py --python python$$version --find; then \
			$(MAKE) test VENV=.venv-$$version PYTHON=python$$version || exit 1; \
		else \
			echo "Python $$version is passed over."; \
		fi; \
	done

# The commands of the documents alone: README.md and docs/*.md, each run from top to bottom.
test-docs: develop
	$(BIN)/python -m twisted.trial --rterrors tests.docs

# The GridAPPS-D bus: STOMP, and the platform's own client against CoilMQ, and ActiveMQ where that is installed.
test-bus: develop
	$(BIN)/python -m twisted.trial --rterrors tests.stomp tests.gridappsd tests.test_cosimulation

# With the newest of everything, and with the oldest that setup.cfg allows: what is pinned is between them.
test-latest:
	$(MAKE) test VENV=.venv-latest VERSIONS=newest

test-oldest:
	$(MAKE) tests VENV=.venv-oldest VERSIONS=oldest

# Renews every version in pins.txt.
pins: VENV := .venv-pins
pins: SECTIONS := pins
pins:
	$(make_venv)
	$(BIN)/python .ci/pins.py

# What csipd runs on, and that together with what else its tests need.
venv: SECTIONS := run
develop: SECTIONS := run develop
venv develop:
	$(make_venv)

# The same tests with many more examples for each property: hours rather than minutes.
heavy: develop
	$(BIN)/python -m tests.heavy

# Every number in docs/performance.md, one module after the other.
bench: develop
	@for benchmark in $$(grep -l __main__ benchmarks/*.py | grep -v stores); do \
		module=benchmarks.$$(basename "$$benchmark" .py); \
		echo "$(BIN)/python -m $$module"; \
		$(BIN)/python -m "$$module" || exit 1; \
	done

clean:
	rm -rf .venv .venv-* build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
