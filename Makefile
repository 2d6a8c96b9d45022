# Cloudsite. `make` alone lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up demo test test-long check bench lock clean erase ready ready-test lint types imports migrations unit

PY := .venv/bin/python
# Two processes share the tests, each with a database of its own; files stay whole and in their order.
SHARED := -n 2 --dist loadscope --no-loadscope-reorder
# What checks and tests write goes here, never into the installation in var/.
SCRATCH := CLOUDSITE_VAR="$${TMPDIR:-/tmp}/cloudsite-check-$$(id -u)"

help:  ## This list
	@printf '\n  \033[1mCloudsite\033[0m: a private cloud in one Django project\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[36mmake %-10s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  Settings are CLOUDSITE_* variables: make up CLOUDSITE_LISTEN=127.0.0.1:8700 (docs/settings.md)\n\n'

up: ready  ## Start everything and stay; the first time it boots a first instance. Ctrl-C stops
	@exec $(PY) -m cloudsite.launcher up

demo: ready  ## Boot, check, reboot and delete an instance in an installation of its own; the exit code tells
	@exec $(PY) -m cloudsite.launcher demo

test: ready-test  ## All checks and tests that this machine can run (half an hour on two cores)
	@$(MAKE) --no-print-directory lint types imports migrations
	@$(PY) -m pytest $(SHARED) -m 'not slow' $(ARGS)

test-long: ready-test  ## The same with the long forms of the kill and real-guest tests
	@$(MAKE) --no-print-directory lint types imports migrations
	@$(PY) -m pytest $(SHARED) $(ARGS)

check: ready-test  ## Lint, types, imports, migrations and unit tests (a minute)
	@$(MAKE) --no-print-directory lint types imports migrations unit

bench: ready-test  ## Measure boots per second against the floor of this machine; ARGS='--json FILE' writes it down
	@exec $(PY) -m bench $(ARGS)

lock: ready-test  ## Pin requirements*.txt anew out of pyproject.toml
	@scripts/lock.sh

clean:  ## Remove caches and compiled files; installation, guests and .venv stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache "$${TMPDIR:-/tmp}/cloudsite-check-$$(id -u)"
	@find . -path ./.venv -prune -o -path ./var -prune -o -name __pycache__ -type d -exec rm -rf {} +

erase:  ## Delete this installation with all its guests and images: make erase CONFIRM=yes
	@exec $(PY) -m cloudsite.launcher erase $(if $(filter yes,$(CONFIRM)),--yes)

ready:
	@scripts/bootstrap.sh

ready-test:
	@scripts/bootstrap.sh --test

lint:
	@echo ruff; $(PY) -m ruff check --quiet .

types:
	@echo mypy; $(SCRATCH) $(PY) -m mypy --no-error-summary

imports:
	@echo import-linter; told=$$($(SCRATCH) .venv/bin/lint-imports --no-logo 2>&1) || { echo "$$told"; exit 1; }

migrations:
	@echo migrations; told=$$($(SCRATCH) $(PY) manage.py makemigrations --check --dry-run 2>&1) || { echo "$$told"; exit 1; }

unit:
	@CLOUDSITE_TEST_DATABASE=sqlite $(PY) -m pytest -q $(SHARED) tests/unit tests/contract
