# make install the environment, .venv; the other targets see to it themselves
# make plot    the main job: dictionaries of the first site of params.yaml, and the figure that compares them
# make test    the test suite, as far as what pip installs goes
# make help    the other commands

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install plot test gate test-servers lint format preset docs bench refresh clean lock

install: $(VENV)/.installed

plot: install
	@target=$$($(RUN)/python -m sparse_coding.settings.next_steps) && set -x && $(RUN)/snakemake --cores all $$target
	@$(RUN)/python -m sparse_coding.cli.closing

# Two workers, each with whole files, in their order: what a file makes for all its tests is made once, and the long
# files (tests/workflow) come first, while there are others left to share (tests/conftest.py).
PYTEST := $(RUN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test-installed
	$(PYTEST) -m "not server and not gate"

# What takes minutes: planted dictionaries, and mutations of the training code that these must see; whole runs, what
# forecasts say of them, what each edit makes stale, and the commands of pages.
gate: $(VENV)/.test-installed
	$(PYTEST) -m gate

# One process: what needs packages of the system, or an environment of its own. What is missing is skipped, and counted;
# with REQUIRE_SERVERS=1 it fails.
test-servers: $(VENV)/.test-installed build/servers/.installed build/bench/.installed
	$(RUN)/python -m pytest -m server -rs

build/servers/.installed: tests/servers/requirements.txt
	test -x build/servers/bin/python || $(PYTHON) -m venv build/servers
	build/servers/bin/python -m pip install --quiet --disable-pip-version-check -r tests/servers/requirements.txt
	touch $@

lint: $(VENV)/.test-installed
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy

format: $(VENV)/.test-installed
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

# Show what a preset changes, then copy it over params.yaml (the old one is kept as params.yaml.before).
preset: install
	@$(RUN)/python -m sparse_coding.settings.presets "$(NAME)"

# Pages that are made: the reference of all settings from the schema, what reruns when, by trying it, and what the
# notebook says, from the results that are committed.
docs: $(VENV)/.test-installed
	$(RUN)/python -m sparse_coding.settings.reference > docs/params.md
	$(RUN)/python -m tests.what_reruns > build/what-reruns.md && mv build/what-reruns.md docs/what-reruns.md
	$(RUN)/python -m tests.notebook

# Measure, on two cores: how long it takes to find out that nothing is to be done (benchmarks/freshness.md); training
# against other libraries, what their dictionaries and ours reach (2 hours, unless its lines are there), reading, harvest,
# scorer, the whole default run, what the original did otherwise, and forecasts of three sizes and of five other settings
# (benchmarks/RESULTS.md, results.json).
bench: $(VENV)/.test-installed build/bench/.installed
	$(RUN)/python -m benchmarks.freshness
	PYTHONPATH=src:. build/bench/bin/python -m benchmarks.training
	$(RUN)/python -m benchmarks.quality
	$(RUN)/python -m benchmarks.reader
	$(RUN)/python -m benchmarks.harvest
	$(RUN)/python -m benchmarks.scorer
	$(RUN)/python -m benchmarks.plot
	$(RUN)/python -m benchmarks.paper
	$(RUN)/python -m benchmarks.scale
	$(RUN)/python -m benchmarks.estimates
	$(RUN)/python -m benchmarks.report

# The other libraries want versions of their own. torchvision: nnsight asks for it, nothing here uses it, and a build
# that does not match torch breaks the import of transformers.
build/bench/.installed: benchmarks/requirements.txt
	test -x build/bench/bin/python || $(PYTHON) -m venv build/bench
	build/bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	build/bench/bin/python -m pip uninstall --quiet --yes torchvision
	touch $@

# Bring vendored/, the DVC remote inside the repository, up to date with the default run. Commit what it changes.
refresh: install
	@git diff --quiet HEAD -- params.yaml || { echo "params.yaml is not the committed one"; exit 1; }
	$(RUN)/dvc repro
	$(RUN)/dvc gc --workspace --cloud --remote vendored --force
	$(RUN)/dvc push --remote vendored
	@du -sh vendored

# Show what finished work is kept in .work though params.yaml does not ask for it, and ask before it is deleted.
clean: install
	@$(RUN)/sparse_coding clean

# Renew the requirements*.txt from the .in files, in environments of their own.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install -q -r requirements.in
	build/lock/bin/pip freeze | sed 's/+cpu//' > requirements.txt
	build/lock/bin/pip install -q -r requirements-test.in -c requirements.txt
	{ echo "-r requirements.txt"; build/lock/bin/pip freeze | sed 's/+cpu//' | grep -vxFf requirements.txt; } > requirements-test.txt
	rm -rf build/lock-bench && $(PYTHON) -m venv build/lock-bench
	build/lock-bench/bin/pip install -q -r benchmarks/requirements.in
	env -u PYTHONPATH build/lock-bench/bin/pip freeze | sed 's/+cpu//' > benchmarks/requirements.txt
	rm -rf build/lock-servers && $(PYTHON) -m venv build/lock-servers
	build/lock-servers/bin/pip install -q -r tests/servers/requirements.in
	env -u PYTHONPATH build/lock-servers/bin/pip freeze > tests/servers/requirements.txt

$(VENV)/.installed: requirements.txt pyproject.toml
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.test-installed: requirements-test.txt $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

help:
	@echo "make install            make the environment .venv, or bring it up to date"
	@echo "make plot               train the dictionaries of the first site of params.yaml, and draw its figure"
	@echo "make test               run the test suite"
	@echo "make gate               the tests that take minutes: planted dictionaries and mutations, whole runs, what pages say"
	@echo "make test-servers       run the tests that need servers or other libraries, in environments of their own"
	@echo "make lint               ruff, format check, mypy"
	@echo "make clean              show what finished work is kept for later, and ask before it is deleted"
	@echo "make preset NAME=tiny   show what a preset changes and copy it over params.yaml"
	@echo "make docs               renew docs/params.md, docs/what-reruns.md and docs/tour.ipynb"
	@echo "snakemake --cores 8     all sites (inside the environment, or .venv/bin/snakemake)"
