# Everything here works in a virtual environment of its own, .venv, made from the lock files.
#
#   make demo     set up, and run the bundled capture
#   make test     set up, and run the tests
#   make check    format, lint, types, import rules
#   make live IFACE=eth1

PYTHON ?= python3
IFACE ?=
SOURCES := nettriage sniff detectors tui themes benchmarks tests docs

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# the build backend comes from the lock too; older and newer pip know it by different names
PINNED_BUILD := PIP_CONSTRAINT=requirements-dev.txt PIP_BUILD_CONSTRAINT=requirements-dev.txt
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop

.PHONY: demo test check bench live docs screenshot lock wheel clean

demo: $(RUN_READY)
	$(BIN)/nettriage demo

test: $(DEV_READY)
	$(BIN)/python -m pytest

check: $(DEV_READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers that PyPI has are installed beside us; Suricata and tshark are measured where the system has them.
bench: $(DEV_READY) requirements-bench.txt
	$(PIP) install --requirement requirements-bench.txt
	$(BIN)/python -m benchmarks

# Capturing needs the right to: sudo, unless this is root already. nettriage gives root up before it reads a packet.
live: $(RUN_READY)
	@test -n "$(IFACE)" || { $(BIN)/nettriage -D; echo "make live IFACE=name" >&2; exit 2; }
	$$(test "$$(id -u)" = 0 || echo sudo) $(CURDIR)/$(BIN)/nettriage -i $(IFACE)

docs: $(DEV_READY)
	$(BIN)/python docs/generate.py

screenshot: $(DEV_READY)
	$(BIN)/python docs/screenshot.py

lock:
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --upgrade \
	    --custom-compile-command "make lock" --output-file requirements.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --upgrade \
	    --custom-compile-command "make lock" --constraints requirements.txt --output-file requirements-dev.txt \
	    --group test --group lint --group build pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --upgrade \
	    --custom-compile-command "make lock" --constraints requirements-dev.txt --output-file requirements-bench.txt \
	    --group bench

wheel: $(RUN_READY)
	$(PINNED_BUILD) $(PIP) wheel --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh .ci/make-venv $(VENV)

$(RUN_READY): $(BIN)/python requirements.txt pyproject.toml
	$(PIP) install --requirement requirements.txt
	$(PINNED_BUILD) $(PIP) install --no-deps --editable .
	@touch $@

$(DEV_READY): $(RUN_READY) requirements-dev.txt
	$(PIP) install --requirement requirements-dev.txt
	@touch $@
