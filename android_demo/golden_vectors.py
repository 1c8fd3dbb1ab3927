"""Writes what core's JUnit tests compare with: pictures prepared by Pillow, numbers computed by NumPy.

    python android_demo/golden_vectors.py [FOLDER]

The sources of the pictures are noise that both sides compute, so that the files stay small.
"""

import base64
import hashlib
import json
import pathlib
import sys
import tempfile
import zipfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
RESOURCES = HERE / "core" / "src" / "test" / "resources"
MODELS = HERE / "app" / "src" / "main" / "assets" / "models"
sys.path.insert(0, str(HERE.parent))
from raspberry_pi.classifier import (  # noqa: E402
    Classifier,
    Contract,
    read_contract,
    read_labels,
    shown_normalization,
)

ORIENTATION = 0x0112

# height x width of the source, its EXIF orientation; height x width x channels of the input, crop fraction.
PREPARATIONS = (
    *((90, 60, orientation, 24, 20, 3, 1.0) for orientation in range(10)),  # 0 and 9 mean nothing
    *((31, 77, orientation, 24, 20, 3, 0.875) for orientation in range(1, 9)),
    (32, 32, 1, 32, 32, 3, 1.0),  # nothing to do
    (32, 40, 1, 32, 32, 3, 1.0),  # cropped only
    (40, 32, 1, 32, 32, 3, 1.0),
    (33, 31, 1, 32, 32, 3, 1.0),
    (96, 32, 1, 32, 32, 3, 1.0),
    (480, 640, 1, 32, 32, 3, 1.0),
    (640, 480, 1, 32, 32, 3, 0.875),
    (640, 300, 1, 32, 32, 3, 1.0),  # by columns first
    (640, 300, 6, 32, 32, 3, 1.0),  # upright, it is wide: along rows first
    (300, 640, 6, 32, 32, 3, 1.0),  # by columns first
    (300, 640, 1, 32, 32, 3, 1.0),
    (96, 48, 1, 32, 32, 3, 1.0),  # 96 - 64 > 2 * (48 - 32) is false, the rule's edge: along rows first
    (98, 48, 1, 32, 32, 3, 1.0),  # 98 - 65 is more: by columns first
    (8, 8, 1, 32, 32, 3, 1.0),
    (5, 7, 1, 32, 24, 3, 0.7),
    (1, 1, 1, 8, 8, 3, 1.0),
    (1, 50, 1, 8, 8, 3, 1.0),
    (50, 1, 1, 8, 8, 3, 1.0),
    (2, 128, 1, 8, 8, 3, 1.0),  # as long as is taken, and a pixel longer
    (2, 129, 1, 8, 8, 3, 1.0),
    (128, 2, 6, 8, 8, 3, 1.0),
    (129, 2, 6, 8, 8, 3, 1.0),
    (128, 3, 1, 16, 24, 3, 0.9),  # 18 and 27: 64 times
    (129, 3, 1, 16, 24, 3, 0.9),
    (2_000_000, 1, 1, 224, 224, 3, 0.875),
    (97, 61, 1, 25, 31, 3, 0.9),  # 25 / 0.9 and 31 / 0.9 are rounded
    (97, 61, 1, 21, 35, 3, 1 / 1.5),  # 31.5 and 52.5: halves go to the even number
    (97, 61, 1, 35, 21, 3, 1 / 1.5),
    (61, 97, 1, 28, 28, 1, 1.0),  # gray
    (97, 41, 7, 28, 28, 1, 0.875),
    (200, 41, 1, 28, 28, 1, 1.0),
    (1080, 1920, 1, 224, 224, 3, 0.875),
    (2000, 900, 1, 224, 224, 3, 0.875),
)

