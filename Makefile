PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENT_STAMP := $(VENV)/.client

.PHONY: help install demo test lint format clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# The stamp is written last: an interrupted install is done again, a finished one never.
$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[test]'
	touch $@

# The client's own pins do not resolve on every index (see README): then it is installed
# without them, beside the packages it imports.
$(CLIENT_STAMP): | $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check 'kaggle==2.2.5' six || { \
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps kaggle==2.2.5 kagglesdk==0.1.38 && \
	$(BIN)/python -m pip install --disable-pip-version-check six bleach certifi jupytext packaging \
	    protobuf python-dateutil python-dotenv python-slugify requests tqdm urllib3; }
	touch $@

install: $(STAMP) $(CLIENT_STAMP) ## install everything into .venv (once)

demo: $(STAMP) ## real digits to a rehearsed submission.csv with score and plots
	$(BIN)/python tools/demo.py

test: install ## run all tests
	$(BIN)/python -m pytest -n auto

lint: $(STAMP) ## ruff, strict mypy, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the tool wrote (not .venv)
	rm -rf out demo
