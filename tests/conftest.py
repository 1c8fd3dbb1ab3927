"""What all tests share."""

import os
import pathlib
import shutil
import subprocess

import pytest

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def finished(tmp_path):
    """A finished run that can be spoiled: the shipped digits model."""
    return shutil.copytree(ROOT / "keras_resnet" / "models" / "digits-resnet8", tmp_path / "run")


@pytest.fixture
def small_disk():
    """A function that makes a folder a disk of its own, with so many kilobytes."""
    folders = []

    def mount(folder, kilobytes):
        if os.geteuid():
            pytest.skip("SKIPPED: making a full disk (a small tmpfs) needs root")
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("SKIPPED: this machine can't mount a tmpfs")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", folder], check=True)


def pytest_collection_modifyitems(items):
    # tf.test.TestCase brings a "test" of its own, `test_session`, which only ever skips itself.
    items[:] = [item for item in items if item.name != "test_session"]
