# Two commands: `make run` serves the sample configuration, `make test` checks everything. The rest is detail.
# They need Python 3.11 or later, make and openssl, and keep everything they install in .venv.

# The first of these that is new enough is taken; `make PYTHON=...` names another.
PYTHON ?= python3.11 python3 python3.12 python3.13 python3.14
BIN := .venv/bin

.PHONY: venv run test check bench heavy clean

venv:
	@for python in $(PYTHON); do \
		if "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			exec "$$python" .ci/make_venv.py; \
		fi; \
	done; \
	echo "csipd needs Python 3.11 or later with its venv module, and none of these is one: $(PYTHON)" >&2; exit 1

run: venv
	$(BIN)/twistd --nodaemon --pidfile= csipd --config etc/config.yml

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m twisted.trial --rterrors tests

# The same tests with many more examples for each property: hours rather than minutes.
heavy: venv
	$(BIN)/python -m tests.heavy

# Every number in docs/performance.md, one module after the other.
bench: venv
	@for benchmark in $$(grep -l __main__ benchmarks/*.py); do \
		module=benchmarks.$$(basename "$$benchmark" .py); \
		echo "$(BIN)/python -m $$module"; \
		$(BIN)/python -m "$$module" || exit 1; \
	done

clean:
	rm -rf .venv build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