# type, scale and zero point of the input; mean and standard deviation of the contract.
QUANTIZATIONS = (
    ("uint8", 1 / 128, 128, 128.0, 128.0),
    ("int8", 1 / 128, 0, 128.0, 128.0),
    ("float32", 0.0, 0, 128.0, 128.0),
    ("float32", 0.0, 0, 127.5, 127.5),
    ("uint8", 0.007843137718737125, 127, 127.5, 127.5),
    ("int8", 0.018658448, -14, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ("uint8", 0.03, 100, 0.0, 32.0),  # many values are clipped
    ("int8", 0.015625, 3, 0.0, 64.0),  # quotients are whole
    ("uint8", 0.03125, 7, 0.0, 64.0),  # half of the quotients end with .5
)

# type, scale and zero point of the output, its numbers, what they are.
OUTPUTS = (
    ("uint8", 0.1731, 115, (0, 100, 115, 200, 255), "logits"),
    ("int8", 0.0921, -7, (-128, -7, 0, 90, 127), "logits"),
    ("float32", 0.0, 0, (-3.25, 0.1, 87.5, 88.0, 1e-8), "logits"),
    ("float32", 0.0, 0, (-1000.0, 1000.0, 999.5), "logits"),
    ("uint8", 1 / 256, 0, (3, 250, 3), "probabilities"),
)


# type, scale and zero point of the input of a file that says nothing of its scale.
SHOWN = (
    ("int8", 1.0, -128),
    ("uint8", 1.0, 0),
    ("int8", 1 / 128, 0),
    ("uint8", 0.007843137718737125, 127),
    ("int8", 0.00392156862745098, -128),
    ("int8", 0.018658448, -14),
    ("float32", 0.0, 0),
)

# What stands in a foreign file of labels.
LABELS = ("", "\n", "a", "a\nb\n", "a\r\nb\r\n", "\ufeffa\nb", "a\n\nb\n\n", "a\x85b\u2028c\x0bd\n", "ä\n 日本 \n")

# What is said otherwise than by a right contract of a picture 32 x 32 x 3 and ten classes.
CONTRACTS = (
    *({}, {"height": 32.0}, {"height": 31}, {"height": 32.5}, {"width": "32"}, {"channels": None}, {"unknown": [{}]}),
    *({"labels": list("abcdefghi")}, {"labels": [*"abcdefghi", 1]}, {"labels": [*"abcdefghij", 1]}),
    *({"labels": "abcdefghij"}, {"labels": None}, {"labels": ["", "\u0000", "ä\n", *"defghij"]}),
    *({"mean": 1}, {"mean": [1, 2.5, -3e1]}, {"mean": [4]}, {"mean": [1, 2]}, {"mean": []}, {"mean": "1"}),
    *({"mean": None}, {"mean": [1, None, 3]}, {"mean": [[1]]}, {"std": 0}, {"std": [1, 0, 1]}, {"std": -2.5}),
    *({"crop_fraction": 1}, {"crop_fraction": 0.875}, {"crop_fraction": 0}, {"crop_fraction": 1.25}),
    *({"crop_fraction": "1"}, {"crop_fraction": None}, {"crop_fraction": 0.0078125}, {"crop_fraction": 0.0078}),
    *({"output": "logits"}, {"output": "probabilities"}, {"output": "scores"}, {"output": None}),
)


def noise(height, width):
    """uint8 (height, width, 3) that a few lines in any language can make, and no resize rounds kindly."""
    y, x, c = np.ogrid[:height, :width, :3]
    mixed = (x * 73_856_093) ^ (y * 19_349_663) ^ (c * 83_492_791)
    mixed = (mixed & 0xFFFFFFFF).astype(np.uint32)
    mixed = (mixed ^ (mixed >> 13)) * np.uint32(1_274_126_177)
    return (mixed >> 16).astype(np.uint8)


def preparation(height, width, orientation, to_height, to_width, channels, crop_fraction):
    """What the reference reader makes of noise, or that it refuses it."""
    image = Image.fromarray(noise(height, width))
    image.getexif()[ORIENTATION] = orientation
    contract = Contract(to_height, to_width, channels, (), crop_fraction)
    result = {"source": [height, width, orientation], "input": [to_height, to_width, channels]}
    result |= {"crop_fraction": crop_fraction}
    try:
        pixels = contract.pixels(image).tobytes()
    except ValueError:  # too long
        return result | {"refused": True}
    result |= {"sha256": hashlib.sha256(pixels).hexdigest()}
    if len(pixels) < 4096:  # small ones are kept, so that a failing test can show where
        result["pixels"] = encoded(pixels)
    return result


def quantization(kind, scale, zero, mean, std):
    """The input's bytes of the 256 pixel values, the same in all channels."""
    reader = reader_of(Contract(256, 1, 3, (), mean=np.array(mean, np.float32), std=np.array(std, np.float32)))
    reader.input = {"dtype": np.dtype(kind).type, "quantization": (scale, zero)}
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 3)
    content = encoded(reader.quantize(pixels).tobytes())
    return {"type": kind, "scale": scale, "zero": zero, "mean": mean, "std": std, "bytes": content}


