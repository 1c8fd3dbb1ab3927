"""The contract's input: Pillow's reference against TensorFlow's graph, on pictures of every kind."""

import dataclasses
import io
import math
import os
import pathlib
import struct
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_resnet import files
from keras_resnet.data import decoding
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import ORIENTATION, Picture, upright, upright_size

PICTURE = Picture(24, 24, 3, crop_fraction=0.75)


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


def by_hand(image, picture):
    """What the rules in `contract.json` say of an upright picture, in Pillow's own words."""
    to_height, to_width = round(picture.height / picture.crop_fraction), round(picture.width / picture.crop_fraction)
    scale = max(to_height / image.height, to_width / image.width)
    # Half a pixel is rounded up.
    width, height = (math.floor(side * scale + 0.5) for side in image.size)
    if picture.resize == "stretch":
        width, height = to_width, to_height
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    return np.asarray(image)[top : top + picture.height, left : left + picture.width]


SIZES = [(24, 24), (32, 32), (200, 100), (31, 77), (500, 333), (16, 40), (7, 7), (32, 33), (60, 32), (32, 60), (77, 31)]


@pytest.mark.parametrize("picture", [PICTURE, Picture(21, 24, 3, 0.75), Picture(21, 24, 3, 0.75, resize="stretch")])
@pytest.mark.parametrize("size", [*SIZES, (28, 32)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tensorflow_follows_pillow(size, kind, picture):
    data = encoded(photo(*size), kind)
    reference = picture.pixels(Image.open(io.BytesIO(data)))
    assert np.ptp(reference) > 50
    np.testing.assert_array_equal(by_hand(Image.open(io.BytesIO(data)), picture), reference)
    np.testing.assert_array_equal(decoding.decode(picture, tf.constant(data)), reference)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_decoded_jpeg_is_pillows_exactly(subsampling):
    data = encoded(photo(99, 131), "JPEG", subsampling=subsampling, quality=75)
    pillow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decoding.decode_stored(tf.constant(data)), pillow)


def test_without_resize_nothing_changes():
    image = photo(24, 24)
    np.testing.assert_array_equal(Picture(24, 24, 3).pixels(image), np.asarray(image))
    stretched = np.asarray(image.resize((40, 9), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Picture(9, 40, 3, resize="stretch").pixels(image), stretched)


@pytest.mark.parametrize(
    ("size", "resized"), [((100, 200), (32, 64)), ((200, 100), (64, 32)), ((33, 100), (32, 97)), ((100, 33), (97, 32))]
)
def test_resized_covers_the_crop(size, resized):
    assert PICTURE.resized(*size) == resized


@pytest.mark.parametrize("picture", [PICTURE, Picture(224, 168, 3, 0.875)])
def test_a_strip_is_refused_before_it_is_resized(picture):
    """Covering the input with it would take 10 GB."""
    long, wide = picture.covered
    for height, width in ((long, 64 * wide), (64 * long, wide), (100, 3000), (3000, 100)):
        resized = picture.resized(height, width)
        assert resized[0] * resized[1] <= 64 * long * wide
    for height, width in ((long, 64 * wide + 1), (64 * long + 1, wide), (1, 2_000_000), (2_000_000, 1)):
        with pytest.raises(ValueError, match=f"^{width}x{height} pixels: too long for an input of {picture.width}x"):
            picture.resized(height, width)
    strip = Image.new("L", (20_000, 1))
    with pytest.raises(ValueError, match="cut the picture into parts"):
        picture.pixels(strip)
    in_graph = tf.data.Dataset.from_tensors(encoded(strip, "PNG")).map(lambda data: decoding.decode(picture, data))
    with pytest.raises(tf.errors.InvalidArgumentError, match="20000x1 pixels: too long"):
        next(iter(in_graph))


def test_every_pixel_is_its_int8_value():
    pixels = np.arange(256, dtype=np.uint8)
    scaled = decoding.normalize(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, decoding.normalize(tf.constant(pixels)))
    # The int8 input of a quantized model has scale 1/128 and zero point 0.
    np.testing.assert_array_equal(scaled * 128, np.arange(256) - 128)


@pytest.mark.parametrize("orientation", range(10))
def test_its_size_is_that_of_the_upright_picture(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    with Image.open(io.BytesIO(encoded(photo(40, 60), "JPEG", exif=exif))) as image:
        assert upright_size(image) == upright(image).size[::-1] == ((60, 40) if 5 <= orientation <= 8 else (40, 60))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("said", [b"no TIFF", b"MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\2a\0\0\0" + bytes(4)])
def test_a_broken_orientation_turns_nothing(kind, said):
    data = encoded(photo(40, 60), kind, exif=b"Exif\0\0" + said)  # the second is a text
    with Image.open(io.BytesIO(data)) as image:
        assert upright_size(image) == (40, 60)
        assert upright(image).size == (60, 40)
    assert decoding.layout(data) == (0 if kind == "PNG" else 1) and not decoding.turned(data)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_orientation_is_applied(kind, orientation, monkeypatch):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    more = {"save_all": True, "append_images": [photo(20, 30)]} if kind == "MPO" else {}
    data = encoded(photo(40, 60), kind, exif=exif, **more)
    with Image.open(io.BytesIO(data)) as turned:
        right = np.asarray(upright(turned))
        reference = PICTURE.pixels(turned)
        np.testing.assert_array_equal(by_hand(ImageOps.exif_transpose(turned), PICTURE), reference)
    assert right.shape == ((60, 40, 3) if 5 <= orientation <= 8 else (40, 60, 3))
    layout = decoding.layout(data)
    assert layout == (0 if kind == "PNG" else orientation if 1 <= orientation <= 8 else 1)
    np.testing.assert_array_equal(decoding.decode_upright(tf.constant(data), layout), right)
    if layout:  # Pillow opens none of these: it would take longer
        monkeypatch.setattr(decoding, "open_bytes", None)
    for picture in (
        PICTURE,
        Picture(70, 50, 1),
        Picture(31, 64, 3, 0.9),
        Picture(31, 64, 1, resize="stretch"),
    ):  # both orders of passes
        reference = picture.pixels(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decoding.decode(picture, tf.constant(data), layout), reference)
    long = encoded(photo(40, 200), kind, exif=exif, **more)  # stored turned, a tall one
    reference = PICTURE.pixels(Image.open(io.BytesIO(long)))
    np.testing.assert_array_equal(decoding.decode(PICTURE, tf.constant(long), layout), reference)


def see_through(image):
    """In the colours of a palette, each of an opacity of its own."""
    palette = image.convert("P")
    palette.info["transparency"] = bytes(range(256))
    return palette


def bits_565(image):
    """A BMP of 16 bits a pixel, which Pillow reads and does not write: masks of the colours follow its header."""
    pixels = np.asarray(image).astype(np.uint16) >> np.array([3, 2, 3])
    rows = (pixels << np.array([11, 5, 0])).sum(-1).astype("<u2")[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, image.width, image.height, 1, 16, 3, len(rows), 0, 0, 0, 0)
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    content = struct.pack("<2sIII", b"BM", 66 + len(rows), 0, 66) + header + masks + rows
    return types.SimpleNamespace(save=lambda path: path.write_bytes(content))


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
    "565.bmp": bits_565,
    "plain.bmp": lambda image: image,
    "plain.jpg": lambda image: image,
}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", MODES)
def test_every_kind_of_picture(name, channels, tmp_path):
    path = tmp_path / name
    image = photo(40, 60)
    MODES[name](image).save(path)
    picture = dataclasses.replace(PICTURE, channels=channels)
    with Image.open(path) as opened:
        reference = picture.pixels(opened).astype(int)
    data = path.read_bytes()
    decoded = decoding.decode(picture, tf.constant(data), decoding.layout(data))
    np.testing.assert_array_equal(decoded, reference)
    gray = channels == 1 or name.startswith(("gray", "bits", "deep"))
    like = picture.pixels(image.convert("L") if gray else image).astype(int)
    assert np.abs(reference - like).mean() < (40 if name == "bits.png" else 15)


def test_gray_of_every_colour_is_pillows():
    colours = np.stack(np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 3, indexing="ij"), -1).reshape(4096, 4096, 3)
    np.testing.assert_array_equal(
        decoding.in_channels(colours, 1)[..., 0], np.asarray(Image.fromarray(colours).convert("L"))
    )


def test_saved_contract_is_the_same(tmp_path, monkeypatch):
    contract, path = Contract(PICTURE, Classes(("a", "b"))), tmp_path / "contract.json"
    sync, synced = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda opened: (synced.append(os.fstat(opened).st_ino), sync(opened)))
    files.write_json(path, contract.as_json())
    assert synced == [path.stat().st_ino, tmp_path.stat().st_ino]  # the name, too, outlives a loss of power
    assert Contract.load(path) == contract
    assert "x = (pixel - mean) / std" in path.read_text()
    assert [p.name for p in pathlib.Path(tmp_path).iterdir()] == ["contract.json"]


@pytest.mark.parametrize("bad", [(0, 8, 3), (8, 8, 4), (8, 8, 3, 0.0), (8, 8, 3, 1.5)])
def test_impossible_pictures(bad):
    with pytest.raises(ValueError, match="expected"):
        Picture(*bad)
