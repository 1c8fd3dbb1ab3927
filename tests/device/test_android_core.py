"""The Android app's core is held to vectors that `golden_vectors.py` writes; here, that they are what it writes now.

Its own tests are Kotlin's: `make android-test`.
"""

import base64
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import PIL
import pytest
from edge import ROOT
from PIL import Image

from export import android
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader

RESOURCES = ROOT / "android_demo" / "core" / "src" / "test" / "resources"
MODELS = sorted(android.ASSETS.glob("*.tflite"))


@pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13,
    reason=f"the vectors are of Pillow 13 and later; {PIL.__version__} resizes tall pictures along rows first",
)
def test_vectors_are_what_the_script_writes(tmp_path):
    script = ROOT / "android_demo" / "golden_vectors.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, text=True, timeout=500)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in RESOURCES.glob("*.json")}
    assert written.keys() == committed.keys()
    for name, text in written.items():
        assert text == committed[name], f"{name} is out of date; type python android_demo/golden_vectors.py"
    assert sum(map(len, committed.values())) < 500_000


def test_vectors_hold_both_orders_of_passes_and_every_orientation():
    orders, orientations = set(), set()
    cases = json.loads((RESOURCES / "preparation.json").read_text())
    assert sum("refused" in case for case in cases) == 4
    for case in cases:
        if "refused" in case:
            continue
        height, width, orientation = case["source"]
        height, width = (width, height) if orientation > 4 else (height, width)
        picture = Picture(*case["input"], case["crop_fraction"], resize=case.get("resize", "cover"))
        to_height, to_width = picture.resized(height, width)
        orders.add(height > to_height and height - to_height > 2 * (width - to_width))
        orientations.add(orientation)
    assert orders == {False, True}
    assert orientations == set(range(10))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_bundled_models_answer_as_their_golden_sets_say(path):
    reader = Reader(path)
    golden = json.loads(path.with_suffix(".golden.json").read_text())
    assert len(golden["pictures"]) == 16
    for picture in golden["pictures"]:
        pixels = reader.contract.picture(Image.open(io.BytesIO(base64.b64decode(picture["png"]))))
        assert reader.quantize(pixels).tobytes() == base64.b64decode(picture["input"])
        np.testing.assert_array_equal(reader.run(pixels), picture["output"])


def test_best_format_is_bundled_under_the_runs_name(tmp_path):
    paths = {}
    for name, source in zip(("float32", "int8-ptq"), MODELS, strict=True):
        paths[name] = tmp_path / f"resnet8-{name}.tflite"
        for suffix in (".tflite", ".golden.json"):
            shutil.copy(source.with_suffix(suffix), paths[name].with_suffix(suffix))
    assets = tmp_path / "assets"
    for expected in ("int8-ptq", "float32"):  # the second replaces the first
        target = android.bundle(paths, "mine", assets)
        assert sorted(path.name for path in assets.iterdir()) == ["mine.golden.json", "mine.tflite"]
        for suffix in (".tflite", ".golden.json"):
            assert target.with_suffix(suffix).read_bytes() == paths[expected].with_suffix(suffix).read_bytes()
        paths.pop(expected)
