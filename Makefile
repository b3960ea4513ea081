PYTHON ?= python3
BIN := .venv/bin
# Compiled modules are kept, whatever the shell says: compiling them takes longer than most commands run.
export PYTHONDONTWRITEBYTECODE :=
OSV := https://api.osv.dev/v1/query

.DEFAULT_GOAL := help
.PHONY: help setup demo serve browser images docs audit test pytest bench fuzz soak package release lint types lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with the locked dependencies and the rollbook command

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Rollbook needs Python 3.11 or later. Name one: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## show the main job on SQLite: import, serve, unenroll, drain, undo; ends by itself
	$(BIN)/python demo/demo.py

serve: setup ## make an account in ./data if there is none, and serve until stopped
	$(BIN)/python demo/serve.py

browser: setup ## download Chromium for the tests into .browser if the machine has none
	@$(BIN)/python tests/support/chromium.py

docs: setup ## generate the tables of docs/wire*.md from the messages and codes of the methods
	$(BIN)/python tests/support/contract_tables.py

audit: setup ## check the locked dependencies for known vulnerabilities, if the service is reachable
	@if $(BIN)/python -c 'import signal, httpx; signal.alarm(5); httpx.get("$(OSV)")' 2>/dev/null; then \
		$(BIN)/pip-audit --requirement requirements.lock --disable-pip --progress-spinner off \
			--vulnerability-service osv --osv-url $(OSV); \
	else \
		echo "NO AUDIT: $(OSV) cannot be reached. Known vulnerabilities of dependencies were not looked for."; \
	fi

images: browser ## take the screenshots of docs/images again
	ROLLBOOK_WRITE_IMAGES=1 $(BIN)/python -m pytest --numprocesses 0 tests/console/test_browser_pages.py

test: setup ## run every check and test, on SQLite and on a real PostgreSQL
	@$(MAKE) --no-print-directory lint browser
	@$(MAKE) --no-print-directory --jobs 3 types audit pytest # tests wait, and types are checked meanwhile

pytest: setup
	$(BIN)/python -m pytest

bench: setup ## measure every row beside its limit (20 min); ROWS=accept-sqlite,drain for some, ROUNDS=5
	$(BIN)/python bench "$(ROWS)" "$(ROUNDS)"
	$(if $(ROWS),,$(BIN)/python bench/client.py)

fuzz: setup .fuzz/ready ## fuzz every parser, FUZZ_SECONDS=60 for each target
	PYTHONPATH=$(CURDIR)/.fuzz $(BIN)/python fuzz/run.py

.fuzz/ready: fuzz/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .fuzz --no-deps \
		--only-binary :all: --require-hashes -r fuzz/requirements.lock || \
		{ echo "make fuzz needs atheris, and pip finds no build of it for this Python and machine: nothing was fuzzed." >&2; exit 1; }
	@touch $@

soak: setup ## run the long form of the fault tests and print their figures (20 min)
	$(BIN)/python -m pytest tests/faults --soak --numprocesses 0 --capture no --durations 0
	$(BIN)/python -m pytest tests/server/test_headers.py tests/worker tests/acceptance tests/importers tests/console/test_browser_pages.py --soak

package: setup ## build the wheel and the sdist in dist/, and run each in a new environment as docs/operate.md says
	rm -rf dist
	$(BIN)/python -m hatchling build
	for file in dist/*; do $(BIN)/python -m pytest --numprocesses 0 tests/release --package $$file || exit 1; done

release: setup ## as package, but only with dated notes in CHANGELOG.md and without uncommitted files
	@$(BIN)/python tests/support/release_notes.py
	@$(MAKE) --no-print-directory package

lint: setup ## check style with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## check types with mypy --strict
	$(BIN)/mypy

lock: setup ## update requirements.lock from pyproject.toml, and fuzz/requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --custom-compile-command "make lock" --group dev --upgrade \
		pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --custom-compile-command "make lock" --upgrade \
		fuzz/requirements.in --output-file fuzz/requirements.lock
