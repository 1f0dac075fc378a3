# Seven targets. They need: python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'
#
#   make check     everything that must be green before a commit, the fastest first: format, lint, imports, types, tests
#   make test      the default tests, as in the README: quick, nothing but Python needed
#   make chaos     kills, pauses and restarts real processes; minutes
#   make servers   against what Debian packages bring: redis-server, faketime, docker-compose, systemd-analyze
#   make coverage  which lines the default and the long tests run, in every process that they start; a table; minutes
#   make coverage-core  whether tests/unit alone run every branch of the pure core; fails below 100 %; a minute
#   make demo      the demo, until Ctrl-C
#
# A fresh clone is checked by .ci/run, which installs all of it and runs all of it.

BIN := .venv/bin

.PHONY: check test chaos servers coverage coverage-core demo

check:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest

test:
	$(BIN)/python -m pytest

chaos:
	$(BIN)/python -m pytest -m chaos

servers:
	$(BIN)/python -m pytest -m servers

# Two runs add up. Every process of the environment has to find the plugin that saves what one has run before it is
# killed, also those that are given a PYTHONPATH of their own; without the plugin's name in their settings none loads it.
coverage:
	rm -rf .coverage
	echo $(CURDIR)/tests/measuring >$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/a0_measuring.pth
	-$(BIN)/coverage run -m pytest -n 0 --timeout 300
	-$(BIN)/coverage run -m pytest -n 0 --timeout 600 -m 'chaos and not servers'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort cover

# With settings of its own and without the plugin above: the core is pure, and its tests start no process to be killed.
coverage-core:
	$(BIN)/python tests/measuring/core_covered.py

demo:
	$(BIN)/supervision demo
