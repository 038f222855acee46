# Two commands matter to a newcomer: `make demo` and `make test`. Each sets up all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check bench population chaos tamper fix lock clean

demo: $(VENV)/.runtime
	$(BIN)/python -m verifier demo $(if $(ONCE),--once)

test: $(VENV)/.tests
	$(BIN)/python -m pytest -n 2 -rs --cov --cov-report=term:skip-covered --cov-report=json:var/coverage.json $(ARGS)
	$(BIN)/python tests/coverage_gate.py var/coverage.json

check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m verifier db check

# docs/benchmarks.md (verification, issuing) and docs/performance.md (load) say what is compared. FULL=1 for longer runs
# and growth, LOAD="..." for the load's own arguments; ARGS="--only ..." asks for some of the first two alone. Fails if a
# goal of the first two is missed, or the load comes to a wrong result. On a machine that does nothing else.
bench: $(VENV)/.tests
	status=0; $(BIN)/python -m benchmarks.verification $(ARGS) || status=1; \
	  $(BIN)/python -m benchmarks.issuing $(ARGS) || status=1; \
	  $(if $(ARGS),true,$(BIN)/python -m benchmarks $(if $(FULL),--full) $(LOAD)) || status=1; exit $$status

# A made-up population of 100,000 whose truth is known, through the real steps; some minutes.
population: $(VENV)/.tests
	$(BIN)/python -m tests.population $(ARGS)

# The feed's writer and its puller, killed every few seconds; ARGS="--entries 1000000" or "--postgresql".
chaos: $(VENV)/.tests
	$(BIN)/python -m tests.chaos_feed $(ARGS)

# Random single edits of a filled database, each of which `ledger fsck` must find; ARGS="--edits N --seed N".
tamper: $(VENV)/.tests
	$(BIN)/python -m tests.tamper $(ARGS)

fix: $(VENV)/.tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes both lock files anew: versions and hashes, no address. Needs uv on the PATH.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-header --no-annotate -o requirements.lock
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-header --no-annotate -c requirements.lock -o tests/requirements.lock

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The lock files are complete: without --no-deps, an extra that a package asks for (coverage[toml]) is looked up
# anew, and a release that came after the lock breaks the installation.
$(VENV)/.runtime: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	touch $@

$(VENV)/.tests: tests/requirements.lock $(VENV)/.runtime
	$(PIP) install --no-deps --require-hashes -r tests/requirements.lock
	mkdir -p var
	touch $@
