# Five targets. They need: python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'
#
#   make check     everything that must be green before a commit, the fastest first: format, lint, imports, types, tests
#   make test      the default tests, as in the README: quick, nothing but Python needed
#   make chaos     kills, pauses and restarts real processes; minutes
#   make servers   against what Debian packages bring: redis-server, faketime, docker-compose, systemd-analyze
#   make demo      the demo, until Ctrl-C
#
# A fresh clone is checked by .ci/run, which installs all of it and runs all of it.

BIN := .venv/bin

.PHONY: check test chaos servers demo

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

demo:
	$(BIN)/supervision demo
