"""The contract of a picture: Pillow's reference against TensorFlow's graph, on pictures of every kind."""

import dataclasses
import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet import preprocessing
from keras_resnet.preprocessing import ImageContract
from raspberry_pi.classifier import Contract

CONTRACT = ImageContract(24, 24, 3, ("a", "b"), crop_fraction=0.75)


def photo(height, width, seed=0):
    """A picture with smooth and sharp parts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (3 + 5 * c)) + np.cos(y / (4 + 3 * c)) for c in range(3)]
    pixels = 127 + 50 * np.stack(waves, -1) + rng.normal(0, 8, (height, width, 3))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def readers(contract):
    """The same contract as the Raspberry Pi's reader has it."""
    return Contract(*contract.shape, contract.labels, contract.crop_fraction)


SIZES = [(24, 24), (32, 32), (200, 100), (31, 77), (500, 333), (16, 40), (7, 7), (32, 33), (60, 32), (32, 60), (77, 31)]


@pytest.mark.parametrize("contract", [CONTRACT, ImageContract(21, 24, 3, ("a", "b"), 0.75)])
@pytest.mark.parametrize("size", [*SIZES, (28, 32)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tensorflow_follows_pillow(size, kind, contract):
    data = encoded(photo(*size), kind)
    reference = contract.picture(Image.open(io.BytesIO(data)))
    assert np.ptp(reference) > 50
    np.testing.assert_array_equal(readers(contract).pixels(Image.open(io.BytesIO(data))), reference)
    np.testing.assert_array_equal(contract.decode(tf.constant(data)), reference)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_decoded_jpeg_is_pillows_exactly(subsampling):
    data = encoded(photo(99, 131), "JPEG", subsampling=subsampling, quality=75)
    pillow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(preprocessing.decode_stored(tf.constant(data)), pillow)


def test_without_resize_nothing_changes():
    image = photo(24, 24)
    contract = ImageContract(24, 24, 3, ("a", "b"))
    np.testing.assert_array_equal(contract.picture(image), np.asarray(image))


@pytest.mark.parametrize(
    ("size", "resized"), [((100, 200), (32, 64)), ((200, 100), (64, 32)), ((33, 100), (32, 97)), ((100, 33), (97, 32))]
)
def test_resized_covers_the_crop(size, resized):
    assert CONTRACT.resized(*size) == resized


@pytest.mark.parametrize("contract", [CONTRACT, ImageContract(224, 168, 3, (), 0.875)])
def test_a_strip_is_refused_before_it_is_resized(contract):
    """Covering the input with it would take 10 GB."""
    reader = readers(contract)
    long, wide = contract.covered[0], contract.covered[1]
    for height, width in ((long, 64 * wide), (64 * long, wide), (100, 3000), (3000, 100)):
        resized = contract.resized(height, width)
        assert resized == reader.resized(height, width)
        assert resized[0] * resized[1] <= 64 * long * wide
    for height, width in ((long, 64 * wide + 1), (64 * long + 1, wide), (1, 2_000_000), (2_000_000, 1)):
        for refuses in (contract.resized, reader.resized):
            with pytest.raises(
                ValueError, match=f"^{width}x{height} pixels: too long for an input of {contract.width}x"
            ):
                refuses(height, width)
    strip = Image.new("L", (20_000, 1))
    for prepare in (contract.picture, reader.pixels):
        with pytest.raises(ValueError, match="cut the picture into parts"):
            prepare(strip)
    in_graph = tf.data.Dataset.from_tensors(encoded(strip, "PNG")).map(contract.decode)
    with pytest.raises(tf.errors.InvalidArgumentError, match="20000x1 pixels: too long"):
        next(iter(in_graph))


def test_every_pixel_is_its_int8_value():
    pixels = np.arange(256, dtype=np.uint8)
    scaled = preprocessing.normalize(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, preprocessing.normalize(tf.constant(pixels)))
    # The int8 input of a quantized model has scale 1/128 and zero point 0.
    np.testing.assert_array_equal(scaled * 128, np.arange(256) - 128)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[preprocessing.ORIENTATION] = orientation
    more = {"save_all": True, "append_images": [photo(20, 30)]} if kind == "MPO" else {}
    data = encoded(photo(40, 60), kind, exif=exif, **more)
    with Image.open(io.BytesIO(data)) as turned:
        upright = np.asarray(preprocessing.upright(turned))
        reference = CONTRACT.picture(turned)
        np.testing.assert_array_equal(readers(CONTRACT).pixels(turned), reference)
    assert upright.shape == ((60, 40, 3) if 5 <= orientation <= 8 else (40, 60, 3))
    layout = preprocessing.layout(data)
    assert layout == (0 if kind == "PNG" else orientation if 1 <= orientation <= 8 else 1)
    np.testing.assert_array_equal(preprocessing.decode_upright(tf.constant(data), layout), upright)
    np.testing.assert_array_equal(CONTRACT.decode(tf.constant(data), layout), reference)


def see_through(image):
    """In the colours of a palette, each of an opacity of its own."""
    palette = image.convert("P")
    palette.info["transparency"] = bytes(range(256))
    return palette


MODES = {
    "gray.png": lambda image: image.convert("L"),
    "palette.png": lambda image: image.convert("P"),
    "transparent.png": see_through,
    "alpha.png": lambda image: image.convert("RGBA"),
    "gray_alpha.png": lambda image: image.convert("LA"),
    "bits.png": lambda image: image.convert("1"),
    "deep.png": lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257),
    "cmyk.jpg": lambda image: image.convert("CMYK"),
    "gray.jpg": lambda image: image.convert("L"),
    "palette.gif": lambda image: image.convert("P"),
    "plain.bmp": lambda image: image,
    "plain.jpg": lambda image: image,
}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", MODES)
def test_every_kind_of_picture(name, channels, tmp_path):
    path = tmp_path / name
    image = photo(40, 60)
    MODES[name](image).save(path)
    contract = dataclasses.replace(CONTRACT, channels=channels)
    with Image.open(path) as opened:
        reference = contract.picture(opened).astype(int)
        np.testing.assert_array_equal(readers(contract).pixels(opened), reference)
    data = path.read_bytes()
    decoded = contract.decode(tf.constant(data), preprocessing.layout(data))
    np.testing.assert_array_equal(decoded, reference)
    gray = channels == 1 or name.startswith(("gray", "bits", "deep"))
    like = contract.picture(image.convert("L") if gray else image).astype(int)
    assert np.abs(reference - like).mean() < (40 if name == "bits.png" else 15)


def test_gray_of_every_colour_is_pillows():
    colours = np.stack(np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 3, indexing="ij"), -1).reshape(4096, 4096, 3)
    np.testing.assert_array_equal(
        preprocessing.in_channels(colours, 1)[..., 0], np.asarray(Image.fromarray(colours).convert("L"))
    )


def test_saved_contract_is_the_same(tmp_path):
    path = tmp_path / "contract.json"
    CONTRACT.save(path)
    assert ImageContract.load(path) == CONTRACT
    assert "x = pixel / 128 - 1" in path.read_text()
    assert [p.name for p in pathlib.Path(tmp_path).iterdir()] == ["contract.json"]


@pytest.mark.parametrize("bad", [(0, 8, 3), (8, 8, 4), (8, 8, 3, ("a",), 0.0), (8, 8, 3, ("a",), 1.5)])
def test_impossible_contracts(bad):
    arguments = bad if len(bad) > 3 else (*bad, ("a", "b"))
    with pytest.raises(ValueError, match="expected"):
        ImageContract(*arguments)
