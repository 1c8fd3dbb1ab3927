# Two commands on a fresh machine with Python 3.11+, git and make: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-all lint bench android-test apk clean

demo: .venv/installed
	rm -rf runs/demo
	$(BIN)/python train.py --dataset=digits --run_dir=runs/demo
	@$(BIN)/python -c 'import json; r = json.load(open("runs/demo/report.json")); print("demo: float %.3f" % r["validation"]["top1_accuracy"])'

test: .venv/installed lint
	$(BIN)/python -m pytest -m "not slow" --durations=10

test-all: .venv/installed lint android-test apk
	$(BIN)/python -m pytest --durations=20

test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow --durations=10

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/installed
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/input_pipeline.py

android-test:
	android_demo/tools/test_core.sh

apk:
	android_demo/tools/apk.sh
	android_demo/tools/test_app.sh

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
