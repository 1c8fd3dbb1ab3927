"""MediaPipe's ImageClassifier opens our files as they are, and names what the reference reader names."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from PIL import Image

from export import conversion, metadata
from keras_resnet import load_dataset, load_pretrained
from keras_resnet.device.reader import Reader
from keras_resnet.quantization.quantizer import quantize_aware

PICTURES = 100
# uint8 in and out: the first two; float32: the others.
FORMATS = ("int8-ptq", "int8-qat", "float32", "float16", "dynamic", "int16x8")
pytestmark = pytest.mark.slow


def write_files(folder, model, data):
    """Writes a model in every format, as an export does; returns the paths."""
    pictures = data.calibration(256, 0)
    models = {"int8-qat": quantize_aware(model, pictures)}
    card = metadata.Card(model.name)
    paths = [folder / f"{name}.tflite" for name in FORMATS]
    for path in paths:
        content = conversion.convert(path.stem, models.get(path.stem, model), pictures)
        path.write_bytes(metadata.embed(content, data.contract, card))
    return paths


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("digits-resnet8", "digits"),
        pytest.param(
            "cifar10-jpeg-resnet20",
            "cifar10",
            marks=pytest.mark.skipif(
                "TFDS_DATA_DIR" not in os.environ, reason="SKIPPED: TFDS_DATA_DIR is not set, no CIFAR-10 is here"
            ),
        ),
    ],
)
def test_mediapipe_names_what_the_reader_names(mediapipe_python, name, dataset, tmp_path):
    model, contract = load_pretrained(name)
    data = load_dataset(dataset)
    assert data.contract == contract
    paths = write_files(tmp_path, model, data)
    images = [Image.fromarray(image) for image in data.validation.images[:PICTURES]]  # of the network's own size
    for i, image in enumerate(images):
        image.save(tmp_path / f"{i:03}.png")
    command = [mediapipe_python, pathlib.Path(__file__).with_name("mediapipe_check.py"), tmp_path, *paths]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    for path, answers in zip(paths, json.loads(result.stdout), strict=True):
        reader = Reader(path)
        outputs = [reader.run(contract.picture(image)) for image in images]
        assert len(answers) == PICTURES
        for output, (answer, score) in zip(outputs, answers, strict=True):
            # Where several classes share the largest output (a step of int8 is coarse), any of them will do.
            assert answer in {contract.labels[i] for i in np.flatnonzero(output == output.max())}, path.stem
            tolerance = 1e-6 if output.dtype == np.uint8 else 1e-3  # the same bytes go in; float kernels may differ
            assert score == pytest.approx(reader.dequantize(output).max(), abs=tolerance), path.stem
