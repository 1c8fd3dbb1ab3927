"""What all tests share."""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import keras_resnet  # noqa: F401 (sets the environment before TensorFlow is loaded)

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def finished(tmp_path):
    """A finished run that can be spoiled: the shipped digits model."""
    return shutil.copytree(ROOT / "keras_resnet" / "models" / "digits-resnet8", tmp_path / "run")


MEDIAPIPE = "1.2.2"


@pytest.fixture(scope="session")
def mediapipe_python():
    """The Python of an environment that has mediapipe, `build/mediapipe`, which is made once.

    It wants another absl than tensorflow-model-optimization does.
    """
    environment = ROOT / "build" / "mediapipe"
    python, installed = environment / "bin" / "python", environment / f"installed-{MEDIAPIPE}"
    environment.parent.mkdir(exist_ok=True)
    with open(environment.parent / "mediapipe.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not installed.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", f"mediapipe=={MEDIAPIPE}"]
            result = subprocess.run(pip, capture_output=True, text=True)
            if result.returncode:
                reason = result.stderr.strip().splitlines()[-1]
                pytest.skip(f"SKIPPED: mediapipe {MEDIAPIPE} can't be installed here, nothing was compared: {reason}")
            installed.touch()
    return python


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
