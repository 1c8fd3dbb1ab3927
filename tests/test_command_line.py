"""What a person sees before TensorFlow is loaded."""

import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# `train.py`, and at its end, which is `os._exit`, whether TensorFlow was loaded.
TOLD = """
import os, runpy, sys
def told(status, end=os._exit):
    print("loaded:", "tensorflow" in sys.modules, flush=True)
    end(status)
os._exit = told
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def run(*flags):
    return subprocess.run([sys.executable, "-c", TOLD, *flags], capture_output=True, text=True, cwd=ROOT, timeout=500)


def test_help_lists_every_flag_without_tensorflow():
    result = run("--help")
    assert "loaded: False" in result.stdout
    for flag in [
        "recipe",
        "dataset",
        "data_dir",
        "depth",
        "width",
        "version",
        "stem",
        "strategy",
        "precision",
        "epochs",
        "batch_size",
        "learning_rate",
        "seed",
        "run_dir",
        "split",
        "schedule",
        "label_smoothing",
        "max_bad_fraction",
        "save_seconds",
    ]:
        assert f"--{flag}:" in result.stdout, flag


def test_help_into_a_closed_pipe():
    process = subprocess.Popen(
        [sys.executable, "train.py", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--depth=19", "train: --depth=19: no such ResNet; choose 18"),
        ("--epochs=0", "train: --epochs=0: expected at least 1"),
        ("--recipe=cifar", "value should be one of <digits|mnist|cifar10|cifar10_fast|imagenet>"),
        ("--image_size=240x", "train: --image_size=240x: expected pixels, as 224, height x width, as 240x320, or 0"),
        ("--channels=2", "train: --channels=2: choose 0, 1, 3"),
        (b"--dataset=caf\xe9/", r"train: --dataset=b'caf\xe9/': expected UTF-8; rename it"),
        ("--strategy=tpu", "value should be one of <auto|one_device|mirrored>"),
        ("--learnin_rate=1", "Unknown command line flag 'learnin_rate'. Did you mean: learning_rate ?"),
        ("--epochs=ten", "flag --epochs=ten"),
        ("--dataset=./nowhere", "no such folder; give one that holds a folder per class"),
        ("--control", "--control: it trains on in float from a finished run; give --init=runs/NAME"),
        ("--quantize=int8", "expected a finished run to start from; give --init=runs/NAME"),
        ("--init=nowhere", "nowhere: no run is there"),
        ("--teacher=nowhere/,there", "--teacher=nowhere: no finished run is there (no model.keras); give a run's"),
        ("--teacher=there,", "--teacher=there,: expected runs' folders and commas, as runs/A,runs/B"),
        ("digits", "flags begin with --"),
    ],
)
def test_bad_flags_fail_before_tensorflow(flag, says):
    result = run(flag)
    assert result.returncode == 2
    assert says in result.stderr
    assert "loaded: False" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_data_sets_own_recipe_and_its_flags():
    code = """
import sys
from keras_resnet import command_line
command_line.define_flags()
command_line.FLAGS(sys.argv)
name, recipe = command_line.recipe_from_flags()
print(name, recipe.dataset, recipe.depth, recipe.augmentation, recipe.image_size, recipe.channels)
"""
    command = [sys.executable, "-c", code, "--dataset=svhn_cropped:3.1.0", "--image_size=24x32", "--channels=1"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.stdout == "mnist svhn_cropped:3.1.0 20 shift 24x32 1\n", result.stderr
