"""A model for the Android app: its file, which carries labels and contract, and its golden set, among the assets.

The app's tests hold what is there to Python's probabilities: `python android_demo/golden_vectors.py` writes them anew.
"""

import pathlib

from keras_resnet import files

ASSETS = pathlib.Path(__file__).parents[1] / "android_demo" / "app" / "src" / "main" / "assets" / "models"
PREFERRED = ("int8-qat", "int8-ptq", "float32", "float16", "dynamic", "int16x8")


def bundle(paths, name, assets=ASSETS):
    """Copies the format that suits a phone best, as `NAME.tflite` and `NAME.golden.json`; it replaces an earlier one.

    Args:
        paths: format -> path of its `.tflite`, with the golden set beside it.
        name: what the app calls the model.
        assets: the folder.

    Returns:
        Path of the copied model.
    """
    source = next(paths[name] for name in PREFERRED if name in paths)
    target = assets / f"{name}.tflite"
    for suffix in (".golden.json", ".tflite"):
        files.write_bytes(target.with_suffix(suffix), source.with_suffix(suffix).read_bytes())
    return target
