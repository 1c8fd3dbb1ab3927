"""How the tests here run what a person would run: in a folder where only the copy `device/` is in sight."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
DEVICE = ROOT / "keras_resnet" / "device"
INT8 = "resnet8-int8-ptq.tflite"


def surroundings(**environment):
    """Variables of a process that sees nothing of the clone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment}


def python(folder, *command, **environment):
    """Runs Python in a folder."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=500,
        env=surroundings(**environment),
    )


def run(folder, *command, **environment):
    """Runs a command of the copied `device/` as a person would, from the folder that it lies in."""
    return python(folder, "-m", "device", *command, **environment)


def bare(models):
    """The bytes of a file without labels and contract, whose standard metadata is left."""
    content = (models / INT8).read_bytes()
    return content[: content.index(b"PK\x03\x04")]


def answered(reader, image, top=5):
    """What a `PIL.Image.Image` is taken for: (label, probability) pairs, the likeliest first."""
    return reader.answer(reader.prepare_image(image), top).shown.top
