# `make` explains itself. Each target works on a fresh clone: `setup` comes first where it is needed, and does nothing twice.
PYTHON ?= python3
RUNTIME ?= 18-lts
VENV ?= .venv
BIN := $(VENV)/bin
STAGE := @$(PYTHON) .devcontainer/stage.py
FOR ?= 20 seconds
PAGE ?=
PIPELINE := configuration/pipeline.yml
OTHER := .venv-17.3-lts
WORKERS ?= 2
LONG ?= tests
# A file's tests run in one worker, which has one session, broker and wheel; the slow folders come first.
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# What depends on the version of Spark; plain Python says the same on any.
OF_SPARK := tests/job/test_job.py tests/local_pipelines/test_cdc.py tests/local_pipelines/test_sql.py \
  tests/spark_utils/test_session.py tests/spark_utils/sinks tests/spark_utils/streaming_utils \
  tests/spark_utils/parsing/test_jvm_parse.py tests/spark_utils/parsing/test_parse_hostile.py \
  tests/spark_utils/flattening/test_flatten.py tests/spark_utils/schemas/test_schemas_in_spark.py \
  tests/spark_utils/sources/test_hub_source.py tests/spark_utils/sources/test_sources.py \
  tests/spark_utils/sources/test_plan_redaction.py tests/devkit/spark/test_jars.py \
  tests/devkit/spark/test_compiled_classes.py tests/devkit/spark/test_local_files.py \
  tests/devkit/databricks/test_auto_loader.py

.DEFAULT_GOAL := help
.PHONY: help setup run pipeline stream watch rehearse test test-long test-17.3-lts check bench recording docs wheel clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-zA-Z0-9._-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BIN)/.ready ## install Python packages and jars, prepare a quick start (done by every other target)

$(BIN)/.ready: setup.py $(wildcard src/spark_utils/parsing/jvm/java/*.java) kit/pyproject.toml configuration/runtimes/kit.constraints.txt configuration/runtimes/$(RUNTIME).conf configuration/runtimes/$(RUNTIME).lock
	$(STAGE) "Python environment $(VENV)" $(PYTHON) -m venv $(VENV)
	$(STAGE) "Python packages" $(BIN)/pip install --editable . --editable './kit[dev]' --constraint configuration/runtimes/$(RUNTIME).constraints.txt
	$(STAGE) "jars of Spark and the event hub" $(BIN)/devkit jars fetch --runtime $(RUNTIME)
	$(STAGE) "instant start" $(BIN)/devkit warm
	@touch $@

run: setup ## the sample: hub -> job -> Delta, for FOR="20 seconds", then the tables it wrote
	@$(BIN)/devkit hub up
	@mkdir -p data; $(BIN)/devkit hub send --forever --rate 200 --seconds 20 --malformed 0.02 > data/sent.txt 2>&1 & \
	  $(BIN)/python src/streaming_job.py --stop-after "$(FOR)"; status=$$?; wait; cat data/sent.txt; exit $$status
	@$(BIN)/devkit tables data/telemetry

pipeline: setup ## the sample pipeline: hub -> bronze -> silver -> gold, twice, then its graph, tables and counts
	@$(BIN)/devkit hub up
	@for update in first second; do \
	  echo "== the $$update update"; \
	  $(BIN)/devkit hub send --generate 2000 --malformed 0.02 && $(BIN)/devkit pipeline run $(PIPELINE) || exit 1; \
	done
	@$(BIN)/devkit pipeline graph $(PIPELINE) --html data/pipelines/telemetry/graph.html
	@$(BIN)/devkit tables data/pipelines/telemetry/tables/main/telemetry --rows 3

stream: setup ## the same without an end: Ctrl-C finishes the running batch and stops; PAGE=1: with the live page (open: in the browser)
	@$(BIN)/devkit hub up
	@$(if $(PAGE),trap : INT; $(BIN)/devkit page $(if $(filter open,$(PAGE)),--open )& )$(BIN)/python src/streaming_job.py$(if $(PAGE),; status=$$?; kill $$!; exit $$status)

watch: setup ## the job on a sample of the hub, again at every save: rows, columns and rejects, before and after
	@$(BIN)/devkit hub up
	@$(BIN)/devkit hub send --generate 500 --malformed 0.02
	@$(BIN)/devkit watch

rehearse: setup ## a whole deployment on a workspace of this machine: plan, apply, run, change, prune, destroy
	@$(BIN)/devkit rehearse

test: setup ## what protects a change: everything but what is slow, on WORKERS=2
	$(BIN)/python -m pytest tests --ignore=tests/long -m "not slow" $(PARALLEL)

test-long: setup ## what is slow: whole runs of jobs and pipelines, kills, soak, fuzz, README, release, npm's tools, 17.3 LTS
	$(BIN)/python -m pytest $(LONG) -m slow $(PARALLEL)
	$(MAKE) --no-print-directory test-17.3-lts

test-17.3-lts: ## what depends on the version of Spark, on Databricks Runtime 17.3 LTS, in an environment of its own
	$(MAKE) --no-print-directory setup RUNTIME=17.3-lts VENV=$(OTHER)
	$(OTHER)/bin/python -m pytest $(OF_SPARK) $(PARALLEL)

check: setup ## ruff and mypy (strict), and every test module loads
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests --collect-only -qq

bench: setup ## each benchmark prints its ratio against a floor measured in the same run
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

recording: setup ## run README's commands again and draw them into docs/recording.svg
	$(BIN)/python -m tests.documentation.recording

docs: setup ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## stop the local hub, remove what was built and written here; the jar cache stays
	-@test -x $(BIN)/devkit && $(BIN)/devkit hub down
	rm -rf build dist data site .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info kit/build kit/dist kit/src/*.egg-info
