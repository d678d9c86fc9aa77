# innodb.xtrabackup: `make demo` shows it, `make test` proves it, `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/sbin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build/collections

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what demo and tests need (packages as root or through sudo, Python libraries into .venv)
	@tests/tools/setup.sh

# --- show ----------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## A primary under write load, and a replica of it made by the real playbook
	@./demo/up

.PHONY: demo-down
demo-down: ## Remove everything that the demo made
	@./demo/down

.PHONY: bench
bench: setup ## Times against the stock tools, in the same run (FLAVOR=replicas, FLAVOR=mysql, BENCH_MIB=2048)
	@$(BIN)/python tests/bench/$(if $(filter mysql replicas,$(FLAVOR)),replicas.py $(if $(filter mysql,$(FLAVOR)),mysql,mariadb),bench.py)

# --- prove ---------------------------------------------------------------------------------------

.PHONY: test
test: setup ## Everything: lint, types, unit tests, sanity, tests on real servers
	@tests/tools/test.sh static unit sanity integration

.PHONY: test-all
test-all: setup ## test, and all that takes longer: Pythons, ansible-cores, Galaxy, real hosts, transactions, DDL, fuzzing
	@tests/tools/test.sh static docs galaxy unit units sanity integration cores provisionings storms aria positions fuzz molecule

.PHONY: test-quick
test-quick: setup ## As test, without sanity and the slow tests on servers
	@tests/tools/test.sh static unit integration-quick

.PHONY: lint
lint: setup ## ruff, mypy, shellcheck, yamllint, ansible-lint, docs, licences, changelog fragments
	@tests/tools/test.sh static

.PHONY: unit
unit: setup ## Unit tests (ARGS="-k name")
	@$(BIN)/pytest tests/unit $(ARGS)

.PHONY: integration
integration: setup ## Tests on real MariaDB servers (ARGS="-k name")
	@$(BIN)/pytest tests/integration_servers $(ARGS)

.PHONY: fuzz
fuzz: setup ## Coverage-guided fuzzing of all readers (FUZZ_SECONDS=60 for each, FUZZ_ONLY=archive)
	@tests/tools/test.sh fuzz

.PHONY: molecule
molecule: setup ## All scenarios on real hosts (SCENARIO=network: that one), as root or through sudo
	@RIG_ENGINE=$(RIG_ENGINE) tests/tools/molecule.sh $(SCENARIO)

.PHONY: sanity
sanity: setup ## ansible-test sanity (ARGS="--test validate-modules")
	@tests/tools/sanity.sh $(ARGS)

.PHONY: units
units: setup ## ansible-test units with every Python from 3.9 on that is installed (ARGS=tests/unit/plugins/...)
	@tests/tools/units.sh $(ARGS)

.PHONY: galaxy-check
galaxy-check: setup ## Build the collection's archive, and have it judged by Ansible Galaxy's own importer
	@tests/tools/galaxy.sh

.PHONY: format
format: setup ## Rewrite Python files as lint wants them
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

# --- tell ----------------------------------------------------------------------------------------

.PHONY: docs
docs: setup ## The documentation site, into .build/docs/html
	@tests/tools/docs.sh

.PHONY: recording
recording: setup ## Record a terminal run of make demo, for the README (docs/recording; ARGS=picture: only the picture of it)
	@$(BIN)/python tests/tools/recording.py $(ARGS)

.PHONY: error-pages
error-pages: setup ## Write the list of errors in the troubleshooting guide anew, from the tree of errors
	@PYTHONPATH=.build/collections $(BIN)/python -m ansible_collections.innodb.xtrabackup.tests.tools.error_pages

# --- release -------------------------------------------------------------------------------------

.PHONY: changelog
changelog: setup ## Turn changelogs/fragments into a release of the version in galaxy.yml
	@$(BIN)/antsibull-changelog release

.PHONY: console
console: ## xtrabackup, mariadb-backup, xbstream and so on as one program, and their manual pages (.build/console)
	@tests/tools/console.sh

.PHONY: build
build: setup ## The collection's archive
	@$(BIN)/ansible-galaxy collection build --force

.PHONY: clean
clean: ## Remove what builds and tests made, and .venv
	@rm -rf .build .cache .venv .hypothesis tests/output innodb-xtrabackup-*.tar.gz
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
