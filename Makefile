# The two commands of a fresh machine: `make demo` and `make test`. They need Python 3.11 or newer with venv, and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PACKAGES = archsearch/__init__.py archsearch/__init__.pyi archsearch/__main__.py search spaces studies
CODE = $(PACKAGES) tests examples benchmarks

.PHONY: demo test check format clean

demo: $(VENV)/demo.done
	rm -rf digits-mlp.db digits-mlp.db.files
	$(BIN)/archsearch run examples/digits_mlp.py
	$(BIN)/archsearch report digits-mlp.db

test: $(VENV)/test.done
	$(BIN)/python -m pytest

# Format, lint, strict types; the direction of imports is a test of its own.
check: $(VENV)/test.done
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/test.done
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# constraints.txt pins the set that is tested.
$(VENV)/demo.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/test.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV)
