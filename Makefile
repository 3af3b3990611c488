# Two commands do all the set-up on a fresh machine with git, python3 (3.11 or newer) and make:
#   make demo    a sentence becomes an e-mail in a mailbox
#   make test    everything is proven
.DEFAULT_GOAL := help
.PHONY: help demo test quick check studio docs bench safety guard soak format clean
PYTHON ?= python3
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never
# Where it is set, every process that is started compiles all that it imports anew, for longer than it runs.
unexport PYTHONDONTWRITEBYTECODE

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

# The environment is made by uv from uv.lock; uv itself comes from the package index into a folder of its own.
.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Steward needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(UV) || { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'; }
	@$(UV) sync --quiet --frozen --python $(PYTHON)
	@touch $@

demo: .venv/.ready studio ## run four real requests end to end and show what happened
	@.venv/bin/python demo/run.py

quick: .venv/.ready ## the fast tests: no processes, servers or whole API (under a minute)
	@.venv/bin/pytest -q -n 2 --lane fast

test: .venv/.ready studio ## every check and every test, real servers included; ends with the time of each lane
	@began=$$(date +%s); $(MAKE) --no-print-directory check && CHECK_SECONDS=$$(($$(date +%s) - began)) .venv/bin/pytest -q -n 4

check: .venv/.ready ## lint, format, types, import direction, of the web page too
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/pyrefly check
	@.venv/bin/lint-imports
	@.venv/bin/python studio/build.py --check

studio: .venv/.ready ## build the web page, if something of it has changed; brings its own node where there is none
	@.venv/bin/python studio/build.py

docs: .venv/.ready ## make the documentation's site in _site; a broken link, or a page that nothing leads to, fails
	@.venv/bin/sphinx-build -q -W --keep-going -n -d _site/.pages docs _site
	@echo "_site/index.html"

bench: .venv/.ready ## measure speed beside bare SQLite, and print a table (two to three minutes)
	@.venv/bin/python bench/run.py

safety: .venv/.ready .safety/.ready ## measure on AgentDojo that no plan can be talked into anything, and how seldom a person is asked
	@PYTHONPATH=.safety .venv/bin/python bench/safety/run.py

# The benchmark's suites, outside the environment that Steward runs in: nothing of it depends on them.
.safety/.ready: .venv/.ready bench/safety/requirements.txt
	@$(UV) pip install --quiet --target .safety --no-deps --python .venv/bin/python -r bench/safety/requirements.txt
	@touch $@

soak: .venv/.ready ## the long proofs: 320 killed processes, every fault on every engine, 500 clients, keys moved under load, odd input, eight job libraries
	@.venv/bin/python -m chaos.matrix --kills 200
	@.venv/bin/python -m chaos.matrix --kills 60 --engine postgresql
	@.venv/bin/python -m chaos.matrix --kills 60 --engine redis
	@.venv/bin/python -m chaos.faults --long --engine all
	@.venv/bin/python -m chaos.load
	@.venv/bin/python -m chaos.migration --rounds 20
	@.venv/bin/pytest -q -n 2 --lane soak
	@SOAK=1 .venv/bin/pytest -q -n 0 --timeout 3600 tests/security/test_approved_plans.py tests/worker/test_second_thoughts.py tests/worker/test_explain.py tests/worker/test_label_laundering.py
	@FUZZ_SCALE=20 .venv/bin/pytest -q -n 0 --timeout 3600 tests/fuzz
	@.venv/bin/python bench/run.py --engine redis --every

guard: .venv/.ready ## take away one protection at a time and see that the tests notice
	@.venv/bin/python -m guard.run

format: .venv/.ready ## put the code into its usual shape
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

clean: ## remove everything that make put here
	@rm -rf .venv .uv .safety .node dist _site studio/node_modules studio/build src/steward/studio .pytest_cache .ruff_cache .hypothesis
