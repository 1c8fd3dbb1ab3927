"""A residual MLP: digits as vectors, from a flag to an int8 file."""

import json
import pathlib
import subprocess
import sys

import pytest

from keras_resnet.device.reader import Reader

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_digits_as_vectors(tmp_path):
    for command in (
        ["train.py", "--dataset=digits", "--axes=0", "--width=4", "--epochs=5", f"--run_dir={tmp_path / 'run'}"],
        ["-m", "export", tmp_path / "run", "--formats=float32,int8-ptq"],
    ):
        made = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT)
        assert made.returncode == 0, made.stderr
    rows = {row["format"]: row for row in json.loads((tmp_path / "run/export/comparison.json").read_text())["formats"]}
    assert rows["float32"]["accuracy"] > 0.85 and rows["int8-ptq"]["float_tensors"] == 0
    assert "CONV_2D" in rows["int8-ptq"]["operators"] or "FULLY_CONNECTED" in rows["int8-ptq"]["operators"]
    file = next((tmp_path / "run" / "export").glob("*int8-ptq.tflite"))
    shapes = [t["shape"] for t in Reader(file).interpreter.get_tensor_details() if len(t["shape"]) == 4]
    assert sum(max(shape[1:3]) > 1 for shape in shapes) <= 3  # the picture alone has height and width
    refused = subprocess.run(
        [sys.executable, "train.py", "--dataset=digits", "--axes=0", "--progressive=0.5", "--epochs=2"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert refused.returncode == 2 and "--axes=0" in refused.stderr
