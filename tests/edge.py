"""What the tests of the Raspberry Pi's programs share: a copied folder, an exported model, programs run in there."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder with the shipped digits model as `resnet8-float32.tflite` and `resnet8-int8-ptq.tflite`, just exported."""
    run_dir = tmp_path_factory.mktemp("models") / "digits"
    shutil.copytree(ROOT / "keras_resnet" / "models" / "digits-resnet8", run_dir)
    command = [sys.executable, "-m", "export", str(run_dir), "--formats=float32,int8-ptq", "--calibration=64"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.returncode == 0, result.stderr
    return run_dir / "export"


@pytest.fixture
def folder(tmp_path):
    """A copy of `raspberry_pi/`, as on a Raspberry Pi."""
    return shutil.copytree(
        ROOT / "raspberry_pi", tmp_path / "raspberry_pi", ignore=shutil.ignore_patterns("__pycache__")
    )


@pytest.fixture
def pictures(models, tmp_path):
    """Folder with the golden pictures as PNG files, `00.png` to `15.png`."""
    path = tmp_path / "pictures"
    path.mkdir()
    saved = json.loads((models / "resnet8-int8-ptq.golden.json").read_text())
    for i, picture in enumerate(saved["pictures"]):
        (path / f"{i:02}.png").write_bytes(base64.b64decode(picture["png"]))
    return path


def surroundings(**environment):
    """Variables of a process that sees nothing of the clone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment}


def run(folder, *command, **environment):
    """Runs a program of a copied `raspberry_pi/` as a person would, from there."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=500,
        env=surroundings(**environment),
    )
