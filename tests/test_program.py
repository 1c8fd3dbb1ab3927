"""`keras-resnet`, the one program of an installed package."""

import os
import pathlib
import subprocess
import sys

import pytest

from keras_resnet import models, program

ROOT = pathlib.Path(__file__).parents[1]
DIGIT = ROOT / "docs" / "digit_3.png"
ASSET = ROOT / "android_demo/app/src/main/assets/models/digits-resnet8.tflite"


def run(*arguments, **environment):
    command = [pathlib.Path(sys.executable).with_name("keras-resnet"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment})


def test_alone_it_lists_its_commands_at_once():
    code = "import sys; sys.argv = ['it']; from keras_resnet import program; program.run(); print([*sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    for name in program.COMMANDS:
        assert f"\n  {name} " in result.stdout
    for heavy in ("'numpy'", "'absl'", "'PIL'", "'tensorflow'", "'keras'"):
        assert heavy not in result.stdout
    assert run().stdout == run("--help").stdout


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        *(("train", "--recipe"), ("evaluate", "--split"), ("export", "--formats"), ("predict", "--top")),
        *(("verify", "--threads"), ("benchmark", "--seconds"), ("serve", "--port")),
    ],
)
def test_each_command_tells_its_flags_without_tensorflow(name, flag):
    result = run(name, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode in (0, 1)  # absl's
    assert flag in result.stdout and f"keras-resnet {name}" in result.stdout
    assert "| tensorflow\n" not in result.stderr and "Traceback" not in result.stderr


def test_commands_do_what_the_scripts_do(finished):
    result = run("predict", ASSET, DIGIT, "--csv", "--top=1")
    assert result.returncode == 0 and result.stdout.splitlines()[1].split(",")[3] == "3"
    assert "16/16 identical" in run("verify", ASSET).stdout
    listed = run("models").stdout
    assert all(name in listed for name in models.names()) and "78,042 trainable parameters" in listed
    result = run("evaluate", finished)
    assert result.returncode == 0 and "top-1 accuracy" in result.stdout
    for arguments, sentence in (
        (["predikt"], "keras-resnet: 'predikt' is no command; choose"),
        (["site", "digits-resnet8", "--output=page"], "digits-resnet8: a Keras model, that learns on (--init=digits-"),
        (["train", "--depht=8"], "train: Unknown command line flag 'depht'"),
        (["evaluate"], "evaluation: expected one folder"),
        (["export", "nowhere"], "export: nowhere: no run is there"),
        (["predict", "nowhere.tflite", DIGIT], "nowhere.tflite"),
    ):
        result = run(*arguments)
        assert result.returncode == 2 and sentence in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
