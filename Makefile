# Everything a developer or operator does, one target each: `make help`.
# Needs Python 3.11 with venv, and make; nothing else.

PYTHON ?= python3
WORKERS ?= 2
STORIES ?= marketplace/tests/test_clients_stories.py marketplace/tests/test_clients_market.py
PY := .venv/bin/python
SHELL := /bin/sh
.DEFAULT_GOAL := help

# A stamp carries the hash of its lock: a changed lock is installed, an unchanged one costs nothing.
hash = $(shell cksum < requirements/$(1).txt | tr -d ' ')
BASE := .venv/.base-$(call hash,base)
DEV := .venv/.dev-$(call hash,dev)

# Locks name every package with its hash, so nothing is resolved, and nothing unknown is installed.
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.PHONY: help run start stop status test one unit integration coverage test-clients ci check lint \
	format format-check types layers deploy-check migrations-check migration migrate rollback docs \
	build clean clean-all lock hooks install install-dev

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort \
		| awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

# --- run -------------------------------------------------------------------------------------------

run: $(BASE) ## Install, migrate, make the demo data, serve on PORT (8000) in the foreground
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py demo --silent
	@exec $(PY) manage.py serve --banner

start: $(BASE) ## Migrate and start all parts in the background; returns when the server is ready
	@$(PY) manage.py stack start

stop: $(BASE) ## Stop the parts that `make start` started
	@$(PY) manage.py stack stop

status: $(BASE) ## Show which parts run
	@$(PY) manage.py stack status

# --- test ------------------------------------------------------------------------------------------

test: $(DEV) ## Run the whole suite (DATABASE_URL chooses the database, WORKERS the processes)
	@$(PY) -m pytest -q -n $(WORKERS) --dist loadfile

one: $(DEV) ## Run one file or test: make one FILE=chat/tests/test_services_messages.py
	@test -n "$(FILE)" || { echo "usage: make one FILE=<path>[::<class>[::<test>]]"; exit 2; }
	@$(PY) -m pytest "$(FILE)"

unit: $(DEV) ## Run the tests without database
	@$(PY) -m pytest -q -m unit

integration: $(DEV) ## Run the tests with database
	@$(PY) -m pytest -q -m integration -n $(WORKERS) --dist loadfile

coverage: $(DEV) ## Run the suite and show which lines no test reaches (htmlcov/ has the pages)
	@$(PY) -m pytest -q --cov --cov-report=term --cov-report=html

test-clients: $(DEV) ## Run the official clients (npm) against real servers (STORIES chooses the files)
	@command -v npm >/dev/null || { echo "test-clients needs Node.js with npm"; exit 2; }
	@npm ci --prefix marketplace/tests/clients --no-audit --no-fund --silent
	@MARKETPLACE_CLIENTS=required $(PY) -m pytest -q $(STORIES)

ci: ## Run everything that has to hold before a change goes in (.ci/run)
	@.ci/run

# --- check -----------------------------------------------------------------------------------------

check: lint format-check types layers migrations-check deploy-check ## All static checks

lint: $(DEV) ## Lint
	@.venv/bin/ruff check .

format: $(DEV) ## Format the code, and fix what the linter can fix
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

format-check: $(DEV)
	@.venv/bin/ruff format --check --quiet . || { echo "run: make format"; exit 1; }

types: $(DEV) ## Check types (mypy, strict)
	@.venv/bin/mypy

layers: $(DEV) ## Check who imports whom
	@.venv/bin/lint-imports --no-logo

migrations-check: $(DEV)
	@MARKETPLACE_ENV=test $(PY) manage.py makemigrations --check --dry-run

deploy-check: $(DEV)
	@MARKETPLACE_ENV=production JWT_SECRET=$$($(PY) -c 'import secrets; print(secrets.token_hex(32))') \
		$(PY) manage.py check --deploy --fail-level WARNING

hooks: $(DEV) ## Run the quick checks before each commit
	@.venv/bin/pre-commit install

# --- database --------------------------------------------------------------------------------------

migration: $(DEV) ## Make a migration: make migration APP=chat [NAME=add_pins]
	@$(PY) manage.py makemigrations $(APP) $(if $(NAME),--name $(NAME))

migrate: $(BASE) ## Bring the schema up to date
	@$(PY) manage.py migrate

rollback: $(BASE) ## Take migrations back: make rollback APP=chat TO=0001 (or zero)
	@test -n "$(APP)" -a -n "$(TO)" || { echo "usage: make rollback APP=<app> TO=<migration|zero>"; exit 2; }
	@$(PY) manage.py migrate $(APP) $(TO)

# --- build -----------------------------------------------------------------------------------------

docs: $(BASE) ## Write the OpenAPI document to docs/build/ and validate it
	@mkdir -p docs/build
	@$(PY) manage.py spectacular --format openapi-json --validate --fail-on-warn --file docs/build/openapi.json
	@echo "docs/build/openapi.json"

build: $(BASE) ## Collect and compress the static files for a deployment
	@MARKETPLACE_ENV=production JWT_SECRET=$$($(PY) -c 'import secrets; print(secrets.token_hex(32))') \
		$(PY) manage.py collectstatic --noinput --clear --verbosity 0
	@$(PY) -m compileall -q manage.py marketplace accounts shops chat delivery orders support

clean: ## Remove what is generated, but neither the data (.data/) nor the environment (.venv/)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache htmlcov static docs/build
	@rm -f .coverage .coverage.*
	@find . -name __pycache__ -type d -not -path './.git/*' -not -path './.venv/*' -prune -exec rm -rf {} +

clean-all: clean ## Remove the environment and the npm packages too
	@rm -rf .venv marketplace/tests/clients/node_modules

lock: $(DEV) ## Lock the requirements anew, with hashes (UPGRADE=--upgrade for the newest)
	@for name in base dev production; do \
		.venv/bin/uv pip compile requirements/$$name.in --output-file requirements/$$name.txt \
			--generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
			--custom-compile-command "make lock" --quiet $(UPGRADE) || exit 1; \
	done

# --- environment -----------------------------------------------------------------------------------

install: $(BASE)

install-dev: $(DEV)

.venv/bin/python:
	@echo "Making .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv

$(BASE): | .venv/bin/python
	@echo "Installing requirements/base.txt ..."
	@$(INSTALL) -r requirements/base.txt
	@rm -f .venv/.base-* && touch $@

$(DEV): | .venv/bin/python
	@echo "Installing requirements/dev.txt ..."
	@$(INSTALL) -r requirements/dev.txt
	@rm -f .venv/.base-* .venv/.dev-* && touch $@ $(BASE)
