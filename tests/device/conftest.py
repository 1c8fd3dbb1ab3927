"""What the tests of the device's programs share: a copied folder, an exported model, its golden pictures."""

import base64
import json
import shutil
import subprocess
import sys

import pytest
from browsers import CHROMIUM, PATIENCE, SWITCHES
from edge import DEVICE, INT8, ROOT


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
    """A folder with a copy named `device/`, as on a Raspberry Pi."""
    shutil.copytree(DEVICE, tmp_path / "copied" / "device", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copied"


@pytest.fixture
def pictures(models, tmp_path):
    """Folder with the golden pictures as PNG files, `00.png` to `15.png`."""
    path = tmp_path / "pictures"
    path.mkdir()
    saved = json.loads((models / INT8).with_suffix(".golden.json").read_text())
    for i, picture in enumerate(saved["pictures"]):
        (path / f"{i:02}.png").write_bytes(base64.b64decode(picture["png"]))
    return path


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium is here; as root on Debian, make browser installs it")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES, timeout=PATIENCE)
        yield browser
        browser.close()
