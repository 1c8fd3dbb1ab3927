"""Draws the way of one picture, `docs/way.png`, from what the repository holds: `python docs/way.py`.

The photograph is a golden picture of the bundled CIFAR-10 model, the curve its history, both answers are computed
here, and the phone's screen is what `make apk` rendered.
"""

import base64
import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import keras_resnet  # noqa: E402
from keras_resnet import drawing  # noqa: E402
from keras_resnet.drawing import BLUE, GRAY, GREEN, ORANGE, pyplot  # noqa: E402
from keras_resnet.history import read_history  # noqa: E402

NAME = "cifar10-jpeg-resnet20"
ASSET = ROOT / "android_demo" / "app" / "src" / "main" / "assets" / "models" / f"{NAME}.tflite"
LABEL = "bird"  # the one on the phone's screen


def photograph():
    """The first golden picture that the model takes for a `LABEL`, as PNG bytes."""
    reader = keras_resnet.load(ASSET)
    for golden in json.loads(ASSET.with_suffix(".golden.json").read_text())["pictures"]:
        content = base64.b64decode(golden["png"])
        if reader.predict_picture(io.BytesIO(content)).top[0][0] == LABEL:
            return content
    raise SystemExit(f"no golden picture of {ASSET} shows a {LABEL}")


def bars(axes, answer, title, color):
    names, values = zip(*answer.top[:3], strict=True)
    axes.barh(names, np.multiply(values, 100), color=color)
    axes.bar_label(axes.containers[0], [f"{100 * v:.1f} %" for v in values], padding=3, fontsize=8)
    axes.set(xlim=(0, 135), title=title)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def main():
    content = photograph()
    network, file = keras_resnet.load(NAME), keras_resnet.load(ASSET)
    history = read_history(ROOT / "keras_resnet" / "models" / NAME / "history.csv")
    figure = pyplot.figure(figsize=(13, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1.5, 1.35, 1.5))
    picture, curve, phone = (figure.add_subplot(grid[:, i]) for i in (0, 1, 3))
    picture.imshow(Image.open(io.BytesIO(content)), interpolation="nearest")
    picture.set_title("1  a picture")
    curve.plot([r["epoch"] for r in history], [100 * r["val_accuracy"] for r in history], color=ORANGE)
    curve.set(title="2  train.py --depth=20", xlabel="epoch", ylabel="validation accuracy [%]")
    curve.grid(alpha=0.3)
    bars(figure.add_subplot(grid[0, 2]), network.predict_picture(io.BytesIO(content)), "3  Keras, float32", BLUE)
    size = f"4  int8 .tflite, {ASSET.stat().st_size / 1000:.0f} kB (PC, Pi)"
    bars(figure.add_subplot(grid[1, 2]), file.predict_picture(io.BytesIO(content)), size, GREEN)
    phone.imshow(Image.open(ROOT / "android_demo" / "screens.png").crop((656, 0, 964, 460)))
    phone.set_title("5  the same file in the app")
    for axes in (picture, phone):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(GRAY)
    drawing.save(figure, ROOT / "docs" / "way.png")


if __name__ == "__main__":
    main()
