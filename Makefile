# make demo, make test: each sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
# What is imported is compiled then, and nothing else: half of an installation is compiling.
PIP := --quiet --disable-pip-version-check --no-compile -c constraints.txt
# And what is compiled is kept, whatever the shell says: compiling torch takes twice as long as loading
# it, and tests start a hundred interpreters.
unexport PYTHONDONTWRITEBYTECODE
# One thread a worker: the tests run in two processes, and small networks gain nothing from more.
QUIET_THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test check docs bench bench-quick bench-service bench-speed clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(PIP) -e '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/lampblack demo -o demo.model

check: .venv/.installed
	$(BIN)/ruff format --check src tests benchmarks docs docker
	$(BIN)/ruff check src tests benchmarks docs docker
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(QUIET_THREADS) $(BIN)/pytest -n 2 --dist worksteal

docs: .venv/.installed
	$(BIN)/python docs/build.py

.venv/.bench: .venv/.installed
	$(BIN)/pip install $(PIP) -e '.[bench]'
	touch $@

bench: .venv/.bench
	$(BIN)/python -m benchmarks

bench-quick: .venv/.bench
	$(BIN)/python -m benchmarks --quick

bench-service: .venv/.bench
	$(BIN)/python -m benchmarks service

bench-speed: .venv/.bench
	$(BIN)/python -m benchmarks speed bounds

clean:
	rm -rf .venv build dist docs/api .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