def output(kind, scale, zero, numbers, what):
    """Probabilities of an output."""
    reader = reader_of(Contract(1, 1, 1, (), output=what))
    reader.output = {"quantization": (scale, zero)}
    values = np.array(numbers, kind)
    probabilities = reader.probabilities(values).tolist()
    content = encoded(values.tobytes())
    return {"type": kind, "scale": scale, "zero": zero, "bytes": content, "output": what, "expected": probabilities}


def reader_of(contract):
    """The reference reader without a file."""
    reader = Classifier.__new__(Classifier)
    reader.contract = contract
    return reader


def rgb_of(y, u, v):
    """Full-range BT.601 (JFIF) of numbers 0 to 255, in floating point; halves are rounded up."""
    y, u, v = (np.asarray(a, np.float64) for a in (y, u - 128.0, v - 128.0))
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1)
    # The formula's decimals end at the sixth: what is added makes a half a half in binary, too.
    return np.clip(np.floor(rgb + 0.5 + 1e-9), 0, 255).astype(np.uint8)


def every_colour():
    """SHA-256 of all 16,777,216 colours: 64 frames of 512 x 512 with all chromas, each with four new lumas."""
    digest = hashlib.sha256()
    y, x = np.mgrid[:512, :512]
    for frame in range(64):
        digest.update(rgb_of(4 * frame + 2 * (y % 2) + x % 2, x // 2, y // 2).tobytes())
    return digest.hexdigest()


def shown(kind, scale, zero):
    """What the reader takes where a file says nothing of its scale."""
    (mean, std), _ = shown_normalization({"dtype": np.dtype(kind).type, "quantization": (scale, zero)})
    return {"type": kind, "scale": scale, "zero": zero, "mean": mean, "std": std}


def contract(changes):
    """What the reader makes of a contract; null where it refuses it."""
    text = json.dumps({"height": 32, "width": 32, "channels": 3, "labels": list("abcdefghij")} | changes)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("contract.json", text)
        try:
            read = read_contract(path, (32, 32, 3), 10)
        except ValueError:
            return {"text": text, "read": None}
    mean, std = (np.atleast_1d(value).tolist() for value in (read.mean, read.std))
    found = {"labels": read.labels, "crop_fraction": read.crop_fraction, "mean": mean, "std": std}
    return {"text": text, "read": found | {"output": read.output}}


def turned_frame(degrees, mirrored):
    """An odd-sized frame as planes and, turned clockwise and then as a mirror shows it, as RGB."""
    planes = noise(5, 7)
    luma, blue, red = planes[..., 0], planes[:3, :4, 1], planes[:3, :4, 2]
    chroma = [np.repeat(np.repeat(plane, 2, 0), 2, 1)[:5, :7] for plane in (blue, red)]
    rgb = np.rot90(rgb_of(luma, *chroma), -degrees // 90)
    rgb = rgb[:, ::-1] if mirrored else rgb
    size = {"degrees": degrees, "mirrored": mirrored, "width": 7, "height": 5}
    return size | {"rgb": encoded(np.ascontiguousarray(rgb).tobytes())}


def golden_probabilities(path):
    """Probabilities of a bundled model's golden outputs, one row a picture."""
    reader = Classifier(path)
    golden = json.loads(path.with_suffix(".golden.json").read_text())
    outputs = [np.array(picture["output"], golden["output"]["dtype"]) for picture in golden["pictures"]]
    # 1e-6 is what is demanded; more digits would differ with the processor.
    return [[round(p, 8) for p in reader.probabilities(values).tolist()] for values in outputs]


def encoded(content):
    return base64.b64encode(content).decode()


def lines(value):
    """JSON with one line for each item."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}\n"
    return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]\n"


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    vectors = {
        "preparation": [preparation(*case) for case in PREPARATIONS],
        "quantization": [quantization(*case) for case in QUANTIZATIONS],
        "output": [output(*case) for case in OUTPUTS],
        "shown": [shown(*case) for case in SHOWN],
        "labels": [{"text": text, "labels": read_labels(text)} for text in LABELS],
        "contracts": [contract(changes) for changes in CONTRACTS],
        "yuv": {
            "every_colour": every_colour(),
            "frames": [turned_frame(degrees, mirrored) for mirrored in (False, True) for degrees in (0, 90, 180, 270)],
        },
        "models": {path.stem: golden_probabilities(path) for path in sorted(MODELS.glob("*.tflite"))},
    }
    for name, value in vectors.items():
        (folder / f"{name}.json").write_text(lines(value))


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RESOURCES)
