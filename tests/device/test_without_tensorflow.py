"""The copied folder where there is nothing but what its `requirements.txt` names."""

import json
import pathlib
import subprocess
import sys

import pytest
from edge import ROOT, surroundings

ASSETS = ROOT / "android_demo/app/src/main/assets/models"


@pytest.mark.slow
def test_it_answers_in_an_environment_of_its_own(folder, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-r", folder / "device" / "requirements.txt"]
    if (result := subprocess.run(install, capture_output=True, text=True)).returncode:
        pytest.skip(f"SKIPPED: its requirements can't be installed here: {result.stderr.strip().splitlines()[-1]}")

    def use(*command):
        where = {"capture_output": True, "text": True, "cwd": folder, "env": surroundings()}
        return subprocess.run([python, *map(str, command)], **where)

    assert use("-c", "import tensorflow").returncode == 1 and use("-c", "import keras_resnet").returncode == 1
    model = ASSETS / "digits-resnet8.tflite"
    result = use("-m", "device", "predict", model, ROOT / "docs" / "digit_3.png", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["top"][0]["label"] == "3"
    models = sorted(ASSETS.glob("*.tflite"))
    result = use("-m", "device", "verify", *models)
    assert result.returncode == 0 and result.stdout.count("16/16 identical") == len(models)
    assert json.loads(use("-m", "device", "benchmark", model, "--seconds=0.1", "--threads=1").stdout)["machine"]
    assert pathlib.Path(use("-c", "import device; print(device.__file__)").stdout.strip()).is_relative_to(folder)
