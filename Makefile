# The two commands of a fresh machine: `make demo` and `make test`. They need Python 3.11 or newer with venv, and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PACKAGES = archsearch/__init__.py archsearch/__init__.pyi archsearch/__main__.py search spaces studies
CODE = $(PACKAGES) tests examples benchmarks

.PHONY: demo test test-lowest test-newest check format clean

demo: $(VENV)/demo.done
	rm -rf digits-mlp.db digits-mlp.db.files
	$(BIN)/archsearch run examples/digits_mlp.py
	$(BIN)/archsearch report digits-mlp.db

test: $(VENV)/test.done
	$(BIN)/python -m pytest

# The quick half of the suite on the lowest versions that pyproject.toml allows, and on the newest ones; of torch the
# tested one both times, since another may be a CUDA build of gigabytes.
QUICK = -m "not ray and not browser" tests/spaces tests/studies tests/search/engine tests/search/test_session.py \
	tests/search/strategies/test_bayes.py tests/search/strategies/test_tpe.py tests/search/strategies/test_cma_es.py \
	tests/search/strategies/test_quasirandom.py tests/search/strategies/test_strategy_registry.py \
	tests/search/training/test_metrics.py tests/search/training/data/test_data_images.py \
	tests/search/training/data/test_files_as_people_have_them.py

test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e ".[test]"
	$(VENV)-lowest/bin/python -m pytest -q $(QUICK)

test-newest:
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade $$(grep '^torch==' constraints.txt) -e ".[test]"
	$(VENV)-newest/bin/python -m pytest -q $(QUICK)

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
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest
