# Two commands on a fresh machine with Python 3.11+, git and make: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
LOCK ?= requirements.lock

.PHONY: demo test test-slow test-all newest lint lock licences bench arm-test browser android-test apk clean

demo: .venv/installed
	rm -rf runs/demo
	$(BIN)/python train.py --dataset=digits --run_dir=runs/demo
	$(BIN)/python -m export runs/demo --qat_epochs=4 --formats=float32,int8-ptq,int8-qat --tolerance=1
	$(BIN)/keras-resnet predict runs/demo/export/resnet8-int8-qat.tflite docs/digit_3.png
	@$(BIN)/python -m export.demo runs/demo

test: .venv/installed lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --durations=10

test-all: browser test test-slow arm-test android-test apk

test-slow: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow --durations=10

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/installed
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/input_pipeline.py

arm-test: .venv/installed
	PYTHON=$(BIN)/python raspberry_pi/arm_test.sh

# Chromium, for the tests of pages, where Debian's can be installed, and LiteRT.js, of the version in device/site.py.
browser:
	@command -v chromium >/dev/null || (apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends chromium) >/dev/null || echo "browser: SKIPPED, chromium can't be installed here" >&2
	@test -d build/node_modules/@litertjs || npm install --prefix build --no-save --no-audit --no-fund --silent @litertjs/core@$$(sed -n 's/^LITERT = "\(.*\)".*/\1/p' keras_resnet/device/site.py) || echo "browser: SKIPPED, LiteRT.js can't be installed here" >&2

android-test:
	android_demo/tools/test_core.sh

apk:
	android_demo/tools/apk.sh
	android_demo/tools/test_app.sh

# What `make test` installs, by version and hash, for Linux, macOS and Windows and Python 3.11 on; renewed by hand.
lock: .venv/installed
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-annotate --custom-compile-command="make lock" --python-version=3.11 --extra=dev --extra=tfmot --output-file=$(LOCK) setup.cfg

newest: .venv/installed
	PYTHON=$(PYTHON) .ci/newest

# Of everything that is installed, a table.
licences: .venv/installed
	@$(BIN)/pip-licenses --from=mixed --order=license --format=markdown

.venv/installed: requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
