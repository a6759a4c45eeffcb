# Needs Python 3.11 or newer, and make. Everything else is installed into .venv.
.PHONY: help demo test lint format clean

help:
	@echo "make demo    everything on this machine, with a simulated n8n; Ctrl-C stops all of it"
	@echo "make test    all checks, and the tests on the embedded PostgreSQL and on PostgreSQL 15"
	@echo "make lint    only ruff and mypy"
	@echo "make format  let ruff format the code"
	@echo "make clean   remove .venv, caches and test results; keeps .data"

demo: .venv/.installed
	@.venv/bin/python manage.py demo

test: .venv/.installed-dev
	@scripts/install_test_tools
	@.venv/bin/python -m scripts.run_tests

lint: .venv/.installed-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy .

format: .venv/.installed-dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as old as the last installation, so only a change of the pins installs anything again.
.venv/.installed: requirements.txt scripts/make_venv
	@scripts/make_venv requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt scripts/make_venv
	@scripts/make_venv requirements-dev.txt
	@touch .venv/.installed $@
