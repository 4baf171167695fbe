# Everything a clone needs, each target with its own set-up: scripts/setup.sh does it, quickly the second time.
.DEFAULT_GOAL := help
.PHONY: help install install-trainer demo test test-fast chaos bench bench-check lint lock docs

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: ## The set-up alone: .venv, Python packages, Apache Kafka; all but train and compare
	@scripts/setup.sh analysis

install-trainer: ## The same with TensorFlow and scikit-learn, for train and compare
	@scripts/setup.sh trainer

demo: ## Kafka, two workers, a replayed call and its emotions, within two minutes
	@scripts/setup.sh console
	@.venv/bin/undertone demo

# Two processes, each with a Kafka of its own: in one, a third of the time is waiting. A file's tests stay together, for
# they share what is dear to make, and tests/conftest.py says which file begins. ARGS="-n 0" for one process.
PYTEST = .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: ## All tests, those on a real Kafka included (ARGS="-k worker" for some)
	@scripts/setup.sh dev
	@$(PYTEST) $(ARGS)

test-fast: ## The tests that take less than ten seconds each
	@scripts/setup.sh dev
	@$(PYTEST) -m "not slow" $(ARGS)

CHUNKS ?= 100000
CALLS ?= 300
SEED ?= 1
chaos: ## A disturbed run on three brokers, events compared one by one (CHUNKS=5000 SEED=7 for a short one)
	@scripts/setup.sh dev
	@.venv/bin/python -m tests.chaos --chunks $(CHUNKS) --calls $(CALLS) --seed $(SEED) $(ARGS)

bench: ## What all of it costs, beside five other ways: table, JSON and plots (ARGS=--short for a look)
	@scripts/setup.sh trainer
	@scripts/setup.sh peers
	@.venv/bin/python -m benchmarks $(ARGS)

bench-check: ## Whether a stage has become clearly dearer than in the committed result (ARGS=--short)
	@scripts/setup.sh runtime
	@.venv/bin/python -m benchmarks.check $(ARGS)

lint: ## ruff and mypy
	@scripts/setup.sh dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

docs: ## Generate contract, command line, model card (docs/), Grafana's dashboards (deploy/grafana), README's figures
	@scripts/setup.sh dev
	@.venv/bin/python -m schemas.documents
	@.venv/bin/python -m scripts.dashboards
	@.venv/bin/python -m undertone.cli.reference > docs/reference/command-line.md
	@.venv/bin/python -m benchmarks.report
	@.venv/bin/undertone models show --format markdown > docs/research/model-card.md
	@.venv/bin/undertone models show open --format markdown > docs/research/model-card-open.md

COMPILE = .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header
UV = $(COMPILE) --universal
lock: ## Renew requirements/*.lock from pyproject.toml
	@scripts/setup.sh dev
	$(UV) pyproject.toml -o requirements/runtime.lock
	$(UV) pyproject.toml --extra console -c requirements/runtime.lock -o requirements/console.lock
	$(UV) pyproject.toml --extra console --extra analysis -c requirements/console.lock -o requirements/analysis.lock
	$(UV) pyproject.toml --extra console --extra trainer --extra mlflow -c requirements/analysis.lock -o requirements/trainer.lock
	$(UV) pyproject.toml --extra gateway -c requirements/runtime.lock -o requirements/gateway.lock
	$(UV) pyproject.toml --extra sink -c requirements/runtime.lock -o requirements/sink.lock
	$(UV) pyproject.toml --extra peers -o requirements/peers.lock
	$(UV) pyproject.toml --extra trainer --extra mlflow --extra gateway --extra sink --extra console --extra otel --extra dev -c requirements/trainer.lock -c requirements/gateway.lock -c requirements/sink.lock -o requirements/dev.lock
	$(UV) pyproject.toml --extra otel -c requirements/dev.lock -o requirements/otel.lock
	echo 'setuptools>=77' | $(UV) - -c requirements/dev.lock -o requirements/build.lock
	$(COMPILE) pyproject.toml --extra tflite-runtime -o requirements/tflite-runtime.lock
