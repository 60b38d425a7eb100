# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Both make .venv if it is not there. Needed: Linux, Python 3.11 or newer with venv, a C compiler.

PYTHON ?= python3
BIN := .venv/bin
NATIVE := setup.py pyproject.toml $(wildcard fastfeed/*.pyx fastfeed/*.pxd fastfeed/*.pxi csrc/*.c csrc/*.h)

.PHONY: demo test lint test-c test-python test-keras long package sanitize bench clean
.PHONY: test-keras-tensorflow test-keras-torch test-keras-jax

demo: .venv/demo
	$(BIN)/python examples/demo.py

# The tests of Keras take longer than all others, so two of these run side by side.
test: lint
	$(MAKE) --jobs=2 test-keras-tensorflow test-python test-c test-keras-torch test-keras-jax

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fastfeed._core --mypy-config-file pyproject.toml --allowlist tests/stubtest-allow.txt

test-c:
	$(MAKE) -C tests/simulated check
	$(MAKE) -C tests/c check tsan

test-python: .venv/test
	$(BIN)/python -m pytest --ignore=tests/keras

# A process has one backend of Keras: everything runs on TensorFlow, what depends on it on all.
test-keras: test-keras-tensorflow test-keras-torch test-keras-jax

test-keras-tensorflow: .venv/test
	$(BIN)/python -m pytest tests/keras

test-keras-torch: .venv/test
	KERAS_BACKEND=torch $(BIN)/python -m pytest tests/keras

test-keras-jax: .venv/test
	KERAS_BACKEND=jax $(BIN)/python -m pytest tests/keras

# What takes minutes: more deaths, larger models of the protocol, every loader of fastfeed bench.
long: .venv/test
	$(MAKE) -C tests/c long model
	$(BIN)/python -m pytest -m long

# The sdist, a wheel built from it, and both installed into empty environments.
package: .venv/test
	sh tests/package.sh $(BIN)/python

# The C tests, and the Python suite, with the core under AddressSanitizer and
# UndefinedBehaviorSanitizer.
sanitize: .venv/test
	$(MAKE) --jobs=2 -C tests/c asan
	sh tests/sanitize.sh

bench: .venv/test
	$(BIN)/python -m bench

clean:
	rm -rf build dist *.egg-info fastfeed/_core.c fastfeed/_core.*.so .venv
	$(MAKE) -C tests/c clean

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python $(NATIVE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

# torch first: its version decides which of its packages the others accept. tf_keras alone: it asks
# for the package tensorflow, which would overwrite the files of tensorflow-cpu with its own.
.venv/test: .venv/bin/python $(NATIVE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'tf_keras>=2.16'
	touch $@
