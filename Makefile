# Every target says what it does. A fresh machine needs two of them: demo and test.
SHELL := /bin/bash -euo pipefail
BIN := .venv/bin
PYTHON ?= python3
INVENTORY ?= inventories/lab
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup check lint unit contract hosts test molecule demo demo-down bench lock requirements docs build clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: ## Install what this machine lacks (Debian packages, virtual environments)
	@PYTHON=$(PYTHON) .ci/setup

check: setup ## Quick tier: lint, unit and contract tests side by side (under 3 minutes)
	@$(MAKE) --no-print-directory -j3 --output-sync=target lint unit contract

lint: setup ## ansible-lint, yamllint, ruff, cfn-lint, changelog
	@echo "lint: ruff";         ruff check . && ruff format --check -q .
	@echo "lint: yamllint";     yamllint -s .
	@echo "lint: cfn-lint";     cfn-lint
	@echo "lint: ansible-lint"; ANSIBLE_INVENTORY=inventories/lab/hosts.yml ansible-lint -q --offline --exclude molecule
	@echo "lint: changelog";    antsibull-changelog lint

unit: setup ## Unit tests
	@echo "unit tests";     pytest -n 2 -m "not slow" tests/unit

contract: setup ## Contract tests (specs, templates, data, emulator, built collection)
	@echo "contract tests"; pytest -n 2 --dist loadscope -m "not hosts and not slow" tests/contract

hosts: setup ## Slow tests: the lab's own hosts (killed daemons, two labs at once), modules against real servers and accounts
	@echo "slow tests";               pytest -n 2 --dist loadscope -m slow tests/unit tests/contract
	@echo "tests of the lab's hosts"; pytest -m hosts tests/contract

test: check hosts molecule ## Everything: check, the lab's hosts, then the whole platform on the embedded cloud

molecule: setup ## Molecule scenarios on the embedded cloud
	@echo "lint: scenarios"; ANSIBLE_INVENTORY=inventories/lab/hosts.yml ansible-lint -q --offline molecule
	@.ci/molecule

demo: setup ## The main job on the embedded cloud; ends with the address of JupyterHub
	@.ci/demo

demo-down: ## Remove all of the demo from this machine
	@lab/lab down --name demo

bench: setup ## Side by side with peers: environments, the platform, first cell, a crowd (ONLY=part; tests/bench)
	@$(BIN)/python -m tests.bench $(ONLY)

lock: setup ## Solve the conda environments of ENV=<environment> and write its locks (REFRESH=1, ONLY=name)
	@test -d "inventories/$(ENV)/group_vars" || { echo "type: make lock ENV=<one of: $(notdir $(wildcard inventories/*))>" >&2; exit 1; }
	@ansible-playbook playbooks/lock.yml -i inventories/$(ENV) \
	  -e "lock_only=$(ONLY) lock_refresh=$(if $(REFRESH),true,false)"

requirements: setup ## Renew requirements/*.txt from requirements/*.in
	@for f in bootstrap controller develop emulator engine aws; do echo "requirements: $$f"; \
	  $(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --no-header \
	    --python-version $$([ $$f = aws ] && echo 3.11 || echo 3.12) \
	    --no-emit-index-url --no-emit-find-links requirements/$$f.in -o requirements/$$f.txt; done

docs: setup ## Regenerate the argument tables of the roles' READMEs
	@$(BIN)/python docs/generate.py

build: setup ## Build the collection's artefact into build/
	@mkdir -p build && ansible-galaxy collection build --force --output-path build .

clean: ## Remove virtual environments and build results (not the caches, not the lab's state)
	rm -rf .venv .venv-emulator build reports
