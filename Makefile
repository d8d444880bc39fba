# make demo: the whole workbook on free data.  make test: all tests.  make lab: JupyterLab on the notebooks.
# Each makes or refreshes .venv by itself, only when requirements.lock or pyproject.toml changed.
PYTHON ?= python3
READY := .venv/.ready

.PHONY: demo test lab lint bench verify clean

demo: $(READY)
	.venv/bin/handlib demo

test: $(READY) lint
	.venv/bin/pytest

lab: $(READY)
	.venv/bin/jupyter lab --notebook-dir . notebooks

lint: $(READY)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .

bench: $(READY)
	.venv/bin/handlib bench

verify: $(READY)
	.venv/bin/handlib verify

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'handlib needs Python 3.11 or newer: make PYTHON=/path/to/python3.11'; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -e .
	touch $(READY)

clean:
	rm -rf .venv build *.egg-info
