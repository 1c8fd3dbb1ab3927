"""Real photographs: what the device's reader (Pillow) and training's evaluation (TensorFlow) make of them."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import conversion, metadata
from keras_resnet import load_pretrained
from keras_resnet.data import decoding
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader

DATA = pathlib.Path(os.environ.get("KERAS_RESNET_DATA", pathlib.Path(__file__).parents[2] / "shared" / "data"))
# Input size and crop: much smaller than the photographs, smaller, and larger before the crop.
CONTRACTS = ((32, 1.0), (128, 0.875), (224, 0.875))


@pytest.fixture(scope="module")
def photographs():
    """Paths of the 1,000 validation pictures of a small Imagenette."""
    paths = sorted((DATA / "imagenette_mini" / "validation").glob("*/*.jpg"))
    if not paths:
        pytest.skip(f"no pictures in {DATA}/imagenette_mini/validation; KERAS_RESNET_DATA=FOLDER says where they are")
    assert len(paths) == 1000
    return paths


def test_decoded_pixels_are_identical(photographs):
    channels = set()
    for path in photographs:
        with Image.open(path) as image:
            channels.add(image.mode)
            pillow = np.asarray(image.convert("RGB"))
        decoded = decoding.decode_stored(tf.constant(path.read_bytes())).numpy()
        np.testing.assert_array_equal(decoded, pillow, err_msg=str(path))
    assert channels == {"RGB", "L"}


@pytest.mark.parametrize(("size", "crop_fraction"), CONTRACTS)
def test_prepared_pixels_are_identical(photographs, size, crop_fraction):
    picture = Picture(size, size, 3, crop_fraction)
    for path in photographs[::4]:
        with Image.open(path) as image:
            read = picture.pixels(image)
        decoded = decoding.decode(picture, tf.constant(path.read_bytes()))
        np.testing.assert_array_equal(decoded, read, err_msg=str(path))


@pytest.mark.parametrize("size", [32, 128, 256])
def test_tensorflows_resize_is_within_one_level(photographs, size):
    for path in photographs[::4]:
        with Image.open(path) as image:
            image = image.convert("RGB")
        pillow = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
        differences = np.abs(decoding.resize(np.asarray(image), (size, size)).numpy() - pillow)
        assert differences.max() <= 1, path
        assert np.mean(differences == 0) > 0.7


def test_reader_agrees_with_evaluation(photographs, tmp_path):
    model, contract = load_pretrained("cifar10-jpeg-resnet20")
    pictures = tf.data.Dataset.from_tensor_slices([str(path) for path in photographs])
    pictures = pictures.map(lambda path: decoding.normalize(decoding.decode(contract.input, tf.io.read_file(path))))
    evaluated = model.predict(pictures.batch(100), verbose=0).argmax(-1)

    path = tmp_path / "resnet20.tflite"
    content = conversion.convert("float32", model, np.zeros((1, *contract.shape), np.float32))
    path.write_bytes(metadata.embed(content, contract, metadata.Card("resnet20")))
    reader = Reader(path)
    read = [contract.labels.index(reader.predict(photo, 1).top[0][0]) for photo in photographs]
    agreement = np.mean(evaluated == read)
    print(f"top-1 agreement on {len(photographs)} photographs: {agreement:.4f}")
    assert len(set(read)) == len(contract.labels)  # else agreement would mean little
    assert agreement >= 0.999
