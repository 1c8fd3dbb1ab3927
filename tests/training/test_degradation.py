"""Plain and residual networks beside each other: what is trained, measured and drawn."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet import runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.history import read_history
from keras_resnet.quantization.saved import load_model

ROOT = pathlib.Path(__file__).parents[2]


def test_depths_that_are_none_are_refused_first(tmp_path):
    for flags, message in (
        (["--depths=8,9"], "--depths=8,9: 9: no such ResNet; choose"),
        (["--depths=a"], "expected numbers"),
        (["x"], "begin with --"),
    ):
        command = [sys.executable, "-m", "keras_resnet.program", "degradation", f"--out={tmp_path / 'out'}", *flags]
        made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert made.returncode == 2 and message in made.stderr and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_depths(tmp_path):
    command = [sys.executable, "-m", "keras_resnet.program", "degradation", f"--out={tmp_path}", "--depths=14,8"]
    command += ["--epochs=1", "--width=0.25"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    saved = json.loads((tmp_path / "degradation.json").read_text())
    assert [(row["kind"], row["depth"]) for row in saved["networks"]] == [
        ("plain", 8), ("residual", 8), ("plain", 14), ("residual", 14)
    ]  # fmt: skip
    assert (tmp_path / "degradation.png").stat().st_size > 20_000
    for row in saved["networks"]:
        run = runs.Run(tmp_path / f"{row['kind']}-{row['depth']}")
        assert row["loss"] == read_history(run.history)[-1]["loss"] and f"{row['loss']:.4f}" in said
        adds = [layer for layer in load_model(run.model).layers if layer.name.endswith("_add")]
        assert bool(adds) == (row["kind"] == "residual")
    # 13 convolutions of 14 layers; the gradient by a second way, of all weights at once.
    norms = saved["gradient_norms"]["residual"]
    assert len(norms) == len(saved["gradient_norms"]["plain"]) == 13
    model = load_model(tmp_path / "residual-14" / "model.keras")
    images, labels = next(iter(load_dataset("digits").training(256, 0, 0)))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True), from_logits=True)
            )
        return tape.gradient(loss, model.trainable_variables)

    by_path = {v.path: g for v, g in zip(model.trainable_variables, gradients(), strict=True)}
    last = next(g for path, g in by_path.items() if "stage4_block2_conv2/kernel" in path)
    np.testing.assert_allclose(norms[-1], np.linalg.norm(last), rtol=1e-3)
